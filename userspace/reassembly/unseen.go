package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// Payload that was on the wire but got lost on the way here, the ring being full, has
// no place that anybody knows: only how much it was, and between which packets of its
// side. It lies in the holes that are there then, so they are given up at once, and what
// is given up is capture loss as far as it goes. Once a segment follows the one before
// without a hole, the rest was sent before and is forgotten.

// noteUnseen adds n bytes, sent before the sequence number end, to those that were lost.
func (o *op) noteUnseen(x *stream, n uint32, end flow.Seq) {
	if n == 0 || x.any(skipping|ended) {
		return
	}
	m := o.more(x)
	m.unseen += int64(n)
	x.flags |= lossy
	if !x.has(known) {
		x.setBase(end - flow.Seq(n))
	}
	if to := x.offset(end); to <= x.next+m.unseen+farAhead {
		m.seenTo = max(m.seenTo, to)
	}
}

// unseen is how many bytes of a side were lost whose place is not known yet.
func (x *stream) unseen() int64 {
	if !x.has(lossy) {
		return 0
	}
	return x.more.unseen
}

// forgetUnseen is called with a segment before it is placed.
func (x *stream) forgetUnseen(s *flow.Segment, off int64) {
	if x.has(lossy) && s.Lost == 0 && x.held == nil && off <= x.next && off+int64(s.Len) > x.next {
		x.more.unseen = 0
		x.flags &^= lossy
	}
}

// takeUnseen takes up to n of the bytes that were lost.
func (x *stream) takeUnseen(n int64) int64 {
	n = min(n, x.unseen())
	if n > 0 {
		if x.more.unseen -= n; x.more.unseen == 0 {
			x.flags &^= lossy
		}
	}
	return n
}

// allUnseen reports whether the hole in front of what x holds is known to be lost.
func (x *stream) allUnseen() bool {
	return x.has(lossy) && x.held.pieces[0].from-x.next <= x.more.unseen
}

// Unseen says, before Close, that payload of side was seen up to the sequence number
// end, and that lost bytes of it since the side's last segment did not get here.
func (a *Assembler) Unseen(sh *Shared, side flow.Side, end flow.Seq, lost uint32) {
	x := &a.stream[side&1]
	if a.state != 0 || lost == 0 || x.any(skipping|ended) {
		return
	}
	o := op{a: a, sh: sh}
	o.noteUnseen(x, lost, end)
}

// Began says that the first byte of side had the sequence number first, as somebody else
// saw its SYN, which did not get here.
func (a *Assembler) Began(side flow.Side, first flow.Seq) {
	if x := &a.stream[side&1]; !x.has(known) {
		x.setBase(first)
	}
}

// flushUnseen gives up what was lost at the end of a side.
func (o *op) flushUnseen(side flow.Side) {
	x := o.stream(side)
	if !x.has(lossy) {
		return
	}
	if n := x.takeUnseen(max(x.more.seenTo-x.next, 0)); n > 0 {
		o.gap(side, n, flow.GapCapture)
	}
}
