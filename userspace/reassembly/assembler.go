package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// An Assembler puts both streams of one TCP flow in order. Its zero value is ready;
// it is small while nothing is held. Give every call of one flow the same Shared.
type Assembler struct {
	stream [2]stream // indexed by Side
	state  assemblerState
}

type assemblerState uint8

const (
	closed     assemblerState = 1 << iota // Close was called
	overflowed                            // DropFlow gave the flow up
)

// An op is one call into an assembler.
type op struct {
	a    *Assembler
	sh   *Shared
	sink Sink
	now  flow.Timestamp
}

func (o *op) stream(side flow.Side) *stream { return &o.a.stream[side&1] }

// side returns which side x is.
func (o *op) side(x *stream) flow.Side {
	if x == &o.a.stream[flow.Responder] {
		return flow.Responder
	}
	return flow.Initiator
}

func (o *op) more(x *stream) *more {
	if x.more == nil {
		x.more = o.sh.newMore()
	}
	return x.more
}

// Segment takes one TCP packet that side sent. s is only read, and only during the
// call. After Close it does nothing.
func (a *Assembler) Segment(sh *Shared, side flow.Side, s *flow.Segment, sink Sink) {
	if a.state != 0 || a.usual(sh, side, s, sink) {
		return
	}
	o := op{a: a, sh: sh, sink: sink, now: s.Time}
	o.begin()
	o.segment(side, s)
	o.end(side)
}

func (o *op) begin() {
	o.sh.busy = true
}

// end looks at what time and the packet's ACK changed, and reports.
func (o *op) end(first flow.Side) {
	for _, side := range [2]flow.Side{first, first.Other()} {
		o.giveUpDue(side)
		o.discardUnwanted(side)
		o.finish(side)
	}
	o.sh.busy = false
	o.report()
}

// segment takes one packet apart: SYN, ACK, payload, FIN.
func (o *op) segment(side flow.Side, s *flow.Segment) {
	x, y := o.stream(side), o.stream(side.Other())
	x.flags |= seen
	x.countPacket()
	y.countPacket()
	if s.Flags&flow.SYN == 0 {
		o.noteUnseen(x, s.Lost, s.Seq)
	}
	if s.Flags&flow.RST != 0 {
		if s.Len > 0 {
			o.more(x).rstData += int64(s.Len)
		}
		return
	}
	if s.Flags&flow.SYN != 0 {
		o.syn(x, s)
	}
	y.acked(x, s)
	o.chooseByACK(side.Other(), s)
	o.payload(side, s)
}

// payload takes the payload and the FIN of s to their place, unless s is refused.
func (o *op) payload(side flow.Side, s *flow.Segment) {
	x, seq := o.stream(side), s.Seq
	if s.Flags&flow.SYN != 0 {
		if seq++; x.offset(seq) != 0 {
			o.refuse(x, s)
			return
		}
	} else if s.Len > 0 {
		o.chooseByData(side, s)
	}
	if !x.has(known) {
		o.noteFIN(x, s)
		return
	}
	off := x.offset(seq)
	if o.refused(x, o.stream(side.Other()), s, off) {
		return
	}
	o.noteFIN(x, s)
	if s.Options&flow.OptTimestamps != 0 && s.TSVal != 0 && off <= x.next {
		x.stamp(s)
	}
	if s.Flags&flow.URG != 0 && o.sh.opt.Urgent == UrgentOOB {
		o.noteUrgent(x, s, off)
	}
	if s.Len > 0 {
		o.place(side, s, off)
	}
}

// noteFIN remembers the first FIN of a side. What is held beyond it goes, as a
// receiver that reaches it drops that too.
func (o *op) noteFIN(x *stream, s *flow.Segment) {
	if s.Flags&(flow.FIN|flow.SYN) != flow.FIN || x.any(finSeen|ended) {
		return
	}
	pos := s.Seq + flow.Seq(s.Len)
	if !x.has(known) {
		x.fin = int64(pos)
		x.flags |= finSeen
		return
	}
	f := x.offset(pos)
	if f < x.next {
		return // before bytes that were delivered
	}
	x.fin = f
	x.flags |= finSeen
	if n := o.cutHeld(x, f); n > 0 {
		o.more(x).dropped += int64(n)
	}
}

// finish ends the stream of side when everything before its FIN is through.
func (o *op) finish(side flow.Side) {
	x := o.stream(side)
	if !x.has(known|finSeen) || x.has(ended) {
		return
	}
	if x.next >= x.fin {
		o.endSide(side, flow.EndFIN)
	}
}

func (o *op) endSide(side flow.Side, reason flow.EndReason) {
	x := o.stream(side)
	if !x.has(ended) {
		x.flags |= ended
		o.sink.End(side, reason)
	}
}

// Close ends the flow for reason at packet time ts: what is held comes out in order
// with gaps between, then End for each side that had none. Further calls do
// nothing, but for Stats.
func (a *Assembler) Close(sh *Shared, reason flow.EndReason, ts flow.Timestamp, sink Sink) {
	if a.state&closed != 0 {
		return
	}
	o := op{a: a, sh: sh, sink: sink, now: ts}
	o.begin()
	sides := [2]flow.Side{flow.Initiator, flow.Responder}
	for _, side := range sides {
		o.flush(side)
	}
	for _, side := range sides {
		o.endSide(side, o.endReason(side, reason))
	}
	a.state |= closed
	sh.busy = false
	o.reportRest()
	o.report()
}

