package tracker

import (
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Table holds the open flows. It belongs to one goroutine.
type Table[K comparable, S any] struct {
	opts     Options[K, S]
	newState func(K) S
	hash     func(*K) uint64
	idHash   func(*K) uint64 // nil: IDs come from the creation number alone

	slab    slab[K, S]
	pool    pool
	index   index
	timers  timers
	fresh   func(slot uint32) entry // t.freshEntry, bound once
	oldest  queue                   // by last packet; kept while ranking
	ranking bool                    // the table has been full
	hot     *Flow[K, S]             // of the packet before
	noHot   bool                    // tests only

	live     int
	created  uint64
	clock    flow.Timestamp // largest packet time
	started  bool           // clock holds
	tick     tick
	counters Counts

	packet  *Flow[K, S]    // between Observe and Finish
	pending []flow.Anomaly // of that packet
	event   flow.Event[K]
	odd     flow.Event[K] // an anomaly may come inside another event
	anomaly flow.Anomaly
	stats   flow.Stats
	strings interner
	warm    uint64 // of Near, so that its loads are not left out
}

// Input is one packet, or what several of one direction add up to.
type Input[K comparable] struct {
	Key   K
	Dir   flow.Direction
	Proto flow.Proto
	Ports [2]uint16 // of the lower and the higher endpoint, for IdlePorts
	// OneWay says that the key is directional, so that all packets of the
	// flow come from one side.
	OneWay bool
	Time   flow.Timestamp
	// Number is the position of the packet in the input, from 1. Flows are
	// numbered by it, so that their IDs are the same however the work is
	// split. 0: the table numbers them itself. Either all or none.
	Number uint64

	Packets    uint64 // normally 1
	Bytes      int    // of frames
	IPBytes    int
	PayloadLen int
	TTL        uint8
	Label      uint32        // IPv6 flow label
	Seg        *flow.Segment // nil: no TCP step
	// Carried is set for a packet that came in the fragments of a tunnel: they
	// are counted in another flow, so this one brings neither counters nor TTL, and no
	// Packet event.
	Carried bool
	// BadChecksum is set for a packet that its receiver throws away: it is counted,
	// and noted in the history. Seg is nil then.
	BadChecksum bool
}

// Counts are what a table has done so far. Created = Σ Ended + Forgotten + live.
type Counts struct {
	Created          [3]uint64 // by flow.L4
	Ended            [flow.EndReasons]uint64
	Forgotten        uint64
	RSTIgnored       uint64
	SYNInEstablished uint64
	Anomalies        [flow.AnomalyKinds]uint64 // also those nobody wanted to hear of
}

// New returns an empty table. NewState makes the caller's part of each flow; nil
// leaves it zero.
func New[K comparable, S any](o Options[K, S], newState func(key K) S) *Table[K, S] {
	t := &Table[K, S]{opts: o.withDefaults(), newState: newState}
	t.hash, t.idHash = hashers(o.Hash)
	t.fresh = t.freshEntry
	t.tick.end = flow.MaxTimestamp
	return t
}

// Observe takes a packet up to the point where its payload is handed on: flows that
// are due end, the packet's flow is found or created, turned if need be, counted,
// and moved through TCP's states. The driver then hands on the payload and calls
// [Table.Finish]. With Options.Monotonic it may move the packet's time forward.
func (t *Table[K, S]) Observe(in *Input[K]) *Flow[K, S] {
	t.advance(in)
	if in.Time >= t.timers.wake || in.Time >= t.tick.end {
		t.expire(in.Time)
	}
	f := t.find(&in.Key)
	if f != nil && in.Seg != nil && in.Seg.Flags&flow.SYN != 0 && f.ReusedBy(in.Dir, in.Seg) {
		t.replace(f, in.Time)
		f = nil
	}
	if f == nil {
		f = t.create(in)
	}
	t.hot, t.packet = f, f
	t.meet(f, in)
	t.orient(f, in)
	f.add(in)
	t.step(f, in)
	return f
}

// Open creates a flow that the driver knows to be new, and takes its first packet
// as [Table.Observe] does, but without counting it. Replaced, if not nil, is a flow
// of the same key that the new one ends ([Flow.ReusedBy]). The driver calls
// [Table.Expire] first.
func (t *Table[K, S]) Open(in *Input[K], replaced *Flow[K, S]) *Flow[K, S] {
	t.advance(in)
	if replaced != nil {
		t.replace(replaced, in.Time)
	}
	f := t.create(in)
	t.Step(f, in)
	return f
}

// Step takes a packet of a flow that the driver has found, as [Table.Observe] does,
// but without counting it. The driver calls [Table.Expire] first, which may end f.
func (t *Table[K, S]) Step(f *Flow[K, S], in *Input[K]) {
	t.advance(in)
	t.packet = f
	t.meet(f, in)
	t.orient(f, in)
	t.step(f, in)
}

// Finish ends the packet that Observe, Open or Step took: it emits the Packet event
// and the anomalies reported meanwhile, and closes the flow if TCP is over.
func (t *Table[K, S]) Finish(f *Flow[K, S], in *Input[K]) {
	if t.opts.Events.Has(flow.EventPacket) && !in.Carried {
		e := t.newEvent(flow.EventPacket, f, in.Time)
		e.Side, e.Len = f.Side(in.Dir), in.PayloadLen
		t.opts.Handler(f, e)
	}
	if len(t.pending) > 0 {
		t.flush(f, in.Time)
	}
	t.packet = nil
	if f.reason == flow.EndNone {
		if !f.conn.state.Terminal() {
			return
		}
		t.close(f, endOf(f.conn.state))
	}
	if t.opts.ClosedLinger < 0 {
		t.end(f, f.reason, in.Time)
	}
}

// endOf is the reason that goes with a terminal state.
func endOf(s flow.State) flow.EndReason {
	if s == flow.StateReset {
		return flow.EndRST
	}
	return flow.EndFIN
}

// advance moves the table's clock, and with Monotonic the packet, to the largest
// packet time.
func (t *Table[K, S]) advance(in *Input[K]) {
	if !t.started || in.Time > t.clock {
		t.started, t.clock = true, in.Time
		return
	}
	if t.opts.Monotonic {
		in.Time = t.clock
		if in.Seg != nil {
			in.Seg.Time = t.clock
		}
	}
}

// find returns the open flow of k, or nil.
func (t *Table[K, S]) find(k *K) *Flow[K, S] {
	if t.hot != nil && t.hot.Key == *k && !t.noHot {
		return t.hot
	}
	if t.index.used == 0 {
		return nil
	}
	want := tag(t.hash(k))
	mask := uint32(len(t.index.entries) - 1)
	for i := want & mask; ; i = (i + 1) & mask {
		e := t.index.entries[i]
		if e == 0 {
			return nil
		}
		if uint32(e>>32) == want {
			if f := t.slab.at(uint32(e) - 1); f.Key == *k {
				return f
			}
		}
	}
}

// create makes a flow of its first packet.
func (t *Table[K, S]) create(in *Input[K]) *Flow[K, S] {
	for t.live >= t.opts.MaxFlows {
		t.evict(in.Time)
	}
	f := t.admit(in)
	t.setIdle(f)
	if t.opts.ActiveTimeout > 0 {
		t.setUpdate(f, f.first.Add(t.opts.ActiveTimeout))
	}
	if t.timers.empty() {
		t.timers.start(in.Time)
	}
	t.retime(f)
	if t.opts.Events.Has(flow.EventStarted) {
		e := t.newEvent(flow.EventStarted, f, in.Time)
		e.L4, e.Side = f.proto.L4(), f.Side(in.Dir)
		t.opts.Handler(f, e)
	}
	return f
}

// admit fills a place of the slab with a flow and makes it findable.
func (t *Table[K, S]) admit(in *Input[K]) *Flow[K, S] {
	f := t.slab.take()
	t.created++
	f.Key, f.proto, f.ports = in.Key, in.Proto, in.Ports
	seq := t.created
	if in.Number != 0 {
		seq = in.Number
	}
	f.first, f.last = in.Time, in.Time
	f.flags |= live
	f.id = t.newID(f, seq)
	t.face(f, in)
	if t.newState != nil {
		f.State = t.newState(in.Key)
	}
	t.live++
	t.counters.Created[in.Proto.L4()]++
	t.index.insert(t.hash(&f.Key), f.slot)
	if t.ranking {
		t.oldest.set(entry{f.last, seq, f.slot})
	}
	return f
}

// newID joins the run's seed, the flow's number and its key. For one key numbers
// never give the same ID twice.
func (t *Table[K, S]) newID(f *Flow[K, S], seq uint64) uint64 {
	return mix(seq^mix(t.opts.Seed)) ^ t.keyPart(f)
}

// seq returns the flow's number, which newID made its ID of.
func (t *Table[K, S]) seq(f *Flow[K, S]) uint64 {
	return unmix(f.id^t.keyPart(f)) ^ mix(t.opts.Seed)
}

// keyPart is what the key adds to a flow's ID.
func (t *Table[K, S]) keyPart(f *Flow[K, S]) uint64 {
	if t.idHash == nil {
		return 0
	}
	return t.idHash(&f.Key)
}

// face says who the initiator of a new flow is.
func (t *Table[K, S]) face(f *Flow[K, S], in *Input[K]) {
	if in.Dir == flow.Reverse {
		f.flags |= firstReverse | initiatorReverse
	}
	if in.OneWay {
		f.flags |= oneWayFlow | sidesFixed
	}
	switch seen := evidence(in.Seg); {
	case seen == flow.BySYNACK && !in.OneWay:
		f.flags ^= initiatorReverse
		f.orientation = seen
	case seen == flow.BySYN:
		f.orientation = seen
	}
}

// evidence says what a segment, nil for none, tells about the initiator.
func evidence(s *flow.Segment) flow.Orientation {
	switch {
	case s == nil || s.Flags&flow.SYN == 0:
		return flow.FirstSeen
	case s.Flags&flow.ACK == 0:
		return flow.BySYN
	}
	return flow.BySYNACK
}

// orient corrects the initiator when better evidence comes in time.
func (t *Table[K, S]) orient(f *Flow[K, S], in *Input[K]) {
	seen := evidence(in.Seg)
	if seen <= f.orientation || f.has(oneWayFlow) || f.reason != flow.EndNone {
		return
	}
	initiator := in.Dir
	if seen == flow.BySYNACK {
		initiator = in.Dir.Other()
	}
	if initiator != f.InitiatorDir() {
		if f.has(sidesFixed) || t.ordinal(f, in) > uint64(max(t.opts.SwapBudget, 0)) {
			return
		}
		f.turn()
		f.flags |= sidesFixed
		t.setIdle(f)
		t.retime(f)
	}
	f.orientation = seen
}

// ordinal is the number of the packet in its flow, from 1. Counters from elsewhere
// have it in them already.
func (t *Table[K, S]) ordinal(f *Flow[K, S], in *Input[K]) uint64 {
	if t.opts.Refresh == nil {
		return f.Packets() + in.Packets
	}
	t.opts.Refresh(f)
	return f.Packets()
}

// meet takes time, TTL and flow label of a packet.
func (t *Table[K, S]) meet(f *Flow[K, S], in *Input[K]) {
	f.first = min(f.first, in.Time)
	f.last = max(f.last, in.Time)
	if seen := seenForward << in.Dir; !f.has(seen) {
		f.flags |= seen
		f.label[in.Dir] = in.Label
	}
	ttl := &f.ttl[in.Dir]
	switch {
	case in.Carried:
		return
	case f.count[in.Dir].packets == 0:
		*ttl = [2]uint8{in.TTL, in.TTL}
		return
	}
	ttl[0], ttl[1] = min(ttl[0], in.TTL), max(ttl[1], in.TTL)
	if in.Label != f.label[in.Dir] || f.conn.flags&relabelled != 0 {
		t.relabel(f, in)
	}
}

// relabel notes a flow label that is not that of the packet before.
func (t *Table[K, S]) relabel(f *Flow[K, S], in *Input[K]) {
	d := t.details(f)
	now := f.label[in.Dir]
	if d.labelChanges[in.Dir] > 0 {
		now = d.label[in.Dir]
	}
	if in.Label != now {
		f.conn.flags |= relabelled
		d.labelChanges[in.Dir]++
		d.label[in.Dir] = in.Label
	}
}

// step moves the flow through TCP's states.
func (t *Table[K, S]) step(f *Flow[K, S], in *Input[K]) {
	s := in.Seg
	switch {
	case in.BadChecksum:
		f.conn.often(f.Side(in.Dir), letterC)
		return
	case s == nil:
		t.stepOther(f, in)
		return
	}
	side := f.Side(in.Dir)
	if f.conn.usual(side, s) {
		return
	}
	if f.conn.d == nil && (f.has(tcpStepped) || !plainSYN(s)) {
		t.attach(f)
	}
	first := !f.has(tcpStepped) // from here on the timeout of the handshake counts
	f.flags |= tcpStepped
	ch := f.conn.step(side, s)
	if ch.From == ch.To && ch.Notes == 0 && !first {
		return
	}
	t.change(f, &ch, in.Time)
	t.retime(f)
}

// stepOther writes the history of a flow without TCP: UDP has a letter for each side.
func (t *Table[K, S]) stepOther(f *Flow[K, S], in *Input[K]) {
	if in.Proto == flow.ProtoUDP || in.Proto == flow.ProtoUDPLite {
		f.conn.once(f.Side(in.Dir), letterD)
	}
}

// change emits what a segment changed.
func (t *Table[K, S]) change(f *Flow[K, S], ch *Change, now flow.Timestamp) {
	t.emitState(f, ch, now)
	if ch.Notes == 0 {
		return
	}
	if ch.Notes&RSTIgnored != 0 {
		t.counters.RSTIgnored++
	}
	a := flow.Anomaly{Side: ch.Side, Seq: ch.Seq, Expected: ch.Expected}
	if ch.Notes&(RSTSuspected|RSTRevoked) != 0 {
		a.Kind, a.Revoked = flow.AnomalyRSTSuspect, ch.Notes&RSTRevoked != 0
		t.Report(f, a)
	}
	a.Revoked = false
	if ch.Notes&FINConflict != 0 {
		a.Kind = flow.AnomalyFINConflict
		t.Report(f, a)
	}
	if ch.Notes&SYNInEstablished != 0 {
		t.counters.SYNInEstablished++
		a.Kind = flow.AnomalySYNInEstablished
		t.Report(f, a)
	}
}

// emitState emits Established or StateChange.
func (t *Table[K, S]) emitState(f *Flow[K, S], ch *Change, now flow.Timestamp) {
	if ch.From == ch.To {
		return
	}
	kind := flow.EventStateChange
	if ch.Notes&EnteredEstablished != 0 {
		kind = flow.EventEstablished
	}
	if t.opts.Events.Has(kind) {
		e := t.newEvent(kind, f, now)
		e.From, e.To = ch.From, ch.To
		t.opts.Handler(f, e)
	}
}

// attach gives the flow of a second segment its details, with what the first told.
func (t *Table[K, S]) attach(f *Flow[K, S]) {
	d := t.pool.take()
	f.conn.attach(d)
	if f.has(tcpStepped) && f.conn.state == flow.StateSYNSent {
		d.synAt[flow.Initiator] = f.first
		d.flags |= hasSYN
	}
}

// details returns f's details, which it makes if need be.
func (t *Table[K, S]) details(f *Flow[K, S]) *details {
	if f.conn.d == nil {
		t.attach(f)
	}
	return f.conn.d
}

// newEvent returns the table's event, filled in as far as all kinds go.
func (t *Table[K, S]) newEvent(kind flow.EventKind, f *Flow[K, S], now flow.Timestamp) *flow.Event[K] {
	t.event = flow.Event[K]{Kind: kind, Time: now, ID: f.id, FlowKey: f.Key}
	return &t.event
}

// Report tells of something odd about f, or about the table if f is nil. While a
// packet is between Observe and Finish it waits, to come after the Packet event and
// in the order of [flow.AnomalyKind]; else it is emitted at once, also from inside
// the handler. Either way it is counted.
func (t *Table[K, S]) Report(f *Flow[K, S], a flow.Anomaly) {
	t.counters.Anomalies[a.Kind]++
	if !t.opts.Events.Has(flow.EventAnomaly) {
		return
	}
	if f != nil && f == t.packet {
		t.pending = append(t.pending, a)
		return
	}
	t.emitAnomaly(f, &a, t.clock)
}

// flush emits the anomalies of a packet, those of one kind by side.
func (t *Table[K, S]) flush(f *Flow[K, S], now flow.Timestamp) {
	l := t.pending
	for i := 1; i < len(l); i++ {
		for j := i; j > 0 && rank(&l[j]) < rank(&l[j-1]); j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
	for i := range l {
		t.emitAnomaly(f, &l[i], now)
	}
	t.pending = t.pending[:0]
}

func rank(a *flow.Anomaly) int { return int(a.Kind)<<1 | int(a.Side) }

func (t *Table[K, S]) emitAnomaly(f *Flow[K, S], a *flow.Anomaly, now flow.Timestamp) {
	t.odd = flow.Event[K]{Kind: flow.EventAnomaly, Time: now, Side: a.Side}
	if f != nil {
		t.odd.ID, t.odd.FlowKey = f.id, f.Key
	}
	t.anomaly = *a
	t.odd.Anomaly = &t.anomaly
	t.opts.Handler(f, &t.odd)
}

// Lookup returns the open flow of k, or nil.
func (t *Table[K, S]) Lookup(k K) *Flow[K, S] { return t.find(&k) }

// Len returns how many flows are open, those that linger included.
func (t *Table[K, S]) Len() int { return t.live }

// Full returns how full the table is, 1 at MaxFlows.
func (t *Table[K, S]) Full() float64 { return float64(t.live) / float64(t.opts.MaxFlows) }

// Clock returns the largest packet time seen.
func (t *Table[K, S]) Clock() flow.Timestamp { return t.clock }

// Counters returns what the table has done so far.
func (t *Table[K, S]) Counters() Counts { return t.counters }

// Flows returns the open flows, in no order of meaning. The table must not be
// changed meanwhile.
func (t *Table[K, S]) Flows() iter.Seq[*Flow[K, S]] {
	return func(yield func(*Flow[K, S]) bool) {
		for slot := range t.slab.used {
			if f := t.slab.at(slot); f.has(live) && !yield(f) {
				return
			}
		}
	}
}

// Stats returns the counters of the open flow of k.
func (t *Table[K, S]) Stats(k K) (flow.Stats, bool) {
	f := t.find(&k)
	if f == nil {
		return flow.Stats{}, false
	}
	t.refresh(f)
	return f.Stats(), true
}

// History returns Zeek's history of the open flow of k.
func (t *Table[K, S]) History(k K) (string, bool) {
	f := t.find(&k)
	if f == nil {
		return "", false
	}
	return f.History(), true
}

// AllStats returns key and counters of every open flow, in no order of meaning.
func (t *Table[K, S]) AllStats() iter.Seq2[K, flow.Stats] {
	return func(yield func(K, flow.Stats) bool) {
		for f := range t.Flows() {
			t.refresh(f)
			if !yield(f.Key, f.Stats()) {
				return
			}
		}
	}
}

// refresh brings f up to date where something else counts.
func (t *Table[K, S]) refresh(f *Flow[K, S]) {
	if t.opts.Refresh != nil {
		t.opts.Refresh(f)
	}
}

// An interner gives equal histories one string, most of the time.
type interner [256]string

func (n *interner) get(b []byte) string {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	s := &n[(h^h>>8)%uint32(len(n))]
	if *s != string(b) {
		*s = string(b)
	}
	return *s
}
