package packettest

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// The addresses of tunnels that do not say their own.
const (
	TunnelSrc = "203.0.113.1"
	TunnelDst = "203.0.113.2"
)

// with returns p with one more wrap around it.
func (p Packet) with(w wrap) Packet {
	p.wraps = append(p.wraps[:len(p.wraps):len(p.wraps)], w)
	return p
}

// prefix returns a wrap that puts h before the packet, whose ethertype becomes typ.
func prefix(h []byte, typ uint16) wrap {
	return func(b []byte, _ uint16) ([]byte, uint16) { return join(h, b), typ }
}

// VLAN adds 802.1Q tags, the last id being the outermost.
func (p Packet) VLAN(ids ...uint16) Packet {
	for _, id := range ids {
		p = p.tag(typeVLAN, id)
	}
	return p
}

// QinQ adds an 802.1ad tag.
func (p Packet) QinQ(id uint16) Packet { return p.tag(typeQinQ, id) }

func (p Packet) tag(tpid, id uint16) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := binary.BigEndian.AppendUint16(nil, id)
		return join(binary.BigEndian.AppendUint16(h, typ), b), tpid
	})
}

// MPLS adds a label stack, the first label being the outermost.
func (p Packet) MPLS(labels ...uint32) Packet { return p.with(prefix(labelStack(labels), typeMPLS)) }

func labelStack(labels []uint32) []byte {
	var h []byte
	for i, l := range labels {
		entry := l<<12 | 64
		if i == len(labels)-1 {
			entry |= 1 << 8
		}
		h = binary.BigEndian.AppendUint32(h, entry)
	}
	return h
}

// MPLSEthernet adds a label stack around an Ethernet pseudowire, with a control word
// if wanted.
func (p Packet) MPLSEthernet(control bool, labels ...uint32) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := labelStack(labels)
		if control {
			h = append(h, 0, 0, 0, 0)
		}
		return join(h, p.inEther(b, typ)), typeMPLS
	})
}

// inEther puts an Ethernet header with p's MACs before b.
func (p Packet) inEther(b []byte, typ uint16) []byte {
	return append(etherHeader(p.srcMAC, p.dstMAC, typ), b...)
}

// PPPoE adds a PPPoE session.
func (p Packet) PPPoE(session uint16) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := []byte{0x11, 0}
		h = binary.BigEndian.AppendUint16(h, session)
		h = binary.BigEndian.AppendUint16(h, uint16(len(b)+2))
		h = binary.BigEndian.AppendUint16(h, pppProto(typ))
		return join(h, b), typePPPoE
	})
}

// pppProto returns the PPP protocol of an ethertype.
func pppProto(typ uint16) uint16 {
	switch typ {
	case typeIPv6:
		return 0x0057
	case typeMPLS:
		return 0x0281
	}
	return 0x0021
}

// InUDP puts the packet, after header, into a UDP packet between the addresses of
// tunnels, with the given destination port. With ether it is put into a frame first.
func (p Packet) InUDP(port uint16, header []byte, ether bool) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		if ether {
			b = p.inEther(b, typ)
		}
		outer := p.carrier(flow.ProtoUDP)
		outer.src = netip.AddrPortFrom(outer.src.Addr(), 49152)
		outer.dst = netip.AddrPortFrom(outer.dst.Addr(), port)
		return outer.PayloadBytes(join(header, b)).ip()
	})
}

// InIP puts the packet, after header, into an IP packet of proto.
func (p Packet) InIP(proto flow.Proto, header []byte) Packet {
	return p.with(func(b []byte, _ uint16) ([]byte, uint16) {
		return p.carrier(proto).PayloadBytes(join(header, b)).ip()
	})
}

// carrier returns the packet that tunnels of p are put into.
func (p Packet) carrier(proto flow.Proto) Packet {
	src, dst := TunnelSrc, TunnelDst
	if p.via[0] != "" {
		src, dst = p.via[0], p.via[1]
	}
	return IP(proto, src, dst)
}

// Via sets the addresses of tunnels that are added after it.
func (p Packet) Via(src, dst string) Packet { p.via = [2]string{src, dst}; return p }

// VXLAN adds VXLAN on port 4789.
func (p Packet) VXLAN(vni uint32) Packet { return p.InUDP(4789, vxlanHeader(vni), true) }

func vxlanHeader(vni uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x08, 0, 0, 0}, vni<<8)
}

