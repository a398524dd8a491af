package tls

import (
	"encoding/binary"
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// What an SSLv2 record looks like (RFC 5246 appendix E.2, RFC 6101 appendix E): two
// bytes of length with the top bit set, then the message.
const (
	v2HeaderLen   = 2
	v2HeaderBit   = 0x80
	v2LengthMask  = 0x7fff
	v2FixedLen    = 9 // type, version, three lengths
	v2ClientHello = 1
	v2SpecLen     = 3
	v2MaxID       = 32
	v2MinRandom   = 16
)

// v2Lengths are the lengths in an SSLv2 ClientHello.
type v2Lengths struct {
	version           Version
	specs, id, random int
}

// readV2Lengths reads the fixed part of an SSLv2 ClientHello, record header included,
// of which b holds at least that. It reports false when the parts do not add up.
func readV2Lengths(b []byte) (l v2Lengths, ok bool) {
	size := int(binary.BigEndian.Uint16(b)) & v2LengthMask
	l = v2Lengths{
		version: Version(binary.BigEndian.Uint16(b[3:])),
		specs:   int(binary.BigEndian.Uint16(b[5:])),
		id:      int(binary.BigEndian.Uint16(b[7:])),
		random:  int(binary.BigEndian.Uint16(b[9:])),
	}
	return l, b[v2HeaderLen] == v2ClientHello && (l.version == SSL20 || l.version.major() == 3) &&
		l.specs > 0 && l.specs%v2SpecLen == 0 && l.id <= v2MaxID &&
		l.random >= v2MinRandom && l.random <= randomLen &&
		size == l.size()
}

// size is the length of the message.
func (l v2Lengths) size() int { return v2FixedLen + l.specs + l.id + l.random }

// parseV2Hello parses a whole SSLv2 ClientHello, record header included, with the
// lengths that were read from it.
func parseV2Hello(b []byte, l v2Lengths) *ClientHello {
	specs := b[v2HeaderLen+v2FixedLen:][:l.specs]
	h := &ClientHello{
		RecordVersion: SSL20,
		Version:       l.version,
		SessionIDLen:  l.id,
		Ciphers:       []Suite{},
		Compression:   []uint8{},
		Extensions:    []uint16{},
	}
	for ; len(specs) > 0; specs = specs[v2SpecLen:] {
		h.addV2Spec(specs)
	}
	copy(h.Random[randomLen-l.random:], b[len(b)-l.random:])
	h.fingerprint()
	return h
}

// addV2Spec adds the cipher kind at the start of b: one of TLS when its first byte is 0.
func (h *ClientHello) addV2Spec(b []byte) {
	spec := binary.BigEndian.Uint16(b[1:])
	if b[0] == 0 {
		h.Ciphers = append(h.Ciphers, Suite(spec))
	} else {
		h.V2Ciphers = append(h.V2Ciphers, uint32(b[0])<<16|uint32(spec))
	}
}

// v2Hello reads a ClientHello in SSLv2 framing, with which a side may begin. Anything
// in that framing after one is SSLv2 itself, of which no more is read.
func (p *Parser) v2Hello(c *parsers.Context, side flow.Side, b []byte) int {
	if p.spokeV2 {
		p.finish(c)
		return len(b)
	}
	h := &p.sides[side]
	h.v2 = true
	n := h.fill(b, v2HeaderLen+v2FixedLen)
	if len(h.partial) < v2HeaderLen+v2FixedLen {
		return n
	}
	lengths, ok := readV2Lengths(h.partial)
	switch {
	case !ok:
		p.poison(c, fmt.Sprintf("record type %d", h.partial[0]))
		return n
	case lengths.size() > p.opt.maxMessage():
		p.poison(c, fmt.Sprintf("handshake message of %d bytes", lengths.size()))
		return n
	}
	size := v2HeaderLen + lengths.size()
	n += h.fill(b[n:], size)
	if len(h.partial) == size {
		p.endV2Hello(c, side, lengths)
	}
	return n
}

// endV2Hello parses the SSLv2 ClientHello that is whole now. What follows is in TLS
// records, unless the client speaks nothing newer than SSLv2.
func (p *Parser) endV2Hello(c *parsers.Context, side flow.Side, lengths v2Lengths) {
	h := &p.sides[side]
	hello := parseV2Hello(h.partial, lengths)
	h.begun = int64(len(h.partial))
	h.partial, h.v2, p.spokeV2 = nil, false, true
	p.emitClientHello(c, side, hello)
	if hello.Version == SSL20 && !p.done {
		p.finish(c)
	}
}
