package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// A worker owns flows and carries each packet of theirs through the stages. Both
// engines' drivers are made of it.
type worker[K comparable] struct {
	opt    Options[K]
	table  *tracker.Table[K, *session]
	shared *reassembly.Shared
	hashed *reassembly.Shared // of stream hashes, if there are any
	parserDriver
	odd   oddities
	sum   flow.Summary
	tell  telemetry
	event SessionEvent[K] // of the call in hand; one for all, so that none is allocated

	cur  *tracked[K] // whose packet or end is in hand
	sess *session    // its session
	in   tracker.Input[K]

	frags    defragmenter[K, *session]
	ticks    ticks[K]
	leaving  int  // flows that ended and were not handed out yet
	expiring bool // flows end or close by time, not by a packet
	// onEnd, if set, takes a flow that ended in place of the handler: counters
	// that are elsewhere have to be fetched first.
	onEnd func(f *tracked[K], reason flow.EndReason)
	// closing, if set, tells the streams of the flow in hand, before they close, what of
	// them did not get here.
	closing func(f *tracked[K])
	// refresh, if set, fetches counters that are elsewhere.
	refresh func(f *tracked[K])
	// kernel, if set, returns what the kernel counted of a flow, nil if nothing.
	kernel func(f *tracked[K]) *KernelCount
}

// A tracked is a flow of the table.
type tracked[K comparable] = tracker.Flow[K, *session]

func newWorker[K comparable](opt Options[K], refresh func(*tracked[K])) *worker[K] {
	w := &worker[K]{opt: opt, shared: reassembly.NewShared(opt.Reassembly), refresh: refresh}
	if opt.StreamHash {
		w.hashed = newHashing(opt.Reassembly, w.shared.Memory())
	}
	w.sum.Messages = map[string]uint64{}
	w.tell = newTelemetry(opt.Metrics, opt.Logger, opt.TraceMessages)
	w.parserDriver = parserDriver{chooser: newChooser(opt.Protocols), poison: w.onPoison}
	w.ctx.OnMessage = w.onMessage
	w.frags.init(w, opt.Decap)
	to := trackerOptions(&opt, w.onTable)
	to.Refresh = refresh
	w.table = tracker.New(to, func(K) *session { return &session{} })
	return w
}

// A parserDriver is what parsing needs of a worker, whatever its key.
type parserDriver struct {
	chooser *chooser
	ctx     parsers.Context
	poison  func(p *parsers.Protocol, side flow.Side, reason string)
	// handling is set while a parser's message is with the driver's handler.
	handling bool
}

func (d *parserDriver) poisoned(p *parsers.Protocol, side flow.Side, reason string) {
	d.poison(p, side, reason)
}

// enter makes f the flow in hand.
func (w *worker[K]) enter(f *tracked[K], ts flow.Timestamp) {
	w.cur, w.sess = f, f.State
	w.ctx.Time, w.ctx.Key, w.ctx.ID = ts, f.State.tuple, f.ID()
}

// finish ends the packet in hand: a flow that is over has its streams closed, the
// table takes its last step, and what was odd about the packet is told.
func (w *worker[K]) finish(f *tracked[K], in *tracker.Input[K]) {
	switch {
	case f.Closed() != flow.EndNone:
		w.closeStreams(f.Closed())
	case f.TCPState().Terminal():
		w.closeStreams(reasonOf(f.TCPState()))
	}
	w.table.Finish(f, in)
	w.flushAnomalies()
	w.cur, w.sess = nil, nil
}

func reasonOf(s flow.State) flow.EndReason {
	if s == flow.StateReset {
		return flow.EndRST
	}
	return flow.EndFIN
}

// segment hands one TCP packet of the flow in hand to its streams.
func (w *worker[K]) segment(side flow.Side, seg *flow.Segment) {
	t := w.streams()
	if seg.Capture && seg.Len > len(seg.Data) && !w.sess.closed && (t.hash != nil || !t.asm.Skipping(side)) {
		w.sess.lost |= flow.LostSnaplen
	}
	if t.hash != nil {
		t.hash.segment(side, seg)
	}
	if w.sess.closed {
		return
	}
	t.asm.Segment(w.shared, side, seg, w)
	if t.app.parser != nil {
		w.schedule(t.app.parser)
	}
	if t.asm.Overflowed() {
		w.table.CloseFlow(w.cur, flow.EndBufferOverflow)
	}
}

