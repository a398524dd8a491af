package engine

import (
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Snapshot returns key and counters of every open flow, up to now. It is for the
// goroutine of Run: call it from flush.
func (l *Live) Snapshot() iter.Seq2[flow.Key, flow.Stats] { return l.driver.Snapshot() }
