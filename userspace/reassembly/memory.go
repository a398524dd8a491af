package reassembly

import (
	"math/bits"
	"sync/atomic"
)

const (
	minBlock     = 64
	maxBlock     = 1 << 20
	blockClasses = 15 // powers of two from minBlock to maxBlock

	minList     = 8
	listClasses = 7 // 8, 32, 128 … 32768 pieces

	pieceSize = 56  // of a piece, held by a test
	heldSize  = 128 // of a held, held by a test
)

// Memory is an account of bytes that held data takes, all pools included. Several
// goroutines may use one.
type Memory struct {
	limit, used atomic.Int64
	refused     atomic.Int64
}

// NewMemory returns an account that refuses more than limit bytes; zero or less
// means DefaultMemory.
func NewMemory(limit int64) *Memory {
	m := &Memory{}
	if limit <= 0 {
		limit = DefaultMemory
	}
	m.limit.Store(limit)
	return m
}

// Limit returns the most bytes the account grants.
func (m *Memory) Limit() int64 { return m.limit.Load() }

// Used returns the bytes granted now. It never exceeds Limit.
func (m *Memory) Used() int64 { return m.used.Load() }

// Refused returns how often the account had to say no.
func (m *Memory) Refused() int64 { return m.refused.Load() }

// take asks for n bytes and leaves keep bytes of the limit for others.
func (m *Memory) take(n, keep int64) bool {
	if m.used.Add(n) > m.limit.Load()-keep {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *Memory) give(n int64) { m.used.Add(-n) }

// reserve is the part of the limit that only bookkeeping may use, so that a side
// can note what it lost when there is no room for the bytes themselves.
func (m *Memory) reserve() int64 { return m.limit.Load() / 16 }

// pools keep what held data is made of, for use again. What lies in them is
// accounted for, and is at most a sixteenth of the limit.
type pools struct {
	mem    *Memory
	blocks [blockClasses][][]byte
	lists  [listClasses][][]piece
	helds  []*held
	spare  *held // with one piece and its block, as it was last used
	idle   int64 // bytes in the pools, without the spare
}

func blockClass(n int) int { return max(0, bits.Len(uint(n-1))-6) }

func listClass(n int) int { return max(0, (bits.Len(uint(n-1))-2)/2) }

// block returns a slice of length n, at most maxBlock, or nil when there is no room.
func (p *pools) block(n int) []byte {
	c := blockClass(n)
	if l := p.blocks[c]; len(l) > 0 {
		b := l[len(l)-1]
		p.blocks[c] = l[:len(l)-1]
		p.idle -= int64(cap(b))
		return b[:n]
	}
	if !p.take(minBlock<<c, p.mem.reserve()) {
		return nil
	}
	return make([]byte, n, minBlock<<c)
}

func (p *pools) freeBlock(b []byte) {
	if cap(b) == 0 {
		return
	}
	if p.keep(int64(cap(b))) {
		c := blockClass(cap(b))
		p.blocks[c] = append(p.blocks[c], b)
	}
}

// list returns an empty slice with room for n pieces, or nil.
func (p *pools) list(n int) []piece {
	c := listClass(n)
	if c >= listClasses {
		return nil
	}
	if l := p.lists[c]; len(l) > 0 {
		s := l[len(l)-1]
		p.lists[c] = l[:len(l)-1]
		p.idle -= int64(cap(s)) * pieceSize
		return s
	}
	if !p.take(int64(minList<<(2*c))*pieceSize, p.mem.reserve()) {
		return nil
	}
	return make([]piece, 0, minList<<(2*c))
}

func (p *pools) freeList(s []piece) {
	if p.keep(int64(cap(s)) * pieceSize) {
		c := listClass(cap(s))
		p.lists[c] = append(p.lists[c], s[:0])
	}
}

// held returns an empty held, or nil.
func (p *pools) held() *held {
	if n := len(p.helds); n > 0 {
		h := p.helds[n-1]
		p.helds = p.helds[:n-1]
		p.idle -= heldSize
		return h
	}
	if !p.take(heldSize, 0) {
		return nil
	}
	return &held{}
}

func (p *pools) freeHeld(h *held) {
	if cap(h.pieces) > len(h.first) {
		p.freeList(h.pieces)
	}
	*h = held{}
	if p.keep(heldSize) {
		p.helds = append(p.helds, h)
	}
}

// loaded returns a held with one piece that has a block of length n, or nil. All else
// about it is zero or to be set.
func (p *pools) loaded(n int) *held {
	if h := p.spare; h != nil {
		if b := h.first[0].data; n <= cap(b) && n > cap(b)/2 {
			p.spare = nil
			h.first[0].data = b[:n]
			return h
		}
	}
	h := p.held()
	if h == nil {
		return nil
	}
	b := p.block(n)
	if b == nil {
		p.freeHeld(h)
		return nil
	}
	h.first[0].data = b
	h.pieces = h.first[:1]
	return h
}

// unload takes back a held with one piece, inline and with a block.
func (p *pools) unload(h *held) {
	if p.spare != nil || cap(h.pieces) != len(h.first) {
		p.freeBlock(h.pieces[0].data)
		h.pieces[0] = piece{}
		p.freeHeld(h)
		return
	}
	h.first[0] = piece{data: h.first[0].data}
	h.settled, h.mark, h.markAt, h.packets, h.marking = 0, 0, 0, 0, false
	p.spare = h
}

// take asks the account for n bytes, and once more after emptying the pools.
func (p *pools) take(n, keep int64) bool {
	if p.mem.take(n, keep) {
		return true
	}
	p.drain()
	if p.mem.take(n, keep) {
		return true
	}
	p.mem.refused.Add(1)
	return false
}

// keep reports whether n bytes that became free may stay in the pools, and gives
// them back otherwise.
func (p *pools) keep(n int64) bool {
	if p.idle+n > p.mem.limit.Load()/16 {
		p.mem.give(n)
		return false
	}
	p.idle += n
	return true
}

// drain gives everything in the pools back.
func (p *pools) drain() {
	if h := p.spare; h != nil {
		p.spare = nil
		p.mem.give(int64(cap(h.first[0].data)) + heldSize)
	}
	if p.idle == 0 {
		return
	}
	p.mem.give(p.idle)
	p.idle = 0
	clear(p.blocks[:])
	clear(p.lists[:])
	p.helds = nil
}
