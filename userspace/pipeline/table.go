package pipeline

import (
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// onTable takes the table's events, in order.
func (w *worker[K]) onTable(f *tracked[K], e *flow.Event[K]) {
	switch e.Kind {
	case flow.EventStarted:
		w.sum.FlowsStarted++
		w.tell.started(e.L4)
		w.levels()
		w.mark(f, e, Started)
	case flow.EventEstablished:
		w.mark(f, e, Established)
	case flow.EventStateChange:
		w.mark(f, e, StateChange)
		w.closedByTimer(f, e)
	case flow.EventAnomaly:
		w.tableAnomaly(f, e)
	case flow.EventUpdate:
		w.update(f, e)
	case flow.EventEnded:
		w.ended(f, e)
	}
}

func (w *worker[K]) mark(f *tracked[K], e *flow.Event[K], kind SessionEventKind) {
	if w.opt.Handler == nil {
		return
	}
	w.event = SessionEvent[K]{Kind: kind, Time: e.Time, Key: f.Key, ID: f.ID(), Side: e.Side, From: e.From, To: e.To}
	w.opt.Handler(&w.event)
}

// closedByTimer closes the streams of a flow whose state became terminal without a
// packet of its own.
func (w *worker[K]) closedByTimer(f *tracked[K], e *flow.Event[K]) {
	if !w.expiring || !e.To.Terminal() {
		return
	}
	w.aside(f, e.Time, func() { w.closeStreams(reasonOf(e.To)) })
}

// aside does something with f in hand, in the middle of whatever is going on.
func (w *worker[K]) aside(f *tracked[K], ts flow.Timestamp, do func()) {
	cur, sess, ctx := w.cur, w.sess, w.ctx
	w.enter(f, ts)
	do()
	w.flushAnomalies()
	w.cur, w.sess, w.ctx = cur, sess, ctx
}

// tableAnomaly takes an anomaly that the table found: of the flow in hand, to be
// handed out with the others of the packet, or of the whole table or another flow, at once.
func (w *worker[K]) tableAnomaly(f *tracked[K], e *flow.Event[K]) {
	if f != nil && f == w.cur {
		w.odd.add(e.Anomaly)
		return
	}
	w.sum.Anomalies[e.Anomaly.Kind]++
	w.tell.anomaly(e.Anomaly.Kind)
	if !w.opt.Anomalies || w.opt.Handler == nil {
		return
	}
	w.event = SessionEvent[K]{Kind: Anomaly, Time: e.Time, Anomaly: e.Anomaly}
	if f != nil {
		w.event.Key, w.event.ID = f.Key, f.ID()
	}
	w.opt.Handler(&w.event)
}

// update hands out a snapshot of a live flow.
func (w *worker[K]) update(f *tracked[K], e *flow.Event[K]) {
	if w.opt.Handler == nil {
		return
	}
	r := w.record(f)
	r.Reason = flow.EndNone
	w.event = SessionEvent[K]{Kind: Update, Time: e.Time, Key: f.Key, ID: f.ID(), Record: &r}
	w.opt.Handler(&w.event)
}

// ended closes what is left of a flow and hands out its record. It may happen in
// the middle of another flow's packet, which is put back in hand.
func (w *worker[K]) ended(f *tracked[K], e *flow.Event[K]) {
	w.aside(f, f.Last(), func() { w.closeStreams(e.Reason) })
	if t := f.State.tcp; t != nil && t.hash != nil {
		t.hash.close(f.Last())
	}
	w.sum.FlowsEnded[e.Reason]++
	w.leave(f, e)
	w.release(f.State)
	w.levels()
}

func (w *worker[K]) levels() {
	if w.tell.rec != nil {
		w.tell.levels(w.table.Len()+w.leaving, w.table.Full(), w.shared.Memory().Used())
	}
}

// leave hands out the record of a flow that ended.
func (w *worker[K]) leave(f *tracked[K], e *flow.Event[K]) {
	w.leaving++
	if w.onEnd != nil {
		w.onEnd(f, e.Reason)
		return
	}
	r := w.record(f)
	r.Reason = e.Reason
	w.hand(f.Key, &r)
}

// hand counts and hands out a final record.
func (w *worker[K]) hand(key K, r *flow.Record) {
	w.leaving--
	w.sum.PacketsTracked += r.Stats.Packets()
	w.sum.BytesTracked += r.Stats.Bytes()
	w.tell.ended(r.Reason, &r.Stats)
	if w.opt.Handler == nil {
		return
	}
	w.event = SessionEvent[K]{Kind: Closed, Time: r.Stats.End, Key: key, ID: r.ID, Record: r}
	w.opt.Handler(&w.event)
}

func (w *worker[K]) release(s *session) {
	if s.tcp != nil {
		s.tcp.asm.Release(w.shared)
	}
}

// record joins what was counted and what the session knows.
func (w *worker[K]) record(f *tracked[K]) flow.Record {
	counted, known := w.halves(f)
	if w.kernel != nil {
		counted.Kernel = w.kernel(f)
	}
	return Merge(&counted, &known)
}

// halves returns what Merge joins.
func (w *worker[K]) halves(f *tracked[K]) (counted Counted, known Known) {
	s := f.State
	counted = Counted{Stats: w.counted(f), Handshake: f.Handshake()}
	known = Known{
		ID: f.ID(), Key: s.tuple, FiveTuple: s.fiveTuple, Proto: s.proto,
		InitiatorDir: f.InitiatorDir(), FirstDir: s.first, Orientation: f.Orientation(),
		State: f.TCPState(), Reason: f.Closed(), Attributes: s.attrs,
		ConnState: f.ConnState(), History: f.History(), Events: f.Events(),
		PacketsAfterClose: f.PacketsAfterClose(), Lost: s.lost, Partial: s.partial || s.unseen, Unseen: s.unseen,
	}
	if s.longRTT != nil {
		known.LongRTT = *s.longRTT
	}
	known.Attributes.FlowLabel, known.FlowLabelChanges = f.FlowLabel()
	s.describe(&known)
	return counted, known
}

// snapshot yields key and counters of every open flow.
func (w *worker[K]) snapshot() iter.Seq2[K, flow.Stats] {
	return func(yield func(K, flow.Stats) bool) {
		for f := range w.table.Flows() {
			if w.refresh != nil {
				w.refresh(f)
			}
			if !yield(f.Key, w.stats(f)) {
				return
			}
		}
	}
}

// stats are the counters that a record of f would have.
func (w *worker[K]) stats(f *tracked[K]) flow.Stats {
	st := w.counted(f)
	if f.State.tcp == nil {
		return st
	}
	for side := range st.Side {
		var stream flow.SideStats
		f.State.tcp.asm.Stats(flow.Side(side), &stream)
		st.Side[side].Add(&stream)
	}
	return st
}

// counted are the counters of the table. Classes of segments are the reassembler's
// to tell.
func (w *worker[K]) counted(f *tracked[K]) flow.Stats {
	st := f.Stats()
	for side := range st.Side {
		st.Side[side].Keepalives, st.Side[side].ZeroWindowProbes = 0, 0
	}
	return st
}

// describe adds what streams and parsers know.
func (s *session) describe(k *Known) {
	if s.udp != nil && s.udp.proto != nil {
		k.Service = s.udp.proto.Name
	}
	if s.tcp == nil {
		return
	}
	k.Service = s.tcp.app.service()
	for side := range k.Streams {
		s.tcp.asm.Stats(flow.Side(side), &k.Streams[side])
		if h := s.tcp.hash; h != nil {
			k.HasHash = true
			k.Hash[side], k.Hashed[side] = h.sum(flow.Side(side))
		}
	}
}
