package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// hand passes n bytes of the given kind, which are next, out of the stream.
func (o *op) hand(side flow.Side, kind pieceKind, data []byte, n int64) {
	x := o.stream(side)
	switch kind {
	case pieceData, pieceBorrowed:
		o.data(side, data)
	case pieceLost:
		o.gap(side, n, flow.GapCapture)
	case pieceUnwanted:
		x.skip(x.next + n)
	case pieceUrgent:
		o.takeOut(x, n)
	}
}

// data delivers b, which is next, without the urgent bytes in it.
func (o *op) data(side flow.Side, b []byte) {
	x := o.stream(side)
	if x.more != nil && x.more.urgents > 0 {
		b = o.dataUrgent(side, b)
	}
	o.bytes(side, b)
}

func (o *op) bytes(side flow.Side, b []byte) {
	if len(b) == 0 {
		return
	}
	x := o.stream(side)
	o.keep(x, b)
	x.pass(int64(len(b)))
	o.sink.Data(side, b)
}

// pass moves next over n bytes.
func (x *stream) pass(n int64) {
	x.next += n
	x.max = max(x.max, x.next)
}

// missing passes over a hole of n bytes: what was lost on the way here, if any was, and
// what was never seen.
func (o *op) missing(side flow.Side, n int64) {
	x := o.stream(side)
	if k := x.takeUnseen(n); k > 0 {
		o.gap(side, k, flow.GapCapture)
		n -= k
	}
	switch {
	case x.has(skipping): // since then
		x.skip(x.next + n)
	case n > 0:
		o.gap(side, n, flow.GapNetwork)
	}
}

// gap passes over n bytes that will never come.
func (o *op) gap(side flow.Side, n int64, cause flow.GapCause) {
	x := o.stream(side)
	m := o.more(x)
	if cause == flow.GapCapture {
		m.captureMissed += n
	} else {
		m.missed += n
	}
	o.sh.report.gap(side, x.next, n, cause)
	x.pass(n)
	m.keptFrom = x.next
	o.sink.Gap(side, n, cause)
}

// drain delivers held bytes that have become next.
func (o *op) drain(side flow.Side) {
	x := o.stream(side)
	h := x.held
	if h == nil || x.has(synData) {
		return
	}
	i := 0
	for ; i < len(h.pieces) && h.pieces[i].from == x.next && !x.has(skipping); i++ {
		p := &h.pieces[i]
		h.bytes -= p.n
		o.hand(side, p.kind, p.data, int64(p.n))
		o.freePiece(p)
	}
	switch {
	case i == len(h.pieces):
		o.freeHeld(x)
		x.flags &^= watermark
	case x.has(skipping):
		h.forget(&o.sh.pools, i)
		o.discardUnwanted(side)
	case i > 0:
		h.forget(&o.sh.pools, i)
		h.progress = o.now
	}
}

// forget removes the first i pieces, whose bytes are free already.
func (h *held) forget(p *pools, i int) { h.replace(p, 0, i, nil) }

func (o *op) freePiece(p *piece) {
	if p.kind == pieceData {
		o.sh.freeBlock(p.data)
	}
	p.data = nil
}

// freeHeld lets go of everything x holds.
func (o *op) freeHeld(x *stream) {
	h := x.held
	for i := range h.pieces {
		o.freePiece(&h.pieces[i])
	}
	clear(h.pieces)
	o.sh.freeHeld(h)
	x.held = nil
}

// cutHeld lets go of held bytes from offset at on, and returns how many pieces
// that touched.
func (o *op) cutHeld(x *stream, at int64) (n int) {
	h := x.held
	if h == nil || x.max <= at {
		return 0
	}
	i := h.find(at)
	n = len(h.pieces) - i
	for k := n - 1; k >= 0 && h.pieces[i+k].from >= at; k-- {
		h.bytes -= h.pieces[i+k].n
		o.freePiece(&h.pieces[i+k])
	}
	w := &o.sh.weave
	w.reset()
	if p := &h.pieces[i]; p.from < at {
		h.bytes -= uint32(p.end() - at)
		w.out = append(w.out, p.left(at))
	}
	h.replace(&o.sh.pools, i, len(h.pieces), w.out)
	if len(h.pieces) == 0 {
		o.freeHeld(x)
		x.max = x.next
		return n
	}
	x.max = h.pieces[len(h.pieces)-1].end()
	return n
}
