package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// GRE flag bits (RFC 2784, RFC 2890, RFC 1701) and versions.
const (
	greChecksum = 0x8000
	greRouting  = 0x4000
	greKey      = 0x2000
	greSequence = 0x1000
	greAck      = 0x0080 // version 1, RFC 2637
	greVersion  = 0x0007
)

// Protocols that only GRE carries.
const (
	greERSPAN2 = 0x88be // types I and II
	greERSPAN3 = 0x22eb
	grePPP     = 0x880b
	greEther   = 0x6558 // Geneve too
)

// Header lengths.
const (
	greLen      = 4
	vxlanLen    = 8
	geneveLen   = 8
	gtpLen      = 8
	ayiyaLen    = 8
	erspan2Len  = 8
	erspan3Len  = 12
	pptpLen     = 8
	teredoAuth  = 4 // then two texts, and 9 bytes
	teredoNonce = 9
	teredoOrig  = 8
)

// descend opens tunnel after tunnel as long as what is inside decodes, and completes p
// with the innermost packet. It begins at the packet in the first layer.
func (c *cursor) descend() {
	out, in := &c.d.layers[0], &c.d.layers[1]
	for !out.frag.IsFragment() && c.inside(out, in) {
		if c.done {
			return
		}
		out, in = in, out
	}
	out.commit(c.b, c.p)
}

// inside decodes the packet that out carries into in, or takes back what it noted and
// reports false.
func (c *cursor) inside(out, in *layer) bool {
	vlans, tunnels := c.p.NVLANs, c.p.NTunnels
	c.off, c.end = out.pay, out.pay+out.payLen
	c.carrier, c.carrierVersion = out.ip, out.version
	if c.open(out) && c.network(in) == flow.Decoded {
		return true
	}
	c.p.NVLANs, c.p.NTunnels = vlans, tunnels
	return false
}

// open reads the tunnel header that l carries, if any.
func (c *cursor) open(l *layer) bool {
	switch l.proto {
	case flow.ProtoUDP:
	case flow.ProtoGRE:
		return c.gre()
	case flow.ProtoIPIP:
		return c.ipip(etherIPv4)
	case flow.ProtoIPv6:
		return c.ipip(etherIPv6)
	default:
		return false
	}
	kind := c.d.plan.kind(l.dport)
	if kind == flow.TunnelNone {
		kind = c.d.plan.kind(l.sport)
	}
	switch kind {
	case flow.TunnelVXLAN:
		return c.vxlan(l)
	case flow.TunnelGeneve:
		return c.geneve()
	case flow.TunnelGTPU:
		return c.gtpu()
	case flow.TunnelMPLS:
		c.next = etherMPLS
		return true
	case flow.TunnelTeredo:
		return c.teredo()
	case flow.TunnelAYIYA:
		return c.ayiya()
	}
	return false
}

// push notes a tunnel carried by the carrier. At the limit it refuses, so that the packet stays
// at the level that carries it.
func (c *cursor) push(kind flow.TunnelKind, id uint32, hasID bool) flow.Cause {
	p := c.p
	if p.NTunnels == MaxTunnels {
		p.DecapDepth = true
		return flow.CauseMalformed
	}
	t := &p.Tunnels[p.NTunnels]
	p.NTunnels++
	t.Kind, t.ID, t.HasID, t.IPVersion = kind, id, hasID, c.carrierVersion
	addresses(c.b, c.carrier, c.carrierVersion, &t.Src, &t.Dst)
	return flow.Decoded
}

// enter pushes a tunnel and moves past its header of n bytes to what has type next.
func (c *cursor) enter(kind flow.TunnelKind, id uint32, hasID bool, n int, next uint32) bool {
	c.advance(n, next)
	return c.push(kind, id, hasID) == flow.Decoded
}

// header returns n captured bytes ahead that lie in the tunnel, or nil.
func (c *cursor) header(n int) []byte {
	if c.off+n > min(c.end, len(c.b)) {
		return nil
	}
	return c.b[c.off : c.off+n]
}

