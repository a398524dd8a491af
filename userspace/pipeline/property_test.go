package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// A carried stream is what each side says, and the packets that carry it.
type carried struct {
	said    [2]string
	packets []packettest.Packet
}

// drawCarried draws a conversation: bytes of both sides in segments of any size, some
// sent twice, swapped with others nearby.
func drawCarried(t *rapid.T) carried {
	c := open()
	var said [2]strings.Builder
	lines := rapid.SliceOfN(rapid.StringMatching(`[e-z]{0,30}`), 0, 12).Draw(t, "lines")
	var data []packettest.Packet
	for i, l := range lines {
		l += "\n"
		side := flow.Side(rapid.IntRange(0, 1).Draw(t, "side"))
		for len(l) > 0 {
			n := rapid.IntRange(1, len(l)).Draw(t, "cut")
			at := uint32(said[side].Len())
			said[side].WriteString(l[:n])
			p := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001 + at).Ack(5001)
			if side == flow.Responder {
				p = packettest.TCP(hostB, hostA).Flags("PA").Seq(5001 + at).Ack(1001)
			}
			data = append(data, p.Payload(l[:n]))
			l = l[n:]
		}
		if i%3 == 2 && rapid.Bool().Draw(t, "again") {
			data = append(data, data[rapid.IntRange(0, len(data)-1).Draw(t, "which")])
		}
	}
	for range rapid.IntRange(0, 2*len(data)).Draw(t, "swaps") {
		i := rapid.IntRange(0, len(data)-2+1).Draw(t, "at")
		if i+1 < len(data) {
			data[i], data[i+1] = data[i+1], data[i]
		}
	}
	return carried{[2]string{said[0].String(), said[1].String()}, append(c.list, data...)}
}

// TestDrainedBytesProperty holds that however a stream is cut, repeated and reordered,
// a flow driver gives its bytes, drained at any time.
func TestDrainedBytesProperty(t *testing.T) {
	key := keyOf(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawCarried(t)
		var got [2]strings.Builder
		var d *flowDriver
		drain := func() {
			for side := range flow.Side(2) {
				got[side].Write(d.Drain(key, side))
			}
		}
		opt := flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}, ClosedLinger: -1}}
		opt.OnEvent = func(e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventEnded {
				drain()
			}
		}
		d = pipeline.NewFlowDriver(opt)
		for _, v := range packettest.Trace(c.packets...) {
			d.TrackPending(&v)
			if rapid.Bool().Draw(t, "drain") {
				drain()
			}
			d.Finalize()
		}
		d.Finish()
		for side := range got {
			if got[side].String() != c.said[side] {
				t.Fatalf("side %d: drained %q, want %q", side, got[side].String(), c.said[side])
			}
		}
	})
}

// TestMessagesProperty holds P1 to P3 for the session driver: the messages depend on
// what was said alone.
func TestMessagesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCarried(t)
		var got [2]string
		d := pipeline.NewSessionDriver(lineOptions(func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Message {
				got[e.Side] += string(e.Message.(line)) + "\n"
			}
		}))
		for _, v := range packettest.Trace(c.packets...) {
			d.Track(&v)
		}
		d.Finish()
		if got != c.said {
			t.Fatalf("messages %q, want %q", got, c.said)
		}
	})
}

// drawTraffic draws packets of a few flows with any flags, payloads, times and faults.
func drawTraffic(t *rapid.T) []packet.View {
	var list []packettest.Packet
	at := time.Duration(0)
	for range rapid.IntRange(1, 25).Draw(t, "packets") {
		a := fmt.Sprintf("10.0.0.%d:%d", rapid.IntRange(1, 3).Draw(t, "host"), rapid.IntRange(1, 2).Draw(t, "port"))
		b := "10.0.1.1:80"
		if rapid.Bool().Draw(t, "back") {
			a, b = b, a
		}
		p := packettest.UDP(a, b)
		if rapid.IntRange(0, 3).Draw(t, "proto") > 0 {
			p = packettest.TCP(a, b).Flags(rapid.SampledFrom([]string{"S", "SA", "A", "PA", "FA", "R", "RA", "F", ""}).Draw(t, "flags")).
				Seq(1000 + uint32(rapid.IntRange(0, 60).Draw(t, "seq"))).Ack(1000 + uint32(rapid.IntRange(0, 60).Draw(t, "ack")))
		}
		p = p.Payload(rapid.StringMatching(`(bad)?[a-z]{0,8}\n?`).Draw(t, "payload"))
		at += time.Duration(rapid.SampledFrom([]int{-1, 0, 1, 1, 1, 1000, 40_000, 400_000}).Draw(t, "ms")) * time.Millisecond
		list = append(list, p.At(at))
		if rapid.IntRange(0, 9).Draw(t, "fragments") == 0 {
			list = append(list[:len(list)-1], p.At(at).IPID(uint16(len(list))).Fragments(8)...)
		}
	}
	return packettest.Trace(list...)
}

