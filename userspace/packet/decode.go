package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Lengths of link headers.
const (
	etherLen = 14
	sllLen   = 16
	sll2Len  = 20
	familLen = 4 // BSD null and loop
	vlanLen  = 4
	snapLen  = 8
	pppoeLen = 6
)

// Ethertypes, and numbers beyond their range for what has none.
const (
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherVLAN     = 0x8100
	etherQinQ     = 0x88a8
	etherOldQinQ  = 0x9100
	etherMPLS     = 0x8847
	etherMPLSMul  = 0x8848
	etherPPPoE    = 0x8864
	etherMinType  = 1536 // less is a length (IEEE 802.3)
	nextIP        = 0x10000
	nextPPP       = 0x10001
	nextEther     = 0x10002
	pppIPv4       = 0x0021
	pppIPv6       = 0x0057
	pppMPLS       = 0x0281
	pppMPLSMul    = 0x0283
	snapHeader    = 0xaaaa0300 // LLC SNAP, then an OUI of 0
	fragOffset    = 0x1fff
	fragMore      = 0x2000
	ipv4Len       = 20
	ipv6Len       = 40
	fragHeaderLen = 8
)

// A Decoder decodes frames. The zero value opens every tunnel it knows. Decap counts
// when the first frame is decoded; later changes of it have no effect. A Decoder is
// for one goroutine.
type Decoder struct {
	Decap Decap

	plan  plan
	layer layer // scratch
}

// Decode fills p from v and returns flow.Decoded, or why the frame cannot be part of
// a flow; that is in p.Cause as well. p keeps no reference to v.
func (d *Decoder) Decode(v *View, p *Packet) flow.Cause {
	if !d.plan.ready {
		d.plan = d.Decap.compile()
	}
	p.Time, p.WireLen, p.Dir, p.Cause = v.Time, v.WireLen(), v.Dir, flow.Decoded
	p.NVLANs, p.NTunnels, p.HasMAC, p.DecapDepth = 0, 0, false, false
	if v.HasVLAN {
		p.VLANs[0], p.NVLANs = v.VLAN, 1
	}
	off, next, cause := p.link(v)
	if cause != flow.Decoded {
		return p.fail(cause)
	}
	known := !d.plan.noDirect && p.direct(v.Frame, off, p.WireLen, next)
	for known {
		if !d.plan.require && !d.plan.carries(p) {
			return flow.Decoded
		}
		if !d.overlay(v.Frame, p) {
			break
		}
	}
	return d.walk(v, p, off, next, known)
}

// walk decodes what is behind the link header: next, which is at off. With known, p is
// that packet already, and only what it carries is to be found.
func (d *Decoder) walk(v *View, p *Packet, off int, next uint32, known bool) flow.Cause {
	var c cursor // set field by field: a literal is built aside and copied
	c.b, c.off, c.end, c.next, c.p, c.d = v.Frame, off, p.WireLen, next, p, d
	if !known {
		if cause := c.network(); cause != flow.Decoded {
			return p.fail(cause)
		}
	}
	for d.plan.carries(p) && !p.IsFragment() && c.inside() {
	}
	if d.plan.require && p.NTunnels == 0 {
		return p.fail(flow.CauseExtractor)
	}
	return flow.Decoded
}

// A cursor walks one frame from the outside in.
type cursor struct {
	b    []byte // the captured bytes
	off  int    // next header
	end  int    // where the enclosing layer ends on the wire
	next uint32 // ethertype of what is at off, or one of the next constants
	p    *Packet
	d    *Decoder

	carried bool // p is the packet that carries what is at off
}

// rest returns how many captured bytes lie ahead.
func (c *cursor) rest() int { return len(c.b) - c.off }

// advance moves past a header of n bytes to what has type next.
func (c *cursor) advance(n int, next uint32) {
	c.off += n
	c.next = next
}

