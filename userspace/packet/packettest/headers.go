package packettest

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Ethertypes.
const (
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	typeVLAN  = 0x8100
	typeQinQ  = 0x88a8
	typeMPLS  = 0x8847
	typePPPoE = 0x8864
	typeEther = 0x6558
)

// An extension is an IPv6 extension header without its first byte.
type extension struct {
	typ  flow.Proto
	rest []byte
}

func etherHeader(src, dst flow.MAC, typ uint16) []byte {
	b := append(append([]byte(nil), dst[:]...), src[:]...)
	return binary.BigEndian.AppendUint16(b, typ)
}

// ip returns the IP packet that p describes, and its ethertype.
func (p Packet) ip() ([]byte, uint16) {
	l4 := p.l4
	if l4 == nil {
		l4 = p.transport()
	}
	if p.src.Addr().Is4() {
		return ipv4(p, l4), typeIPv4
	}
	return ipv6(p, l4), typeIPv6
}

// ipv4 puts an IPv4 header before body.
func ipv4(p Packet, body []byte) []byte {
	opts := padTo4(p.ipOpts)
	off := p.frag.Offset / 8
	if p.frag.More {
		off |= 0x2000
	}
	b := []byte{0x45 + byte(len(opts)/4), 0}
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(opts)+len(body)))
	b = binary.BigEndian.AppendUint16(b, p.ipID)
	b = binary.BigEndian.AppendUint16(b, off)
	b = append(b, p.ttl, byte(p.proto), 0, 0)
	b = append(append(b, p.src.Addr().AsSlice()...), p.dst.Addr().AsSlice()...)
	b = append(b, opts...)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return append(b, body...)
}

// ipv6 puts an IPv6 header and its extension headers before body.
func ipv6(p Packet, body []byte) []byte {
	next := p.proto
	for i := len(p.exts) - 1; i >= 0; i-- {
		body = join(append([]byte{byte(next)}, p.exts[i].rest...), body)
		next = p.exts[i].typ
	}
	b := binary.BigEndian.AppendUint32(nil, 6<<28|p.label&0xfffff)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, byte(next), p.ttl)
	b = append(append(b, p.src.Addr().AsSlice()...), p.dst.Addr().AsSlice()...)
	return append(b, body...)
}

// transport returns the L4 header and the payload.
func (p Packet) transport() []byte {
	switch p.proto {
	case flow.ProtoTCP:
		return p.tcp()
	case flow.ProtoUDP, flow.ProtoUDPLite:
		return p.udp()
	case flow.ProtoSCTP:
		b := binary.BigEndian.AppendUint16(nil, p.src.Port())
		b = binary.BigEndian.AppendUint16(b, p.dst.Port())
		return append(append(b, make([]byte, 8)...), p.payload...)
	case flow.ProtoICMP, flow.ProtoICMP6:
		b := []byte{p.icmpType, p.icmpCode, 0, 0}
		b = append(binary.BigEndian.AppendUint32(b, p.icmpRest), p.payload...)
		sum := uint32(0)
		if p.proto == flow.ProtoICMP6 {
			sum = p.pseudo(len(b))
		}
		binary.BigEndian.PutUint16(b[2:], checksum(sum, b))
		return b
	}
	return append([]byte{}, p.payload...)
}

func (p Packet) tcp() []byte {
	opts := padTo4(p.tcpOpts)
	b := binary.BigEndian.AppendUint16(nil, p.src.Port())
	b = binary.BigEndian.AppendUint16(b, p.dst.Port())
	b = binary.BigEndian.AppendUint32(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ack)
	b = append(b, byte(5+len(opts)/4)<<4, byte(p.flags))
	b = binary.BigEndian.AppendUint16(b, p.window)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, p.urgent)
	b = append(append(b, opts...), p.payload...)
	binary.BigEndian.PutUint16(b[16:], checksum(p.pseudo(len(b)), b))
	return b
}

func (p Packet) udp() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.src.Port())
	b = binary.BigEndian.AppendUint16(b, p.dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(p.payload)))
	b = append(append(b, 0, 0), p.payload...)
	sum := checksum(p.pseudo(len(b)), b)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return b
}

// pseudo returns the sum of the pseudo header for n bytes of L4.
func (p Packet) pseudo(n int) uint32 {
	return sum16(p.src.Addr().AsSlice()) + sum16(p.dst.Addr().AsSlice()) + uint32(p.proto) + uint32(n)
}

// checksum returns the Internet checksum (RFC 1071) of b on top of sum.
func checksum(sum uint32, b []byte) uint16 {
	sum += sum16(b)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func sum16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// padTo4 fills options up to a multiple of four bytes.
func padTo4(b []byte) []byte { return join(b, make([]byte, (4-len(b)%4)%4)) }
