package tracker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An op is a packet of a random trace, with sweeps before it.
type op struct {
	in     Input[flow.Key]
	sweeps []flow.Timestamp // none after in.Time
}

// drawTrace draws packets of a few flows, at times that never go back. Most TCP
// segments fit what went before, some do not.
func drawTrace(t *rapid.T) (ops []op) {
	var now flow.Timestamp
	var next [8][2]flow.Seq
	protos := []flow.Proto{tcp, tcp, tcp, udp, flow.ProtoICMP}
	steps := []time.Duration{0, 1, time.Millisecond, time.Second, 3 * time.Second, 11 * time.Second, 61 * time.Second, 301 * time.Second}
	for i := range rapid.IntRange(1, 80).Draw(t, "packets") {
		later := now.Add(rapid.SampledFrom(steps).Draw(t, "step"))
		var o op
		for range rapid.IntRange(0, 2).Draw(t, "sweeps") {
			o.sweeps = append(o.sweeps, flow.Timestamp(rapid.Int64Range(int64(now), int64(later)).Draw(t, "sweep")))
		}
		now = later
		n := rapid.Uint16Range(0, uint16(len(next)-1)).Draw(t, "flow")
		proto := protos[int(n)%len(protos)]
		dir := flow.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
		o.in = *input(proto, n, dir, now)
		o.in.Number = uint64(i) + 1
		if proto == tcp {
			o.in.Seg = drawSegment(t, &next[n], dir, now)
			o.in.PayloadLen = o.in.Seg.Len
		}
		ops = append(ops, o)
	}
	return ops
}

func drawSegment(t *rapid.T, next *[2]flow.Seq, dir flow.Direction, now flow.Timestamp) *flow.Segment {
	flags := []flow.TCPFlags{
		flow.SYN, flow.SYN | flow.ACK, flow.ACK, flow.ACK, flow.ACK | flow.PSH, flow.FIN | flow.ACK, flow.FIN | flow.ACK,
		flow.RST, flow.RST | flow.ACK, 0, 0xff, flow.SYN | flow.FIN,
	}
	s := &flow.Segment{Time: now}
	s.Flags = rapid.SampledFrom(flags).Draw(t, "flags")
	s.Len = rapid.SampledFrom([]int{0, 0, 1, 100}).Draw(t, "len")
	s.Window = rapid.SampledFrom([]uint16{1000, 1000, 0}).Draw(t, "window")
	s.Seq = next[dir] + flow.Seq(rapid.SampledFrom([]int32{0, 0, 0, 0, -1, -100, 300, 1 << 20, 1 << 30}).Draw(t, "off"))
	s.Ack = next[dir.Other()]
	if end := s.Seq + flow.Seq(s.SeqLen()); next[dir].Less(end) {
		next[dir] = end
	}
	return s
}

func drawOptions(t *rapid.T) options {
	return options{
		MaxFlows:      rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "max"),
		ClosedLinger:  rapid.SampledFrom([]time.Duration{0, -1, time.Second}).Draw(t, "linger"),
		IdleHandshake: rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "handshake"),
		ActiveTimeout: rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(t, "active"),
	}
}

// play feeds a trace and returns every event with its time.
func playTrace(t *rapid.T, ops []op, o options, sweep bool) string {
	var l []string
	o.Handler = func(f *testFlow, e *flow.Event[flow.Key]) { l = append(l, fmt.Sprint(e.Time, " ", line(e))) }
	tb := New(o, nil)
	for _, o := range ops {
		if sweep {
			for _, at := range o.sweeps {
				tb.Sweep(at)
			}
		}
		in := o.in
		f := tb.Observe(&in)
		tb.Finish(f, &in)
		checkTable(t, tb)
	}
	tb.EndAll(flow.EndOfInput)
	checkTable(t, tb)
	if tb.Len() != 0 {
		t.Fatalf("%d flows left at the end", tb.Len())
	}
	return strings.Join(l, "\n")
}

