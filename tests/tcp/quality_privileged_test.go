package tcp

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/source"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A twin is one TCP flow seen by both: its place in the kernel's table, and the tracker
// fed from the records.
type twin struct {
	table *tracker.Table[flow.Key, struct{}]
	flow  *tracker.Flow[flow.Key, struct{}]
	long  [2]flow.RTT // samples that the table has no room for
}

// TestQuality replays real captures and compares what the kernel keeps of each TCP flow,
// for those who read its table, with what the tracker makes of the same packets. They
// may differ in few: the kernel judges sequence numbers more simply.
func TestQuality(t *testing.T) {
	needs.Root(t)
	root := needs.Corpus(t)
	e, err := xdp.Load(xdp.Options{MaxFlows: 1 << 16, RingSize: 1 << 22, Replay: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var sum differences
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			compareCapture(t, e, path, &sum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", sum)
	most := sum.flows / 100
	if sum.flows < 1000 || max(sum.state, sum.handshake, sum.rtt, sum.zeroWindows, sum.duplicateACKs) > most {
		t.Errorf("%+v: want 1000 flows at least, and differences in at most one of a hundred", sum)
	}
}

// differences are numbers of flows.
type differences struct{ flows, state, handshake, rtt, zeroWindows, duplicateACKs int }

// compareCapture leaves the engine's table as empty as it was.
func compareCapture(t *testing.T, e *xdp.Engine, path string, sum *differences) {
	r, err := source.Open(path)
	if err != nil {
		return // not a capture
	}
	twins := map[xdp.Handle]*twin{}
	var f source.Frame
	for r.Next(&f) == nil {
		if err := e.Run(f.Data, xdp.Meta{Time: f.Time, WireLen: f.OrigLen, LinkType: int(f.LinkType)}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Ring(0).Read(0, func(r *xdp.Record) { feed(twins, r) }); err != nil {
			t.Fatal(err)
		}
	}
	e.Table().Scan(0, e.Table().Places(), func(p xdp.Place) {
		var k xdp.Flow
		p.Read(&k)
		if w := twins[p.Handle()]; w != nil {
			w.compare(t, path, &k, sum)
		}
		e.Table().Kill(p.Handle())
		e.Table().Free(p.Handle())
	})
}

// feed gives the packet of a record to the tracker.
func feed(twins map[xdp.Handle]*twin, r *xdp.Record) {
	w := twins[r.Handle]
	if r.Kind == xdp.RTT && w != nil {
		w.long[r.Dir].Take(r.RTT)
	}
	if r.Segment == nil {
		return
	}
	if r.Start != nil {
		w = &twin{table: tracker.New(tracker.Options[flow.Key, struct{}]{IdleTCP: forever, MaxFlows: 4}, noState)}
		twins[r.Handle] = w
	}
	if w == nil {
		return // it began with a fragment
	}
	in := tracker.Input[flow.Key]{Dir: r.Dir, Proto: flow.ProtoTCP, Time: r.Time, Packets: 1, PayloadLen: r.PayloadLen, Seg: r.Segment}
	w.flow = w.table.Observe(&in)
	w.table.Finish(w.flow, &in)
}

const forever = 1000 * time.Hour

func noState(flow.Key) struct{} { return struct{}{} }

func (w *twin) compare(t *testing.T, path string, k *xdp.Flow, sum *differences) {
	s, ok := w.table.Stats(flow.Key{})
	if !ok || w.table.Counters().Created[flow.L4TCP] != 1 {
		return // the tracker saw the tuple reused
	}
	sum.flows++
	note := func(n *int, what string, got, want any) {
		if got == want {
			return
		}
		if *n++; *n <= 10 {
			t.Logf("%s %v:%d: %s: kernel %v, tracker %v", filepath.Base(path), k.Key.LoPort, k.Key.HiPort, what, got, want)
		}
	}
	note(&sum.state, "state", k.State, w.flow.TCPState())
	note(&sum.handshake, "handshake", k.Handshake, w.flow.Handshake())
	for side := range 2 {
		dir := flow.Direction(side) ^ w.flow.InitiatorDir()
		c := k.Dir[dir]
		c.RTT.Add(w.long[dir])
		note(&sum.rtt, "rtt", c.RTT, s.Side[side].RTT)
		note(&sum.zeroWindows, "zero windows", c.ZeroWindows, s.Side[side].ZeroWindows)
		note(&sum.duplicateACKs, "duplicate acks", c.DuplicateACKs, s.Side[side].DuplicateACKs)
	}
}
