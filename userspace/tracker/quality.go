package tracker

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// rearm is the least time between two segments that are timed.
const rearm = 10 * time.Millisecond

// measure counts what the header alone tells (SEMANTICS.md §5.3, §5.8). It comes
// before learn: c holds what was known before s.
func (c *Conn) measure(side flow.Side, s *flow.Segment) {
	me, d := &c.end[side], &c.d.side[side]
	c.timeHandshake(side, s)
	if s.Flags&flow.RST != 0 {
		return
	}
	if s.Window == 0 && me.has(hasMax) && me.window != 0 {
		d.zeroWindows++
	}
	if s.Flags&(flow.SYN|flow.FIN) == 0 && me.has(hasMax) {
		switch {
		case c.isKeepalive(side, s):
			d.keepalives++
		case c.isProbe(side, s):
			d.probes++
		case c.isDuplicateACK(side, s):
			d.duplicateACKs++
		}
	}
	c.timeSegment(side, s)
}

// isKeepalive reports whether s is a keepalive probe: at most one byte, just below
// what the peer has acknowledged (RFC 9293 §3.8.4).
func (c *Conn) isKeepalive(side flow.Side, s *flow.Segment) bool {
	me, peer := &c.end[side], &c.end[side.Other()]
	return s.Len <= 1 && s.Seq == me.max-1 && peer.has(hasACK) && me.max.LessEq(peer.ack)
}

// isProbe reports whether s probes a zero window: one byte at the edge, or the same
// byte again.
func (c *Conn) isProbe(side flow.Side, s *flow.Segment) bool {
	me, peer := &c.end[side], &c.end[side.Other()]
	return s.Len == 1 && peer.has(hasMax) && peer.window == 0 && peer.has(hasACK) &&
		s.Seq == peer.ack && (s.Seq == me.max || s.Seq == me.max-1)
}

// isDuplicateACK reports whether s is one by RFC 5681 §2: nothing but the highest
// ACK again, with the same window, while the peer has data under way.
func (c *Conn) isDuplicateACK(side flow.Side, s *flow.Segment) bool {
	me, peer := &c.end[side], &c.end[side.Other()]
	return s.Len == 0 && s.Flags&flow.ACK != 0 && me.has(hasACK) && s.Ack == me.ack &&
		s.Window == me.window && peer.has(hasMax) && s.Ack.Less(peer.max)
}

// timeSegment takes and starts round-trip samples: one segment at a time, none that
// was sent again (Karn; RFC 6298 §3).
func (c *Conn) timeSegment(side flow.Side, s *flow.Segment) {
	peer := &c.end[side.Other()]
	if s.Flags&flow.ACK != 0 && peer.has(timing) {
		if d := &c.d.side[side.Other()]; d.armed.LessEq(s.Ack) {
			d.rtt.Take(s.Time.SaturatingSub(d.armedAt))
			peer.known &^= timing
		}
	}
	if s.Len > 0 && s.Flags&flow.SYN == 0 {
		c.armTimer(side, s)
	}
}

// armTimer starts timing s, or stops timing if s was sent before.
func (c *Conn) armTimer(side flow.Side, s *flow.Segment) {
	me, d := &c.end[side], &c.d.side[side]
	if me.has(hasMax) && s.Seq.Less(me.max) {
		me.known &^= timing
		return
	}
	if me.has(timing) || me.has(sentFIN) || !c.plausible(side, s.Seq) {
		return
	}
	if d.timed && s.Time.SaturatingSub(d.armedAt) < rearm {
		return
	}
	d.timed, d.armedAt = true, s.Time
	d.armed = s.Seq + flow.Seq(s.Len)
	me.known |= timing
}

// timeHandshake measures between SYN, SYN+ACK and the ACK that ends the handshake.
func (c *Conn) timeHandshake(side flow.Side, s *flow.Segment) {
	d := c.d
	switch {
	case !c.opening() || s.Flags&flow.RST != 0:
	case s.Flags&flow.SYN != 0 && d.has(hasSYN<<side):
		d.flags |= resentSYN
		d.flags &^= hasHandshake | hasHandshake2
	case s.Flags&flow.SYN != 0:
		d.synAt[side] = s.Time
		d.flags |= hasSYN << side
		if side == flow.Responder && s.Flags&flow.ACK != 0 {
			c.setHandshake(flow.Responder, s.Time)
		}
	case c.state == flow.StateSYNReceived && side == flow.Initiator && s.Flags&flow.ACK != 0 && c.acksSYN(flow.Responder, s.Ack, s.Flags):
		c.setHandshake(flow.Initiator, s.Time)
	}
}

// setHandshake measures from the peer's SYN to now.
func (c *Conn) setHandshake(side flow.Side, now flow.Timestamp) {
	d := c.d
	if d.has(resentSYN) || !d.has(hasSYN<<side.Other()) {
		return
	}
	d.handshake[side] = now.SaturatingSub(d.synAt[side.Other()])
	d.flags |= hasHandshake << side
}
