package reassembly

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// retransmissionPause is the least time between two lines about retransmissions of
// a side.
const retransmissionPause = time.Second

// A report gathers what one packet brought to light, so that there is one anomaly
// for each kind and side.
type report struct {
	dirty  bool
	memcap int64
	sides  [2]sideReport
}

type sideReport struct {
	overflowed              bool
	overflow                int64
	outOfOrder, outOfWindow int64
	retransmission          bool
	gaps                    [2]conflict // indexed by GapCause; where and how much
	conflict                conflict
	watermark               int64
}

func (r *report) of(side flow.Side) *sideReport {
	r.dirty = true
	return &r.sides[side&1]
}

func (r *report) gap(side flow.Side, at, n int64, cause flow.GapCause) {
	r.of(side).gaps[cause&1].add(at, n, false)
}

func (r *report) conflict(side flow.Side, c conflict) {
	t := &r.of(side).conflict
	if t.n == 0 {
		t.at = c.at
	}
	t.n += c.n
	t.old, t.new = t.old || c.old, t.new || c.new
}

func (c *conflict) kept() flow.Kept {
	switch {
	case c.old && c.new:
		return flow.KeptMixed
	case c.new:
		return flow.KeptNew
	}
	return flow.KeptOld
}

// report hands the anomalies of this packet to the sink, in the order of their
// kinds.
func (o *op) report() {
	r := &o.sh.report
	if !r.dirty {
		return
	}
	for _, kind := range reported {
		for side := range r.sides {
			o.reportKind(kind, flow.Side(side))
		}
	}
	if r.memcap > 0 {
		o.emit(flow.Anomaly{Kind: flow.AnomalyMemcap, Bytes: r.memcap, Limit: o.sh.mem.Limit()})
	}
	*r = report{}
}

// reported are the kinds that concern a side, in order.
var reported = [...]flow.AnomalyKind{
	flow.AnomalyBufferOverflow, flow.AnomalyOutOfOrder, flow.AnomalyRetransmission,
	flow.AnomalyStreamGap, flow.AnomalyOverlapConflict, flow.AnomalyOutOfWindow, flow.AnomalyWatermark,
}

func (o *op) reportKind(kind flow.AnomalyKind, side flow.Side) {
	r := &o.sh.report.sides[side]
	a := flow.Anomaly{Kind: kind, Side: side}
	switch kind {
	case flow.AnomalyBufferOverflow:
		a.Bytes, a.Policy = r.overflow, o.sh.opt.Overflow
		o.emitIf(r.overflowed, a)
	case flow.AnomalyOutOfOrder:
		a.Count = r.outOfOrder
		o.emitIf(a.Count > 0, a)
	case flow.AnomalyRetransmission:
		if r.retransmission {
			o.reportRetransmission(side, retransmissionPause)
		}
	case flow.AnomalyStreamGap:
		for cause, g := range r.gaps {
			a.Offset, a.Bytes, a.Cause = g.at, g.n, flow.GapCause(cause)
			o.emitIf(g.n > 0, a)
		}
	case flow.AnomalyOverlapConflict:
		a.Offset, a.Bytes, a.Kept = r.conflict.at, r.conflict.n, r.conflict.kept()
		o.emitIf(a.Bytes > 0, a)
	case flow.AnomalyOutOfWindow:
		a.Count = r.outOfWindow
		o.emitIf(a.Count > 0, a)
	case flow.AnomalyWatermark:
		a.Bytes, a.Limit = r.watermark, int64(o.sh.opt.Cap)
		o.emitIf(a.Bytes > 0, a)
	}
}

// reportRetransmission says what was retransmitted since the last line, unless that
// was less than pause ago.
func (o *op) reportRetransmission(side flow.Side, pause time.Duration) {
	m := o.stream(side).more
	if m == nil || m.retransmitted == m.reportedSegments {
		return
	}
	if m.reportedSegments > 0 && o.now.SaturatingSub(m.reportedAt) < pause {
		return
	}
	a := flow.Anomaly{
		Kind: flow.AnomalyRetransmission, Side: side,
		Count: m.retransmitted - m.reportedSegments, Bytes: m.retransmittedBytes - m.reportedSize,
	}
	m.reportedAt, m.reportedSegments, m.reportedSize = o.now, m.retransmitted, m.retransmittedBytes
	o.emit(a)
}

// reportRest says what of retransmissions was not said yet, when the flow closes.
func (o *op) reportRest() {
	for side := range o.a.stream {
		o.reportRetransmission(flow.Side(side), 0)
	}
}

func (o *op) emitIf(yes bool, a flow.Anomaly) {
	if yes {
		o.emit(a)
	}
}

// emit goes through a place of its own, so that nothing is allocated for it.
func (o *op) emit(a flow.Anomaly) {
	o.sh.anomaly = a
	o.sink.Anomaly(&o.sh.anomaly)
}

// emitLate says that one segment came late. It leaves the fields that no anomaly of
// this package uses alone, which are most of them.
func (o *op) emitLate(side flow.Side) {
	a := &o.sh.anomaly
	a.Kind, a.Side, a.Count = flow.AnomalyOutOfOrder, side, 1
	a.Bytes, a.Offset, a.Limit = 0, 0, 0
	a.Policy, a.Cause, a.Kept = 0, 0, 0
	o.sink.Anomaly(a)
}