// streams returns the streams of the flow in hand.
func (w *worker[K]) streams() *tcpSession {
	t := w.sess.tcp
	if t == nil {
		t = &tcpSession{initiator: w.cur.InitiatorDir()}
		w.sess.tcp = t
		w.startStreams(t)
	}
	t.orient(w.cur.InitiatorDir())
	return t
}

// startStreams sets up the streams of a flow: hashes when asked for, and no payload at
// all when nothing would read it.
func (w *worker[K]) startStreams(t *tcpSession) {
	if len(w.opt.Reassembly.OverlapByPrefix) > 0 {
		w.choosePolicies(t)
	}
	switch {
	case w.opt.StreamHash:
		t.hash = newStreamHash(w.hashed)
	case w.chooser.all == 0:
		t.app.stop()
		t.asm.Skip(w.shared, w)
	}
}

// choosePolicies gives each stream the overlap policy of the network it goes to.
func (w *worker[K]) choosePolicies(t *tcpSession) {
	for side := range flow.Side(2) {
		dst, _ := w.sess.tuple.Source(w.cur.InitiatorDir() ^ flow.Direction(side.Other()))
		t.asm.SetPolicy(side, w.shared.PolicyFor(dst))
	}
}

// Data implements reassembly.Sink.
func (w *worker[K]) Data(side flow.Side, b []byte) {
	t := w.sess.tcp
	if !t.app.met[side] {
		t.app.meet(side, t.asm.FromStart(side))
	}
	t.app.feed(&w.parserDriver, side, b)
	if t.app.phase == parsing {
		w.cur.FixSides()
	}
	w.skipUnwanted()
}

// Gap implements reassembly.Sink.
func (w *worker[K]) Gap(side flow.Side, n int64, cause flow.GapCause) {
	t := w.sess.tcp
	w.cur.NoteGap(side)
	if w.opt.Gaps {
		w.event = SessionEvent[K]{Kind: Gap, Side: side, Bytes: n, Cause: cause}
		w.send()
	}
	t.app.gap(&w.parserDriver, side, n, cause)
	w.skipUnwanted()
}

// End implements reassembly.Sink.
func (w *worker[K]) End(side flow.Side, reason flow.EndReason) {
	a := &w.sess.tcp.app
	switch reason {
	case flow.EndFIN, flow.EndIdle, flow.EndOfInput:
		a.finish(&w.parserDriver, side)
	default:
		a.abort(&w.parserDriver)
	}
}

// Anomaly implements reassembly.Sink.
func (w *worker[K]) Anomaly(a *flow.Anomaly) {
	if a.Kind == flow.AnomalyMemcap {
		w.sess.lost |= flow.LostMemory
	}
	w.odd.add(a)
}

// skipUnwanted stops the payload of a flow that no parser and no hash wants.
func (w *worker[K]) skipUnwanted() {
	t := w.sess.tcp
	if t.app.phase == ignored && !w.opt.StreamHash {
		t.asm.Skip(w.shared, w)
	}
}

// maxTries is how many datagrams of a side are probed before its flow is taken for
// one that no parser knows.
const maxTries = 2

// datagram hands one whole datagram of the flow in hand to its parser.
func (w *worker[K]) datagram(side flow.Side, b []byte) {
	u := w.sess.udp
	if u == nil {
		u = &udpSession{}
		w.sess.udp = u
	}
	if u.off || w.sess.closed {
		return
	}
	if u.parser == nil && !w.probeDatagram(u, side, b) {
		return
	}
	w.cur.FixSides()
	w.ctx.Side = side
	w.parseDatagram(u.parser, side, b)
	w.schedule(u.parser)
	w.obeyDatagram(u, side)
}

// datagramCut notes that a datagram of the flow in hand was not captured whole, unless
// nobody wanted it.
func (w *worker[K]) datagramCut() {
	if u := w.sess.udp; !w.sess.closed && (u == nil || !u.off) {
		w.sess.lost |= flow.LostSnaplen
	}
}

