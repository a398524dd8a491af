package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// An entry is a flow's place in a queue: its slot in the slab, a time, and the
// number that settles ties, the older flow first.
type entry struct {
	at   flow.Timestamp
	seq  uint64
	slot uint32
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// A queue is a binary heap of entries, at most one for each slot.
type queue struct {
	items []entry
	pos   []uint32 // by slot: index in items + 1, or 0
}

func (q *queue) len() int { return len(q.items) }

func (q *queue) has(slot uint32) bool { return int(slot) < len(q.pos) && q.pos[slot] != 0 }

// set puts e in, in place of the entry its slot had.
func (q *queue) set(e entry) {
	for int(e.slot) >= len(q.pos) {
		q.pos = append(q.pos, 0)
	}
	i := int(q.pos[e.slot]) - 1
	if i < 0 {
		i = len(q.items)
		q.items = append(q.items, e)
	}
	q.settle(i, e)
}

// remove takes slot out if it is in.
func (q *queue) remove(slot uint32) {
	if !q.has(slot) {
		return
	}
	i := int(q.pos[slot]) - 1
	q.pos[slot] = 0
	last := len(q.items) - 1
	e := q.items[last]
	q.items = q.items[:last]
	if i < last {
		q.settle(i, e)
	}
}

// settle moves the hole at i to where e belongs, and fills it.
func (q *queue) settle(i int, e entry) {
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&q.items[up]) {
			break
		}
		q.place(i, q.items[up])
		i = up
	}
	for {
		c := 2*i + 1
		if c >= len(q.items) {
			break
		}
		if c+1 < len(q.items) && q.items[c+1].before(&q.items[c]) {
			c++
		}
		if !q.items[c].before(&e) {
			break
		}
		q.place(i, q.items[c])
		i = c
	}
	q.place(i, e)
}

func (q *queue) place(i int, e entry) {
	q.items[i] = e
	q.pos[e.slot] = uint32(i + 1)
}
