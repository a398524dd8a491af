package reassembly

import (
	"bytes"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A weave is the work of putting one segment among held pieces. Nothing is changed
// before all of it is known to fit into memory.
type weave struct {
	out          []piece  // what takes the place of the pieces touched
	fresh, stale [][]byte // blocks taken for out, and blocks it no longer needs
	seen         int64    // bytes of the segment that were held already
	born         flow.Timestamp
	conflict     conflict
}

// A conflict is what differed between a segment and bytes that were there before.
type conflict struct {
	at, n    int64 // first differing offset, differing bytes
	old, new bool  // which side won anywhere
}

func (c *conflict) add(at, n int64, newWon bool) {
	if n == 0 {
		return
	}
	if c.n == 0 {
		c.at = at
	}
	c.n += n
	c.new = c.new || newWon
	c.old = c.old || !newWon
}

func (w *weave) reset() {
	clear(w.out)
	*w = weave{out: w.out[:0], fresh: w.fresh[:0], stale: w.stale[:0]}
}

// insert puts in among the held pieces of x. It reports false, and changes nothing,
// when there is no memory for it.
func (o *op) insert(x *stream, in *incoming, t *tally) bool {
	h := x.held
	if h == nil {
		if h = o.sh.held(); h == nil {
			return false
		}
		h.progress = o.now
	}
	w := &o.sh.weave
	w.reset()
	i := h.find(in.from)
	j := i
	for j < len(h.pieces) && h.pieces[j].from < in.to {
		j++
	}
	ok := o.weavePieces(x, h, i, j, in) && h.replace(&o.sh.pools, i, j, w.out)
	for _, b := range w.discarded(ok) {
		o.sh.freeBlock(b)
	}
	if !ok {
		if x.held == nil {
			o.sh.freeHeld(h)
		}
		return false
	}
	x.held = h
	o.woven(x, in, t)
	return true
}

// discarded returns the blocks that nobody needs once the weave is done, or undone.
func (w *weave) discarded(ok bool) [][]byte {
	if ok {
		return w.stale
	}
	return w.fresh
}

// woven takes the account of an insert.
func (o *op) woven(x *stream, in *incoming, t *tally) {
	w := &o.sh.weave
	n := in.to - in.from
	x.held.bytes += uint32(n - w.seen)
	t.old += w.seen
	if fill := min(in.to, x.max) - in.from - w.seen; fill > 0 {
		t.filled(fill, w.born)
	}
	x.max = max(x.max, in.to)
	o.noteConflict(x, w.conflict)
}

// noteConflict counts bytes that differed.
func (o *op) noteConflict(x *stream, c conflict) {
	if c.n > 0 {
		o.more(x).conflict += c.n
		o.sh.report.conflict(o.side(x), c)
	}
}

// weavePieces puts what the pieces [i, j) and in become together into the weave.
func (o *op) weavePieces(x *stream, h *held, i, j int, in *incoming) bool {
	w, policy := &o.sh.weave, o.policy(x)
	w.born = h.bornAbove(i, o.now)
	borrow := in.from == x.next && !x.has(synData)
	pos := in.from
	var run span
	for k := i; k < j; k++ {
		q := &h.pieces[k]
		ext := q.extent()
		if policy == Linux {
			if q.from >= run.to {
				run = h.run(k)
			}
			ext = run
		}
		w.seen += min(in.to, q.end()) - max(in.from, q.from)
		if !w.newWins(policy, in, q, ext) {
			if !o.part(in, pos, q.from, q.born, borrow) {
				return false
			}
			w.out = append(w.out, *q)
			pos = q.end()
			continue
		}
		if q.from < in.from {
			w.out = append(w.out, q.left(in.from))
		} else if q.kind == pieceData {
			w.stale = append(w.stale, q.data)
		}
		if q.end() > in.to {
			return o.part(in, pos, in.to, q.born, borrow) && o.right(q, in.to)
		}
	}
	return o.part(in, pos, in.to, h.bornAbove(j, o.now), borrow)
}

// bornAbove returns when the hole below piece i was first seen; now for one above
// everything held.
func (h *held) bornAbove(i int, now flow.Timestamp) flow.Timestamp {
	if i < len(h.pieces) {
		return h.pieces[i].born
	}
	return now
}

// newWins says whose bytes stay where in overlaps q, whose extent is ext, and notes
// where they differ. Bytes win over a note of lost ones.
func (w *weave) newWins(policy Policy, in *incoming, q *piece, ext span) bool {
	if in.data == nil || q.data == nil {
		return in.data != nil
	}
	wins := policy.newWins(in.extent, ext)
	lap := span{max(in.from, q.from), min(in.to, q.end())}
	a := in.data[lap.from-in.from : lap.to-in.from]
	b := q.data[lap.from-q.from : lap.to-q.from]
	at, n := differ(a, b)
	w.conflict.add(lap.from+at, n, wins)
	return wins
}

// differ returns the first index at which a and b differ, and how many do.
func differ(a, b []byte) (at, n int64) {
	if bytes.Equal(a, b) {
		return 0, 0
	}
	at = -1
	for i := range a {
		if a[i] != b[i] {
			if at < 0 {
				at = int64(i)
			}
			n++
		}
	}
	return at, n
}

// part adds the range [from, to) of in to the weave: the packet's own bytes when
// they are delivered before the call returns, else a copy.
func (o *op) part(in *incoming, from, to int64, born flow.Timestamp, borrow bool) bool {
	w := &o.sh.weave
	for from < to {
		end := min(to, from+maxBlock)
		p := piece{
			from: from, n: uint32(end - from), born: born, kind: in.kind,
			lead: uint32(max(from-in.extent.from, 0)), tail: uint32(max(in.extent.to-end, 0)),
		}
		if in.data != nil {
			p.data = in.data[from-in.from : end-in.from]
			if !borrow && !o.copyOut(&p) {
				return false
			}
		}
		w.out = append(w.out, p)
		from = end
	}
	return true
}

// right adds the part of q from offset at on to the weave.
func (o *op) right(q *piece, at int64) bool {
	r := *q
	r.lead += uint32(at - q.from)
	r.n = uint32(q.end() - at)
	r.from = at
	if q.data != nil {
		r.data = q.data[at-q.from:]
		if !o.copyOut(&r) {
			return false
		}
	}
	w := &o.sh.weave
	w.out = append(w.out, r)
	return true
}

// copyOut gives p a block of its own for its bytes.
func (o *op) copyOut(p *piece) bool {
	b := o.sh.block(int(p.n))
	if b == nil {
		return false
	}
	copy(b, p.data)
	p.data, p.kind = b, pieceData
	w := &o.sh.weave
	w.fresh = append(w.fresh, b)
	return true
}

// policy returns the overlap policy of x.
func (o *op) policy(x *stream) Policy {
	if x.policy > 0 {
		return Policy(x.policy - 1)
	}
	return o.sh.opt.Overlap
}