// checkTable holds what is true of a table at all times.
func checkTable(t interface{ Fatalf(string, ...any) }, tb *testTable) {
	c := tb.Counters()
	created := c.Created[0] + c.Created[1] + c.Created[2]
	gone := c.Forgotten
	for _, n := range c.Ended {
		gone += n
	}
	if created != gone+uint64(tb.Len()) || c.Ended[flow.EndNone] != 0 {
		t.Fatalf("created %d, ended or forgotten %d, live %d", created, gone, tb.Len())
	}
	if tb.Len() > tb.opts.MaxFlows {
		t.Fatalf("%d flows, limit %d", tb.Len(), tb.opts.MaxFlows)
	}
	n := 0
	for f := range tb.Flows() {
		n++
		if tb.Lookup(f.Key) == nil {
			t.Fatalf("flow %v is not found", f.Key)
		}
	}
	if n != tb.Len() || tb.index.used != n || tb.timers.parked+tb.timers.due.len() != n {
		t.Fatalf("%d flows, live %d, in the index %d, timers %d+%d", n, tb.Len(), tb.index.used, tb.timers.parked, tb.timers.due.len())
	}
}

// TestNoOutputDependsOnSweeps is property P6.
func TestNoOutputDependsOnSweeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops, o := drawTrace(t), drawOptions(t)
		if a, b := playTrace(t, ops, o, false), playTrace(t, ops, o, true); a != b {
			t.Fatalf("without sweeps:\n%s\nwith:\n%s", a, b)
		}
	})
}

// TestHandshakeTimeoutOfLoneSegment: a segment that changes no state brings the shorter
// timeout all the same.
func TestHandshakeTimeoutOfLoneSegment(t *testing.T) {
	tb := New(options{IdleHandshake: 5 * time.Second}, nil)
	in := input(tcp, 1, flow.Forward, 0)
	in.Seg = &flow.Segment{}
	in.Seg.Flags = flow.ACK
	tb.Finish(tb.Observe(in), in)
	if tb.Sweep(flow.Timestamp(6 * time.Second)); tb.Len() != 0 {
		t.Errorf("%d flows after 6 s, want none", tb.Len())
	}
}

// TestSwappedEndpointsSwapSides is property P8: what is said of sides does not depend
// on which endpoint comes first in the key.
func TestSwappedEndpointsSwapSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops, o := drawTrace(t), drawOptions(t)
		a := playTrace(t, ops, o, false)
		for i := range ops {
			ops[i].in.Dir = ops[i].in.Dir.Other()
		}
		if b := playTrace(t, ops, o, false); a != b {
			t.Fatalf("before:\n%s\nafter:\n%s", a, b)
		}
	})
}

// TestOrderOfEvents holds Started first, Ended last, Established at most once.
func TestOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		open := make(map[uint64]int) // 1 started, 2 established
		o.Handler = func(f *testFlow, e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventAnomaly && e.Anomaly.Kind.TableWide() {
				return
			}
			switch was, ok := open[e.ID]; {
			case ok == (e.Kind == flow.EventStarted):
				t.Fatalf("%v of flow %x, open %v", e.Kind, e.ID, ok)
			case e.Kind == flow.EventEstablished && was == 2:
				t.Fatalf("flow %x established twice", e.ID)
			case e.Kind == flow.EventEstablished:
				open[e.ID] = 2
			case e.Kind == flow.EventStarted:
				open[e.ID] = 1
			case e.Kind == flow.EventEnded:
				delete(open, e.ID)
			}
		}
		tb := New(o, nil)
		for _, o := range drawTrace(t) {
			tb.Finish(tb.Observe(&o.in), &o.in)
		}
		tb.EndAll(flow.EndOfInput)
		if len(open) != 0 {
			t.Fatalf("%d flows never ended", len(open))
		}
	})
}

// shared stands for what an XDP program counts in memory it shares with us.
type shared struct {
	dir         [2]Counters
	first, last flow.Timestamp
}

func (s *shared) add(in *Input[flow.Key]) {
	c := &s.dir[in.Dir]
	if c.Packets == 0 {
		c.TTLMin, c.TTLMax = in.TTL, in.TTL
	}
	c.Packets += in.Packets
	c.Bytes += uint64(in.Bytes)
	c.IPBytes += uint64(in.IPBytes)
	c.PayloadBytes += uint64(in.PayloadLen)
	if in.Seg != nil {
		c.TCPFlags |= in.Seg.Flags
	}
	s.first, s.last = min(s.first, in.Time), max(s.last, in.Time)
}

