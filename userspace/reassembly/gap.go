package reassembly

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// When a hole is given up before the flow ends (SEMANTICS.md §5.5).
const (
	gracePackets   = 3         // of the flow since the ACK beyond it
	oneSidedBytes  = 256 << 10 // held above it, with nothing seen of the peer
	oneSidedPieces = 64
	oneSidedWait   = time.Second
	stuckWait      = 30 * time.Second
)

// countPacket counts a packet of the flow since the mark.
func (x *stream) countPacket() {
	if x.held != nil && x.held.packets < gracePackets {
		x.held.packets++
	}
}

// giveUpDue gives up the holes of a side that will not fill any more.
func (o *op) giveUpDue(side flow.Side) {
	x := o.stream(side)
	for x.held != nil && !x.any(skipping|synData) {
		o.settle(x)
		if !x.allUnseen() && !o.due(x, o.stream(side.Other()).has(seen)) {
			return
		}
		o.giveUp(side)
	}
}

// due reports whether the hole in front of x is given up now.
func (o *op) due(x *stream, peerSeen bool) bool {
	h := x.held
	waited := o.now.SaturatingSub(h.progress)
	if !peerSeen {
		return h.bytes >= oneSidedBytes || len(h.pieces) >= oneSidedPieces || waited >= oneSidedWait
	}
	return h.settled >= h.pieces[0].from || waited >= stuckWait
}

// settle moves settled to an ACK that was seen a grace ago: at once for the first
// hole, and in steps of one grace while holes follow one another, so that a hole
// is given up between one and two graces after its ACK.
func (o *op) settle(x *stream) {
	h, grace := x.held, o.sh.opt.Grace
	if grace < 0 {
		h.settled = x.ack
		return
	}
	if h.marking && h.packets >= gracePackets && o.now.SaturatingSub(h.markAt) >= grace {
		h.settled, h.marking = h.mark, false
	}
	if !h.marking && x.has(ackSeen) && x.ack > h.settled && x.ack >= h.pieces[0].from {
		h.marking, h.mark, h.markAt, h.packets = true, x.ack, o.now, 0
	}
}

// giveUp passes over the hole in front of a side and delivers what lies behind it.
func (o *op) giveUp(side flow.Side) {
	x := o.stream(side)
	x.flags &^= synData
	if hole := x.held.pieces[0].from - x.next; hole > 0 {
		o.missing(side, hole)
	}
	o.drain(side)
}

// overflow makes room on a side that holds more than it may.
func (o *op) overflow(side flow.Side) {
	x := o.stream(side)
	r := o.sh.report.of(side)
	r.overflowed = true
	if o.sh.opt.Overflow == flow.DropFlow {
		r.overflow += int64(x.held.bytes)
		o.dropFlow(side)
		return
	}
	r.overflow += x.held.pieces[0].from - x.next
	o.giveUp(side)
}

// dropFlow gives the flow up: nothing more of either side is delivered.
func (o *op) dropFlow(side flow.Side) {
	o.a.state |= overflowed
	x := o.stream(side)
	o.more(x).droppedOversize += int64(x.held.bytes)
	for _, s := range [2]flow.Side{side, side.Other()} {
		o.dropHeld(o.stream(s))
		o.endSide(s, flow.EndBufferOverflow)
	}
}

// dropHeld counts what x holds as lost, and the holes between as missed.
func (o *op) dropHeld(x *stream) {
	h := x.held
	if h == nil {
		return
	}
	m := o.more(x)
	m.captureMissed += int64(h.bytes)
	m.missed += x.max - x.next - int64(h.bytes)
	x.flags &^= synData
	o.freeHeld(x)
	x.next = x.max
}

// dropRest counts what of the range r, the segment in hand, came after dropFlow.
func (o *op) dropRest(x *stream, r span) {
	m := o.more(x)
	if hole := r.from - x.next; hole > 0 {
		m.missed += hole
		x.pass(hole)
	}
	if n := r.to - x.next; n > 0 {
		m.captureMissed += n
		m.droppedOversize += n
		o.sh.report.of(o.side(x)).overflow += n
		x.pass(n)
	}
}
