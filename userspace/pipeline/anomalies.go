package pipeline

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// retransmissionPause is the least packet time between two retransmission lines of
// a side.
const retransmissionPause = time.Second

// An anomalies value collects what is odd about the packet in hand, one line for
// each flow, side and kind, and hands the lines out in the order of the kinds.
type anomalies struct {
	list   [2 * flow.AnomalyKinds]flow.Anomaly
	filled uint64 // a bit for each entry of list
}

func slot(k flow.AnomalyKind, side flow.Side) int { return 2*int(k) + int(side&1) }

// add joins a to the line of its kind and side.
func (l *anomalies) add(a *flow.Anomaly) {
	i := slot(a.Kind, a.Side)
	if l.filled&(1<<i) == 0 {
		l.filled |= 1 << i
		l.list[i] = *a
		return
	}
	old := &l.list[i]
	count, bytes := old.Count+a.Count, old.Bytes+a.Bytes
	offset := old.Offset
	*old = *a
	old.Count, old.Bytes, old.Offset = count, bytes, offset
}

// drain calls f for each line, in order, and forgets them.
func (l *anomalies) drain(f func(*flow.Anomaly)) {
	for i := 0; l.filled != 0; i++ {
		if l.filled&(1<<i) != 0 {
			l.filled &^= 1 << i
			f(&l.list[i])
		}
	}
}

// A pace holds back the retransmission lines of a flow's sides: at most one a side
// and second, with what was left out added to the next.
type pace struct {
	last    [2]flow.Timestamp
	began   [2]bool
	pending [2]flow.Anomaly
}

// pass returns the line to write now for a, or nil.
func (p *pace) pass(a *flow.Anomaly, now flow.Timestamp) *flow.Anomaly {
	s := a.Side & 1
	a.Count += p.pending[s].Count
	a.Bytes += p.pending[s].Bytes
	if p.began[s] && now.SaturatingSub(p.last[s]) < retransmissionPause {
		p.pending[s] = *a
		return nil
	}
	p.began[s], p.last[s], p.pending[s] = true, now, flow.Anomaly{}
	return a
}