// link reads the link header. It returns its length and the ethertype of what follows,
// or one of the next constants.
func (p *Packet) link(v *View) (n int, next uint32, cause flow.Cause) {
	switch v.LinkType {
	case LinkEthernet:
		b := v.Frame
		if len(b) < etherLen {
			return 0, 0, flow.CauseTruncated
		}
		copy(p.DstMAC[:], b[:6])
		copy(p.SrcMAC[:], b[6:12])
		p.HasMAC = true
		next := uint32(binary.BigEndian.Uint16(b[12:]))
		if isTag(next) {
			return p.tags(b, etherLen, next)
		}
		return etherLen, next, flow.Decoded
	case LinkRaw, LinkRawBSD, LinkRawBSDOS:
		return 0, nextIP, flow.Decoded
	case LinkIPv4:
		return 0, etherIPv4, flow.Decoded
	case LinkIPv6:
		return 0, etherIPv6, flow.Decoded
	case LinkNull, LinkLoop:
		return family(v)
	case LinkSLL:
		return p.cooked(v, sllLen, 14, 4, 6)
	case LinkSLL2:
		return p.cooked(v, sll2Len, 0, 11, 12)
	}
	return 0, 0, flow.CauseLinkType
}

// family reads the address family that BSD loopback frames begin with. That of
// LinkNull is in the byte order of the host that wrote it: both are tried.
func family(v *View) (n int, next uint32, cause flow.Cause) {
	if len(v.Frame) < familLen {
		return 0, 0, flow.CauseTruncated
	}
	family := binary.BigEndian.Uint32(v.Frame)
	if v.LinkType == LinkNull && family > 0xffff {
		family = binary.LittleEndian.Uint32(v.Frame)
	}
	switch family {
	case 2:
		return familLen, etherIPv4, flow.Decoded
	case 10, 24, 28, 30:
		return familLen, etherIPv6, flow.Decoded
	}
	return 0, 0, flow.CauseNotIP
}

// cooked reads a Linux cooked header of n bytes with the protocol at proto, the low
// byte of the address length at alen (v1 has two bytes) and the address at mac.
func (p *Packet) cooked(v *View, n, proto, alen, mac int) (int, uint32, flow.Cause) {
	b := v.Frame
	if len(b) < n {
		return 0, 0, flow.CauseTruncated
	}
	if n == sllLen {
		alen++
	}
	if b[alen] == 6 {
		p.SrcMAC, p.DstMAC, p.HasMAC = flow.MAC(b[mac:mac+6]), flow.MAC{}, true
	}
	p.Dir = v.Direction()
	next := uint32(binary.BigEndian.Uint16(b[proto:]))
	if next < etherMinType {
		return 0, 0, flow.CauseNotIP
	}
	return n, next, flow.Decoded
}

// network goes through what lies between here and an IP header, and reads that and its
// L4 header into p. Without an answer p keeps the packet that carries all this.
func (c *cursor) network() flow.Cause {
	for {
		cause := flow.Decoded
		switch c.next {
		case etherIPv4, etherIPv6:
			return c.ip()
		case nextIP:
			cause = c.version()
		case etherVLAN, etherQinQ, etherOldQinQ:
			c.off, c.next, cause = c.p.tags(c.b, c.off, c.next)
		case etherMPLS, etherMPLSMul:
			cause = c.mpls()
		case etherPPPoE:
			cause = c.pppoe()
		case nextPPP:
			cause = c.ppp()
		case nextEther:
			cause = c.ethernet()
		default:
			cause = c.snap()
		}
		if cause != flow.Decoded {
			return cause
		}
	}
}

// ip reads an IP header and what follows into p, the short way if it can be.
func (c *cursor) ip() flow.Cause {
	if !c.d.plan.noDirect && c.p.direct(c.b, c.off, c.end, c.next) {
		return flow.Decoded
	}
	l, cause := &c.d.layer, flow.Decoded
	if c.next == etherIPv4 {
		cause = c.ipv4(l)
	} else {
		cause = c.ipv6(l)
	}
	if cause == flow.Decoded {
		l.commit(c.b, c.p)
	}
	return cause
}

// version lets the first nibble say which IP it is.
func (c *cursor) version() flow.Cause {
	if c.rest() < 1 {
		return flow.CauseTruncated
	}
	switch c.b[c.off] >> 4 {
	case 4:
		c.next = etherIPv4
	case 6:
		c.next = etherIPv6
	default:
		return flow.CauseMalformed
	}
	return flow.Decoded
}

