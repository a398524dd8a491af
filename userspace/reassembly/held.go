package reassembly

import (
	"sort"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

type pieceKind uint8

const (
	pieceData     pieceKind = iota
	pieceBorrowed           // data that belongs to the packet in hand
	pieceLost               // seen on the wire, bytes lost on the way up
	pieceUnwanted           // bytes left out on purpose
	pieceUrgent             // taken out of the stream as urgent data
)

// A piece is a range of held bytes that came with one segment. lead and tail say
// how far the segment reached beyond it, as overlap policies go by that.
type piece struct {
	from       int64
	born       flow.Timestamp // when the hole below it was first seen
	data       []byte         // nil for kinds without bytes
	n          uint32
	lead, tail uint32
	kind       pieceKind
}

func (p *piece) end() int64 { return p.from + int64(p.n) }

// extent is the range the segment of p was queued with.
func (p *piece) extent() span { return span{p.from - int64(p.lead), p.end() + int64(p.tail)} }

// left returns the part of p before offset at.
func (p *piece) left(at int64) piece {
	l := *p
	l.tail += uint32(p.end() - at)
	l.n = uint32(at - p.from)
	if l.data != nil {
		l.data = l.data[:l.n]
	}
	return l
}

// held is what a side holds beyond next: pieces in order that do not overlap.
type held struct {
	pieces   []piece // first[:] until it outgrows that
	first    [1]piece
	progress flow.Timestamp // when the hole in front became the front
	settled  int64          // the peer's ACK, old enough to believe that a hole stays
	mark     int64          // the peer's ACK at markAt
	markAt   flow.Timestamp
	bytes    uint32 // held bytes of any kind
	runs     uint32 // separate runs of pieces
	packets  uint8  // of the flow since mark was set
	marking  bool
}

// find returns the index of the first piece that ends after off.
func (h *held) find(off int64) int {
	n := len(h.pieces)
	if n == 0 || h.pieces[n-1].end() <= off {
		return n
	}
	return sort.Search(n, func(i int) bool { return h.pieces[i].end() > off })
}

// starts counts the pieces in [i, j) that start a run.
func (h *held) starts(i, j int) (n uint32) {
	for k := i; k < min(j, len(h.pieces)); k++ {
		if k == 0 || h.pieces[k-1].end() != h.pieces[k].from {
			n++
		}
	}
	return n
}

// replace puts with in the place of pieces[i:j], keeping runs. It reports false,
// and changes nothing, when there is no memory for a longer list.
func (h *held) replace(p *pools, i, j int, with []piece) bool {
	if !h.grow(p, len(h.pieces)-(j-i)+len(with)) {
		return false
	}
	h.runs -= h.starts(i, j+1)
	tail, n := len(h.pieces)-j, len(with)-(j-i)
	if n > 0 {
		h.pieces = h.pieces[:len(h.pieces)+n]
	}
	copy(h.pieces[i+len(with):], h.pieces[j:j+tail])
	if n < 0 {
		clear(h.pieces[len(h.pieces)+n:])
		h.pieces = h.pieces[:len(h.pieces)+n]
	}
	copy(h.pieces[i:], with)
	h.runs += h.starts(i, i+len(with)+1)
	return true
}

// grow makes room for n pieces.
func (h *held) grow(p *pools, n int) bool {
	if h.pieces == nil {
		h.pieces = h.first[:0]
	}
	if n <= cap(h.pieces) {
		return true
	}
	l := p.list(n)
	if l == nil {
		return false
	}
	l = append(l, h.pieces...)
	old := h.pieces
	h.pieces = l
	clear(old)
	if cap(old) > len(h.first) {
		p.freeList(old)
	}
	return true
}

// run returns the run of adjacent pieces around piece i.
func (h *held) run(i int) span {
	a, b := i, i
	for a > 0 && h.pieces[a-1].end() == h.pieces[a].from {
		a--
	}
	for b+1 < len(h.pieces) && h.pieces[b].end() == h.pieces[b+1].from {
		b++
	}
	return span{h.pieces[a].from, h.pieces[b].end()}
}
