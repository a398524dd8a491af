// Package http1 reads HTTP/1.0 and HTTP/1.1 as it went over the wire (RFC 9110,
// RFC 9112).
//
// Both sides of a flow go into one [Parser]; a [Request] or [Response] comes out
// when its head and body are complete. Bodies are counted as they pass and not
// kept, unless asked for. After CONNECT and 101 Switching Protocols the rest of
// the flow is handed over.
//
// What bites: the parser watches, it is not an endpoint. Where endpoints are known to
// disagree about a message it follows RFC 9112 and marks the message (see
// [Ambiguity]); where no reading is safe it poisons itself.
package http1

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Name is the protocol's name, and what messages give as their parser.
const Name = "http"

// maxMethod is the longest method token, in bytes.
const maxMethod = 64

// Options are a parser's limits, all sizes in bytes. Zero means the default.
// Reaching a limit poisons the parser unless the field says otherwise.
type Options struct {
	MaxHead      int // longest head, and longest trailer section; 64 KiB
	MaxHeaders   int // most header fields in a head, and most trailer fields; 100
	MaxTarget    int // longest request target; 16 KiB
	MaxChunkLine int // longest line with a chunk's size; 4 KiB
	MaxPending   int // requests whose methods wait for a response; 128, then the methods of later ones are not remembered
	KeepBody     int // how much of each body to keep in the message; none

	Callbacks Callbacks
}

// Callbacks take messages as their own types, at the time and in the order they
// are emitted, and the bytes of bodies as they pass. Any may be nil.
type Callbacks struct {
	Request  func(c *parsers.Context, side flow.Side, r *Request)
	Response func(c *parsers.Context, side flow.Side, r *Response)

	// Body gets the next bytes of the body of m, a *Request or *Response whose
	// head is complete, transfer coding removed. They are valid only during
	// the call.
	Body func(c *parsers.Context, side flow.Side, m parsers.Message, b []byte)
}

var defaults = Options{}.withDefaults()

// withDefaults fills in what is not set.
func (o Options) withDefaults() *Options {
	for _, f := range []struct {
		v *int
		d int
	}{
		{&o.MaxHead, 64 << 10},
		{&o.MaxHeaders, 100},
		{&o.MaxTarget, 16 << 10},
		{&o.MaxChunkLine, 4 << 10},
		{&o.MaxPending, 128},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return &o
}

// maxStart is the longest first line: a target with method, version and spaces.
func (o *Options) maxStart() int { return min(o.MaxTarget+2*maxMethod, o.MaxHead) }

// A Parser reads both sides of one flow. The zero value has the default options.
type Parser struct {
	opt     *Options
	streams [2]stream
	over    bool // poisoned or handed over
}

// New returns a parser with options o.
func New(o Options) *Parser { return &Parser{opt: o.withDefaults()} }

// Protocol returns HTTP/1 as drivers choose it; its parsers share the options.
func Protocol(o Options) parsers.Protocol {
	opt := o.withDefaults()
	return parsers.Protocol{
		Name:       Name,
		Ports:      []uint16{80, 8080, 8000, 8008, 8081, 8888, 3128, 5985, 631},
		Probe:      Probe,
		NewSession: func(flow.Key) parsers.SessionParser { return &Parser{opt: opt} },
	}
}

// options returns the parser's options, the defaults for a zero Parser.
func (p *Parser) options() *Options {
	if p.opt == nil {
		return defaults
	}
	return p.opt
}

// Feed implements parsers.SessionParser.
func (p *Parser) Feed(c *parsers.Context, side flow.Side, b []byte) {
	for len(b) > 0 && !p.over {
		b = p.read(c, side, b)
	}
}

// read takes some of b, which is not empty, and returns what is left of it.
func (p *Parser) read(c *parsers.Context, side flow.Side, b []byte) []byte {
	switch p.streams[side].state {
	case inHead:
		return p.readHead(c, side, b)
	case inBody, inChunk:
		return p.readCounted(c, side, b)
	case inChunkSize:
		return p.readChunkSize(c, side, b)
	case inChunkEnd, inChunkLF:
		return p.readChunkEnd(c, side, b)
	case inTrailers:
		return p.readTrailers(c, side, b)
	case toEnd:
		p.count(c, side, b)
		return nil
	}
	p.hold(c, side, b)
	return nil
}

// Fin implements parsers.SessionParser. A body that goes on to the end is complete
// with it, any other is cut.
func (p *Parser) Fin(c *parsers.Context, side flow.Side) {
	if p.over {
		return
	}
	p.streams[side].ended = true
	p.flush(c, side, p.streams[side].state != toEnd)
}

// Rst implements parsers.SessionParser. Bodies under way are cut.
func (p *Parser) Rst(c *parsers.Context) {
	if p.over {
		return
	}
	for side := range flow.Side(2) {
		p.flush(c, side, true)
		p.streams[side].drop()
	}
}

// Gap implements parsers.GapHandler: a gap that lies within a body of known length
// is bridged, and the message says that it is incomplete.
func (p *Parser) Gap(c *parsers.Context, side flow.Side, n int64, _ flow.GapCause) bool {
	if p.over {
		return true
	}
	s := &p.streams[side]
	if s.state != inBody || n > s.left {
		p.cut(c)
		return false
	}
	s.left -= n
	s.msg.Incomplete = true
	s.msg.MissedBytes += n
	if s.left == 0 {
		p.flush(c, side, false)
	}
	return true
}

// poison ends parsing. Bodies under way are emitted as cut.
func (p *Parser) poison(c *parsers.Context, reason string) {
	p.cut(c)
	c.Poison(reason)
}

// cut emits what is under way on both sides and stops.
func (p *Parser) cut(c *parsers.Context) {
	for side := range flow.Side(2) {
		p.flush(c, side, true)
		p.streams[side].drop()
	}
	p.over = true
}

// flush emits the message whose body a side is in, if any, and goes on to the next
// head.
func (p *Parser) flush(c *parsers.Context, side flow.Side, incomplete bool) {
	s := &p.streams[side]
	if s.msg == nil {
		return
	}
	s.msg.Incomplete = s.msg.Incomplete || incomplete
	out := s.out
	s.msg, s.out, s.state, s.left = nil, nil, inHead, 0
	s.lines.reset()
	p.emit(c, side, out)
}

// emit hands out a message.
func (p *Parser) emit(c *parsers.Context, side flow.Side, m parsers.Message) {
	cb := &p.options().Callbacks
	switch m := m.(type) {
	case *Request:
		if cb.Request != nil {
			cb.Request(c, side, m)
		}
	case *Response:
		if cb.Response != nil {
			cb.Response(c, side, m)
		}
	}
	c.EmitFor(side, m)
}

// handOver gives the rest of both streams to the next protocol: rest of side, and
// what the peer sent that is not read yet.
func (p *Parser) handOver(c *parsers.Context, side flow.Side, rest []byte) {
	var unread [2][]byte
	unread[side], unread[side.Other()] = rest, p.streams[side.Other()].unread()
	p.over = true
	c.Handover(unread)
}
