package reassembly

import (
	"fmt"
	"sync"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A tally of anomalies by kind, as a Sink.
type anomalyCounter struct {
	counter
	kinds [flow.AnomalyKinds]int
}

func (c *anomalyCounter) Anomaly(a *flow.Anomaly) { c.kinds[a.Kind]++ }

// manyFlows is a million, or fewer for a quick run.
func manyFlows() int {
	if testing.Short() {
		return 50_000
	}
	return 1_000_000
}

// TestMillionHoles: a million flows, each with a hole and one byte behind it, stay
// under the account; what finds no room is counted and reported.
func TestMillionHoles(t *testing.T) {
	n := manyFlows()
	mem := NewMemory(int64(n) * 100) // too little by half
	sh := NewShared(Options{Memory: mem})
	var out anomalyCounter
	flows := make([]Assembler, n)
	for i := range flows {
		openAndHold(&flows[i], sh, &out)
		if used := mem.Used(); used > mem.Limit() {
			t.Fatalf("%d bytes used after %d flows, limit %d", used, i, mem.Limit())
		}
	}
	dropped, held := 0, 0
	for i := range flows {
		a := &flows[i]
		var st flow.SideStats
		a.Stats(flow.Initiator, &st)
		dropped += int(st.ReassemblyDroppedSegments)
		if a.stream[0].held != nil {
			held++
		}
		a.Close(sh, flow.EndOfInput, 0, &out)
		checkLaw(t, a, flow.Initiator, delivered(a))
		a.Release(sh)
	}
	if dropped == 0 || held == 0 || out.kinds[flow.AnomalyMemcap] != dropped || mem.Refused() == 0 {
		t.Errorf("%d dropped, %d held, %d memcap anomalies, %d refused", dropped, held, out.kinds[flow.AnomalyMemcap], mem.Refused())
	}
	if used := mem.Used(); used != sh.pooled() || used > mem.Limit()/16 {
		t.Errorf("%d bytes used in the end, %d idle", used, sh.pooled())
	}
}

// pooled is what lies in the pools.
func (p *pools) pooled() int64 {
	if p.spare == nil {
		return p.idle
	}
	return p.idle + heldSize + int64(cap(p.spare.first[0].data))
}

// delivered is what Stats says now.
func delivered(a *Assembler) int64 {
	var st flow.SideStats
	a.Stats(flow.Initiator, &st)
	return int64(st.StreamBytes)
}

func openAndHold(a *Assembler, sh *Shared, out Sink) {
	s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Seq: 7}}
	a.Segment(sh, flow.Initiator, &s, out)
	s = flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK, Seq: 9}, Len: 1, Data: []byte("x")}
	a.Segment(sh, flow.Initiator, &s, out)
}

// TestHandshakeFlood: flows that never get beyond a SYN hold nothing.
func TestHandshakeFlood(t *testing.T) {
	sh := NewShared(Options{})
	var out anomalyCounter
	flows := make([]Assembler, manyFlows()/10)
	s := flow.Segment{}
	allocs := testing.AllocsPerRun(1, func() {
		for i := range flows {
			for _, seq := range []flow.Seq{1, 1, 1} {
				s.Flags, s.Seq = flow.SYN, seq
				flows[i].Segment(sh, flow.Initiator, &s, &out)
			}
		}
	})
	if used := sh.mem.Used(); used != 0 || allocs > 0 {
		t.Errorf("%d bytes and %v allocations for SYNs", used, allocs)
	}
}

// TestMemoryShared: workers that share an account stay under it together.
func TestMemoryShared(t *testing.T) {
	mem := NewMemory(1 << 20)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			sh := NewShared(Options{Memory: mem})
			var out anomalyCounter
			flows := make([]Assembler, 10_000) // more than the account has room for
			for i := range flows {
				openAndHold(&flows[i], sh, &out)
			}
			for i := range flows {
				flows[i].Release(sh)
			}
			sh.drain()
		})
	}
	wg.Wait()
	if used := mem.Used(); used != 0 {
		t.Errorf("%d bytes used in the end", used)
	}
	if mem.Refused() == 0 {
		t.Error("the account never said no")
	}
}

