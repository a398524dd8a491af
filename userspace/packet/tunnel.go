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

// A shell is what the header of a tunnel says, and its length.
type shell struct {
	kind  flow.TunnelKind
	hasID bool
	id    uint32
	n     int
}

// inside makes p the packet that p carries, or takes back what it noted and reports
// false.
func (c *cursor) inside() bool {
	p := c.p
	vlans, tunnels := p.NVLANs, p.NTunnels
	off, end := p.PayloadOff, p.PayloadOff+p.PayloadLen
	s, next := c.d.plan.open(p, c.b[off:min(end, len(c.b))])
	if next == 0 {
		return false
	}
	c.off, c.end, c.next, c.carried = off+s.n, end, next, true
	if (s.kind == flow.TunnelNone || c.push(s) == flow.Decoded) && c.network() == flow.Decoded {
		return true
	}
	p.NVLANs, p.NTunnels = vlans, tunnels
	return false
}

// open reads the tunnel header that q carries, if any; h are the captured bytes of its
// payload. It returns the ethertype of what follows the header, or one of the next
// constants; 0: there is no tunnel. The kind is TunnelNone if what follows names it.
func (p *plan) open(q *Packet, h []byte) (s shell, next uint32) {
	switch q.Proto {
	case flow.ProtoUDP:
		return p.openUDP(q, h)
	case flow.ProtoGRE:
		return p.gre(h)
	case flow.ProtoIPIP:
		return p.ipip(etherIPv4)
	case flow.ProtoIPv6:
		return p.ipip(etherIPv6)
	}
	return shell{}, 0
}

// openUDP asks the port of the destination, then that of the source.
func (p *plan) openUDP(q *Packet, h []byte) (s shell, next uint32) {
	port := q.DstPort
	kind := p.kind(port)
	if kind == flow.TunnelNone {
		port = q.SrcPort
		kind = p.kind(port)
	}
	switch kind {
	case flow.TunnelVXLAN:
		return vxlan(h, q.DstPort == gpePort || port == gpePort)
	case flow.TunnelGeneve:
		return geneve(h)
	case flow.TunnelGTPU:
		return gtpu(h)
	case flow.TunnelMPLS:
		return shell{}, etherMPLS
	case flow.TunnelTeredo:
		return teredo(h, q.PayloadLen)
	case flow.TunnelAYIYA:
		return ayiya(h, q.PayloadLen)
	}
	return shell{}, 0
}

// push notes a tunnel carried by p, or by no IP packet. At the limit it refuses, so
// that the packet stays at the level that carries it.
func (c *cursor) push(s shell) flow.Cause {
	p := c.p
	if p.NTunnels == MaxTunnels {
		p.DecapDepth = true
		return flow.CauseMalformed
	}
	version := uint8(0)
	if c.carried {
		version = p.IPVersion
	}
	p.push(s, version)
	return flow.Decoded
}

// push appends a tunnel that p, a packet of this IP version, carries; 0: that no IP
// packet carries. There must be room.
func (p *Packet) push(s shell, version uint8) {
	t := &p.Tunnels[p.NTunnels]
	p.NTunnels++
	t.Kind, t.ID, t.HasID, t.IPVersion = s.kind, s.id, s.hasID, version
	if version == 0 {
		t.Src, t.Dst = [16]byte{}, [16]byte{}
		return
	}
	t.Src = p.Src // one at a time: together they are copied aside
	t.Dst = p.Dst
}

// ipip: IP in IP (RFC 2003, RFC 2473, RFC 4213).
func (p *plan) ipip(next uint32) (shell, uint32) {
	if !p.has(flow.TunnelIPIP) {
		return shell{}, 0
	}
	return shell{kind: flow.TunnelIPIP}, next
}

// vxlan: RFC 7348, and VXLAN-GPE on its own port.
func vxlan(h []byte, gpe bool) (s shell, next uint32) {
	if len(h) < vxlanLen || h[0]&0x08 == 0 {
		return shell{}, 0
	}
	next = nextEther
	if gpe && h[0]&0x04 != 0 {
		next = gpeNext(h[3])
	}
	return shell{flow.TunnelVXLAN, true, binary.BigEndian.Uint32(h[4:]) >> 8, vxlanLen}, next
}

// gpeNext maps the next protocol that VXLAN-GPE names if its P flag is set
// (draft-ietf-nvo3-vxlan-gpe).
func gpeNext(proto byte) (next uint32) {
	switch proto {
	case 1:
		return etherIPv4
	case 2:
		return etherIPv6
	case 3:
		return nextEther
	case 5:
		return etherMPLS
	}
	return 0
}

// geneve: RFC 8926.
func geneve(h []byte) (s shell, next uint32) {
	if len(h) < geneveLen || h[0]>>6 != 0 {
		return shell{}, 0
	}
	n := geneveLen + int(h[0]&0x3f)*4
	next = uint32(binary.BigEndian.Uint16(h[2:]))
	switch next {
	case greEther:
		next = nextEther
	case etherIPv4, etherIPv6:
	default:
		return shell{}, 0
	}
	if len(h) < n {
		return shell{}, 0
	}
	return shell{flow.TunnelGeneve, true, binary.BigEndian.Uint32(h[4:]) >> 8, n}, next
}

