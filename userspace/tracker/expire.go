package tracker

import (
	"cmp"
	"slices"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Expire ends the flows whose deadline is at or before now, in order of deadline,
// then of creation, and does what else is due by then. [Table.Observe] does it for
// its packet.
func (t *Table[K, S]) Expire(now flow.Timestamp) {
	if now >= t.timers.wake || now >= t.tick.end {
		t.expire(now)
	}
}

// Sweep is Expire: a live worker calls it when no packets come. A time far ahead
// does not move the clock for later packets.
func (t *Table[K, S]) Sweep(now flow.Timestamp) { t.Expire(now) }

// ManualTick is Sweep by its other name.
func (t *Table[K, S]) ManualTick(now flow.Timestamp) { t.Expire(now) }

func (t *Table[K, S]) expire(now flow.Timestamp) {
	for {
		e, ok := t.timers.next(now, t.fresh)
		if t.tick.n > 0 && t.tick.end <= now && (!ok || t.tick.end <= e.at) {
			t.endTick()
			continue
		}
		if !ok {
			return
		}
		f := t.slab.at(e.slot)
		if next := t.freshEntry(e.slot); next.at > e.at {
			t.timers.set(next)
			continue
		}
		t.fire(f, e.at)
	}
}

// freshEntry is the true deadline of the flow in slot.
func (t *Table[K, S]) freshEntry(slot uint32) entry {
	f := t.slab.at(slot)
	t.refresh(f)
	return entry{t.deadline(f), t.seq(f), slot}
}

// retime sets f's timer.
func (t *Table[K, S]) retime(f *Flow[K, S]) {
	t.timers.set(entry{t.deadline(f), t.seq(f), f.slot})
}

// deadline returns when something is next due for f if no packet comes.
func (t *Table[K, S]) deadline(f *Flow[K, S]) flow.Timestamp {
	end := f.last.Add(t.timeout(f))
	if f.conn.flags&doubtful != 0 {
		end = min(end, f.conn.d.suspectEnd)
	}
	if d := f.conn.d; d != nil && d.has(hasUpdate) {
		end = min(end, d.nextUpdate)
	}
	return end
}

// timeout returns how long f may be silent.
func (t *Table[K, S]) timeout(f *Flow[K, S]) time.Duration {
	if f.reason != flow.EndNone {
		return max(t.opts.ClosedLinger, 0)
	}
	idle := t.idle(f)
	if f.oneSidedFIN() {
		return min(idle, finWait)
	}
	return idle
}

func (t *Table[K, S]) idle(f *Flow[K, S]) time.Duration {
	if d := f.conn.d; d != nil && d.has(hasIdle) {
		return d.idle
	}
	switch f.proto.L4() {
	case flow.L4UDP:
		return t.opts.IdleUDP
	case flow.L4TCP:
		if f.has(tcpStepped) && f.conn.flags&everEstablished == 0 {
			return t.opts.IdleHandshake
		}
		return t.opts.IdleTCP
	}
	return t.opts.IdleOther
}

// setIdle asks for f's own timeout.
func (t *Table[K, S]) setIdle(f *Flow[K, S]) {
	idle, ok := t.chosenIdle(f)
	if ok {
		d := t.details(f)
		d.idle = idle
		d.flags |= hasIdle
	} else if f.conn.d != nil {
		f.conn.d.flags &^= hasIdle
	}
}

func (t *Table[K, S]) chosenIdle(f *Flow[K, S]) (time.Duration, bool) {
	if t.opts.IdleFunc != nil {
		if idle, ok := t.opts.IdleFunc(f.Key, f.proto.L4()); ok {
			return max(idle, 0), true
		}
	}
	if len(t.opts.IdlePorts) == 0 || !f.proto.HasPorts() {
		return 0, false
	}
	d := f.InitiatorDir()
	idle, ok := t.opts.IdlePorts[f.ports[d.Other()]]
	if !ok {
		idle, ok = t.opts.IdlePorts[f.ports[d]]
	}
	return max(idle, 0), ok
}

// fire does the one thing that is due for f at at.
func (t *Table[K, S]) fire(f *Flow[K, S], at flow.Timestamp) {
	idle := f.last.Add(t.timeout(f)) <= at
	switch {
	case f.conn.flags&doubtful != 0 && f.conn.d.suspectEnd <= at:
		ch := f.conn.confirmReset()
		t.closeAt(f, &ch, at)
	case idle && f.reason == flow.EndNone && f.oneSidedFIN() && t.idle(f) > finWait:
		ch := Change{From: f.conn.state, To: flow.StateClosed}
		f.conn.state = flow.StateClosed
		t.closeAt(f, &ch, at)
	case idle:
		t.end(f, flow.EndIdle, at)
	default:
		t.update(f, at)
	}
}

// closeAt closes f by a timer. Its linger may be over already.
func (t *Table[K, S]) closeAt(f *Flow[K, S], ch *Change, at flow.Timestamp) {
	t.close(f, endOf(ch.To))
	t.emitState(f, ch, at)
	if t.deadline(f) <= at || t.opts.ClosedLinger < 0 {
		t.end(f, f.reason, at)
	}
}

// update emits a snapshot of f.
func (t *Table[K, S]) update(f *Flow[K, S], at flow.Timestamp) {
	t.setUpdate(f, f.conn.d.nextUpdate.Add(t.opts.ActiveTimeout))
	t.retime(f)
	if t.opts.Events.Has(flow.EventUpdate) {
		e := t.newEvent(flow.EventUpdate, f, at)
		t.stats = f.Stats()
		e.Stats = &t.stats
		t.opts.Handler(f, e)
	}
}

func (t *Table[K, S]) setUpdate(f *Flow[K, S], at flow.Timestamp) {
	d := t.details(f)
	d.nextUpdate = at
	d.flags |= hasUpdate
}

// CloseFlow closes f for reason, as a poisoned parser or a full buffer may ask: TCP's
// states stop, and the flow counts on until its linger is over. With linger off it
// ends when its packet does, or at once outside a packet. Of several reasons the
// first one stays. The driver closes the streams.
func (t *Table[K, S]) CloseFlow(f *Flow[K, S], reason flow.EndReason) {
	if f.reason != flow.EndNone {
		return
	}
	t.close(f, reason)
	if t.opts.ClosedLinger < 0 && f != t.packet {
		t.end(f, reason, t.clock)
	}
}

// close fixes f's reason and starts its linger.
func (t *Table[K, S]) close(f *Flow[K, S], reason flow.EndReason) {
	t.refresh(f)
	f.reason = reason
	f.conn.freeze()
	d := t.details(f)
	d.atClose = f.Packets()
	d.flags &^= hasUpdate
	t.retime(f)
}

// replace ends a flow whose tuple another one takes over. The old one is over, as
// the other's SYN proves.
func (t *Table[K, S]) replace(f *Flow[K, S], now flow.Timestamp) {
	t.end(f, flow.EndRST, now)
}

// end takes f out of the table, for reason unless it was closed for another, and
// emits Ended.
func (t *Table[K, S]) end(f *Flow[K, S], reason flow.EndReason, now flow.Timestamp) {
	t.refresh(f)
	if f.reason == flow.EndNone {
		f.reason = reason
		t.details(f).atClose = f.Packets()
	}
	t.unhook(f)
	t.counters.Ended[f.reason]++
	if t.opts.Events.Has(flow.EventEnded) {
		t.emitEnded(f, now)
	}
	t.free(f)
}

func (t *Table[K, S]) emitEnded(f *Flow[K, S], now flow.Timestamp) {
	e := t.newEvent(flow.EventEnded, f, now)
	e.L4, e.Reason = f.proto.L4(), f.reason
	t.stats = f.Stats()
	e.Stats = &t.stats
	var buf [maxHistory + 1]byte
	e.History = t.strings.get(f.conn.appendHistory(buf[:0], f.turned()))
	t.opts.Handler(f, e)
}

// unhook takes f out of everything that leads to it.
func (t *Table[K, S]) unhook(f *Flow[K, S]) {
	t.timers.remove(f.slot)
	t.index.remove(t.hash(&f.Key), f.slot)
	t.oldest.remove(f.slot)
	if t.hot == f {
		t.hot = nil
	}
	t.live--
	if t.ranking && t.live < t.opts.MaxFlows/2 {
		t.ranking = false
		t.oldest = queue{}
	}
}

func (t *Table[K, S]) free(f *Flow[K, S]) {
	t.pool.give(f.conn.d)
	t.slab.give(f)
}

// Forget takes the flow of k out without an event. It reports whether there was one.
func (t *Table[K, S]) Forget(k K) bool {
	f := t.find(&k)
	if f == nil {
		return false
	}
	t.unhook(f)
	t.counters.Forgotten++
	t.free(f)
	return true
}

// EndAll ends every flow for reason, in order of last packet, then of creation. It
// is the end of the input. The time of an Ended event is that of the flow's last
// packet.
func (t *Table[K, S]) EndAll(reason flow.EndReason) {
	if t.tick.n > 0 {
		t.endTick()
	}
	for _, e := range t.byAge() {
		t.end(t.slab.at(e.slot), reason, e.at)
	}
}

// byAge lists the open flows, the longest silent first.
func (t *Table[K, S]) byAge() []entry {
	l := make([]entry, 0, t.live)
	for f := range t.Flows() {
		t.refresh(f)
		l = append(l, entry{f.last, t.seq(f), f.slot})
	}
	slices.SortFunc(l, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	return l
}

// evict ends the least recently used flow: of all the one whose last packet is the
// oldest, and of those the oldest flow. As with the timers, packets do not move a
// flow in the queue; where it belongs is looked at when it comes up.
func (t *Table[K, S]) evict(now flow.Timestamp) {
	if !t.ranking {
		t.ranking = true
		for _, e := range t.byAge() {
			t.oldest.set(e)
		}
	}
	for {
		e := t.oldest.items[0]
		f := t.slab.at(e.slot)
		t.refresh(f)
		if f.last > e.at {
			e.at = f.last
			t.oldest.set(e)
			continue
		}
		t.evictFlow(f, now)
		return
	}
}

func (t *Table[K, S]) evictFlow(f *Flow[K, S], now flow.Timestamp) {
	if f.reason == flow.EndNone {
		t.tick.add(now, t.opts.SweepInterval)
	}
	t.end(f, flow.EndEvicted, now)
}

// SetOptions replaces the options and times every open flow anew. If there are more
// flows than MaxFlows now allows, the least recently used ones are evicted. Handler,
// Hash and Seed stay.
func (t *Table[K, S]) SetOptions(o Options[K, S]) {
	o.Handler, o.Hash, o.Seed = t.opts.Handler, t.opts.Hash, t.opts.Seed
	t.opts = o.withDefaults()
	for f := range t.Flows() {
		t.setIdle(f)
		t.planUpdate(f)
		t.retime(f)
	}
	for t.live > t.opts.MaxFlows {
		t.evict(t.clock)
	}
}

// planUpdate sets f's next update at the first multiple of the period after start
// that the clock has not reached.
func (t *Table[K, S]) planUpdate(f *Flow[K, S]) {
	period := t.opts.ActiveTimeout
	if period <= 0 || f.reason != flow.EndNone {
		if f.conn.d != nil {
			f.conn.d.flags &^= hasUpdate
		}
		return
	}
	n := t.clock.SaturatingSub(f.first)/period + 1
	t.setUpdate(f, f.first.Add(n*period))
}

// SetIdleFunc replaces Options.IdleFunc, nil clears it, and times every open flow
// anew.
func (t *Table[K, S]) SetIdleFunc(idle IdleFunc[K]) {
	t.opts.IdleFunc = idle
	for f := range t.Flows() {
		t.setIdle(f)
		t.retime(f)
	}
}

// A tick is a sweep interval in which flows were evicted.
type tick struct {
	end   flow.Timestamp // MaxTimestamp: none was, lately
	n     int64
	total int64
}

// add counts an eviction at now, which opens a tick if none is open. Ticks end at
// whole multiples of the interval.
func (k *tick) add(now flow.Timestamp, interval time.Duration) {
	if k.n == 0 {
		k.end = (now - now%flow.Timestamp(interval)).Add(interval)
	}
	k.n++
	k.total++
}

// endTick reports the evictions of the tick.
func (t *Table[K, S]) endTick() {
	k := &t.tick
	a := flow.Anomaly{Kind: flow.AnomalyTableEviction, Count: k.n, Total: k.total}
	end := k.end
	k.end, k.n = flow.MaxTimestamp, 0
	t.counters.Anomalies[a.Kind]++
	if t.opts.Events.Has(flow.EventAnomaly) {
		t.emitAnomaly(nil, &a, end)
	}
}