// carried hands on what a packet of the flow in hand carries that came in the fragments
// of a tunnel.
func (w *worker[K]) carried(side flow.Side, p *packet.Packet, frame []byte) {
	switch {
	case w.in.Seg != nil:
		w.segment(side, w.in.Seg)
	case p.Proto.L4() == flow.L4UDP:
		w.datagram(side, p.Payload(frame))
	}
}

// probeDatagram looks for the parser that knows b, those named by the ports first.
func (w *worker[K]) probeDatagram(u *udpSession, side flow.Side, b []byte) bool {
	hint := w.chooser.hint(w.ctx.Key)
	for _, hinted := range [2]bool{true, false} {
		for i := range w.chooser.protocols {
			p := &w.chooser.protocols[i]
			if p.NewDatagram != nil && (hint&(1<<i) != 0) == hinted && isDatagram(p, b, hinted) {
				u.proto, u.parser = p, p.NewDatagram(w.ctx.Key)
				return true
			}
		}
	}
	if len(b) > 0 {
		u.tries[side]++
		u.off = u.tries[side] >= maxTries
	}
	return false
}

// isDatagram asks one protocol about b. An empty datagram tells nothing.
func isDatagram(p *parsers.Protocol, b []byte, hinted bool) bool {
	if p.ProbeDatagram == nil {
		return hinted || len(p.Ports) == 0
	}
	return len(b) > 0 && p.ProbeDatagram(b, hinted)
}

func (w *worker[K]) obeyDatagram(u *udpSession, side flow.Side) {
	switch v, reason, _ := w.ctx.TakeVerdict(); v {
	case parsers.Finished, parsers.HandOver:
		u.off = true
	case parsers.Poisoned:
		u.off, u.parser = true, nil
		w.poisoned(u.proto, side, reason)
	}
}

// onMessage takes what a parser emits.
func (w *worker[K]) onMessage(side flow.Side, ts flow.Timestamp, m parsers.Message) {
	w.sum.Messages[m.Parser()]++
	w.tell.message(side, m)
	w.event = SessionEvent[K]{Kind: Message, Time: ts, Side: side, Message: m}
	w.handling = true
	w.send()
	w.handling = false
}

// onPoison takes a parser's word that it cannot go on. A gap is a loss, not an error.
func (w *worker[K]) onPoison(p *parsers.Protocol, side flow.Side, reason string) {
	if reason == reasonGap {
		return
	}
	w.tell.poisoned(p.Name)
	w.odd.add(&flow.Anomaly{Kind: flow.AnomalyParseError, Side: side, Reason: reason, Parser: p.Name})
	if w.opt.PoisonEndsFlow && !w.sess.closed {
		w.table.CloseFlow(w.cur, flow.EndParseError)
	}
}

// send completes w.event with the flow in hand and hands it out.
func (w *worker[K]) send() {
	if w.opt.Handler == nil {
		return
	}
	e := &w.event
	if e.Time == 0 {
		e.Time = w.ctx.Time
	}
	if w.cur != nil {
		e.Key, e.ID = w.cur.Key, w.cur.ID()
	}
	w.opt.Handler(e)
}

// flushAnomalies hands out what was odd about the packet in hand.
func (w *worker[K]) flushAnomalies() {
	for i := range w.odd {
		w.anomaly(&w.odd[i])
	}
	w.odd = w.odd[:0]
}

func (w *worker[K]) anomaly(a *flow.Anomaly) {
	w.sum.Anomalies[a.Kind]++
	w.tell.anomaly(a.Kind)
	if w.opt.Anomalies {
		w.event = SessionEvent[K]{Kind: Anomaly, Anomaly: a}
		w.send()
	}
}

// closeStreams flushes the streams and finishes the parsers of the flow in hand, once.
func (w *worker[K]) closeStreams(reason flow.EndReason) {
	s := w.sess
	if s.closed {
		return
	}
	s.closed = true
	if w.closing != nil {
		w.closing(w.cur)
	}
	if s.tcp != nil {
		s.tcp.asm.Close(w.shared, reason, w.ctx.Time, w)
	}
	if s.udp != nil && s.udp.parser != nil {
		if e, ok := s.udp.parser.(parsers.Ender); ok {
			w.end(e)
			w.obeyDatagram(s.udp, w.ctx.Side)
		}
	}
}