// An engine drives a table as the kernel engine does: it finds flows itself, counts
// elsewhere, and sends up TCP segments and the first packet of each side.
type engine struct {
	tb    *Table[flow.Key, *shared]
	flows map[flow.Key]*Flow[flow.Key, *shared]
	fresh *shared // of the flow that is being opened
	lines []string
}

func newEngine(o options) *engine {
	e := &engine{flows: make(map[flow.Key]*Flow[flow.Key, *shared])}
	e.tb = New(Options[flow.Key, *shared]{
		MaxFlows: o.MaxFlows, ClosedLinger: o.ClosedLinger, IdleHandshake: o.IdleHandshake, ActiveTimeout: o.ActiveTimeout,
		Handler: e.handle, Refresh: refreshShared,
	}, func(flow.Key) *shared { return e.fresh })
	return e
}

func refreshShared(f *Flow[flow.Key, *shared]) {
	f.SetTimes(f.State.first, f.State.last)
	f.SetCounters(fwd, f.State.dir[fwd])
	f.SetCounters(rev, f.State.dir[rev])
}

func (e *engine) handle(f *Flow[flow.Key, *shared], ev *flow.Event[flow.Key]) {
	if ev.Kind == flow.EventEnded && e.flows[f.Key] == f {
		delete(e.flows, f.Key)
	}
	if ev.Kind != flow.EventPacket {
		e.lines = append(e.lines, detail(ev))
	}
}

func detail(ev *flow.Event[flow.Key]) string {
	s := fmt.Sprintf("%v %x %s", ev.Time, ev.ID, line(ev))
	if ev.Stats != nil {
		s += fmt.Sprintf(" %+v", *ev.Stats)
	}
	return s
}

func (e *engine) feed(in *Input[flow.Key]) {
	e.tb.Expire(in.Time)
	f := e.flows[in.Key]
	if f == nil || in.Seg != nil && f.ReusedBy(in.Dir, in.Seg) {
		e.fresh = &shared{first: in.Time, last: in.Time}
		e.fresh.add(in)
		f = e.tb.Open(in, f)
		e.flows[in.Key] = f
		e.tb.Finish(f, in)
		return
	}
	f.State.add(in)
	if in.Seg != nil || f.State.dir[in.Dir].Packets == 1 {
		e.tb.Step(f, in)
		e.tb.Finish(f, in)
	}
}

// TestEnginesAgree drives one table by packets, and one by what a kernel would send
// up of them.
func TestEnginesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops, o := drawTrace(t), drawOptions(t)
		e := newEngine(o)
		var want []string
		o.Handler = func(f *testFlow, ev *flow.Event[flow.Key]) {
			if ev.Kind != flow.EventPacket {
				want = append(want, detail(ev))
			}
		}
		tb := New(o, nil)
		for _, o := range ops {
			a, b := o.in, o.in
			tb.Finish(tb.Observe(&a), &a)
			e.feed(&b)
		}
		tb.EndAll(flow.EndOfInput)
		e.tb.EndAll(flow.EndOfInput)
		if got, want := strings.Join(e.lines, "\n"), strings.Join(want, "\n"); got != want {
			t.Fatalf("by the kernel:\n%s\nby packets:\n%s", got, want)
		}
	})
}

