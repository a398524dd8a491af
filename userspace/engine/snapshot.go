package engine

import (
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// Snapshot returns key and counters of the flows that are in the table, in no order of
// meaning. Any goroutine may range over it at any time, also while Run is on; it keeps
// neither the program nor the run waiting. Flows are read one by one, each when it is asked
// for, from the memory that the program counts in: the first costs no more than itself, and
// each is as of its moment. Counters of streams, which are the session's, are zero. There
// are none after Close.
//
// The sides are as the program knows them: in a flow whose first packets were not seen they
// may be the other way round than in its record. A flow that found no place in the table is
// missing; the rare one that got two (docs/architecture.md) comes twice, in parts that add up.
func (m *measurer) Snapshot() iter.Seq2[flow.Key, flow.Stats] {
	return func(yield func(flow.Key, flow.Stats) bool) {
		var f xdp.Flow
		for at, ok := m.next(0, &f); ok; at, ok = m.next(at, &f) {
			if !yield(f.Key, statsOf(&f)) {
				return
			}
		}
	}
}

// next reads the next flow, unless the engine has been closed.
func (m *measurer) next(from int, f *xdp.Flow) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel == nil {
		return 0, false
	}
	return m.kernel.Table().Next(from, f)
}

// statsOf puts what the kernel knows of a flow in the order of its sides.
func statsOf(f *xdp.Flow) flow.Stats {
	c := countOf(f)
	st := flow.Stats{Start: c.First, End: c.Last}
	for dir := range f.Dir {
		n, s := &f.Dir[dir], &st.Side[flow.Direction(dir)^f.Initiator]
		s.Packets, s.Bytes, s.IPBytes, s.PayloadBytes = n.Packets, n.Bytes, n.IPBytes, n.PayloadBytes
		s.TCPFlags, s.TTLMin, s.TTLMax = n.Flags, n.TTLMin, n.TTLMax
		s.ZeroWindows, s.DuplicateACKs, s.RTT = n.ZeroWindows, n.DuplicateACKs, n.RTT
	}
	return st
}
