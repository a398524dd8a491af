package tracker

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// perIdleFlow returns how many bytes each of n flows takes that sent one SYN, index and
// timers included, for a caller that keeps nothing of its own.
func perIdleFlow(n uint32) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	t := New(Options[flow.Key, struct{}]{MaxFlows: int(n)}, nil)
	seg := &flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Window: 5000}}
	for i := range n {
		in := tcpInput(i, seg)
		t.Finish(t.Observe(&in), &in)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(t)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(n)
}

// TestMemoryPerFlow holds what an idle flow costs at a million flows.
func TestMemoryPerFlow(t *testing.T) {
	if got := perIdleFlow(1_000_000); got < 100 || got > 256 {
		t.Errorf("an idle flow takes %.1f bytes, want at most 256", got)
	}
}

// TestNumberOfAnID holds that a flow's number can be had from its ID.
func TestNumberOfAnID(t *testing.T) {
	for range 1000 {
		x := rand.Uint64()
		if got := unmix(mix(x)); got != x {
			t.Fatalf("unmix(mix(%#x)) = %#x", x, got)
		}
	}
	tb := New(options{Seed: 7}, nil)
	for n := range uint32(100) {
		in := tcpInput(n, nil)
		if f := tb.Observe(&in); tb.seq(f) != uint64(n)+1 {
			t.Fatalf("flow %d has number %d", n+1, tb.seq(f))
		}
	}
}
