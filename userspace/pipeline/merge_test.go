package pipeline_test

import (
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// halves are a flow as user space and the kernel know it, every number another one. The
// initiator sends in direction Reverse.
func halves() (c pipeline.Counted, k pipeline.Known) {
	k = pipeline.Known{Proto: flow.ProtoTCP, InitiatorDir: flow.Reverse}
	c = pipeline.Counted{Handshake: [2]time.Duration{-1, 5}}
	c.Stats.Start, c.Stats.End = 100, 200
	kernel := &pipeline.KernelCount{First: 90, Last: 300, Initiator: flow.Reverse, Handshake: [2]time.Duration{7, 8}}
	for side := range flow.Side(2) {
		dir, n := k.InitiatorDir^flow.Direction(side), uint64(side)*100
		k.Streams[side].RetransmittedSegments, k.Streams[side].Keepalives = n+1, n+2
		s := &c.Stats.Side[side]
		s.Packets, s.ZeroWindows, s.DuplicateACKs, s.TCPFlags = n+3, n+4, n+5, flow.SYN
		s.RTT.Take(time.Duration(n + 6))
		kernel.Dir[dir] = pipeline.DirCount{Packets: n + 7, Bytes: n + 8, IPBytes: n + 9, PayloadBytes: n + 10, TCPFlags: flow.FIN, TTLMin: 11, TTLMax: 12}
		q := &kernel.Quality[dir]
		q.ZeroWindows, q.DuplicateACKs = n+13, n+14
		q.RTT.Take(time.Duration(n + 15))
		k.LongRTT[dir].Take(5 * time.Second)
	}
	c.Kernel = kernel
	return c, k
}

// TestMerge holds which half of a flow wins for each field, without a kernel.
func TestMerge(t *testing.T) {
	const userspace, kernel = "user space", "kernel"
	tests := []struct {
		name      string
		change    func(*pipeline.Counted, *pipeline.Known)
		counts    string
		quality   string
		handshake string
		lost      flow.Incomplete
	}{
		{"no kernel", func(c *pipeline.Counted, _ *pipeline.Known) { c.Kernel = nil }, userspace, userspace, userspace, 0},
		{"every segment came up", func(*pipeline.Counted, *pipeline.Known) {}, kernel, userspace, userspace, 0},
		{"some did not", func(_ *pipeline.Counted, k *pipeline.Known) { k.Partial = true }, kernel, kernel, kernel, 0},
		{"the last ones did not", func(c *pipeline.Counted, _ *pipeline.Known) { c.Kernel.Lost = true }, kernel, kernel, kernel, flow.LostRing},
		{"another initiator", func(c *pipeline.Counted, k *pipeline.Known) { k.Partial, c.Kernel.Initiator = true, flow.Forward }, kernel, kernel, userspace, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, k := halves()
			tt.change(&c, &k)
			r := pipeline.Merge(&c, &k)
			if r.Incomplete != tt.lost {
				t.Errorf("incomplete %v, want %v", r.Incomplete, tt.lost)
			}
			for side := range flow.Side(2) {
				if got, want := r.Stats.Side[side], merged(side, tt.counts == kernel, tt.quality == kernel); got != want {
					t.Errorf("%s:\n%+v, want\n%+v", side, got, want)
				}
			}
			want := [2]time.Duration{-1, 5}
			if tt.handshake == kernel {
				want[0] = 7
			}
			if r.Handshake != want {
				t.Errorf("handshake %v, want %v", r.Handshake, want)
			}
			if tt.counts == kernel && (r.Stats.Start != 90 || r.Stats.End != 300) {
				t.Errorf("from %v to %v", r.Stats.Start, r.Stats.End)
			}
		})
	}
}

// merged is what a side of halves comes to.
func merged(side flow.Side, counts, quality bool) (s flow.SideStats) {
	n := uint64(side) * 100
	s.RetransmittedSegments, s.Keepalives = n+1, n+2
	s.Packets, s.ZeroWindows, s.DuplicateACKs, s.TCPFlags = n+3, n+4, n+5, flow.SYN
	rtt := flow.RTT{}
	rtt.Take(time.Duration(n + 6))
	if counts {
		s.Packets, s.Bytes, s.IPBytes, s.PayloadBytes, s.TTLMin, s.TTLMax = n+7, n+8, n+9, n+10, 11, 12
		s.TCPFlags |= flow.FIN
	}
	if quality {
		s.ZeroWindows, s.DuplicateACKs = n+13, n+14
		rtt = flow.RTT{}
		rtt.Take(time.Duration(n + 15))
		rtt.Take(5 * time.Second)
	}
	s.RTT = rtt
	return s
}
