package pipeline

import (
	"container/heap"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Ticks are the times at which parsers have something to do, earliest first, so that
// what they say does not depend on how often anybody looks.
type ticks[K comparable] []tick[K]

type tick[K comparable] struct {
	at   flow.Timestamp
	id   uint64 // the flow's, to tell equal times apart
	flow *tracked[K]
	sess *session
}

// Len implements heap.Interface.
func (t ticks[K]) Len() int { return len(t) }

// Less implements heap.Interface.
func (t ticks[K]) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].id < t[j].id
}

// Swap implements heap.Interface.
func (t ticks[K]) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *ticks[K]) Push(x any) { *t = append(*t, x.(tick[K])) }

// Pop implements heap.Interface.
func (t *ticks[K]) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}

// schedule notes when p next has something to do, if that is sooner than known.
func (w *worker[K]) schedule(p any) {
	d, ok := p.(parsers.Deadliner)
	if !ok {
		return
	}
	at, ok := d.Deadline()
	if !ok || w.sess.ticking && w.sess.tickAt <= at {
		return
	}
	w.sess.ticking, w.sess.tickAt = true, at
	heap.Push(&w.ticks, tick[K]{at, w.cur.ID(), w.cur, w.sess})
}

// advance does what is due by now, in order: flows that end before a parser's time
// end before it.
func (w *worker[K]) advance(now flow.Timestamp) {
	for len(w.ticks) > 0 && w.ticks[0].at <= now {
		t := heap.Pop(&w.ticks).(tick[K])
		w.expire(t.at)
		if t.sess.closed || !t.sess.ticking || t.sess.tickAt != t.at {
			continue
		}
		w.tick(t)
	}
	w.expire(now)
}

// expire ends the flows that are due by now.
func (w *worker[K]) expire(now flow.Timestamp) {
	w.expiring = true
	w.table.Expire(now)
	w.expiring = false
}

func (w *worker[K]) tick(t tick[K]) {
	w.enter(t.flow, t.at)
	t.sess.ticking = false
	if p, ok := t.sess.parser().(parsers.Ticker); ok {
		w.callTick(p)
		w.schedule(p)
		w.obeyTick()
		if t.flow.Closed() != flow.EndNone && !t.sess.closed {
			w.closeStreams(t.flow.Closed())
		}
	}
	w.flushAnomalies()
	w.cur, w.sess = nil, nil
}

// obeyTick carries out what a parser asked for when it was ticked.
func (w *worker[K]) obeyTick() {
	if u := w.sess.udp; u != nil {
		w.obeyDatagram(u, w.ctx.Side)
		return
	}
	w.sess.tcp.app.obey(&w.parserDriver, w.ctx.Side)
}

// parser returns the parser in charge, or nil.
func (s *session) parser() any {
	switch {
	case s.tcp != nil && s.tcp.app.parser != nil:
		return s.tcp.app.parser
	case s.udp != nil && s.udp.parser != nil:
		return s.udp.parser
	}
	return nil
}