// VXLANGPE adds VXLAN-GPE on port 4790 around the bare IP packet.
func (p Packet) VXLANGPE(vni uint32) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := vxlanHeader(vni)
		h[0], h[3] = 0x0c, 1
		if typ == typeIPv6 {
			h[3] = 2
		}
		return rewrap(p.InUDP(4790, h, false), b, typ)
	})
}

// rewrap runs the last wrap of p over b.
func rewrap(p Packet, b []byte, typ uint16) ([]byte, uint16) { return p.wraps[len(p.wraps)-1](b, typ) }

// Geneve adds Geneve with Ethernet inside and opts, a multiple of four bytes.
func (p Packet) Geneve(vni uint32, opts ...byte) Packet {
	h := []byte{byte(len(opts) / 4), 0, typeEther >> 8, typeEther & 0xff}
	h = binary.BigEndian.AppendUint32(h, vni<<8)
	return p.InUDP(6081, append(h, opts...), true)
}

// GTPU adds GTP-U. exts are whole extension headers without the byte that names the
// next one; that they have type 0x85.
func (p Packet) GTPU(teid uint32, exts ...[]byte) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := []byte{0x30, 255, 0, 0}
		h = binary.BigEndian.AppendUint32(h, teid)
		if len(exts) > 0 {
			h[0] |= 4
			h = append(h, 0, 0, 0)
		}
		for _, e := range exts {
			h = append(append(h, 0x85), e...)
		}
		if len(exts) > 0 {
			h = append(h, 0)
		}
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)-8+len(b)))
		return rewrap(p.InUDP(2152, h, false), b, typ)
	})
}

// GRE adds GRE of version 0. Of opts, the letters C, K and S add checksum, key and
// sequence number.
func (p Packet) GRE(opts string, key uint32) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		return rewrap(p.InIP(flow.ProtoGRE, greHeader(opts, key, typ)), b, typ)
	})
}

// GREEthernet adds GRE around an Ethernet frame, as NVGRE does with option K.
func (p Packet) GREEthernet(opts string, key uint32) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		return rewrap(p.InIP(flow.ProtoGRE, greHeader(opts, key, typeEther)), p.inEther(b, typ), typ)
	})
}

func greHeader(opts string, key uint32, typ uint16) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0, 0}, typ)
	for _, r := range opts {
		switch r {
		case 'C':
			h[0] |= 0x80
			h = append(h, 0, 0, 0, 0)
		case 'K':
			h[0] |= 0x20
			h = binary.BigEndian.AppendUint32(h, key)
		case 'S':
			h[0] |= 0x10
			h = append(h, 0, 0, 0, 1)
		default:
			panic("packettest: GRE options are C, K, S, in that order")
		}
	}
	return h
}

// ERSPAN adds ERSPAN of type I, II or III (1, 2, 3).
func (p Packet) ERSPAN(typ int, session uint16) Packet {
	h := greHeader("S", 0, 0x88be)
	switch typ {
	case 1:
		h = greHeader("", 0, 0x88be)
	case 2:
		h = append(h, 0x10, 0, byte(session>>8), byte(session), 0, 0, 0, 0)
	case 3:
		h = append(greHeader("S", 0, 0x22eb), 0x20, 0, byte(session>>8), byte(session))
		h = append(h, make([]byte, 8)...)
	default:
		panic("packettest: ERSPAN has types 1, 2 and 3")
	}
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		return rewrap(p.InIP(flow.ProtoGRE, h), p.inEther(b, typ), typ)
	})
}

// PPTP adds GRE of version 1 with a PPP frame in it.
func (p Packet) PPTP(call uint16) Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		h := []byte{0x30, 1, 0x88, 0x0b}
		h = binary.BigEndian.AppendUint16(h, uint16(len(b)+4))
		h = binary.BigEndian.AppendUint16(h, call)
		h = append(h, 0, 0, 0, 1, 0xff, 0x03)
		h = binary.BigEndian.AppendUint16(h, pppProto(typ))
		return rewrap(p.InIP(flow.ProtoGRE, h), b, typ)
	})
}

// IPIP adds an IP header.
func (p Packet) IPIP() Packet {
	return p.with(func(b []byte, typ uint16) ([]byte, uint16) {
		proto := flow.ProtoIPIP
		if typ == typeIPv6 {
			proto = flow.ProtoIPv6
		}
		return rewrap(p.InIP(proto, nil), b, typ)
	})
}