// drawOptions draws options that change how flows end.
func drawOptions(t *rapid.T) pipeline.Options[flow.Key] {
	opt := lineOptions(nil)
	opt.ClosedLinger = rapid.SampledFrom([]time.Duration{-1, 0}).Draw(t, "linger")
	opt.MaxFlows = rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "max")
	opt.PoisonEndsFlow = rapid.Bool().Draw(t, "poison ends flow")
	opt.Reassembly.Cap = rapid.SampledFrom([]int{0, 8}).Draw(t, "cap")
	opt.Reassembly.Overflow = rapid.SampledFrom([]flow.Overflow{flow.SlidingWindow, flow.DropFlow}).Draw(t, "overflow")
	opt.Monotonic = rapid.Bool().Draw(t, "monotonic")
	return opt
}

// conserves holds P9, the counters' conservation.
func conserves(t *rapid.T, s flow.Summary) {
	if p, b := s.Unaccounted(); p != 0 || b != 0 {
		t.Fatalf("unaccounted: %d packets, %d bytes", p, b)
	}
	ended := uint64(0)
	for _, n := range s.FlowsEnded {
		ended += n
	}
	if s.FlowsStarted != ended {
		t.Fatalf("%d flows started, %d ended", s.FlowsStarted, ended)
	}
}

// TestSessionEventsProperty holds for any traffic: exactly one Started and one Closed
// for each flow, nothing before and nothing after, and conservation.
func TestSessionEventsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opt := drawOptions(t)
		open, done := map[uint64]bool{}, map[uint64]bool{}
		opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
			if e.ID == 0 {
				return
			}
			switch begins := e.Kind == pipeline.Started; {
			case done[e.ID]:
				t.Fatalf("%s after closed", e.Kind)
			case begins == open[e.ID]:
				t.Fatalf("%s of a flow that is open: %v", e.Kind, open[e.ID])
			}
			open[e.ID] = true
			done[e.ID] = e.Kind == pipeline.Closed
		}
		d := pipeline.NewSessionDriver(opt)
		for _, v := range drawTraffic(t) {
			d.Track(&v)
		}
		d.Finish()
		for id := range open {
			if !done[id] {
				t.Fatalf("flow %x was never closed", id)
			}
		}
		conserves(t, d.Summary())
	})
}

// TestFlowEventsProperty holds the same for the events of flows, and that Established
// comes at most once, after Started.
func TestFlowEventsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opt := flowOptions{Options: drawOptions(t)}
		seen := map[uint64][]flow.EventKind{}
		opt.OnEvent = func(e *flow.Event[flow.Key]) {
			l := seen[e.ID]
			switch {
			case e.ID == 0:
				return
			case (len(l) == 0) != (e.Kind == flow.EventStarted):
				t.Fatalf("%s after %v", e.Kind, l)
			case slices.Contains(l, flow.EventEnded):
				t.Fatalf("%s after the end", e.Kind)
			case e.Kind == flow.EventEstablished && slices.Contains(l, flow.EventEstablished):
				t.Fatalf("established twice: %v", l)
			}
			seen[e.ID] = append(l, e.Kind)
		}
		d := pipeline.NewFlowDriver(opt)
		for _, v := range drawTraffic(t) {
			d.Track(&v)
		}
		d.Finish()
		for id, l := range seen {
			if l[len(l)-1] != flow.EventEnded {
				t.Fatalf("flow %x: %v, without an end", id, l)
			}
		}
		conserves(t, d.Summary())
	})
}

// TestSweepsProperty holds P6: how often anybody sweeps never shows in the events of a
// flow driver. A sweep is not later than the packet that comes next.
func TestSweepsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opt, frames := drawOptions(t), drawTraffic(t)
		before := rapid.SliceOfN(rapid.IntRange(-1, 100_000), len(frames), len(frames)).Draw(t, "sweep before, ms")
		run := func(sweep bool) (l []string) {
			fo := flowOptions{Options: opt}
			fo.OnEvent = func(e *flow.Event[flow.Key]) {
				l = append(l, fmt.Sprintf("%x %s %d %s", e.ID, e.Kind, e.Time, e.Reason))
			}
			d := pipeline.NewFlowDriver(fo)
			for i, v := range frames {
				if sweep && before[i] >= 0 {
					d.Sweep(v.Time.Add(-time.Duration(before[i]) * time.Millisecond))
				}
				d.Track(&v)
			}
			d.Finish()
			return l
		}
		if got, want := run(true), run(false); !slices.Equal(got, want) {
			t.Fatalf("with sweeps\n got %v\nwant %v", got, want)
		}
	})
}
