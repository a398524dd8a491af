package tls

import (
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A Parser reads the TLS handshake of one flow. The zero value is ready and has the
// default options. It holds at most one handshake message of each side.
//
// It is done once it has the ClientHello and ServerHello of TLS 1.3, when both sides
// encrypt, or at a fatal alert.
type Parser struct {
	opt   Options
	sides [2]half

	version      Version // agreed on; 0 until a ServerHello that asks for no retry
	clientHellos int
	retries      int
	offersModern bool
	spokeV2      bool // a ClientHello came in SSLv2 framing
	done         bool
}

// A half is one side's stream.
type half struct {
	header    [headerLen]byte // of the record to come, as far as it was read
	headerLen int
	rec       record // the record being read
	left      int    // bytes of its body still to come
	use       use

	// partial is a handshake message, from its header on, or an SSLv2 hello of
	// which more is to come; began is the version of the record it began in.
	partial []byte
	began   Version
	skip    int // bytes of a handshake message that nobody reads

	alert    [plainAlert]byte // an alert cut in two
	alertLen int

	begun   int64 // bytes of all records so far, the one being read included
	clear   int   // bytes of handshake messages and alerts in the clear
	v2      bool  // an SSLv2 hello is being read
	hello   bool  // a hello was read
	changed bool  // ChangeCipherSpec was read
	sealed  bool  // all that follows is encrypted
}

// New returns a parser with options.
func New(o Options) *Parser { return &Parser{opt: o} }

// Feed implements parsers.SessionParser.
func (p *Parser) Feed(c *parsers.Context, side flow.Side, b []byte) {
	for len(b) > 0 && !p.done {
		b = b[p.advance(c, side, b):]
	}
}

// Fin implements parsers.SessionParser. A message that is cut by the end is lost.
func (p *Parser) Fin(_ *parsers.Context, side flow.Side) { p.sides[side].partial = nil }

// Rst implements parsers.SessionParser.
func (p *Parser) Rst(*parsers.Context) { p.stop() }

// Gap implements parsers.GapHandler. It bridges what lies within the body of one
// record that nobody reads.
func (p *Parser) Gap(c *parsers.Context, side flow.Side, n int64, _ flow.GapCause) bool {
	h := &p.sides[side]
	switch {
	case p.done:
		return true
	case n > int64(h.left):
		return false
	case h.use == readHandshake && n <= int64(h.skip):
		h.skip -= int(n)
	case h.use != skip:
		return false
	}
	h.left -= int(n)
	return true
}

// stop drops what is held: nothing more is read.
func (p *Parser) stop() {
	p.done = true
	p.sides[0].partial, p.sides[1].partial = nil, nil
}

func (p *Parser) poison(c *parsers.Context, reason string) {
	c.Poison(reason)
	p.stop()
}

func (p *Parser) finish(c *parsers.Context) {
	c.Done()
	p.stop()
}

// finishIf ends the parsing when all was told.
func (p *Parser) finishIf(c *parsers.Context) {
	agreed := p.version.modern() && p.clientHellos > p.retries
	if agreed || p.sides[0].sealed && p.sides[1].sealed {
		p.finish(c)
	}
}

// advance reads some of b, at least a byte, and returns how much.
func (p *Parser) advance(c *parsers.Context, side flow.Side, b []byte) int {
	h := &p.sides[side]
	switch {
	case h.left > 0:
		return p.body(c, side, b)
	case h.v2 || h.atStart() && b[0]&v2HeaderBit != 0:
		return p.v2Hello(c, side, b)
	}
	n := copy(h.header[h.headerLen:], b)
	h.headerLen += n
	if h.headerLen == headerLen {
		h.headerLen = 0
		p.begin(c, side)
	}
	return n
}

// atStart reports whether nothing of the side was read yet.
func (h *half) atStart() bool { return h.begun == 0 && h.headerLen == 0 }

// begin starts the record whose header was read.
func (p *Parser) begin(c *parsers.Context, side flow.Side) {
	h := &p.sides[side]
	rec, err := readHeader(h.header)
	if err != nil {
		p.poison(c, err.Error())
		return
	}
	h.rec, h.left, h.use = rec, rec.size, useOf(h, rec)
	if reason := p.overLimit(h); reason != "" {
		p.poison(c, reason)
		return
	}
	h.begun += headerLen + int64(rec.size)
	if rec.typ == recordApplicationData && p.version != 0 {
		p.seal(c, h)
	}
}

// overLimit says which limit the record that begins would pass, if any, and counts
// what it says in the clear.
func (p *Parser) overLimit(h *half) string {
	if limit := p.opt.maxSilence(); h.silent() && h.begun > int64(limit) {
		return fmt.Sprintf("no hello in %d bytes", limit)
	}
	if h.use == readHandshake || h.use == readAlert {
		h.clear += h.rec.size
	}
	if limit := p.opt.maxHandshake(); h.clear > limit {
		return fmt.Sprintf("handshake of more than %d bytes", limit)
	}
	return ""
}

// silent reports whether the side has neither sent a hello nor begun one.
func (h *half) silent() bool { return !h.hello && len(h.partial) == 0 }

// useOf says what to do with a record's body.
func useOf(h *half, rec record) use {
	switch {
	case h.sealed:
		return skip
	case rec.typ == recordHandshake:
		return readHandshake
	case rec.typ == recordAlert && rec.size <= maxPlainAlert:
		return readAlert
	case rec.typ == recordChangeCipherSpec:
		return readChangeCipherSpec
	}
	return skip
}

// body reads what b holds of the record's body.
func (p *Parser) body(c *parsers.Context, side flow.Side, b []byte) int {
	h := &p.sides[side]
	b = b[:min(len(b), h.left)]
	h.left -= len(b)
	switch h.use {
	case readHandshake:
		p.handshake(c, side, b)
	case readAlert:
		p.alerts(c, side, b)
	case readChangeCipherSpec:
		p.changeCipherSpec(c, h)
	}
	return len(b)
}

// changeCipherSpec notes that a side encrypts from here on. In TLS 1.3 the record
// means nothing and may stand before the ServerHello or second ClientHello that
// follows a HelloRetryRequest (RFC 8446 §5, appendix D.4): as long as there can be
// one, the next handshake message decides.
func (p *Parser) changeCipherSpec(c *parsers.Context, h *half) {
	h.use = skip
	if len(h.partial) > 0 {
		return // out of place: a peer that goes by the RFC ends the session
	}
	h.changed = true
	if p.version != 0 || h.hello && !p.offersModern && p.retries == 0 {
		p.seal(c, h)
	}
}

// seal notes that all that follows on a side is encrypted.
func (p *Parser) seal(c *parsers.Context, h *half) {
	h.sealed = true
	if h.use == readHandshake {
		h.use = skip
	}
	h.partial = nil
	p.finishIf(c)
}

// alerts reads alerts of two bytes each, which records may cut.
func (p *Parser) alerts(c *parsers.Context, side flow.Side, b []byte) {
	h := &p.sides[side]
	for len(b) > 0 && !p.done {
		n := copy(h.alert[h.alertLen:], b)
		h.alertLen += n
		b = b[n:]
		if h.alertLen == plainAlert {
			h.alertLen = 0
			p.alert(c, side, &Alert{h.alert[0], h.alert[1]})
		}
	}
}
