package dns

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

const (
	lengthLen = 2 // before each message (RFC 1035 §4.2.2)

	keepBuffer = 512 // bytes of buffer that a side keeps between messages
)

// A footing says how sure a side of a stream is of where messages begin.
type footing uint8

const (
	firm    footing = iota
	probing         // after a gap: is a message here?
	lost            // no; what follows is not read
)

// A stream is one side of a TCP flow.
type stream struct {
	buf     []byte // start of the next message, length included
	skip    int    // bytes of the current message that are not wanted
	footing footing
	fin     bool
}

// A TCP parser reads both sides of one flow. The zero value works. It holds at most one
// message a side. After missing bytes it goes on behind the message they lie in, or
// where a message begins right behind them.
type TCP struct {
	messages
	sides [2]stream
	over  bool // of no use any more: nothing is unanswered
}

// NewTCP returns a parser with the given options.
func NewTCP(o Options) *TCP {
	return &TCP{messages: messages{exchange: o.correlator().Exchange()}}
}

// Feed takes the next bytes of a side.
func (p *TCP) Feed(c *parsers.Context, side flow.Side, b []byte) {
	for len(b) > 0 && c.Verdict() == parsers.Continue {
		b = b[p.step(c, side, b):]
	}
}

// step uses up some of b and returns how many bytes.
func (p *TCP) step(c *parsers.Context, side flow.Side, b []byte) int {
	s := &p.sides[side]
	switch {
	case s.footing == lost:
		return len(b)
	case s.footing == probing:
		return p.resync(c, side, b)
	case s.skip > 0:
		n := min(s.skip, len(b))
		s.skip -= n
		return n
	case len(s.buf) == 0:
		if n := p.message(c, side, b); n > 0 {
			return n
		}
	}
	// Collect the message, or its length first.
	want := lengthLen
	if len(s.buf) >= lengthLen {
		want += int(binary.BigEndian.Uint16(s.buf))
	}
	n := min(want-len(s.buf), len(b))
	s.buf = append(s.buf, b[:n]...)
	if p.message(c, side, s.buf) > 0 {
		s.clear()
	}
	return n
}

// clear empties the buffer, and gives a large one back.
func (s *stream) clear() {
	if s.buf = s.buf[:0]; cap(s.buf) > keepBuffer {
		s.buf = nil
	}
}

// message reads the message at the start of b and returns its length, 0 if b does not
// hold all of it.
func (p *TCP) message(c *parsers.Context, side flow.Side, b []byte) int {
	if len(b) < lengthLen {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < headerLen {
		c.Poison("message shorter than a DNS header")
		p.over = true
		return lengthLen
	}
	if len(b) < lengthLen+n {
		return 0
	}
	p.read(c, side, b[lengthLen:lengthLen+n], false)
	return lengthLen + n
}

// resync looks whether a message begins right behind a gap. It takes bytes until it
// knows.
func (p *TCP) resync(c *parsers.Context, side flow.Side, b []byte) int {
	s := &p.sides[side]
	s.buf = append(s.buf, b[0])
	switch probe(side, s.buf) {
	case parsers.Yes:
		held := s.buf
		s.buf, s.footing = nil, firm
		p.Feed(c, side, held)
	case parsers.No:
		s.buf, s.footing = nil, lost
		if p.sides[side.Other()].footing == lost {
			c.Poison("gap")
			p.over = true
		}
	}
	return 1
}

// Gap gives what there is of a message that lost its end, and passes over the rest of
// it. Where the length of the message is not known, or it ends inside the gap, the next
// bytes have to begin a message.
func (p *TCP) Gap(c *parsers.Context, side flow.Side, n int64, _ flow.GapCause) bool {
	s := &p.sides[side]
	if s.footing == lost {
		return true
	}
	left := int64(s.skip)
	if s.footing == firm && left == 0 && len(s.buf) >= lengthLen {
		left = int64(lengthLen + int(binary.BigEndian.Uint16(s.buf)) - len(s.buf))
		p.read(c, side, s.buf[lengthLen:], true)
	} else if s.footing == firm && left == 0 {
		left = -1
	}
	s.clear()
	s.skip = 0
	if s.footing == firm && left >= n {
		s.skip = int(left - n)
	} else {
		s.footing = probing
	}
	return true
}

// Fin ends a side. When both have ended, what was not answered never will be.
func (p *TCP) Fin(c *parsers.Context, side flow.Side) {
	s := &p.sides[side]
	if len(s.buf) > 0 || s.skip > 0 {
		p.malformed++ // it ends in the middle of a message
	}
	*s = stream{fin: true}
	if p.sides[side.Other()].fin {
		p.rest(c)
	}
}

// Rst ends both sides. After a poison nothing is known of what was answered.
func (p *TCP) Rst(c *parsers.Context) {
	p.sides = [2]stream{}
	if p.over {
		p.exchange.Clear()
		return
	}
	p.rest(c)
}
