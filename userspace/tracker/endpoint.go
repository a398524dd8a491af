package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// An endpoint is the state of one side that Zeek's conn_state is derived from, in
// the low four bits, and the one before it in the high four.
type endpoint uint8

const (
	inactive endpoint = iota
	partial
	synSent
	established
	closed
	reset
)

func (e endpoint) now() endpoint  { return e & 15 }
func (e endpoint) prev() endpoint { return e >> 4 }

// absent reports whether nothing, or nothing that counts, came from the side.
func (e endpoint) absent() bool { return e.now() <= partial }

// to returns e moved to s.
func (e endpoint) to(s endpoint) endpoint {
	if e.now() == s {
		return e
	}
	return e.now()<<4 | s
}

// up reports whether the side is established, or closed after having been.
func (e endpoint) up() bool {
	return e.now() == established || e.now() == closed && e.prev() == established
}

// moveEndpoints applies a segment to both endpoints (SEMANTICS.md §3.7).
func (c *Conn) moveEndpoints(side flow.Side, s *flow.Segment) {
	me, peer := &c.end[side].point, &c.end[side.Other()].point
	syn, fin, rst := s.Flags&flow.SYN != 0, s.Flags&flow.FIN != 0, s.Flags&flow.RST != 0
	switch me.now() {
	case inactive:
		c.wake(side, s)
	case synSent:
		if fin {
			*me = me.to(closed)
		} else if rst {
			*me = me.to(reset)
		}
	case established, partial:
		switch {
		case rst:
			*me = me.to(reset)
		case fin:
			*me = me.to(closed)
			if peer.now() == reset && peer.prev() == closed {
				*peer = peer.to(closed)
			}
		case me.now() == partial && syn && s.Flags&flow.ACK == 0 && peer.now() == inactive:
			*me = me.to(synSent)
		}
	case closed:
		if rst && peer.now() != closed {
			*me = me.to(reset)
		}
	}
}

// wake applies the first segment of a side that changes its endpoint.
func (c *Conn) wake(side flow.Side, s *flow.Segment) {
	me, peer := &c.end[side].point, &c.end[side.Other()].point
	switch {
	case s.Flags&flow.SYN != 0 && side == flow.Initiator:
		*me = me.to(synSent)
	case s.Flags&flow.SYN != 0:
		*me = me.to(established)
		if peer.now() == synSent {
			*peer = peer.to(established)
		}
	case s.Flags&flow.FIN != 0:
		*me = me.to(closed)
	case s.Flags&flow.RST != 0:
		*me = me.to(reset)
	case side == flow.Responder && s.Len == 0 && peer.now() == synSent:
	case s.Flags&flow.ACK != 0 && peer.now() == established:
		*me = me.to(established)
	default:
		*me = me.to(partial)
	}
}

// ConnState returns Zeek's conn_state. Payload says whether either side sent any.
func (c *Conn) ConnState(payload bool) string {
	o, r := c.end[flow.Initiator].point, c.end[flow.Responder].point
	switch {
	case r.now() == reset:
		return refused(o, r, payload)
	case o.now() == reset && r.absent():
		if c.abandoned() {
			return "RSTOS0"
		}
		return "OTH"
	case o.now() == reset:
		return "RSTO"
	case o.now() == closed && r.now() == closed:
		return "SF"
	case o.now() == closed && r.absent():
		return "SH"
	case o.now() == closed:
		return "S2"
	case r.now() == closed && o.absent():
		return "SHR"
	case r.now() == closed:
		return "S3"
	case o.now() == synSent && r.now() == inactive:
		return "S0"
	case o.now() == established && r.now() == established:
		return "S1"
	}
	return "OTH"
}

// refused is the conn_state when the responder reset.
func refused(o, r endpoint, payload bool) string {
	switch {
	case o.now() == synSent, o.now() == reset && !payload:
		return "REJ"
	case o.absent():
		return "RSTRH"
	}
	return "RSTR"
}

// abandoned reports whether the history says that the initiator sent a SYN, nothing
// of weight, and a reset.
func (c *Conn) abandoned() bool {
	var buf [maxHistory]byte
	for i, b := range c.appendHistory(buf[:0], false) {
		switch {
		case i == 0 && b != 'S':
			return false
		case b == 'R':
			return true
		case b == 'H', b == 'A', b == 'F', b == 'G', b == 'I', b == 'Q':
			return false
		}
	}
	return false
}
