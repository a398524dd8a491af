package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// incoming is a range of new bytes on its way to its place.
type incoming struct {
	span
	extent span   // of the segment it came with
	data   []byte // nil for kinds without bytes
	kind   pieceKind
}

// drop cuts what lies before offset at.
func (in *incoming) drop(at int64) {
	n := min(at, in.to) - in.from
	if n <= 0 {
		return
	}
	in.from += n
	in.extent.from = max(in.extent.from, min(at, in.extent.to))
	if in.data != nil {
		in.data = in.data[n:]
	}
}

// place puts the payload of s, which starts at off, into the stream.
func (o *op) place(side flow.Side, s *flow.Segment, off int64) {
	x := o.stream(side)
	end := off + int64(s.Len)
	if x.has(finSeen) && end > x.fin {
		if end = x.fin; off >= end {
			o.refuse(x, s)
			return
		}
	}
	x.forgetUnseen(s, off)
	var t tally
	old := min(max(x.next-off, 0), end-off)
	t.old, t.whole = old, old == end-off
	if !x.has(skipping) {
		o.placeData(side, s, span{off, end}, &t)
	}
	if x.has(skipping) { // since then, perhaps
		o.discardUnwanted(side)
		x.skip(end)
	}
	if o.a.state&overflowed != 0 {
		o.dropRest(x, span{off, end})
	}
	o.classify(x, &t, end)
}

// placeData places the captured part of a segment, and what was not captured after it.
func (o *op) placeData(side flow.Side, s *flow.Segment, r span, t *tally) {
	x := o.stream(side)
	data := s.Data[:min(int64(len(s.Data)), r.to-r.from)]
	in := incoming{span: span{r.from, r.from + int64(len(data))}, extent: r, data: data, kind: pieceBorrowed}
	if s.Flags&flow.URG != 0 {
		in.takeUrgent(o.sh.opt.Urgent)
	}
	if t.old > 0 {
		o.compareDelivered(x, &in)
	}
	in.extent.from = max(in.extent.from, x.next)
	rest := incoming{span: span{in.to, r.to}, extent: in.extent, kind: missingKind(s)}
	o.put(side, in, t)
	o.put(side, rest, t)
}

// missingKind is the kind of payload that s does not carry.
func missingKind(s *flow.Segment) pieceKind {
	if s.Unwanted {
		return pieceUnwanted
	}
	return pieceLost
}

// put delivers in, or holds it until what comes before it is there.
func (o *op) put(side flow.Side, in incoming, t *tally) {
	x := o.stream(side)
	in.drop(x.next)
	for in.from < in.to && !x.any(ended|skipping) && o.a.state == 0 {
		switch {
		case o.straight(side, &in, t):
			return
		case o.insert(x, &in, t):
			o.settleHeld(side)
			return
		case x.held != nil && in.kind == pieceBorrowed:
			o.overflow(side)
			in.drop(x.next)
		default:
			o.lose(side, &in, t)
			return
		}
	}
}

// straight delivers in at once if it is next and overlaps nothing held.
func (o *op) straight(side flow.Side, in *incoming, t *tally) bool {
	x := o.stream(side)
	if in.from != x.next || x.has(synData) {
		return false
	}
	h := x.held
	if h == nil {
		o.hand(side, in.kind, in.data, in.to-in.from)
		return true
	}
	if in.to > h.pieces[0].from {
		return false
	}
	t.filled(in.to-in.from, h.pieces[0].born)
	h.progress = o.now
	o.hand(side, in.kind, in.data, in.to-in.from)
	o.drain(side)
	return true
}

// lose notes that in was seen but could not be kept, for want of memory.
func (o *op) lose(side flow.Side, in *incoming, t *tally) {
	x, n := o.stream(side), in.to-in.from
	if in.kind == pieceBorrowed {
		m := o.more(x)
		m.dropped++
		m.droppedOversize += n
		o.sh.report.memcap += n
		o.sh.report.dirty = true
		in.kind, in.data = pieceLost, nil
		if o.insert(x, in, t) {
			o.settleHeld(side)
			return
		}
	}
	o.passOver(side, in)
}

// passOver moves the stream on behind in, when there is not even room to note that
// it was lost: holes in front of it are given up, what is held around it comes out.
func (o *op) passOver(side flow.Side, in *incoming) {
	x := o.stream(side)
	x.flags &^= synData
	for o.drain(side); x.held != nil && x.held.pieces[0].from < in.from; {
		o.giveUp(side)
	}
	for in.drop(x.next); in.from < in.to && !x.has(skipping); in.drop(x.next) {
		to := in.to
		if x.held != nil {
			to = min(to, x.held.pieces[0].from)
		}
		if hole := in.from - x.next; hole > 0 {
			o.missing(side, hole)
		} else {
			o.hand(side, in.kind, nil, to-x.next)
		}
		o.drain(side)
	}
}

// settleHeld delivers what has become next, keeps the side within its limits and
// notes how much it holds.
func (o *op) settleHeld(side flow.Side) {
	x := o.stream(side)
	o.drain(side)
	for x.held != nil && o.tooMuch(x) {
		o.overflow(side)
	}
	o.watermark(side)
}

func (o *op) tooMuch(x *stream) bool {
	h, opt := x.held, &o.sh.opt
	return int(h.bytes)+o.sh.waiting > opt.Cap || int(h.runs) > opt.MaxRuns || len(h.pieces) > o.sh.maxPieces
}

// watermark notes the most a side held, and reports once when it passes 80 % of
// the cap, again only after it fell below 60 %.
func (o *op) watermark(side flow.Side) {
	x := o.stream(side)
	n := 0
	if x.held != nil {
		n = int(x.held.bytes)
		x.peak = max(x.peak, x.held.bytes)
	}
	n += o.sh.waiting
	switch limit := o.sh.opt.Cap; {
	case n >= limit/5*4+limit%5*4/5 && n > 0 && !x.has(watermark):
		x.flags |= watermark
		o.sh.report.of(side).watermark = int64(n)
	case n < limit/5*3+limit%5*3/5:
		x.flags &^= watermark
	}
}
