package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

const (
	usualMask = known | seen | choice | synData | finSeen | ended | skipping | winZero | probed | lossy
	usualWant = known | seen
	usualPeer = choice | synData

	usualFlags = flow.ACK | flow.SYN | flow.FIN | flow.RST | flow.URG // of which only the first
)

// usual handles the packets that nearly all are: the next payload or a bare ACK
// while nothing is held, one segment that came early, and the one it waited for.
// It does what the general way would, and reports false for anything else.
func (a *Assembler) usual(sh *Shared, side flow.Side, s *flow.Segment, sink Sink) bool {
	x, y := &a.stream[side&1], &a.stream[side&1^1]
	if x.flags&usualMask != usualWant || y.flags&usualPeer != 0 || y.held != nil || !sh.usual(x, s) {
		return x.has(skipping) && x.usualSkipped(y, s)
	}
	ahead := uint32(s.Seq) - uint32(x.base) - uint32(x.next)
	o := op{a: a, sh: sh, sink: sink, now: s.Time}
	switch {
	case x.held != nil:
		return ahead == 0 && s.Len > 0 && o.fillsOne(x, s) && o.usualFill(side, s)
	case ahead != 0:
		return s.Len > 0 && o.early(x, s, int64(int32(ahead))) && o.usualEarly(side, s, x.next+int64(ahead))
	}
	x.usualStamp(s)
	y.acked(x, s)
	if s.Len > 0 {
		o.usualData(side, s.Data)
	}
	return true
}

// usualSkipped is usual for a side whose payload is not wanted: the next of it, or a
// bare ACK.
func (x *stream) usualSkipped(y *stream, s *flow.Segment) bool {
	if x.flags&usualMask != usualWant|skipping || y.flags&usualPeer != 0 || x.held != nil || y.held != nil ||
		s.Flags&usualFlags != flow.ACK || uint32(s.Seq) != uint32(x.base)+uint32(x.next) {
		return false
	}
	x.usualStamp(s)
	y.acked(x, s)
	x.skip(x.next + int64(s.Len))
	return true
}

// usual reports whether neither the header of s nor the options ask for more care.
func (sh *Shared) usual(x *stream, s *flow.Segment) bool {
	return s.Flags&usualFlags == flow.ACK && len(s.Data) == s.Len && s.Lost == 0 &&
		sh.keepMask < 0 && (x.more == nil || x.more.urgents == 0) &&
		(s.Options&flow.OptTimestamps == 0 || sh.opt.PAWS != PAWSStrict)
}

func (x *stream) usualStamp(s *flow.Segment) {
	if s.Options&flow.OptTimestamps != 0 && s.TSVal != x.tsVal && s.TSVal != 0 {
		x.stamp(s)
	}
}

// usualData delivers b, which is next.
func (o *op) usualData(side flow.Side, b []byte) {
	x := o.stream(side)
	x.next += int64(len(b))
	x.max = max(x.max, x.next)
	o.sh.busy = true
	o.sink.Data(side, b)
	o.sh.busy = false
	if x.has(skipping) || o.stream(side.Other()).has(skipping) {
		o.end(side)
	}
}

// early reports whether s, which leaves a hole of the given size, can simply be
// held: a small part of the cap, inside the window, and not acknowledged yet.
func (o *op) early(x *stream, s *flow.Segment, hole int64) bool {
	if hole <= 0 || s.Len > min(o.sh.opt.Cap/2-o.sh.waiting, minWindow) || x.has(watermark) {
		return false
	}
	if s.Options&flow.OptTimestamps != 0 && int32(s.TSVal-x.tsVal) < 0 {
		return false
	}
	off := x.next + hole
	return x.ack < off && !x.outOfWindow(s, off)
}

// usualEarly holds s, the only segment ahead of a hole.
func (o *op) usualEarly(side flow.Side, s *flow.Segment, off int64) bool {
	h := o.sh.loaded(s.Len)
	if h == nil {
		return false
	}
	x, p := o.stream(side), &h.first[0]
	copy(p.data, s.Data)
	p.from, p.n, p.born = off, uint32(s.Len), o.now
	h.progress, h.bytes, h.runs = o.now, uint32(s.Len), 1
	x.held = h
	x.max = off + int64(s.Len)
	x.peak = max(x.peak, h.bytes)
	o.stream(side.Other()).acked(x, s)
	return true
}

// fillsOne reports whether s fits exactly before the only held piece, soon enough
// to be reordering.
func (o *op) fillsOne(x *stream, s *flow.Segment) bool {
	h := x.held
	if len(h.pieces) != 1 {
		return false
	}
	p := &h.pieces[0]
	return p.from == x.next+int64(s.Len) && p.kind == pieceData && o.now.SaturatingSub(p.born) < oldHole
}

// usualFill delivers s and the segment that waited for it.
func (o *op) usualFill(side flow.Side, s *flow.Segment) bool {
	x := o.stream(side)
	x.usualStamp(s)
	o.stream(side.Other()).acked(x, s)
	o.more(x).outOfOrder++
	o.usualData(side, s.Data)
	if h := x.held; h != nil { // neither skipped nor given up meanwhile
		x.held = nil
		x.flags &^= watermark
		o.usualData(side, h.pieces[0].data)
		o.sh.unload(h)
	}
	o.emitLate(side)
	return true
}