// TestEnginesAgreeOnControls sends up only the segments with SYN, FIN or RST and those
// that change a state, write a letter or are odd, and sets the rest.
func TestEnginesAgreeOnControls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got Conn
		f := Flow[flow.Key, int]{flags: tcpStepped}
		var next [2]flow.Seq
		var now flow.Timestamp
		for range rapid.IntRange(1, 80).Draw(t, "segments") {
			now += flow.Timestamp(rapid.Int64Range(0, 1e7).Draw(t, "step"))
			dir := flow.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
			s := drawSegment(t, &next, dir, now)
			before := want
			if want.d != nil {
				d := *want.d
				before.d = &d
			}
			ch := want.Step(flow.Side(dir), s)
			if s.Flags&controls == 0 && ch.From == ch.To && ch.Notes == 0 && sameLook(&before, &want) {
				continue
			}
			for side := range flow.Direction(2) {
				setProgress(&f, side, &before)
			}
			if c := f.conn.Step(flow.Side(dir), s); c != ch {
				t.Fatalf("change %+v, want %+v", c, ch)
			}
		}
		got = f.conn
		if got.History(false) != want.History(false) || got.ConnState(true) != want.ConnState(true) {
			t.Fatalf("%s %s, want %s %s", got.History(false), got.ConnState(true), want.History(false), want.ConnState(true))
		}
	})
}

// sameLook reports whether nothing that a history or conn_state shows changed from a
// to b, and no side did something for the first time.
func sameLook(a, b *Conn) bool {
	for side := range a.end {
		x, y := &a.end[side], &b.end[side]
		if x.point != y.point || (x.known^y.known)&^timing != 0 {
			return false
		}
	}
	return a.History(false) == b.History(false)
}

// setProgress sets what the kernel, for which from stands, knows of a direction.
func setProgress(f *Flow[flow.Key, int], d flow.Direction, from *Conn) {
	e := &from.end[d]
	f.SetProgress(d, Progress{Max: e.max, Ack: e.ack, Last: from.last(flow.Side(d)), Window: e.window, HasACK: e.has(hasACK)})
	if from.d != nil {
		often := &from.d.side[d].often
		f.SetRepeats(d, often[0], often[letterT-letterW])
	}
}

// TestConnTotal feeds any segments at all: it never panics, a terminal state stays,
// and histories keep their limits.
func TestConnTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := new(Conn)
		for range rapid.IntRange(1, 60).Draw(t, "segments") {
			var s flow.Segment
			s.Flags = flow.TCPFlags(rapid.Byte().Draw(t, "flags"))
			s.Seq, s.Ack = flow.Seq(rapid.Uint32().Draw(t, "seq")), flow.Seq(rapid.Uint32().Draw(t, "ack"))
			s.Len = rapid.IntRange(0, 65535).Draw(t, "len")
			s.Window, s.Options, s.WScale = rapid.Uint16().Draw(t, "window"), flow.TCPOptions(rapid.Byte().Draw(t, "options")), rapid.Byte().Draw(t, "scale")
			was := c.State()
			ch := c.Step(flow.Side(rapid.IntRange(0, 1).Draw(t, "side")), &s)
			if ch.From != was || ch.To != c.State() || was.Terminal() && ch.To != was {
				t.Fatalf("change %+v from %v to %v", ch, was, c.State())
			}
		}
		if len(c.History(true)) > maxHistory || len(c.Events()) > maxEvents || c.ConnState(true) == "" {
			t.Fatalf("history %q, events %q, conn_state %q", c.History(true), c.Events(), c.ConnState(true))
		}
	})
}

// TestTimers holds that timers come up in order and on time, whatever they are set
// to, against a sorted list.
func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tm timers
		model := make(map[uint32]entry)
		fresh := func(slot uint32) entry { return model[slot] }
		at := rapid.OneOf(
			rapid.Int64Range(0, int64(20*time.Minute)), rapid.Int64Range(0, 1<<30), rapid.Int64(),
		)
		var now flow.Timestamp
		tm.start(now)
		for i := range rapid.IntRange(1, 60).Draw(t, "ops") {
			slot := rapid.Uint32Range(0, 15).Draw(t, "slot")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				if _, ok := model[slot]; ok {
					tm.remove(slot)
					delete(model, slot)
				}
			case 1:
				now = max(now, flow.Timestamp(at.Draw(t, "limit")))
				drain(t, &tm, model, now, fresh)
			default:
				e := entry{flow.Timestamp(at.Draw(t, "at")), uint64(i), slot}
				model[slot] = e
				tm.set(e)
			}
		}
		drain(t, &tm, model, flow.MaxTimestamp, fresh)
		if !tm.empty() || len(model) != 0 {
			t.Fatalf("left: %d in the wheel, %d due, %d in the model", tm.parked, tm.due.len(), len(model))
		}
	})
}

