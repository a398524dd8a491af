package pipeline

import (
	"crypto/sha256"
	"hash"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// A streamHash hashes both streams of a flow as they were on the wire, each up to its
// first gap. It puts them in order by itself, since what it takes is not always what
// parsers are given: urgent bytes stay in their place, and what a side still sends
// after a reset, because the reset had not reached it, is part of its stream.
type streamHash struct {
	shared *reassembly.Shared
	asm    reassembly.Assembler
	side   [2]sideHash
}

// A sideHash is the hash of one side.
type sideHash struct {
	h hash.Hash
	n int64
}

// newHashing returns what the hashes of a driver have in common, whose streams have
// the options o and charge memory.
func newHashing(o reassembly.Options, memory *reassembly.Memory) *reassembly.Shared {
	o.Urgent, o.Overflow, o.Memory = reassembly.UrgentInline, reassembly.SlidingWindow, memory
	return reassembly.NewShared(o)
}

func newStreamHash(shared *reassembly.Shared) *streamHash {
	return &streamHash{shared: shared, side: [2]sideHash{{h: sha256.New()}, {h: sha256.New()}}}
}

// segment takes one TCP packet.
func (s *streamHash) segment(side flow.Side, seg *flow.Segment) {
	s.asm.Segment(s.shared, side, seg, s)
}

// close takes what is held: the flow ended at ts.
func (s *streamHash) close(ts flow.Timestamp) {
	s.asm.Close(s.shared, flow.EndOfInput, ts, s)
	s.asm.Release(s.shared)
}

// swap exchanges the sides.
func (s *streamHash) swap() {
	s.asm.Swap()
	s.side[0], s.side[1] = s.side[1], s.side[0]
}

// sum returns the hash of a side and the bytes in it.
func (s *streamHash) sum(side flow.Side) (sum [32]byte, n int64) {
	h := &s.side[side]
	h.h.Sum(sum[:0])
	return sum, h.n
}

// Data implements reassembly.Sink.
func (s *streamHash) Data(side flow.Side, b []byte) {
	h := &s.side[side]
	h.h.Write(b)
	h.n += int64(len(b))
}

// Gap implements reassembly.Sink.
func (s *streamHash) Gap(side flow.Side, _ int64, _ flow.GapCause) {
	s.asm.SkipSide(s.shared, side, s)
}

// End implements reassembly.Sink.
func (*streamHash) End(flow.Side, flow.EndReason) {}

// Anomaly implements reassembly.Sink. The flow's own streams tell of them.
func (*streamHash) Anomaly(*flow.Anomaly) {}
