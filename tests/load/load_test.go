//go:build linux

// Package load sends live frames from two CPUs at once, as fast as they go, at a live
// engine, and holds it to account for every packet and byte. `make load` is the long
// version.
package load

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/wire"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

var (
	packets = flag.Int("packets", 400_000, "packets of a run")
	runs    = flag.Int("runs", 1, "runs of each kind")
)

// snapshotEvery is how often all open flows are read while packets come in.
const snapshotEvery = 300 * time.Millisecond

// A run is what a live engine said of the packets sent at it.
type run struct {
	opt       engine.LiveOptions
	flows     map[flow.Key]xdp.Tally // by key, records added up; nil: not wanted
	records   int
	exported  xdp.Tally // in records
	snapshots int
	read      int // flows in snapshots
	sum       flow.Summary
}

func newRun(maxFlows int, counters bool) *run {
	r := &run{opt: engine.LiveOptions{Interfaces: []string{wire.In}, Mode: xdp.Native}}
	r.opt.Pipeline = pipeline.Options[flow.Key]{MaxFlows: maxFlows, IdleTCP: time.Second, Handler: r.event}
	if counters {
		r.opt.Load.TCP = xdp.Quiet | xdp.NoPayload
	}
	return r
}

func (r *run) event(e *pipeline.SessionEvent[flow.Key]) {
	if e.Kind != pipeline.Closed {
		return
	}
	st := &e.Record.Stats
	r.records++
	r.exported.Packets += st.Packets()
	r.exported.Bytes += st.Bytes()
	if r.flows != nil {
		n := r.flows[e.Key]
		n.Packets += st.Packets()
		n.Bytes += st.Bytes()
		r.flows[e.Key] = n
	}
}

// snapshot reads all open flows once in a while.
func (r *run) snapshot(live *engine.Live) func() error {
	next := time.Now()
	return func() error {
		if now := time.Now(); now.After(next) {
			for range live.Snapshot() {
				r.read++
			}
			r.snapshots++
			next = time.Now().Add(snapshotEvery)
		}
		return nil
	}
}

// send runs the engine and sends n packets from two CPUs. It returns what arrived, as the
// kernel, not our program, counted it.
func (r *run) send(w *wire.Wire, t wire.Traffic, n int) (arrived uint64, err error) {
	var live *engine.Live
	err = w.Do(func() (err error) {
		live, err = engine.NewLive(r.opt)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer live.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- live.Run(ctx, r.snapshot(live)) }()
	before, err := w.Arrived()
	if err == nil {
		err = w.Send(t, n/2, 0, 1)
	}
	after, arrivedErr := w.Arrived()
	cancel()
	runErr := <-done
	r.sum = live.Summary()
	for _, e := range []error{err, arrivedErr, runErr} {
		if e != nil {
			return 0, e
		}
	}
	return after - before, nil
}

// check holds exported and overflow to what was sent.
func (r *run) check(t *testing.T, traffic wire.Traffic, n int, arrived uint64) {
	t.Helper()
	half := uint64(n / 2)
	size := uint64(len(traffic.Frame(0)) + len(traffic.Frame(1)))
	sent := xdp.Tally{Packets: 2 * half, Bytes: half * size}
	full := xdp.Tally{Packets: r.sum.Unparsed[flow.CauseTableFull], Bytes: r.sum.UnparsedBytes[flow.CauseTableFull]}
	if arrived != sent.Packets {
		t.Fatalf("the wire lost packets: %d of %d arrived", arrived, sent.Packets)
	}
	if got := (xdp.Tally{Packets: r.exported.Packets + full.Packets, Bytes: r.exported.Bytes + full.Bytes}); got != sent {
		t.Errorf("records %v + table full %v = %v, sent %v", r.exported, full, got, sent)
	}
	if r.snapshots == 0 || r.records == 0 {
		t.Errorf("%d snapshots, %d records: nothing was tested", r.snapshots, r.records)
	}
	t.Logf("sent %d packets, %d bytes: in %d records %d (spilled %d), table full %d; %d snapshots of %d flows; ring dropped %d records",
		sent.Packets, sent.Bytes, r.records, r.exported.Packets, r.sum.PacketsSpilled, full.Packets, r.snapshots, r.read, r.sum.RingDroppedRecords)
}

func newWire(t *testing.T) *wire.Wire {
	t.Helper()
	needs.Root(t)
	w, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// TestConservation: what records say, and what found no room, is what was sent, to the
// packet and the byte, while flows age out after a second and snapshots are taken; also
// with twice as many flows as places.
func TestConservation(t *testing.T) {
	w := newWire(t)
	for _, c := range []struct {
		name     string
		traffic  wire.Traffic
		payload  bool
		maxFlows int
	}{
		{"flows=1000", wire.Traffic{Flows: 1000}, false, 1 << 20},
		{"flows=1000/payload", wire.Traffic{Flows: 1000}, true, 1 << 20},
		{"flows=100000", wire.Traffic{Flows: 100_000}, false, 1 << 20},
		{"flows=100000/ipv6", wire.Traffic{Flows: 100_000, IPv6: true}, false, 1 << 20},
		{"flows=2000000", wire.Traffic{Flows: 2_000_000}, false, 1 << 20},
		{"flows=2000000/small", wire.Traffic{Flows: 2_000_000}, false, 1 << 14},
	} {
		for i := range *runs {
			t.Run(fmt.Sprintf("%s/run=%d", c.name, i), func(t *testing.T) {
				r := newRun(c.maxFlows, !c.payload)
				arrived, err := r.send(w, c.traffic, *packets)
				if err != nil {
					t.Fatal(err)
				}
				r.check(t, c.traffic, *packets, arrived)
			})
		}
	}
}

// TestOneFlow: two CPUs that count in one line lose nothing to each other.
func TestOneFlow(t *testing.T) {
	w := newWire(t)
	r := newRun(1<<10, true)
	r.opt.Pipeline.IdleTCP = time.Hour
	arrived, err := r.send(w, wire.Traffic{Flows: 1}, *packets)
	if err != nil {
		t.Fatal(err)
	}
	r.check(t, wire.Traffic{Flows: 1}, *packets, arrived)
	if r.records != 1 || r.sum.PacketsSpilled != 0 {
		t.Errorf("%d records, %d packets spilled; want one record with all of them", r.records, r.sum.PacketsSpilled)
	}
}

// TestClaims: two CPUs meet at each new flow. Each flow has the packet of both, however
// many places it got.
func TestClaims(t *testing.T) {
	w := newWire(t)
	for i := range *runs {
		t.Run(fmt.Sprintf("run=%d", i), func(t *testing.T) {
			flows := min(*packets/2, 500_000)
			traffic := wire.Traffic{Flows: flows, InTurn: true}
			r := newRun(1<<20, true)
			r.opt.Pipeline.IdleTCP = time.Hour
			r.flows = make(map[flow.Key]xdp.Tally, flows)
			arrived, err := r.send(w, traffic, 2*flows)
			if err != nil {
				t.Fatal(err)
			}
			r.check(t, traffic, 2*flows, arrived)
			want := xdp.Tally{Packets: 2, Bytes: uint64(len(traffic.Frame(0)) + len(traffic.Frame(1)))}
			for k, n := range r.flows {
				if n != want {
					t.Fatalf("flow %v has %v, want %v", k, n, want)
				}
			}
			if len(r.flows) != flows {
				t.Errorf("%d flows, want %d", len(r.flows), flows)
			}
			t.Logf("%d flows in %d records", len(r.flows), r.records)
		})
	}
}
