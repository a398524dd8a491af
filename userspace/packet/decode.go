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

	plan   plan
	layers [2]layer // scratch
}

// Decode fills p from v and returns flow.Decoded, or why the frame cannot be part of
// a flow; that is in p.Cause as well. p keeps no reference to v.
func (d *Decoder) Decode(v *View, p *Packet) flow.Cause {
	if !d.plan.ready {
		d.plan = d.Decap.compile()
	}
	var c cursor // set field by field: a literal is built aside and copied
	c.b, c.end, c.p, c.d = v.Frame, v.WireLen(), p, d
	p.Time, p.WireLen, p.Dir, p.Cause = v.Time, c.end, v.Dir, flow.Decoded
	p.NVLANs, p.NTunnels, p.HasMAC, p.DecapDepth = 0, 0, false, false
	if v.HasVLAN {
		p.VLANs[0], p.NVLANs = v.VLAN, 1
	}
	cause := c.link(v)
	if cause == flow.Decoded {
		cause = c.network(&d.layers[0])
	}
	if cause == flow.Decoded && !c.done {
		c.descend()
	}
	if cause == flow.Decoded && d.Decap.Require && p.NTunnels == 0 {
		cause = flow.CauseExtractor
	}
	if cause != flow.Decoded {
		return p.fail(cause)
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

	// The IP header that carries what is at off; version 0: none.
	carrier        int
	carrierVersion uint8
	done           bool // p is complete: direct was taken
}

// rest returns how many captured bytes lie ahead.
func (c *cursor) rest() int { return len(c.b) - c.off }

// advance moves past a header of n bytes to what has type next.
func (c *cursor) advance(n int, next uint32) {
	c.off += n
	c.next = next
}

// link reads the link header.
func (c *cursor) link(v *View) flow.Cause {
	switch v.LinkType {
	case LinkEthernet:
		if len(c.b) < etherLen {
			return flow.CauseTruncated
		}
		copy(c.p.DstMAC[:], c.b[:6])
		copy(c.p.SrcMAC[:], c.b[6:12])
		c.p.HasMAC = true
		c.advance(etherLen, uint32(binary.BigEndian.Uint16(c.b[12:])))
		return flow.Decoded
	case LinkRaw, LinkRawBSD, LinkRawBSDOS:
		c.next = nextIP
		return flow.Decoded
	case LinkIPv4:
		c.next = etherIPv4
		return flow.Decoded
	case LinkIPv6:
		c.next = etherIPv6
		return flow.Decoded
	case LinkNull, LinkLoop:
		return c.family(v.LinkType)
	case LinkSLL:
		return c.cooked(v, sllLen, 14, 4, 6)
	case LinkSLL2:
		return c.cooked(v, sll2Len, 0, 11, 12)
	}
	return flow.CauseLinkType
}

// family reads the address family that BSD loopback frames begin with. That of
// LinkNull is in the byte order of the host that wrote it: both are tried.
func (c *cursor) family(t LinkType) flow.Cause {
	if len(c.b) < familLen {
		return flow.CauseTruncated
	}
	family := binary.BigEndian.Uint32(c.b)
	if t == LinkNull && family > 0xffff {
		family = binary.LittleEndian.Uint32(c.b)
	}
	switch family {
	case 2:
		c.advance(familLen, etherIPv4)
	case 10, 24, 28, 30:
		c.advance(familLen, etherIPv6)
	default:
		return flow.CauseNotIP
	}
	return flow.Decoded
}

// cooked reads a Linux cooked header of n bytes with the protocol at proto, the low
// byte of the address length at alen (v1 has two bytes) and the address at mac.
func (c *cursor) cooked(v *View, n, proto, alen, mac int) flow.Cause {
	if len(c.b) < n {
		return flow.CauseTruncated
	}
	if n == sllLen {
		alen++
	}
	if c.b[alen] == 6 {
		c.p.SrcMAC, c.p.DstMAC, c.p.HasMAC = flow.MAC(c.b[mac:mac+6]), flow.MAC{}, true
	}
	c.p.Dir = v.Direction()
	typ := uint32(binary.BigEndian.Uint16(c.b[proto:]))
	if typ < etherMinType {
		return flow.CauseNotIP
	}
	c.advance(n, typ)
	return flow.Decoded
}

// network goes through what lies between here and an IP header, and reads that
// and its L4 header into l, or with done all of it into p.
func (c *cursor) network(l *layer) flow.Cause {
	for {
		if c.next == etherIPv4 && c.direct(l) {
			return flow.Decoded
		}
		cause := flow.Decoded
		switch c.next {
		case etherIPv4:
			return c.ipv4(l)
		case etherIPv6:
			return c.ipv6(l)
		case nextIP:
			cause = c.version()
		case etherVLAN, etherQinQ, etherOldQinQ:
			cause = c.vlan()
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

// vlan reads one tag.
func (c *cursor) vlan() flow.Cause {
	if c.rest() < vlanLen {
		return flow.CauseTruncated
	}
	if c.p.NVLANs == MaxVLANs {
		return flow.CauseMalformed
	}
	c.p.VLANs[c.p.NVLANs] = binary.BigEndian.Uint16(c.b[c.off:]) & 0xfff
	c.p.NVLANs++
	c.advance(vlanLen, uint32(binary.BigEndian.Uint16(c.b[c.off+2:])))
	return flow.Decoded
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
	return c.push(flow.TunnelMPLS, label, true)
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
	return c.push(flow.TunnelPPPoE, uint32(session), true)
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