// TestNoMemory: with an account that grants next to nothing, streams go on over
// what cannot be kept, and every byte is accounted for.
func TestNoMemory(t *testing.T) {
	tests := []struct {
		name, script, want string
		memory             int64
		opt                Options
	}{
		{"nothing", "1:abc 7:ghi 4:def 10:j", `"abc" gap(3) capgap(3) "j"`, 1, Options{}},
		{"a note only", "1:abc 7:ghi 4:def 10:j", `"abcdef" capgap(3) "j"`, heldSize + 10, Options{}},
		{"a note, and no room later", "1:abc 7:ghi 7:ghi 4:def 10:j", `"abc" gap(3) capgap(3) "j"`, heldSize + 10, Options{}},
		{"no room for a longer list", "5:e lost:3:1 6:f", `gap(2) capgap(1) gap(1) "ef"`, 210, Options{}},
		{"lost where held begins", "5:ef lost:5:4", `gap(4) "ef" capgap(2)`, 210, Options{}},
		{"lost around what is held", "5:e lost:3:5 8:h", `gap(2) capgap(2) "e" capgap(2) "h"`, 210, Options{}},
		{"in order needs none", "1:abc 4:def 2:bcdefg", `"abcdefg"`, 1, Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opt.Memory = NewMemory(tt.memory)
			c := newConn(t, 1<<32-4, tt.opt).open().run(tt.script).want(tt.want)
			c.close("")
		})
	}
}

// TestNoMemoryFastOpen: data of a SYN that cannot be kept is lost, not invented.
func TestNoMemoryFastOpen(t *testing.T) {
	c := newConn(t, 9, Options{Memory: NewMemory(1)})
	c.run("0:abc/S ack=4 <SA A 4:def close").want(`capgap(3) "def" end_of_input <end_of_input`)
}

// TestPressure: held bytes never exceed the cap, and bytes add up, when
// memory is short all the time.
func TestPressure(t *testing.T) {
	for _, policy := range []flow.Overflow{SlidingWindow, DropFlow} {
		t.Run(policy.String(), func(t *testing.T) {
			mem := NewMemory(3000)
			sh := NewShared(Options{Memory: mem, Overflow: policy, MaxRuns: 20})
			var out counter
			for f := range 50 {
				var as [4]Assembler
				for i := range 400 {
					k := (i*7 + f*13) % 90
					s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK, Seq: flow.Seq(5 + 10*k)}, Len: 15}
					s.Data = pattern(0, int64(15-k%2*10), i%3 == 0)
					as[i%4].Segment(sh, flow.Initiator, &s, &out)
					checkStream(t, sh, &as[i%4].stream[0])
					if mem.Used() > mem.Limit() {
						t.Fatalf("%d bytes used, limit %d", mem.Used(), mem.Limit())
					}
				}
				for i := range as {
					as[i].Close(sh, flow.EndIdle, 0, &out)
					checkLaw(t, &as[i], flow.Initiator, delivered(&as[i]))
					as[i].Release(sh)
				}
			}
		})
	}
}

// TestAllocations: in the steady state no packet allocates, whatever it does.
func TestAllocations(t *testing.T) {
	tests := []struct {
		name string
		offs []int64 // of segments of 10 bytes, in units of 10, moved on each round
		move int64
		opt  Options
	}{
		{"in order", []int64{0, 1, 2}, 3, Options{}},
		{"pairs swapped", []int64{1, 0}, 2, Options{}},
		{"reordered", []int64{3, 1, 2, 0}, 4, Options{}},
		{"retransmitted", []int64{0, 0, 1, 0}, 2, Options{}},
		{"held twice", []int64{2, 2, 1, 1, 0}, 3, Options{}},
		{"gaps", []int64{1, 3, 5}, 6, Options{MaxRuns: 2}},
		{"many held", []int64{9, 7, 5, 3, 1, 8, 6, 4, 2, 0}, 10, Options{}},
		{"compared", []int64{0, 1, 0}, 2, Options{KeepDelivered: 64}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sh, out := NewShared(tt.opt), &counter{}
			var a Assembler
			base := int64(0)
			s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK}, Len: 10, Data: make([]byte, 10)}
			round := func() {
				for _, off := range tt.offs {
					s.Seq = flow.Seq(uint32((base + off) * 10))
					a.Segment(sh, flow.Initiator, &s, out)
				}
				base += tt.move
			}
			s.Seq = 0
			a.Segment(sh, flow.Initiator, &flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Seq: 1<<32 - 1}}, out)
			for range 100 {
				round()
			}
			if got := testing.AllocsPerRun(1000, round); got != 0 {
				t.Errorf("%v allocations a round", got)
			}
		})
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000_000} {
		b.Run(fmt.Sprintf("flows=%d/hole", n), func(b *testing.B) {
			for b.Loop() {
				sh, out := NewShared(Options{}), &anomalyCounter{}
				flows := make([]Assembler, n)
				for i := range flows {
					openAndHold(&flows[i], sh, out)
				}
				b.ReportMetric(float64(sh.mem.Used())/float64(n), "held-B/flow")
				b.ReportMetric(float64(out.kinds[flow.AnomalyMemcap]), "dropped")
			}
		})
	}
}
