package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// syn notes the SYN in s. As long as nothing of the stream is settled, up to four
// initial sequence numbers are remembered, and the handshake's ACK chooses: a
// forged SYN must not move the stream.
func (o *op) syn(x *stream, s *flow.Segment) {
	base := s.Seq + 1
	switch {
	case !x.has(known):
		x.setBase(base)
	case x.base != base && x.fresh():
		o.candidate(x, base)
		return
	case x.offset(base) != 0:
		return // a SYN inside a stream: the tracker's business
	}
	x.noteSYN(s)
	if s.Len > 0 && x.fresh() {
		x.flags |= synData
	}
}

// noteSYN remembers the options that take effect only if both sides offer them.
func (x *stream) noteSYN(s *flow.Segment) {
	x.flags = x.flags&^(scaleSeen|stampsSeen) | synSeen
	if s.Options&flow.OptWScale != 0 {
		x.flags |= scaleSeen
		x.wscale = min(s.WScale, maxScale)
	}
	if s.Options&flow.OptTimestamps != 0 {
		x.flags |= stampsSeen
	}
}

// candidate remembers one more possible base.
func (o *op) candidate(x *stream, base flow.Seq) {
	m := o.more(x)
	if !x.has(choice) {
		x.flags |= choice
		m.candidates[0], m.candidateN = x.base, 1
	}
	for _, c := range m.candidates[:m.candidateN] {
		if c == base {
			return
		}
	}
	if m.candidateN < maxCandidates {
		m.candidates[m.candidateN] = base
		m.candidateN++
	}
}

// chooseByACK lets the ACK in s, from the peer of side, choose among the initial
// sequence numbers of side, and decide about data that came with its SYN.
func (o *op) chooseByACK(side flow.Side, s *flow.Segment) {
	x := o.stream(side)
	if s.Flags&flow.ACK == 0 || !x.any(choice|synData) {
		return
	}
	if x.has(choice) && x.fresh() {
		o.choose(x, s.Ack)
	}
	if x.has(synData) {
		o.acceptSYNData(side, min(max(x.offset(s.Ack), 0), x.max))
	}
}

// choose makes base the base of x if it is one of its candidates.
func (o *op) choose(x *stream, base flow.Seq) {
	m := x.more
	for _, c := range m.candidates[:m.candidateN] {
		if c == base && c != x.base {
			o.rebase(x, c)
			return
		}
	}
}

// rebase moves a fresh stream to another base; data of the SYN is of no use there.
func (o *op) rebase(x *stream, base flow.Seq) {
	if x.held != nil {
		o.freeHeld(x)
		x.max = x.next
	}
	x.flags &^= synData
	x.setBase(base)
}

// chooseByData settles where the stream starts before its first payload beyond the
// SYN, s, is placed. Without a SYN it starts there. A SYN further away than any
// window reaches was not of this stream.
func (o *op) chooseByData(side flow.Side, s *flow.Segment) {
	x := o.stream(side)
	switch {
	case !x.has(known):
		x.setBase(s.Seq)
	case x.has(choice):
		if x.fresh() && x.base != s.Seq {
			o.choose(x, s.Seq)
		}
		x.flags &^= choice
	}
	if x.has(synData) {
		// The peer's answer was not seen: the sender's next byte tells.
		n := x.max
		if x.offset(s.Seq) < n {
			n = 0
		}
		o.acceptSYNData(side, n)
	}
	if off := x.offset(s.Seq); x.fresh() && (off > farAhead || off < -farAhead) {
		x.setBase(s.Seq)
	}
}

// acceptSYNData delivers the first n bytes that came with the SYN and forgets the
// rest, as if it had not been sent (RFC 7413 §4.2).
func (o *op) acceptSYNData(side flow.Side, n int64) {
	x := o.stream(side)
	x.flags &^= synData
	o.cutHeld(x, n)
	o.drain(side)
}