// ipip: IP in IP (RFC 2003, RFC 2473, RFC 4213).
func (c *cursor) ipip(next uint32) bool {
	return c.d.plan.has(flow.TunnelIPIP) && c.enter(flow.TunnelIPIP, 0, false, 0, next)
}

// vxlan: RFC 7348, and VXLAN-GPE on its own port (draft-ietf-nvo3-vxlan-gpe), which
// names what it carries if its P flag is set.
func (c *cursor) vxlan(l *layer) bool {
	h := c.header(vxlanLen)
	if h == nil || h[0]&0x08 == 0 {
		return false
	}
	next := uint32(nextEther)
	if gpe := l.dport == gpePort || l.sport == gpePort && c.d.plan.kind(l.dport) == flow.TunnelNone; gpe && h[0]&0x04 != 0 {
		switch h[3] {
		case 1:
			next = etherIPv4
		case 2:
			next = etherIPv6
		case 3:
		case 5:
			next = etherMPLS
		default:
			return false
		}
	}
	return c.enter(flow.TunnelVXLAN, binary.BigEndian.Uint32(h[4:])>>8, true, vxlanLen, next)
}

// geneve: RFC 8926.
func (c *cursor) geneve() bool {
	h := c.header(geneveLen)
	if h == nil || h[0]>>6 != 0 {
		return false
	}
	n := geneveLen + int(h[0]&0x3f)*4
	next := uint32(binary.BigEndian.Uint16(h[2:]))
	switch next {
	case greEther:
		next = nextEther
	case etherIPv4, etherIPv6:
	default:
		return false
	}
	if c.header(n) == nil {
		return false
	}
	return c.enter(flow.TunnelGeneve, binary.BigEndian.Uint32(h[4:])>>8, true, n, next)
}

// gtpu: a G-PDU of GTP version 1 (3GPP TS 29.281 §5). The chain of extension headers is
// read if the E flag says so, and at most 8 of them.
func (c *cursor) gtpu() bool {
	h := c.header(gtpLen)
	if h == nil || h[0]>>4 != 3 || h[1] != 255 {
		return false
	}
	n := gtpLen
	if h[0]&7 != 0 {
		n += 4
	}
	if h[0]&4 != 0 {
		if n = c.gtpExtensions(n); n == 0 {
			return false
		}
	}
	if c.header(n) == nil {
		return false
	}
	return c.enter(flow.TunnelGTPU, binary.BigEndian.Uint32(h[4:]), true, n, nextIP)
}

// gtpExtensions walks extension headers; the type of the next one is the byte before
// n. It returns where they end, 0 if they do not.
func (c *cursor) gtpExtensions(n int) int {
	for range maxGTPHeaders {
		h := c.header(n + 1) // and the length byte of the next one
		if h == nil {
			return 0
		}
		if h[n-1] == 0 {
			return n
		}
		if h[n] == 0 {
			return 0
		}
		n += int(h[n]) * 4
	}
	if h := c.header(n); h != nil && h[n-1] == 0 {
		return n
	}
	return 0
}

// gre: version 0 (RFC 2784, 2890), with NVGRE (RFC 7637) and ERSPAN in it, and version
// 1, which is PPTP's (RFC 2637).
func (c *cursor) gre() bool {
	h := c.header(greLen)
	if h == nil {
		return false
	}
	flags, proto := binary.BigEndian.Uint16(h), uint32(binary.BigEndian.Uint16(h[2:]))
	switch flags & greVersion {
	case 0:
		return flags&greRouting == 0 && c.gre0(flags, proto)
	case 1:
		return proto == grePPP && flags&greKey != 0 && c.pptp(flags)
	}
	return false
}

