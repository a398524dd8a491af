package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// usual takes a segment as step does if it is what nearly all are: data or an ACK where
// the side left off, on an established flow, and nothing about it new. It reports false,
// with nothing changed, for any other.
func (c *Conn) usual(side flow.Side, s *flow.Segment) bool {
	me, peer := &c.end[side&1], &c.end[side&1^1]
	letter := uint16(1 << letterD)
	if s.Len == 0 {
		letter = 1 << letterA
	}
	switch {
	case c.d == nil, c.state != flow.StateEstablished, c.flags&(frozen|doubtful) != 0,
		s.Flags&(controls|flow.ACK) != flow.ACK, s.Window == 0, s.Options&flow.OptSignature != 0,
		me.known&usualKnowledge != hasMax|hasACK|spoke, me.had&letter == 0, me.point.now() == inactive,
		s.Seq != me.max, peer.window == 0:
		return false
	}
	me.flags |= s.Flags
	c.measureUsual(side, s)
	if s.Len > 0 {
		c.d.events = c.d.events.with(side, s.Flags, true)
	}
	me.max = s.Seq + flow.Seq(s.Len)
	me.window, c.d.side[side].latest = s.Window, s.Seq
	me.learnACK(s.Ack, peer)
	return true
}

// usualKnowledge are the facts about a side that usual looks at.
const usualKnowledge = hasMax | hasACK | spoke | sentFIN

// measureUsual is measure for a segment that is usual.
func (c *Conn) measureUsual(side flow.Side, s *flow.Segment) {
	if s.Len == 0 && c.isDuplicateACK(side, s) {
		c.d.side[side].duplicateACKs++
	}
	if s.Len > 0 || c.end[side.Other()].has(timing) {
		c.timeSegment(side, s)
	}
}
