package tracker

import (
	"fmt"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// number makes in a packet of flow n.
func number(in *Input[flow.Key], n uint32) {
	in.Key.LoPort, in.Key.Context = uint16(n), n>>16
}

// tcpInput is a packet of flow n with segment s.
func tcpInput(n uint32, s *flow.Segment) (in Input[flow.Key]) {
	in = Input[flow.Key]{Key: key(tcp, 0), Proto: tcp, Packets: 1, Bytes: 1500, IPBytes: 1486, TTL: 64, Seg: s}
	number(&in, n)
	return in
}

// benchmark visits the flows in an order no cache foresees, each in turn with a data
// segment and, next time round, its ACK.
func benchmark(b *testing.B, flows uint32, o options) {
	t := New(o, nil)
	seg := &flow.Segment{TCPHeader: flow.TCPHeader{Window: 5000}}
	in := tcpInput(0, seg)
	turn := func(i uint32) {
		number(&in, uint32(uint64(i)*7919%uint64(flows)))
		in.Time = flow.Timestamp(i) * 1000
		round := i / flows
		in.Dir = flow.Direction(round & 1)
		seg.Time, seg.Flags = in.Time, flow.ACK
		seg.Len = 1446 * int(1-round&1)
		in.PayloadLen = seg.Len
		if round&1 == 0 {
			seg.Seq, seg.Ack = flow.Seq(round/2*1446), 1
		} else {
			seg.Seq, seg.Ack = 1, flow.Seq((round/2+1)*1446)
		}
		t.Finish(t.Observe(&in), &in)
	}
	var i uint32
	for ; i < 2*flows; i++ {
		turn(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		turn(i)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pkts/s")
}

func BenchmarkTracker(b *testing.B) {
	quiet := options{MaxFlows: 2_000_000}
	b.Run("monoflow", func(b *testing.B) { benchmark(b, 1, quiet) })
	for _, flows := range []uint32{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("flows=%g", float64(flows)), func(b *testing.B) { benchmark(b, flows, quiet) })
	}
	events := quiet
	events.Handler = func(*testFlow, *flow.Event[flow.Key]) {}
	b.Run("monoflow/events", func(b *testing.B) { benchmark(b, 1, events) })
	b.Run("udp/monoflow", benchmarkUDP)
	b.Run("churn", func(b *testing.B) { benchmarkChurn(b, options{MaxFlows: 200_000}) })
	b.Run("flood", func(b *testing.B) { benchmarkChurn(b, options{MaxFlows: 10_000}) })
}

func benchmarkUDP(b *testing.B) {
	t := New(options{}, nil)
	in := input(udp, 1, fwd, 0)
	b.ReportAllocs()
	for b.Loop() {
		in.Time += 1000
		t.Finish(t.Observe(in), in)
	}
}

// benchmarkChurn opens a flow with each packet, which stays until it is idle or
// evicted.
func benchmarkChurn(b *testing.B, o options) {
	o.IdleTCP = 1e8
	t := New(o, nil)
	seg := &flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Window: 5000}}
	in := tcpInput(0, seg)
	b.ReportAllocs()
	var i uint32
	for b.Loop() {
		i++
		number(&in, i)
		in.Time = flow.Timestamp(i) * 1000
		t.Finish(t.Observe(&in), &in)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}

// BenchmarkMemory says what a million idle flows take each.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(perIdleFlow(1_000_000), "B/flow")
	}
}

// TestNoAllocations holds that no packet allocates once the table has grown: in
// order, on new flows, at their end, with all events wanted.
func TestNoAllocations(t *testing.T) {
	seg := &flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK, Window: 5000}}
	tests := []struct {
		name string
		o    options
		step func(in *Input[flow.Key], i uint32)
	}{
		{"data", options{}, func(in *Input[flow.Key], i uint32) { seg.Flags, seg.Seq, seg.Len = flow.ACK, seg.Seq+9, 9 }},
		{"retransmissions", options{}, func(in *Input[flow.Key], i uint32) { seg.Flags, seg.Seq, seg.Len = flow.ACK, 9, 9 }},
		{"new flows", options{IdleTCP: 1e6}, func(in *Input[flow.Key], i uint32) {
			in.Key.Context = i
			seg.Flags, seg.Len = flow.SYN, 0
		}},
		{"evictions", options{MaxFlows: 50}, func(in *Input[flow.Key], i uint32) {
			in.Key.Context = i
			seg.Flags, seg.Len = flow.SYN|flow.ACK, 0
		}},
		{"resets", options{ClosedLinger: -1}, func(in *Input[flow.Key], i uint32) { seg.Flags, seg.Len = flow.RST, 0 }},
		{"updates and own timeouts", options{ActiveTimeout: 1e9, IdleFunc: func(flow.Key, flow.L4) (time.Duration, bool) { return 5e9, true }},
			func(in *Input[flow.Key], i uint32) { in.Key.Context = i / 40; in.Time += 1e8 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events := 0
			tt.o.Handler = func(*testFlow, *flow.Event[flow.Key]) { events++ }
			tb := New(tt.o, nil)
			in := tcpInput(1, seg)
			var i uint32
			run := func() {
				i++
				tt.step(&in, i)
				in.Time += 100_000
				seg.Time = in.Time
				tb.Finish(tb.Observe(&in), &in)
			}
			for range 20_000 {
				run()
			}
			if got := testing.AllocsPerRun(2000, run); got != 0 {
				t.Errorf("%v allocations a packet", got)
			}
			if events < 20_000 {
				t.Errorf("%d events only", events)
			}
		})
	}
}