// gtpu: a G-PDU of GTP version 1 (3GPP TS 29.281 §5). The chain of extension headers is
// read if the E flag says so, and at most 8 of them.
func gtpu(h []byte) (s shell, next uint32) {
	if len(h) < gtpLen || h[0]>>4 != 3 || h[1] != 255 {
		return shell{}, 0
	}
	n := gtpLen
	if h[0]&7 != 0 {
		n += 4
	}
	if h[0]&4 != 0 {
		if n = gtpExtensions(h, n); n == 0 {
			return shell{}, 0
		}
	}
	if len(h) < n {
		return shell{}, 0
	}
	return shell{flow.TunnelGTPU, true, binary.BigEndian.Uint32(h[4:]), n}, nextIP
}

// gtpExtensions walks extension headers; the type of the next one is the byte before
// n. It returns where they end, 0 if they do not.
func gtpExtensions(h []byte, n int) int {
	for range maxGTPHeaders {
		if len(h) <= n { // the length byte of the next one
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
	if len(h) >= n && h[n-1] == 0 {
		return n
	}
	return 0
}

// gre: version 0 (RFC 2784, 2890), with NVGRE (RFC 7637) and ERSPAN in it, and version
// 1, which is PPTP's (RFC 2637).
func (p *plan) gre(h []byte) (s shell, next uint32) {
	if len(h) < greLen {
		return shell{}, 0
	}
	flags, proto := binary.BigEndian.Uint16(h), uint32(binary.BigEndian.Uint16(h[2:]))
	switch version := flags & greVersion; {
	case version == 0 && flags&greRouting == 0:
		return p.gre0(h, flags, proto)
	case version == 1 && flags&greKey != 0 && proto == grePPP:
		return p.pptp(h, flags)
	}
	return shell{}, 0
}

// gre0 reads the optional fields of version 0.
func (p *plan) gre0(h []byte, flags uint16, proto uint32) (s shell, next uint32) {
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
	if len(h) < n {
		return shell{}, 0
	}
	if proto == greERSPAN2 || proto == greERSPAN3 {
		return p.erspan(h, n, proto, flags&greSequence != 0)
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
		return shell{}, 0
	}
	if !p.has(flow.TunnelGRE) {
		return shell{}, 0
	}
	return shell{flow.TunnelGRE, hasID, id, n}, proto
}

// erspan: draft-foschiano-erspan; its header is at n. Type I, without a sequence
// number, has none.
func (p *plan) erspan(h []byte, n int, proto uint32, sequence bool) (s shell, next uint32) {
	if !p.has(flow.TunnelERSPAN) {
		return shell{}, 0
	}
	if proto == greERSPAN2 && !sequence {
		return shell{kind: flow.TunnelERSPAN, n: n}, nextEther
	}
	size, version := erspan2Len, byte(1)
	if proto == greERSPAN3 {
		size, version = erspan3Len, 2
	}
	h = h[n:]
	if len(h) < size || h[0]>>4 != version {
		return shell{}, 0
	}
	if proto == greERSPAN3 && h[11]&1 != 0 { // O: an optional subheader follows
		size += 8
	}
	session := uint32(binary.BigEndian.Uint16(h[2:]) & 0x3ff)
	return shell{flow.TunnelERSPAN, true, session, n + size}, nextEther
}

// pptp: enhanced GRE with a PPP frame in it, perhaps after the address and control
// bytes of HDLC framing. Encrypted or compressed ones have another PPP protocol.
func (p *plan) pptp(h []byte, flags uint16) (s shell, next uint32) {
	if len(h) < pptpLen || flags&greSequence == 0 || !p.has(flow.TunnelPPTP) {
		return shell{}, 0
	}
	n := pptpLen + 4
	if flags&greAck != 0 {
		n += 4
	}
	if len(h) >= n+2 && h[n] == 0xff && h[n+1] == 0x03 {
		n += 2
	}
	call := binary.BigEndian.Uint16(h[6:])
	return shell{flow.TunnelPPTP, true, uint32(call), n}, nextPPP
}

// teredo: RFC 4380 §5.1.1, an authentication header and an origin indication may
// come first. The datagram has size bytes.
func teredo(h []byte, size int) (s shell, next uint32) {
	n := 0
	if len(h) >= teredoAuth && h[0] == 0 && h[1] == 1 {
		n = min(teredoAuth+int(h[2])+int(h[3])+teredoNonce, len(h))
	}
	if o := h[n:]; len(o) >= teredoOrig && o[0] == 0 && o[1] == 0 {
		n += teredoOrig
	}
	if !fills(h[n:], size-n) {
		return shell{}, 0
	}
	return shell{kind: flow.TunnelTeredo, n: n}, etherIPv6
}

// ayiya: draft-massar-v6ops-ayiya; only the opcode "forward" with IPv6 in it. The
// datagram has size bytes.
func ayiya(h []byte, size int) (s shell, next uint32) {
	if len(h) < ayiyaLen || h[2]&15 != 1 || h[3] != byte(flow.ProtoIPv6) {
		return shell{}, 0
	}
	n := ayiyaLen + 1<<(h[0]>>4) + int(h[1]>>4)*4
	if n > len(h) || !fills(h[n:], size-n) {
		return shell{}, 0
	}
	return shell{kind: flow.TunnelAYIYA, n: n}, etherIPv6
}

// fills reports whether h begins an IPv6 packet of size bytes. It is asked where a
// port is all that speaks for a tunnel.
func fills(h []byte, size int) bool {
	return len(h) >= ipv6Len && h[0]>>4 == 6 && ipv6Len+int(binary.BigEndian.Uint16(h[4:])) == size
}
