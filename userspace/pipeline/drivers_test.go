package pipeline_test

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// A common driver is what all drivers over frames have.
type common interface {
	pipeline.Driver
	Sweep(now flow.Timestamp)
	Summary() flow.Summary
	Dedup() *packet.Dedup
	EmitsAnomalies() bool
	Snapshot() iter.Seq2[flow.Key, flow.Stats]
}

// A told is what any driver's event says.
type told struct {
	kind string
	time flow.Timestamp
}

// everyDriver makes one of each, which writes its events to l.
func everyDriver(opt pipeline.Options[flow.Key], l *[]told) map[string]common {
	opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) { *l = append(*l, told{e.Kind.String(), e.Time}) }
	fo := flowOptions{Options: opt}
	fo.OnEvent = func(e *flow.Event[flow.Key]) { *l = append(*l, told{e.Kind.String(), e.Time}) }
	return map[string]common{
		"flow": pipeline.NewFlowDriver(fo), "session": pipeline.NewSessionDriver(opt), "datagram": pipeline.NewDatagramDriver(opt),
	}
}

// TestDedupInEveryDriver holds that a second copy of a frame counts as such and nowhere
// else: no event, no time.
func TestDedupInEveryDriver(t *testing.T) {
	list := append(open().a("PA", 1001, 5001, "one\n").list, packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("two"))
	frames := packettest.Trace(list...)
	for name := range everyDriver(lineOptions(nil), new([]told)) {
		t.Run(name, func(t *testing.T) {
			run := func(copies int) ([]told, flow.Summary) {
				var l []told
				opt := lineOptions(nil)
				opt.Dedup = packet.NewDedup(time.Millisecond, 16)
				d := everyDriver(opt, &l)[name]
				for _, v := range frames {
					for range copies {
						d.Track(&v)
						v.Time = v.Time.Add(time.Microsecond)
					}
				}
				d.Finish()
				if got, want := d.Dedup().Dropped(), uint64(len(frames)*(copies-1)); got != want {
					t.Errorf("%d dropped, want %d", got, want)
				}
				return l, d.Summary()
			}
			once, _ := run(1)
			twice, s := run(2)
			if !slices.Equal(once, twice) {
				t.Errorf("events with copies\n got %v\nwant %v", twice, once)
			}
			if p, b := s.Unaccounted(); p != 0 || b != 0 || s.PacketsDuplicate != uint64(len(frames)) {
				t.Errorf("unaccounted: %d packets, %d bytes; %d duplicates", p, b, s.PacketsDuplicate)
			}
		})
	}
}

// TestMonotonicInEveryDriver holds that no event goes back in time, whatever the clock
// of the capture does, and that a sweep far ahead does not hold later times up.
func TestMonotonicInEveryDriver(t *testing.T) {
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2")
	back := packettest.Start.Add(10 * time.Second)
	list := append(open().list, packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload("one\n").At(10*time.Second),
		packettest.TCP(hostA, hostB).Flags("PA").Seq(1005).Ack(5001).Payload("two\n").At(4*time.Second),
		udp.Payload("three").At(5*time.Second), udp.Reply().Payload("four").At(11*time.Second))
	for name := range everyDriver(lineOptions(nil), new([]told)) {
		t.Run(name, func(t *testing.T) {
			var l []told
			opt := lineOptions(nil)
			opt.Monotonic = true
			d := everyDriver(opt, &l)[name]
			for _, v := range packettest.Trace(list...) {
				d.Track(&v)
			}
			if !slices.IsSortedFunc(l, func(a, b told) int { return int(a.time - b.time) }) {
				t.Errorf("times go back: %v", l)
			}
			if last := l[len(l)-1].time; last != packettest.Start.Add(11*time.Second) {
				t.Errorf("last event at %v, want the last packet's time", last)
			}
			if !slices.ContainsFunc(l, func(e told) bool { return e.time == back }) {
				t.Errorf("no event at the time it went back from: %v", l)
			}
			d.Sweep(packettest.Start.Add(24 * time.Hour))
			l = l[:0]
			v := packettest.Trace(udp.Payload("five").At(12 * time.Second))[0]
			d.Track(&v)
			if len(l) == 0 || l[0].time != packettest.Start.Add(12*time.Second) {
				t.Errorf("after a sweep far ahead: %v, want the packet's own time", l)
			}
		})
	}
}

