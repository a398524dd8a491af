package tracker

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A letter is one of those that Zeek's history is made of.
type letter uint8

const (
	letterNone letter = iota
	letterI           // FIN and RST together
	letterQ           // several of SYN, FIN, RST together
	letterS
	letterH // SYN+ACK
	letterF
	letterR
	letterD
	letterA
	letterW // zero window
	letterT // retransmission
	letterG // gap
	letterC // bad checksum
	letterX // a limit was reached
)

const (
	upperLetters = "?IQSHFRDAWTGCX"
	lowerLetters = "?iqshfrdawtgcx"
)

const (
	maxHistory    = 64
	inlineLetters = 12
	maxEvents     = 16
)

// History holds up to twelve letters of five bits, four for the letter and the
// lowest for the side, and their number in the top four bits. Later letters go to
// the details.
type history uint64

func (h history) len() int { return int(h >> 60) }

// with returns h with one more letter; h must not be full.
func (h history) with(side flow.Side, l letter) history {
	n := h.len()
	return h&(1<<60-1) | history(l)<<(5*n+1) | history(side)<<(5*n) | history(n+1)<<60
}

// swapped returns h with the sides exchanged.
func (h history) swapped() history {
	const sides = 0x084210842108421 // the lowest bit of each of twelve fives
	return h ^ sides&(1<<(5*h.len())-1)
}

// append appends the letters of h to b.
func (h history) append(b []byte) []byte {
	for i := range h.len() {
		b = append(b, letterByte(flow.Side(h>>(5*i)&1), letter(h>>(5*i+1)&15)))
	}
	return b
}

func letterByte(side flow.Side, l letter) byte {
	if side == flow.Initiator {
		return upperLetters[l]
	}
	return lowerLetters[l]
}

// Events holds up to sixteen letters of flowscope's own history, three bits each,
// and their number in the top byte.
type events uint64

const eventLetters = "SsFfRrDd" // letter and side

func (e events) len() int { return int(e >> 56) }

// with returns e with the letters of a segment in the order S, F, R, D, as far as
// they fit.
func (e events) with(side flow.Side, f flow.TCPFlags, data bool) events {
	if e.len() == maxEvents {
		return e
	}
	for i, has := range [4]bool{f&flow.SYN != 0, f&flow.FIN != 0, f&flow.RST != 0, data} {
		if n := e.len(); has && n < maxEvents {
			e += 1<<56 | events(2*i+int(side))<<(3*n)
		}
	}
	return e
}

// swapped returns e with the sides exchanged.
func (e events) swapped() events {
	const sides = 0x249249249249 // the lowest bit of each of sixteen threes
	return e ^ sides&(1<<(3*e.len())-1)
}

// append appends the letters of e to b.
func (e events) append(b []byte) []byte {
	for i := range e.len() {
		b = append(b, eventLetters[e>>(3*i)&7])
	}
	return b
}

// note adds a letter to the history.
func (c *Conn) note(side flow.Side, l letter) {
	if c.history.len() < inlineLetters {
		c.history = c.history.with(side, l)
		return
	}
	d := c.details()
	if int(d.letters) < len(d.more) {
		d.more[d.letters] = letterByte(side, l)
		d.letters++
	}
}

// once adds a letter the first time side earns it.
func (c *Conn) once(side flow.Side, l letter) {
	if c.end[side].first(l) {
		c.note(side, l)
	}
}

// again adds a letter the first time, and whenever its sequence number is not that
// of side's last one.
func (c *Conn) again(side flow.Side, l letter, seq flow.Seq) {
	e := &c.end[side]
	if e.first(l) || c.details().last(side, l) != seq {
		c.note(side, l)
	}
	if c.d != nil {
		c.d.setLast(side, l, seq)
	}
}

// often adds a letter the first, tenth, hundredth … time.
func (c *Conn) often(side flow.Side, l letter) {
	c.end[side].first(l)
	n := &c.details().side[side].often[l-letterW]
	if *n++; powerOfTen(*n) {
		c.note(side, l)
	}
}

func powerOfTen(n uint32) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// appendHistory appends Zeek's history to b; turned says that the initiator is not
// who sent the first packet.
func (c *Conn) appendHistory(b []byte, turned bool) []byte {
	start := len(b)
	if turned {
		b = append(b, '^')
	}
	b = c.history.append(b)
	if c.d != nil {
		b = append(b, c.d.more[:c.d.letters]...)
	}
	return b[:min(len(b), start+maxHistory)]
}