// endReason is the reason a side ends for when the flow closes: a side whose FIN
// was seen ended by it, unless the flow was cut off.
func (o *op) endReason(side flow.Side, reason flow.EndReason) flow.EndReason {
	orderly := reason == flow.EndFIN || reason == flow.EndIdle || reason == flow.EndOfInput
	if orderly && o.stream(side).has(finSeen) {
		return flow.EndFIN
	}
	return reason
}

// flush gives up every hole of a side, and the one before its FIN.
func (o *op) flush(side flow.Side) {
	x := o.stream(side)
	for x.held != nil {
		o.giveUp(side)
	}
	if !x.has(known | finSeen) {
		o.flushUnseen(side)
		return
	}
	switch hole := x.fin - x.next; {
	case hole <= 0:
	case x.has(skipping):
		x.skip(x.fin)
	case x.has(ended): // by DropFlow
		o.more(x).missed += hole
		x.pass(hole)
	default:
		o.missing(side, hole)
	}
}

// Skip says that payload of neither side is wanted any more: what is held is let
// go, and what comes is only counted, by sequence numbers.
func (a *Assembler) Skip(sh *Shared, sink Sink) {
	a.SkipSide(sh, flow.Initiator, sink)
	a.SkipSide(sh, flow.Responder, sink)
}

// SkipSide is Skip for one side. Called from within a Sink, it takes effect when
// that call returns.
func (a *Assembler) SkipSide(sh *Shared, side flow.Side, sink Sink) {
	a.stream[side&1].flags |= skipping
	if sh.busy || a.state != 0 {
		return
	}
	o := op{a: a, sh: sh, sink: sink}
	o.discardUnwanted(side)
	o.finish(side)
}

// discardUnwanted lets go of held bytes of a side that is skipped.
func (o *op) discardUnwanted(side flow.Side) {
	x := o.stream(side)
	if x.has(skipping) && x.held != nil {
		x.flags &^= synData
		o.freeHeld(x)
		x.skip(x.max)
	}
}

// skip passes over everything up to offset to.
func (x *stream) skip(to int64) {
	if to > x.next {
		x.skipped += to - x.next
		x.next = to
	}
	x.max = max(x.max, x.next)
}

// Skipping reports whether payload of side is not wanted any more.
func (a *Assembler) Skipping(side flow.Side) bool { return a.stream[side&1].has(skipping) }

// Overflowed reports whether the flow was given up because a side held more than
// it may (flow.DropFlow): the caller closes it with flow.EndBufferOverflow.
func (a *Assembler) Overflowed() bool { return a.state&overflowed != 0 }

// Ended reports whether the stream of side is over.
func (a *Assembler) Ended(side flow.Side) bool { return a.stream[side&1].has(ended) }

// FromStart reports whether the stream of side was seen from its SYN on.
func (a *Assembler) FromStart(side flow.Side) bool { return a.stream[side&1].has(synSeen) }

// Swap exchanges the sides, for a flow whose initiator turned out to be the other
// end. Call it before anything was delivered.
func (a *Assembler) Swap() { a.stream[0], a.stream[1] = a.stream[1], a.stream[0] }

// SetPolicy sets the overlap policy for bytes that side sends, in place of the
// default; see [Shared.PolicyFor].
func (a *Assembler) SetPolicy(side flow.Side, p Policy) { a.stream[side&1].policy = uint8(p) + 1 }

// Release gives the counters of the flow back for use by others. Call it last.
func (a *Assembler) Release(sh *Shared) {
	for i := range a.stream {
		x := &a.stream[i]
		if x.held != nil {
			(&op{a: a, sh: sh}).freeHeld(x)
		}
		if x.more != nil {
			sh.freeMore(x.more)
		}
	}
	*a = Assembler{state: closed}
}

// Stats adds the counters of side to st: those of streams and segment classes,
// keepalives and zero-window probes. Once the flow is closed,
// stream + missed + capture-missed + skipped + urgent bytes are the span of the
// stream.
func (a *Assembler) Stats(side flow.Side, st *flow.SideStats) {
	x := &a.stream[side&1]
	st.StreamBytes += uint64(x.delivered())
	st.SkippedBytes += uint64(x.skipped)
	st.ReassemblyHighWatermark = max(st.ReassemblyHighWatermark, uint64(x.peak))
	if m := x.more; m != nil {
		m.addTo(st)
	}
}

func (m *more) addTo(st *flow.SideStats) {
	st.MissedBytes += uint64(m.missed)
	st.CaptureMissedBytes += uint64(m.captureMissed)
	st.UrgentBytes += uint64(m.urgent)
	st.RetransmittedSegments += uint64(m.retransmitted)
	st.RetransmittedBytes += uint64(m.retransmittedBytes)
	st.SpuriousRetransmissions += uint64(m.spurious)
	st.OutOfOrderSegments += uint64(m.outOfOrder)
	st.OutOfWindowSegments += uint64(m.outOfWindow)
	st.ReassemblyDroppedSegments += uint64(m.dropped)
	st.ReassemblyDroppedOversizeBytes += uint64(m.droppedOversize)
	st.OverlapConflictBytes += uint64(m.conflict)
	st.NullFlagSegments += uint64(m.nullFlags)
	st.OldTimestampSegments += uint64(m.oldStamps)
	st.RSTDataBytes += uint64(m.rstData)
	st.Keepalives += uint64(m.keepalives)
	st.ZeroWindowProbes += uint64(m.probes)
}
