package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// EndFlow takes f out of the table at once, without linger, and emits Ended for reason,
// or for the one it was closed for. It is for drivers that know a flow to be over
// elsewhere; not to be called for the flow of a packet that is not finished.
func (t *Table[K, S]) EndFlow(f *Flow[K, S], reason flow.EndReason) { t.end(f, reason, f.last) }

// Evict takes f out of the table as if the table were full, and counts it as evicted. It is
// for drivers whose flows have less room elsewhere than in the table.
func (t *Table[K, S]) Evict(f *Flow[K, S]) { t.evictFlow(f, t.clock) }