// gre0 reads the optional fields of version 0.
func (c *cursor) gre0(flags uint16, proto uint32) bool {
	n := greLen
	if flags&greChecksum != 0 {
		n += 4
	}
	key := n
	if flags&greKey != 0 {
		n += 4
	}
	if flags&greSequence != 0 {
		n += 4
	}
	h := c.header(n)
	if h == nil {
		return false
	}
	if proto == greERSPAN2 || proto == greERSPAN3 {
		c.off += n
		return c.d.plan.has(flow.TunnelERSPAN) && c.erspan(proto, flags&greSequence != 0)
	}
	id, hasID := uint32(0), flags&greKey != 0
	if hasID {
		id = binary.BigEndian.Uint32(h[key:])
	}
	switch proto {
	case greEther:
		proto, id = nextEther, id>>8 // NVGRE: 24 bits of network, 8 of flow
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSMul, etherVLAN, etherQinQ, etherOldQinQ:
	case grePPP:
		proto = nextPPP
	default:
		return false
	}
	return c.d.plan.has(flow.TunnelGRE) && c.enter(flow.TunnelGRE, id, hasID, n, proto)
}

// erspan: draft-foschiano-erspan. Type I, without a sequence number, has no header.
func (c *cursor) erspan(proto uint32, sequence bool) bool {
	if proto == greERSPAN2 && !sequence {
		return c.enter(flow.TunnelERSPAN, 0, false, 0, nextEther)
	}
	n, version := erspan2Len, byte(1)
	if proto == greERSPAN3 {
		n, version = erspan3Len, 2
	}
	h := c.header(n)
	if h == nil || h[0]>>4 != version {
		return false
	}
	if proto == greERSPAN3 && h[11]&1 != 0 { // O: an optional subheader follows
		n += 8
	}
	session := uint32(binary.BigEndian.Uint16(h[2:]) & 0x3ff)
	return c.enter(flow.TunnelERSPAN, session, true, n, nextEther)
}

// pptp: enhanced GRE with a PPP frame in it, perhaps after the address and control
// bytes of HDLC framing. Encrypted or compressed ones have another PPP protocol.
func (c *cursor) pptp(flags uint16) bool {
	h := c.header(pptpLen)
	if h == nil || flags&greSequence == 0 || !c.d.plan.has(flow.TunnelPPTP) {
		return false
	}
	n := pptpLen + 4
	if flags&greAck != 0 {
		n += 4
	}
	if f := c.header(n + 2); f != nil && f[n] == 0xff && f[n+1] == 0x03 {
		n += 2
	}
	call := binary.BigEndian.Uint16(h[6:])
	return c.enter(flow.TunnelPPTP, uint32(call), true, n, nextPPP)
}

// teredo: RFC 4380 §5.1.1, an authentication header and an origin indication may
// come first.
func (c *cursor) teredo() bool {
	if h := c.header(teredoAuth); h != nil && h[0] == 0 && h[1] == 1 {
		c.off += teredoAuth + int(h[2]) + int(h[3]) + teredoNonce
	}
	if h := c.header(teredoOrig); h != nil && h[0] == 0 && h[1] == 0 {
		c.off += teredoOrig
	}
	return c.fills() && c.enter(flow.TunnelTeredo, 0, false, 0, etherIPv6)
}

// ayiya: draft-massar-v6ops-ayiya; only the opcode "forward" with IPv6 in it.
func (c *cursor) ayiya() bool {
	h := c.header(ayiyaLen)
	if h == nil || h[2]&15 != 1 || h[3] != byte(flow.ProtoIPv6) {
		return false
	}
	c.off += ayiyaLen + 1<<(h[0]>>4) + int(h[1]>>4)*4
	return c.fills() && c.enter(flow.TunnelAYIYA, 0, false, 0, etherIPv6)
}

// fills reports whether an IPv6 packet lies ahead that fills the tunnel to its end.
// It is asked where a port is all that speaks for a tunnel.
func (c *cursor) fills() bool {
	h := c.header(ipv6Len)
	return h != nil && h[0]>>4 == 6 && ipv6Len+int(binary.BigEndian.Uint16(h[4:])) == c.end-c.off
}
