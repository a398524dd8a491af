package tracker

import (
	"math/bits"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Conn follows one TCP flow: its state, both histories, Zeek's endpoint states,
// and what headers alone tell of its quality. The zero value is a flow of which
// nothing has been seen.
//
// It sees headers only. It allocates once, with the first segment.
type Conn struct {
	end     [2]end // by side
	history history
	d       *details
	state   flow.State
	flags   connFlags
}

type connFlags uint8

const (
	everEstablished connFlags = 1 << iota
	frozen                    // closed for good: no more state changes
	lastFINResponder
	doubtful     // a reset waits to be confirmed or revoked
	reusePending // a SYN waits for its answer
	relabelled   // the flow label changed
)

// end is what is known of one side.
type end struct {
	// max is the highest sequence number sent, +1, SYN and FIN included. It
	// stands still once the side sent a FIN, so that the FIN's own number is
	// max-1.
	max    flow.Seq
	ack    flow.Seq // highest sent
	isn    flow.Seq
	window uint16 // newest, as sent
	had    uint16 // letters, by bit
	known  knowledge
	point  endpoint
	scale  uint8 // of window
	flags  flow.TCPFlags
}

type knowledge uint8

const (
	hasMax knowledge = 1 << iota // any segment was seen: also window
	hasISN
	hasACK
	hasScale
	sentFIN
	timing // a segment is being timed
	spoke  // ACK or payload was seen
	signed // MD5 or TCP-AO option
)

func (e *end) has(k knowledge) bool { return e.known&k != 0 }

// earned reports whether l is in the history of this side.
func (e *end) earned(l letter) bool { return e.had>>l&1 != 0 }

// first reports whether l is new, and notes that it is not any more.
func (e *end) first(l letter) bool {
	was := e.earned(l)
	e.had |= 1 << l
	return !was
}

// span is the window in bytes. It reports false if its scale is not known.
func (e *end) span() (uint32, bool) {
	return uint32(e.window) << e.scale, e.has(hasMax) && e.has(hasScale)
}

// Notes are what was odd about a segment.
type Notes uint8

// The notes.
const (
	RSTSuspected       Notes = 1 << iota // in the window, not at its edge: wait and see
	RSTRevoked                           // a suspected reset was none: its receiver lives
	RSTIgnored                           // outside the window
	FINConflict                          // at another place than the side's first FIN
	SYNInEstablished                     // not a retransmission
	EnteredEstablished                   // for the first time, perhaps on the way to To
)

// A Change says what a segment did.
type Change struct {
	From, To flow.State
	Notes    Notes
	Side     flow.Side // of the reset that was suspected or revoked; else the sender
	Seq      flow.Seq  // of the reset, FIN or SYN noted
	Expected flow.Seq  // of a suspected reset
}

// State returns the state of the flow.
func (c *Conn) State() flow.State { return c.state }

// History returns Zeek's history. Turned says that the initiator is not who sent
// the first packet; it puts ^ in front.
func (c *Conn) History(turned bool) string {
	var buf [maxHistory + 1]byte
	return string(c.appendHistory(buf[:0], turned))
}

// Events returns flowscope's own history.
func (c *Conn) Events() string {
	var buf [maxEvents]byte
	if c.d == nil {
		return string(c.plainEvents().append(buf[:0]))
	}
	return string(c.d.events.append(buf[:0]))
}

// Step takes the next segment, sent by side, in order of arrival.
func (c *Conn) Step(side flow.Side, s *flow.Segment) Change {
	c.details()
	return c.step(side, s)
}

// details returns the details, which it makes if need be.
func (c *Conn) details() *details {
	if c.d == nil {
		c.attach(new(details))
	}
	return c.d
}

// attach gives c its details, zeroed ones.
func (c *Conn) attach(d *details) {
	d.events = c.plainEvents()
	c.d = d
	for side := range c.end {
		if e := &c.end[side]; e.earned(letterS) {
			d.side[side].lasts[0], d.side[side].latest = e.isn, e.isn
		}
	}
}

// plainEvents are those of a flow without details: a SYN at most.
func (c *Conn) plainEvents() (e events) {
	for side := range c.end {
		if c.end[side].earned(letterS) {
			e = e.with(flow.Side(side), flow.SYN, false)
		}
	}
	return e
}

// last returns the sequence number of the latest segment of a side that sent any: without
// details that was its SYN.
func (c *Conn) last(side flow.Side) flow.Seq {
	if c.d == nil {
		return c.end[side].isn
	}
	return c.d.side[side].latest
}

// plainSYN reports whether s, as the first segment of a flow, needs no details.
func plainSYN(s *flow.Segment) bool {
	return s.Flags&(flow.SYN|flow.ACK|flow.FIN|flow.RST) == flow.SYN && s.Window != 0 && s.Len == 0
}

// step is Step for a Conn that has its details, or for a first, plain SYN.
func (c *Conn) step(side flow.Side, s *flow.Segment) Change {
	plain := s.Flags&controls == 0
	c.record(side, s)
	if !plain || c.end[side].point.now() == inactive {
		c.moveEndpoints(side, s)
	}
	if c.d != nil {
		c.measure(side, s)
	}
	ch := Change{From: c.state, To: c.state, Side: side, Seq: s.Seq}
	var k Facts
	if !plain || c.opening() {
		k = c.judge(side, s, &ch)
	}
	c.learn(side, s, k)
	if c.flags&frozen != 0 {
		ch.Notes = 0
		return ch
	}
	if c.flags&doubtful != 0 {
		c.watch(side, s, &ch)
	}
	if !plain || c.state != flow.StateEstablished {
		c.move(side, s.Flags, k|c.facts(), &ch)
	}
	return ch
}

// controls are the flags that make a segment more than data and ACK. Those without
// take the short way through step: they move no endpoint but one that was inactive,
// and leave established as it is.
const controls = flow.SYN | flow.FIN | flow.RST

// move makes the transition.
func (c *Conn) move(side flow.Side, f flow.TCPFlags, k Facts, ch *Change) {
	c.state = Transition(ch.From, side, f, k)
	ch.To = c.state
	if c.flags&everEstablished != 0 || ch.From == ch.To {
		return
	}
	if f&flow.RST == 0 && opening(ch.From, side, f, k) == flow.StateEstablished {
		c.flags |= everEstablished
		ch.Notes |= EnteredEstablished
	}
}

// freeze stops state changes for good.
func (c *Conn) freeze() {
	c.flags = c.flags&^(doubtful|reusePending) | frozen
}

// record writes the histories.
func (c *Conn) record(side flow.Side, s *flow.Segment) {
	e := &c.end[side]
	e.flags |= s.Flags
	if c.d != nil && (s.Len > 0 || s.Flags&controls != 0) {
		c.d.events = c.d.events.with(side, s.Flags, s.Len > 0)
	}
	switch {
	case s.Flags&controls != 0:
		c.recordControl(side, s)
	case s.Len > 0:
		c.once(side, letterD)
	case s.Flags&flow.ACK != 0:
		c.once(side, letterA)
	}
	if s.Window == 0 && s.Flags&flow.RST == 0 && !c.end[side.Other()].has(sentFIN) && e.point.now() != reset {
		c.often(side, letterW)
	}
	if s.Len > 0 && e.has(hasMax) && (s.Seq + flow.Seq(s.SeqLen())).LessEq(e.max) {
		c.often(side, letterT)
	}
}

// recordControl writes the letter of a segment with SYN, FIN or RST.
func (c *Conn) recordControl(side flow.Side, s *flow.Segment) {
	switch f := s.Flags & controls; {
	case f.Has(flow.FIN | flow.RST):
		c.once(side, letterI)
	case bits.OnesCount8(uint8(f)) > 1:
		c.once(side, letterQ)
	case f == flow.SYN && s.Flags&flow.ACK != 0:
		c.again(side, letterH, s.Seq)
	case f == flow.SYN:
		c.again(side, letterS, s.Seq)
	case f == flow.FIN:
		c.again(side, letterF, s.Seq+flow.Seq(s.Len))
	default:
		c.again(side, letterR, s.Seq)
	}
}

// judge says what is true of the segment in the light of those before it.
func (c *Conn) judge(side flow.Side, s *flow.Segment, ch *Change) (k Facts) {
	if s.Flags&flow.RST != 0 {
		return c.judgeRST(side, s, ch)
	}
	if s.Flags&flow.ACK != 0 && c.acksSYN(side.Other(), s.Ack, s.Flags) {
		k |= AcksSYN
	}
	switch {
	case s.Flags&flow.SYN != 0:
		c.judgeSYN(side, s, ch)
	case s.Flags&flow.FIN != 0:
		if c.judgeFIN(side, s, ch) {
			k |= FirstFIN
		}
	}
	return k
}

// judgeSYN notes a SYN that does not belong where it came.
func (c *Conn) judgeSYN(side flow.Side, s *flow.Segment, ch *Change) {
	if c.opening() || c.isISN(side, s.Seq) {
		return
	}
	ch.Notes |= SYNInEstablished
	if s.Flags&flow.ACK == 0 && c.d != nil && !c.inWindow(side, s.Seq, 1<<16) {
		c.d.reuseSeq = s.Seq
		c.flags |= reusePending
		c.d.put(reuseResponder, side == flow.Responder)
	}
}

// opening reports whether SYNs still matter.
func (c *Conn) opening() bool { return c.state <= flow.StateSYNReceived }

// judgeFIN reports whether s carries the side's first FIN. One at another place
// later is noted; one in what the peer has acknowledged already is nobody's. A window
// does not bound it: behind a large loss the FIN is all that tells of the end.
func (c *Conn) judgeFIN(side flow.Side, s *flow.Segment, ch *Change) bool {
	me, peer := &c.end[side], &c.end[side.Other()]
	after := s.Seq + flow.Seq(s.Len) + 1
	if me.has(sentFIN) {
		if after != me.max {
			ch.Notes |= FINConflict
			ch.Seq = after - 1
		}
		return false
	}
	return !(peer.has(hasACK) && after.Less(peer.ack))
}

// plausible reports whether seq, sent by side, is not absurdly far ahead: beyond
// twice the peer's window (64 KiB at least) from where the side or the peer's ACK
// stands. Where the window is not known, anything goes.
func (c *Conn) plausible(side flow.Side, seq flow.Seq) bool {
	me, peer := &c.end[side], &c.end[side.Other()]
	w, ok := peer.span()
	if !ok || !peer.has(hasACK) {
		return true
	}
	limit := flow.Seq(2 * max(w, 1<<16))
	return seq.LessEq(peer.ack+limit) || me.has(hasMax) && seq.LessEq(me.max+limit)
}

// expected is the next sequence number that the receiver of side's segments waits
// for, as far as anybody knows.
func (c *Conn) expected(side flow.Side) (flow.Seq, bool) {
	me, peer := &c.end[side], &c.end[side.Other()]
	if peer.has(hasACK) {
		return peer.ack, true
	}
	return me.max, me.has(hasMax)
}

// inWindow reports whether seq lies in the window of side's peer; unknown is the
// size taken for one whose scale is not known.
func (c *Conn) inWindow(side flow.Side, seq flow.Seq, unknown uint32) bool {
	next, ok := c.expected(side)
	if !ok {
		return true
	}
	w, ok := c.end[side.Other()].span()
	if !ok {
		w = unknown
	}
	return uint32(seq-next) < w
}

// judgeRST tells acceptable resets, those to wait about, and others apart.
func (c *Conn) judgeRST(side flow.Side, s *flow.Segment, ch *Change) Facts {
	me, peer := &c.end[side], &c.end[side.Other()]
	virgin := !me.has(hasMax) && !peer.has(hasMax)
	unsigned := me.has(signed) && s.Options&flow.OptSignature == 0
	exact := peer.has(hasACK) && s.Seq == peer.ack ||
		me.has(hasMax) && (s.Seq == me.max || s.Seq == c.last(side))
	if c.state == flow.StateSYNSent && side == flow.Responder {
		exact = s.Flags&flow.ACK != 0 && c.acksSYN(flow.Initiator, s.Ack, s.Flags)
	}
	switch {
	case virgin, exact && !unsigned:
		return ValidRST
	case exact, c.state != flow.StateSYNSent && c.inWindow(side, s.Seq, 1<<30):
		c.suspect(side, s, ch)
	default:
		ch.Notes |= RSTIgnored
	}
	return 0
}

// suspect notes a reset that has to be waited about. The first one rules.
func (c *Conn) suspect(side flow.Side, s *flow.Segment, ch *Change) {
	d := c.d
	ch.Notes |= RSTSuspected
	ch.Expected, _ = c.expected(side)
	if d == nil || c.flags&(doubtful|frozen) != 0 {
		return
	}
	c.flags |= doubtful
	d.put(suspectResponder, side == flow.Responder)
	d.suspectEnd = s.Time.Add(suspectWait)
	d.suspectSeq, d.suspectNext = s.Seq, ch.Expected
	d.suspectAck = c.end[side.Other()].ack
}

// watch looks for a sign of life from the receiver of a suspected reset.
func (c *Conn) watch(side flow.Side, s *flow.Segment, ch *Change) {
	d := c.d
	if d.has(suspectResponder) == (side == flow.Responder) || s.Flags&flow.RST != 0 {
		return
	}
	if s.Len == 0 && (s.Flags&flow.ACK == 0 || s.Ack.LessEq(d.suspectAck)) {
		return
	}
	c.flags &^= doubtful
	ch.Notes |= RSTRevoked
	ch.Side, ch.Seq, ch.Expected = side.Other(), d.suspectSeq, d.suspectNext
}

// confirmReset makes a suspected reset one.
func (c *Conn) confirmReset() Change {
	ch := Change{From: c.state, To: flow.StateReset}
	c.flags &^= doubtful
	c.state = flow.StateReset
	return ch
}

// facts are those that follow from all that has been learnt.
func (c *Conn) facts() (k Facts) {
	i, r := &c.end[flow.Initiator], &c.end[flow.Responder]
	if i.known&r.known&spoke != 0 {
		k |= BothSpoke
	}
	if i.known&r.known&sentFIN != 0 {
		from, by := i, r
		if c.flags&lastFINResponder != 0 {
			from, by = r, i
		}
		if by.has(hasACK) && from.max.LessEq(by.ack) {
			k |= LastFINAcked
		}
	}
	return k
}

// learn takes over what a segment says of its sender, unless no stack would.
func (c *Conn) learn(side flow.Side, s *flow.Segment, k Facts) {
	me, peer := &c.end[side], &c.end[side.Other()]
	switch {
	case s.Flags&flow.RST != 0:
		return
	case s.Flags&flow.SYN != 0:
		if !c.opening() || c.flags&frozen != 0 {
			return
		}
		c.learnSYN(side, s)
	case k&FirstFIN == 0 && !c.plausible(side, s.Seq):
		return
	default:
		c.learnMax(side, s, k)
	}
	if c.d != nil {
		c.d.side[side].latest = s.Seq
	}
	me.window = s.Window
	me.known |= hasMax
	if s.Flags&flow.ACK != 0 {
		if k&AcksSYN != 0 {
			c.choose(side.Other(), s.Ack)
		}
		me.learnACK(s.Ack, peer)
	}
	if s.Flags&flow.ACK != 0 || s.Len > 0 {
		me.known |= spoke
	}
	if s.Options&flow.OptSignature != 0 {
		me.known |= signed
	}
}

// learnACK takes an ACK number that is news and can be trusted.
func (e *end) learnACK(ack flow.Seq, peer *end) {
	if e.has(hasACK) && ack.LessEq(e.ack) {
		return
	}
	if ack == 0 && peer.has(hasMax) && uint32(ack-peer.max)+1<<30 > 1<<31 {
		return
	}
	e.ack = ack
	e.known |= hasACK
}

// learnMax moves the side's highest sequence number, and its FIN's.
func (c *Conn) learnMax(side flow.Side, s *flow.Segment, k Facts) {
	me := &c.end[side]
	if me.has(sentFIN) {
		return
	}
	stop := s.Seq + flow.Seq(s.SeqLen())
	if k&FirstFIN != 0 {
		me.known |= sentFIN
		c.flags &^= lastFINResponder
		if side == flow.Responder {
			c.flags |= lastFINResponder
		}
	} else if s.Flags&flow.FIN != 0 {
		return
	}
	if k&FirstFIN != 0 || !me.has(hasMax) || me.max.Less(stop) {
		me.max = stop
	}
}

// learnSYN takes the initial sequence number and the window scale of a SYN.
func (c *Conn) learnSYN(side flow.Side, s *flow.Segment) {
	me := &c.end[side]
	stop := s.Seq + flow.Seq(s.Len) + 1
	switch {
	case !me.has(hasISN):
		me.isn = s.Seq
		me.known |= hasISN
		if !me.has(hasMax) || me.max.Less(stop) || stop.Less(me.max-1<<30) {
			me.max = stop
		}
	case s.Seq == me.isn:
		if me.max.Less(stop) {
			me.max = stop
		}
	default:
		c.addISN(side, s.Seq)
	}
	c.learnScale(side, s)
}

// learnScale takes the window scale: it holds if both sides name one, and is 0 if
// either does not (RFC 7323 §2.2). The initiator's is provisional until then.
func (c *Conn) learnScale(side flow.Side, s *flow.Segment) {
	me, peer := &c.end[side], &c.end[side.Other()]
	me.known |= hasScale
	me.scale = 0
	if s.Options&flow.OptWScale != 0 {
		me.scale = min(s.WScale, 14)
		return
	}
	if s.Flags&flow.ACK != 0 {
		peer.scale = 0
	}
}

func (c *Conn) addISN(side flow.Side, seq flow.Seq) {
	d := &c.details().side[side]
	if int(d.nISNs) < len(d.isns) && !c.isISN(side, seq) {
		d.isns[d.nISNs] = seq
		d.nISNs++
	}
}

// isISN reports whether a SYN of side had this sequence number.
func (c *Conn) isISN(side flow.Side, seq flow.Seq) bool {
	if !c.end[side].has(hasISN) {
		return false
	}
	if c.end[side].isn == seq {
		return true
	}
	for _, isn := range c.otherISNs(side) {
		if isn == seq {
			return true
		}
	}
	return false
}

func (c *Conn) otherISNs(side flow.Side) []flow.Seq {
	if c.d == nil {
		return nil
	}
	d := &c.d.side[side]
	return d.isns[:d.nISNs]
}

// acksSYN reports whether ack, sent by side's peer with flags f, acknowledges a SYN
// of side. A SYN+ACK has to name it, or the data sent with it, exactly; later ACKs
// may be past it.
func (c *Conn) acksSYN(side flow.Side, ack flow.Seq, f flow.TCPFlags) bool {
	me := &c.end[side]
	if !me.has(hasISN) || !c.opening() {
		return false
	}
	for _, isn := range c.otherISNs(side) {
		if ack == isn+1 {
			return true
		}
	}
	if f&(flow.SYN|flow.RST) != 0 {
		return me.isn.Less(ack) && ack.LessEq(me.max)
	}
	return me.isn.Less(ack)
}

// choose settles which initial sequence number of side holds: the one that ack
// follows most closely.
func (c *Conn) choose(side flow.Side, ack flow.Seq) {
	me := &c.end[side]
	best := me.isn
	for _, isn := range c.otherISNs(side) {
		if uint32(ack-isn-1) < uint32(ack-best-1) {
			best = isn
		}
	}
	if best != me.isn {
		me.isn, me.max = best, best+1
	}
}

// ReusedBy reports whether s, sent by side, begins another flow on the same tuple
// (SEMANTICS.md §3.6): on a closed flow a SYN with a new sequence number, on a live
// one the SYN+ACK that answers a SYN outside the window.
func (c *Conn) ReusedBy(side flow.Side, s *flow.Segment) bool {
	const kinds = flow.SYN | flow.ACK | flow.RST
	if c.flags&frozen != 0 || c.state.Terminal() {
		return s.Flags&kinds == flow.SYN && !c.isISN(side, s.Seq)
	}
	return c.flags&reusePending != 0 && s.Flags&kinds == flow.SYN|flow.ACK &&
		c.d.has(reuseResponder) != (side == flow.Responder) && s.Ack == c.d.reuseSeq+1
}

// swap exchanges the sides.
func (c *Conn) swap() {
	c.end[0], c.end[1] = c.end[1], c.end[0]
	c.history = c.history.swapped()
	c.flags ^= lastFINResponder
	if c.d != nil {
		c.d.swap()
	}
}

// Handshake returns SYN+ACK to ACK (initiator) and SYN to SYN+ACK (responder), -1
// where it is not known, or a SYN was sent again before the flow was established.
func (c *Conn) Handshake() (t [2]time.Duration) {
	t = [2]time.Duration{-1, -1}
	if c.d == nil {
		return t
	}
	for side := range t {
		if c.d.has(hasHandshake << side) {
			t[side] = c.d.handshake[side]
		}
	}
	return t
}
