package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// maxDatagram is the largest IP datagram that fragments can make up.
const maxDatagram = 65535

// A layer is one IP packet on the way in: its IP header, then its L4 header. The
// innermost that decodes stays the Packet.
type layer struct {
	ip, l4, end int // offsets: IP header, L4 header, end on the wire
	pay, payLen int // L4 payload
	label       uint32
	frag        Frag
	sport       uint16
	dport       uint16
	version     uint8
	proto       flow.Proto
	ttl         uint8
	icmpType    uint8
	icmpCode    uint8
	tcp         bool // the TCP header was captured
	noLen       bool // the header gave no length
}

// ipv4 reads an IPv4 header and what follows.
func (c *cursor) ipv4(l *layer) flow.Cause {
	if c.rest() < ipv4Len {
		return flow.CauseTruncated
	}
	h := c.b[c.off : c.off+ipv4Len]
	hlen, room := int(h[0]&15)*4, c.end-c.off
	total := int(binary.BigEndian.Uint16(h[2:]))
	if total == 0 {
		total = room
	}
	if h[0]>>4 != 4 || hlen < ipv4Len || total < hlen || total > room {
		return flow.CauseMalformed
	}
	if c.rest() < hlen {
		return flow.CauseTruncated
	}
	l.ip, l.l4, l.end = c.off, c.off+hlen, c.off+total
	l.version, l.ttl, l.proto = 4, h[8], flow.Proto(h[9])
	l.label, l.frag, l.noLen = 0, Frag{}, false
	if f := binary.BigEndian.Uint16(h[6:]); f&(fragOffset|fragMore) != 0 {
		l.frag = Frag{
			ID: uint32(binary.BigEndian.Uint16(h[4:])), Offset: f & fragOffset * 8, More: f&fragMore != 0,
			Proto: l.proto, Start: l.l4,
		}
	}
	return c.transport(l)
}

// ipv6 reads an IPv6 header, its extension headers and what follows.
func (c *cursor) ipv6(l *layer) flow.Cause {
	if c.rest() < ipv6Len {
		return flow.CauseTruncated
	}
	h := c.b[c.off : c.off+ipv6Len]
	first := binary.BigEndian.Uint32(h)
	room := c.end - c.off
	total := ipv6Len + int(binary.BigEndian.Uint16(h[4:]))
	noLen := total == ipv6Len && flow.Proto(h[6]) != flow.ProtoNoNext
	if noLen {
		total = room
	}
	if first>>28 != 6 || total > room || total < ipv6Len {
		return flow.CauseMalformed
	}
	l.ip, l.l4, l.end = c.off, c.off+ipv6Len, c.off+total
	l.version, l.ttl, l.proto = 6, h[7], flow.Proto(h[6])
	l.label, l.frag, l.noLen = first&0xfffff, Frag{}, noLen
	if cause := c.extensions(l); cause != flow.Decoded {
		return cause
	}
	return c.transport(l)
}

// extensions walks the extension headers (RFC 8200 §4). It stops at the first
// header that is none, at the data of a later fragment, and at the limit.
func (c *cursor) extensions(l *layer) flow.Cause {
	for range MaxExtHeaders {
		var unit, more int // header length = (second byte + more) × unit
		switch l.proto {
		case flow.ProtoHopByHop, flow.ProtoRouting, flow.ProtoDstOpts, flow.ProtoMobility, flow.ProtoHIP, flow.ProtoShim6:
			unit, more = 8, 1
		case flow.ProtoAH:
			unit, more = 4, 2
		case flow.ProtoFragment:
		default:
			return flow.Decoded
		}
		if cause := c.extension(l, unit, more); cause != flow.Decoded {
			return cause
		}
		if l.frag.Offset != 0 {
			return flow.Decoded
		}
	}
	return flow.Decoded
}

// extension moves l past one extension header, which is a fragment header if unit is 0.
func (c *cursor) extension(l *layer, unit, more int) flow.Cause {
	if cause := c.need(l, fragHeaderLen); cause != flow.Decoded {
		return cause
	}
	h := c.b[l.l4 : l.l4+fragHeaderLen]
	n := fragHeaderLen
	if unit != 0 {
		n = (int(h[1]) + more) * unit
		if cause := c.need(l, n); cause != flow.Decoded {
			return cause
		}
	} else if f := binary.BigEndian.Uint16(h[2:]); f&^6 != 0 {
		l.frag = Frag{
			ID: binary.BigEndian.Uint32(h[4:]), Offset: f &^ 7, More: f&1 != 0,
			Proto: flow.Proto(h[0]), Start: l.l4 + fragHeaderLen,
		}
	}
	l.proto = flow.Proto(h[0])
	l.l4 += n
	return flow.Decoded
}

// need says whether n bytes at l.l4 lie in the packet and were captured.
func (c *cursor) need(l *layer, n int) flow.Cause {
	switch {
	case l.l4+n > l.end:
		return flow.CauseMalformed
	case l.l4+n > len(c.b):
		return flow.CauseTruncated
	}
	return flow.Decoded
}

// commit writes l to p as the packet that frame b is about.
func (l *layer) commit(b []byte, p *Packet) {
	p.IPLen, p.IPOff, p.Frag = l.end-l.ip, l.ip, l.frag
	p.IPVersion, p.TTL, p.FlowLabel = l.version, l.ttl, l.label
	addresses(b, l.ip, l.version, &p.Src, &p.Dst)
	l.commitL4(b, p)
}

// commitL4 writes what follows the IP header.
func (l *layer) commitL4(b []byte, p *Packet) {
	p.L4Off, p.PayloadOff, p.PayloadLen, p.PayloadCap = l.l4, l.pay, l.payLen, l.payLen
	p.Cut = l.end > len(b)
	if p.Cut {
		p.PayloadOff = min(l.pay, len(b))
		p.PayloadCap = min(l.payLen, len(b)-p.PayloadOff)
	}
	p.Proto, p.SrcPort, p.DstPort = l.proto, l.sport, l.dport
	p.ICMPType, p.ICMPCode = l.icmpType, l.icmpCode
	p.HasTCP = l.tcp
	if l.tcp {
		parseTCP(b[l.l4:min(l.pay, len(b))], &p.TCP)
	}
}

// addresses copies the addresses of the IP header at off.
func addresses(b []byte, off int, version uint8, src, dst *[16]byte) {
	switch version {
	case 4:
		h := b[off : off+ipv4Len]
		mapIPv4(src, h[12:16])
		mapIPv4(dst, h[16:20])
	case 6:
		h := b[off : off+ipv6Len]
		*src = [16]byte(h[8:24]) // one at a time: together they are copied aside
		*dst = [16]byte(h[24:40])
	}
}

// mapIPv4 writes the IPv4-mapped form of a, as flow.MapV4 does.
func mapIPv4(dst *[16]byte, a []byte) {
	const mapped = 0xffff << 16 // bytes 10 and 11
	binary.LittleEndian.PutUint64(dst[:], 0)
	binary.LittleEndian.PutUint64(dst[8:], mapped|uint64(binary.LittleEndian.Uint32(a))<<32)
}
