package xdp

import (
	"sync/atomic"

	"github.com/flowscope/flowscope-xdp/gen"
)

// Next fills f with the first live flow in the places from the given one on, and returns
// where to go on. It reports false after the last. Any goroutine may call it while
// packets are counted and flows end and begin: what it returns of a flow is of that flow
// alone. A flow is found once if it stays where it is; of the two entries that one key may
// get (bpf/table.h) each is found.
func (t *Table) Next(from int, f *Flow) (next int, ok bool) {
	for i := from; i < t.Places(); i++ {
		if t.readLive(uint32(i), f) {
			return i + 1, true
		}
	}
	return t.Places(), false
}

// readLive fills f if a flow is in the place that was not killed, and was in it all the
// while.
func (t *Table) readLive(slot uint32, f *Flow) bool {
	id := t.idOf(int(slot))
	before := atomic.LoadUint64(id)
	if before&uint64(gen.BPFFsIdFS_ID_STATE) != uint64(gen.BPFFsIdFS_ID_LIVE) {
		return false
	}
	p := t.at(slot)
	t.fill(slot, p, f)
	return !f.Dead && atomic.LoadUint64(id) == before && atomic.LoadUint32(&p.cold.Generation) == f.Handle.Generation
}