// TestWithoutMonotonic holds that an earlier time is a packet's own otherwise.
func TestWithoutMonotonic(t *testing.T) {
	var l []told
	d := everyDriver(lineOptions(nil), &l)["session"]
	for _, v := range packettest.Trace(open().list[0], packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Payload("one\n").At(-time.Second)) {
		d.Track(&v)
	}
	if last := l[len(l)-1]; last != (told{"message", packettest.Start.Add(-time.Second)}) {
		t.Errorf("last event %v, want the message at its own time", last)
	}
}

// TestSnapshotOfEveryDriver holds that a snapshot says what the end says next, and
// costs only what is taken of it.
func TestSnapshotOfEveryDriver(t *testing.T) {
	list := open().a("PA", 1001, 5001, "one\n").a("PA", 1013, 5001, "three\n").a("PA", 1005, 5001, "two_two\n").
		a("PA", 1005, 5001, "two_two\n").b("PA", 5001, 1019, "answer\n").list
	list = append(list, packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("x"), packettest.UDP("10.0.0.3:3", "10.0.0.4:4").Payload("y"))
	for name := range everyDriver(lineOptions(nil), new([]told)) {
		t.Run(name, func(t *testing.T) {
			ended := map[flow.Key]flow.Stats{}
			opt := lineOptions(func(e *pipeline.SessionEvent[flow.Key]) {
				if e.Kind == pipeline.Closed {
					ended[e.Key] = e.Record.Stats
				}
			})
			fo := flowOptions{Options: opt, OnEvent: func(e *flow.Event[flow.Key]) {
				if e.Kind == flow.EventEnded {
					ended[e.FlowKey] = *e.Stats
				}
			}}
			d := map[string]common{"flow": pipeline.NewFlowDriver(fo), "session": pipeline.NewSessionDriver(opt), "datagram": pipeline.NewDatagramDriver(opt)}[name]
			for _, v := range packettest.Trace(list...) {
				d.Track(&v)
			}
			live, first := map[flow.Key]flow.Stats{}, 0
			for k, st := range d.Snapshot() {
				live[k] = st
			}
			for range d.Snapshot() {
				first++
				break
			}
			d.Finish()
			if len(live) != 3 || first != 1 {
				t.Fatalf("%d flows in the snapshot, %d in one that was left: want 3 and 1", len(live), first)
			}
			for k, st := range live {
				if ended[k] != st {
					t.Errorf("snapshot\n got %+v\nwant %+v", st, ended[k])
				}
			}
		})
	}
}

func TestEmitsAnomalies(t *testing.T) {
	for _, want := range []bool{false, true} {
		opt := lineOptions(nil)
		opt.Anomalies = want
		for name, d := range everyDriver(opt, new([]told)) {
			if got := d.EmitsAnomalies(); got != want {
				t.Errorf("%s driver: %v, want %v", name, got, want)
			}
		}
	}
}

// TestIdleFuncInEveryDriver holds that a caller's timeout is honoured by each driver.
func TestIdleFuncInEveryDriver(t *testing.T) {
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("x")
	opt := lineOptions(nil)
	opt.IdleFunc = func(k flow.Key, _ flow.L4) (time.Duration, bool) { return 5 * time.Second, k.EitherPort(2) }
	for name := range everyDriver(opt, new([]told)) {
		var l []told
		d := everyDriver(opt, &l)[name]
		v := packettest.Trace(udp)[0]
		d.Track(&v)
		n := len(l)
		d.Sweep(packettest.Start.Add(5*time.Second - 1))
		if len(l) != n {
			t.Errorf("%s driver: %v before the timeout", name, l[n:])
		}
		if d.Sweep(packettest.Start.Add(5 * time.Second)); len(l) != n+1 {
			t.Errorf("%s driver: %v at the timeout, want the end", name, l[n:])
		}
	}
}