// ethernet reads the header of a frame inside a tunnel. Its addresses are not kept.
func (c *cursor) ethernet() flow.Cause {
	if c.rest() < etherLen {
		return flow.CauseTruncated
	}
	c.advance(etherLen, uint32(binary.BigEndian.Uint16(c.b[c.off+12:])))
	return flow.Decoded
}

// isTag reports whether a VLAN tag is what has type next.
func isTag(next uint32) bool {
	return next == etherVLAN || next == etherQinQ || next == etherOldQinQ
}

// tags reads the VLAN tags at off, which has type next. It returns where they end, and
// the type of what follows.
func (p *Packet) tags(b []byte, off int, next uint32) (int, uint32, flow.Cause) {
	for isTag(next) {
		if len(b)-off < vlanLen {
			return off, next, flow.CauseTruncated
		}
		if p.NVLANs == MaxVLANs {
			return off, next, flow.CauseMalformed
		}
		tag := binary.BigEndian.Uint32(b[off:])
		p.VLANs[p.NVLANs] = uint16(tag >> 16 & 0xfff)
		p.NVLANs++
		off, next = off+vlanLen, tag&0xffff
	}
	return off, next, flow.Decoded
}

// snap takes an 802.3 frame whose SNAP header names IP; nothing else that comes here
// is known.
func (c *cursor) snap() flow.Cause {
	if c.next >= etherMinType {
		return flow.CauseNotIP
	}
	if c.rest() < snapLen {
		return flow.CauseNotIP
	}
	h := binary.BigEndian.Uint64(c.b[c.off:])
	next := uint32(h & 0xffff)
	if h>>16 != snapHeader<<16 || next != etherIPv4 && next != etherIPv6 {
		return flow.CauseNotIP
	}
	c.advance(snapLen, next)
	return flow.Decoded
}

// mpls reads a label stack (RFC 3032) and guesses what is below it (RFC 4928, RFC
// 4448).
func (c *cursor) mpls() flow.Cause {
	if !c.d.plan.has(flow.TunnelMPLS) {
		return flow.CauseNotIP
	}
	for range MaxMPLSLabels {
		if c.rest() < 4 {
			return flow.CauseTruncated
		}
		label := binary.BigEndian.Uint32(c.b[c.off:])
		c.off += 4
		if label>>8&1 != 0 {
			return c.belowMPLS(label >> 12)
		}
	}
	return flow.CauseMalformed
}

// belowMPLS decides by the first nibble after the bottom of the stack.
func (c *cursor) belowMPLS(label uint32) flow.Cause {
	if c.rest() < 1 {
		return flow.CauseTruncated
	}
	switch c.b[c.off] >> 4 {
	case 4:
		c.next = etherIPv4
	case 6:
		c.next = etherIPv6
	case 0: // control word
		c.advance(4, nextEther)
	default:
		c.next = nextEther
	}
	return c.push(shell{kind: flow.TunnelMPLS, hasID: true, id: label})
}

// pppoe reads the header of a PPPoE session (RFC 2516).
func (c *cursor) pppoe() flow.Cause {
	if !c.d.plan.has(flow.TunnelPPPoE) {
		return flow.CauseNotIP
	}
	if c.rest() < pppoeLen {
		return flow.CauseTruncated
	}
	h := c.b[c.off:]
	if h[0] != 0x11 || h[1] != 0 {
		return flow.CauseNotIP
	}
	session := binary.BigEndian.Uint16(h[2:])
	c.advance(pppoeLen, nextPPP)
	return c.push(shell{kind: flow.TunnelPPPoE, hasID: true, id: uint32(session)})
}

// ppp reads a PPP protocol number of one or two bytes (RFC 1661).
func (c *cursor) ppp() flow.Cause {
	if c.rest() < 2 {
		return flow.CauseTruncated
	}
	n, proto := 1, uint16(c.b[c.off])
	if proto&1 == 0 {
		n, proto = 2, binary.BigEndian.Uint16(c.b[c.off:])
	}
	switch proto {
	case pppIPv4:
		c.advance(n, etherIPv4)
	case pppIPv6:
		c.advance(n, etherIPv6)
	case pppMPLS, pppMPLSMul:
		c.advance(n, etherMPLS)
	default:
		return flow.CauseNotIP
	}
	return flow.Decoded
}