func drain(t *rapid.T, tm *timers, model map[uint32]entry, limit flow.Timestamp, fresh func(uint32) entry) {
	for {
		var want entry
		found := false
		for _, e := range model {
			if e.at <= limit && (!found || e.before(&want)) {
				want, found = e, true
			}
		}
		if found && tm.wake > limit {
			t.Fatalf("asleep until %v, but %+v is due", tm.wake, want)
		}
		got, ok := tm.next(limit, fresh)
		if ok != found || got != want {
			t.Fatalf("next %+v %v, want %+v %v", got, ok, want, found)
		}
		if !ok {
			return
		}
		tm.remove(got.slot)
		delete(model, got.slot)
	}
}

// TestIndex holds the index against a map, with few hashes so that probes are long.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := make(map[uint32]uint64)
		for range rapid.IntRange(1, 300).Draw(t, "ops") {
			slot := rapid.Uint32Range(0, 99).Draw(t, "slot")
			if h, ok := model[slot]; ok {
				x.remove(h, slot)
				delete(model, slot)
			} else {
				model[slot] = rapid.Uint64Range(0, 20).Draw(t, "hash") * 0x3f00000001
				x.insert(model[slot], slot)
			}
			for slot, h := range model {
				if !x.contains(h, slot) {
					t.Fatalf("slot %d is gone", slot)
				}
			}
			if x.used != len(model) {
				t.Fatalf("%d used, want %d", x.used, len(model))
			}
		}
	})
}

func (x *index) contains(hash uint64, slot uint32) bool {
	mask := uint32(len(x.entries) - 1)
	for i := tag(hash) & mask; x.entries[i] != 0; i = (i + 1) & mask {
		if x.entries[i] == uint64(tag(hash))<<32|uint64(slot+1) {
			return true
		}
	}
	return false
}

// TestUsualIsStep holds that the short way of a usual segment leads where the long one
// does.
func TestUsualIsStep(t *testing.T) {
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		var short, long Conn
		step := func(dir flow.Direction, s *flow.Segment) {
			if short.usual(flow.Side(dir), s) {
				taken++
			} else {
				short.Step(flow.Side(dir), s)
			}
			long.Step(flow.Side(dir), s)
			a, b := short, long
			a.d, b.d = nil, nil
			if a != b || *short.d != *long.d {
				t.Fatalf("short %+v %+v, long %+v %+v", a, short.d, b, long.d)
			}
		}
		header := func(f flow.TCPFlags, seq, ack flow.Seq, n int) *flow.Segment {
			return &flow.Segment{TCPHeader: flow.TCPHeader{Flags: f, Seq: seq, Ack: ack, Window: 1000}, Len: n}
		}
		step(flow.Forward, header(flow.SYN, 0, 0, 0))
		step(flow.Reverse, header(flow.SYN|flow.ACK, 0, 1, 0))
		step(flow.Forward, header(flow.ACK, 1, 1, 0))
		step(flow.Forward, header(flow.ACK, 1, 1, 10))
		step(flow.Reverse, header(flow.ACK, 1, 11, 10))
		next := [2]flow.Seq{11, 11}
		var now flow.Timestamp
		for range rapid.IntRange(1, 60).Draw(t, "segments") {
			now += flow.Timestamp(rapid.Int64Range(0, 2e7).Draw(t, "step"))
			dir := flow.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
			s := drawSegment(t, &next, dir, now)
			if rapid.IntRange(0, 9).Draw(t, "plain") > 0 {
				s.Flags = flow.ACK
				s.Seq = long.end[dir].max + flow.Seq(rapid.SampledFrom([]int32{0, 0, 0, 0, -1, -100, 300}).Draw(t, "from"))
				s.Ack = long.end[dir.Other()].max - flow.Seq(rapid.SampledFrom([]uint32{0, 0, 10}).Draw(t, "behind"))
			}
			step(dir, s)
		}
	})
	if taken < 100 {
		t.Errorf("%d segments were usual", taken)
	}
}
