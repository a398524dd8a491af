package tls

import (
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// handshake reads handshake messages, which records may cut and join.
func (p *Parser) handshake(c *parsers.Context, side flow.Side, b []byte) {
	h := &p.sides[side]
	for len(b) > 0 && !p.done && h.use == readHandshake {
		b = b[p.message(c, side, b):]
	}
}

// message reads some of b, at least a byte, and returns how much. A message that
// lies in b as a whole is read in place.
func (p *Parser) message(c *parsers.Context, side flow.Side, b []byte) int {
	h := &p.sides[side]
	if h.skip > 0 {
		n := min(h.skip, len(b))
		h.skip -= n
		return n
	}
	if len(h.partial) == 0 {
		h.began = h.rec.version
	}
	if len(h.partial) > 0 || len(b) < messageHeaderLen {
		return p.collect(c, side, b)
	}
	if !p.admit(c, h, b) {
		return messageHeaderLen
	}
	size := messageHeaderLen + messageLen(b)
	if len(b) < size {
		h.partial = append([]byte(nil), b...)
		c.Want(size - len(b))
		return len(b)
	}
	p.complete(c, side, b[:size])
	return size
}

// collect adds to the message that was cut.
func (p *Parser) collect(c *parsers.Context, side flow.Side, b []byte) int {
	h := &p.sides[side]
	n := h.fill(b, messageHeaderLen)
	if len(h.partial) < messageHeaderLen {
		return n
	}
	if n > 0 && !p.admit(c, h, h.partial) {
		h.partial = nil
		return n
	}
	size := messageHeaderLen + messageLen(h.partial)
	n += h.fill(b[n:], size)
	if left := size - len(h.partial); left > 0 {
		c.Want(left)
		return n
	}
	whole := h.partial
	h.partial = nil
	p.complete(c, side, whole)
	return n
}

// fill takes bytes of b until partial holds size, and returns how many it took.
func (h *half) fill(b []byte, size int) int {
	n := min(len(b), max(0, size-len(h.partial)))
	h.partial = append(h.partial, b[:n]...)
	return n
}

// admit looks at a message's header and reports whether the message is to be read.
func (p *Parser) admit(c *parsers.Context, h *half, header []byte) bool {
	size := messageLen(header)
	switch {
	case h.changed && !looksLikeHello(header):
		p.seal(c, h)
	case size > p.opt.maxMessage():
		p.poison(c, fmt.Sprintf("handshake message of %d bytes", size))
	case !wanted(header[0]):
		h.skip = size
	default:
		return true
	}
	return false
}

// looksLikeHello tells the header of a hello from the start of an encrypted message.
func looksLikeHello(header []byte) bool {
	size := messageLen(header)
	return (header[0] == typeClientHello || header[0] == typeServerHello) && size >= minHello && size <= DefaultMaxMessage
}

// complete parses a whole message, header included.
func (p *Parser) complete(c *parsers.Context, side flow.Side, m []byte) {
	body := m[messageHeaderLen:]
	var err error
	switch m[0] {
	case typeClientHello:
		err = p.clientHello(c, side, body)
	case typeServerHello:
		err = p.serverHello(c, side, body)
	case typeCertificate:
		err = p.certificate(c, side, body)
	}
	if err != nil {
		p.poison(c, err.Error())
	}
}

func (p *Parser) clientHello(c *parsers.Context, side flow.Side, body []byte) error {
	hello, err := ParseClientHello(body)
	if err != nil {
		return err
	}
	hello.RecordVersion = p.sides[side].began
	p.emitClientHello(c, side, hello)
	return nil
}

func (p *Parser) emitClientHello(c *parsers.Context, side flow.Side, hello *ClientHello) {
	if f := p.opt.Callbacks.Fingerprint; f != nil {
		f(c, Fingerprint{hello.JA3, hello.JA3Raw, hello.JA4})
	}
	emit(c, side, hello, p.opt.Callbacks.ClientHello)
	p.sides[side].hello = true
	p.clientHellos++
	p.offersModern = p.offersModern || hello.offersModern()
	p.finishIf(c)
}

func (p *Parser) serverHello(c *parsers.Context, side flow.Side, body []byte) error {
	hello, err := ParseServerHello(body)
	if err != nil {
		return err
	}
	h := &p.sides[side]
	hello.RecordVersion = h.began
	emit(c, side, hello, p.opt.Callbacks.ServerHello)
	h.hello = true
	if hello.HelloRetry {
		p.retries++
		return nil
	}
	p.agree(c, h, hello.Version)
	return nil
}

// agree notes the version that a ServerHello on h chose: what it encrypts is known
// from here on.
func (p *Parser) agree(c *parsers.Context, h *half, v Version) {
	p.version = v
	for i := range p.sides {
		if s := &p.sides[i]; s.changed || s == h && v.modern() {
			p.seal(c, s)
		}
	}
}

func (p *Parser) certificate(c *parsers.Context, side flow.Side, body []byte) error {
	m, err := ParseCertificate(body)
	if err != nil {
		return err
	}
	emit(c, side, m, p.opt.Callbacks.Certificate)
	return nil
}

func (p *Parser) alert(c *parsers.Context, side flow.Side, a *Alert) {
	emit(c, side, a, p.opt.Callbacks.Alert)
	if a.Level == LevelFatal {
		p.finish(c)
	}
}

// emit hands out a message: to its callback, if there is one, and to the context.
func emit[M parsers.Message](c *parsers.Context, side flow.Side, m M, callback func(*parsers.Context, M)) {
	if callback != nil {
		callback(c, m)
	}
	c.EmitFor(side, m)
}
