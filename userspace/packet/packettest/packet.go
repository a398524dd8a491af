package packettest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// A Packet is a packet in words.
type Packet struct {
	src, dst netip.AddrPort
	srcMAC   flow.MAC
	dstMAC   flow.MAC
	proto    flow.Proto
	flags    flow.TCPFlags
	seq, ack uint32
	window   uint16
	urgent   uint16
	tcpOpts  []byte
	payload  []byte

	icmpType, icmpCode uint8
	icmpRest           uint32

	ttl    uint8
	ipID   uint16
	label  uint32
	ipOpts []byte
	exts   []extension
	frag   packet.Frag
	l4     []byte // instead of what the fields above say

	wraps   []wrap
	via     [2]string // addresses of tunnels
	link    packet.LinkType
	dir     packet.CaptureDir
	padding int
	snap    int
	at      time.Duration
	timed   bool
	edits   []func([]byte)
}

// A wrap puts one encapsulation around b, which has the given ethertype.
type wrap func(b []byte, typ uint16) ([]byte, uint16)

// TCP begins a TCP packet between two addresses with ports. It has no flags yet.
func TCP(src, dst string) Packet {
	p := ports(flow.ProtoTCP, src, dst)
	p.window = 65535
	return p
}

// UDP begins a UDP packet between two addresses with ports.
func UDP(src, dst string) Packet { return ports(flow.ProtoUDP, src, dst) }

// SCTP begins an SCTP packet between two addresses with ports; its payload is chunks.
func SCTP(src, dst string) Packet { return ports(flow.ProtoSCTP, src, dst) }

// IP begins a packet of any protocol between two addresses, with Payload as all that
// follows the IP header.
func IP(proto flow.Proto, src, dst string) Packet {
	return start(proto, netip.AddrPortFrom(netip.MustParseAddr(src), 0), netip.AddrPortFrom(netip.MustParseAddr(dst), 0))
}

// ICMP begins an echo request between two addresses, of ICMPv6 if they are IPv6.
func ICMP(src, dst string) Packet {
	p := IP(flow.ProtoICMP, src, dst)
	p.icmpType = 8
	if p.src.Addr().Is6() {
		p.proto, p.icmpType = flow.ProtoICMP6, 128
	}
	return p
}

func ports(proto flow.Proto, src, dst string) Packet {
	return start(proto, netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst))
}

func start(proto flow.Proto, src, dst netip.AddrPort) Packet {
	if src.Addr().Is4() != dst.Addr().Is4() {
		panic(fmt.Sprintf("packettest: %v and %v are of different IP versions", src, dst))
	}
	return Packet{
		src: src, dst: dst, proto: proto, ttl: 64, link: packet.LinkEthernet,
		srcMAC: MAC(src.Addr()), dstMAC: MAC(dst.Addr()),
	}
}

// MAC returns the link address that packets from a have unless told otherwise: it is
// locally administered and ends in the last four bytes of a.
func MAC(a netip.Addr) flow.MAC {
	b := a.As16()
	return flow.MAC{0x02, 0, b[12], b[13], b[14], b[15]}
}

// Reply returns a packet the other way: ports, addresses and MACs swapped; for TCP
// acknowledging everything p took of the sequence space and continuing at p's Ack;
// for ICMP the answering type. Flags and payload are gone, wraps stay as they are.
func (p Packet) Reply() Packet {
	n := p.seqLen()
	p.src, p.dst = p.dst, p.src
	p.srcMAC, p.dstMAC = p.dstMAC, p.srcMAC
	p.seq, p.ack = p.ack, p.seq+n
	p.flags, p.payload, p.timed = flow.ACK, nil, false
	switch p.icmpType {
	case 8:
		p.icmpType = 0
	case 128:
		p.icmpType = 129
	}
	return p
}

// seqLen returns the sequence space p takes.
func (p Packet) seqLen() uint32 {
	n := uint32(len(p.payload))
	if p.flags&flow.SYN != 0 {
		n++
	}
	if p.flags&flow.FIN != 0 {
		n++
	}
	return n
}

// Flags sets the TCP flags to the letters of FSRPAUEC that are in s.
func (p Packet) Flags(s string) Packet {
	p.flags = 0
	for _, r := range s {
		i := strings.IndexRune("FSRPAUEC", r)
		if i < 0 {
			panic(fmt.Sprintf("packettest: no flag %q", r))
		}
		p.flags |= 1 << i
	}
	return p
}

// Seq sets the sequence number.
func (p Packet) Seq(n uint32) Packet { p.seq = n; return p }

// Ack sets the acknowledgment number; the flag is set by Flags.
func (p Packet) Ack(n uint32) Packet { p.ack = n; return p }

// Window sets the window as it is sent.
func (p Packet) Window(n uint16) Packet { p.window = n; return p }

// Urgent sets the urgent pointer; the flag is set by Flags.
func (p Packet) Urgent(n uint16) Packet { p.urgent = n; return p }

// TCPOptions appends raw TCP options; the header is filled up with zeroes.
func (p Packet) TCPOptions(b ...byte) Packet { p.tcpOpts = join(p.tcpOpts, b); return p }

// MSS appends the option of that name.
func (p Packet) MSS(n uint16) Packet { return p.TCPOptions(2, 4, byte(n>>8), byte(n)) }

// WScale appends the window scale option.
func (p Packet) WScale(n uint8) Packet { return p.TCPOptions(3, 3, n) }

// SACKPermitted appends the option of that name.
func (p Packet) SACKPermitted() Packet { return p.TCPOptions(4, 2) }

// Timestamps appends the timestamps option, aligned as Linux does it.
func (p Packet) Timestamps(val, ecr uint32) Packet {
	b := []byte{1, 1, 8, 10}
	b = binary.BigEndian.AppendUint32(b, val)
	return p.TCPOptions(binary.BigEndian.AppendUint32(b, ecr)...)
}

// Payload sets the L4 payload.
func (p Packet) Payload(s string) Packet { p.payload = []byte(s); return p }

// PayloadBytes sets the L4 payload. The slice is not copied.
func (p Packet) PayloadBytes(b []byte) Packet { p.payload = b; return p }

// Type sets ICMP type and code.
func (p Packet) Type(typ, code uint8) Packet { p.icmpType, p.icmpCode = typ, code; return p }

// Echo sets identifier and sequence number of an ICMP echo.
func (p Packet) Echo(id, seq uint16) Packet {
	p.icmpRest = uint32(id)<<16 | uint32(seq)
	return p
}

// TTL sets the time to live or hop limit.
func (p Packet) TTL(n uint8) Packet { p.ttl = n; return p }

// IPID sets the IPv4 identification.
func (p Packet) IPID(n uint16) Packet { p.ipID = n; return p }

// FlowLabel sets the IPv6 flow label.
func (p Packet) FlowLabel(n uint32) Packet { p.label = n; return p }

// IPOptions appends raw IPv4 options; the header is filled up with zeroes.
func (p Packet) IPOptions(b ...byte) Packet { p.ipOpts = join(p.ipOpts, b); return p }

// MACs sets the link addresses.
func (p Packet) MACs(src, dst flow.MAC) Packet { p.srcMAC, p.dstMAC = src, dst; return p }

// Link sets the link type of the frame.
func (p Packet) Link(t packet.LinkType) Packet { p.link = t; return p }

// Dir sets the direction of capture, in the cooked header too.
func (p Packet) Dir(d packet.CaptureDir) Packet { p.dir = d; return p }

// Pad appends n zero bytes behind the IP packet.
func (p Packet) Pad(n int) Packet { p.padding = n; return p }

// PadTo60 pads as Ethernet does.
func (p Packet) PadTo60() Packet { p.padding = max(0, 60-len(p.Bytes())); return p }

// Snap leaves only the first n bytes captured; n below 0 leaves none.
func (p Packet) Snap(n int) Packet { p.snap = n; return p }

// At sets the time of the packet, counted from Start.
func (p Packet) At(d time.Duration) Packet { p.at, p.timed = d, true; return p }

// Edit runs f over the finished frame, to make it wrong in some way.
func (p Packet) Edit(f func(frame []byte)) Packet {
	p.edits = append(p.edits[:len(p.edits):len(p.edits)], f)
	return p
}

// Bytes returns the frame.
func (p Packet) Bytes() []byte {
	b, typ := p.wrapped()
	b = append(p.linkHeader(typ), b...)
	b = append(b, make([]byte, p.padding)...)
	for _, f := range p.edits {
		f(b)
	}
	return b
}

// wrapped returns the packet below the link header, and its ethertype.
func (p Packet) wrapped() ([]byte, uint16) {
	b, typ := p.ip()
	for _, w := range p.wraps {
		b, typ = w(b, typ)
	}
	return b, typ
}

// linkHeader returns what comes before the packet on the link.
func (p Packet) linkHeader(typ uint16) []byte {
	switch p.link {
	case packet.LinkEthernet:
		return etherHeader(p.srcMAC, p.dstMAC, typ)
	case packet.LinkSLL:
		b := []byte{0, p.packetType(), 0, 1, 0, 6}
		b = append(append(b, p.srcMAC[:]...), 0, 0)
		return binary.BigEndian.AppendUint16(b, typ)
	case packet.LinkSLL2:
		b := binary.BigEndian.AppendUint16(nil, typ)
		b = append(b, 0, 0, 0, 0, 0, 1, 0, 1, p.packetType(), 6)
		return append(append(b, p.srcMAC[:]...), 0, 0)
	case packet.LinkNull:
		return binary.LittleEndian.AppendUint32(nil, family(typ))
	case packet.LinkLoop:
		return binary.BigEndian.AppendUint32(nil, family(typ))
	}
	return nil
}

// packetType returns the cooked packet type of p.
func (p Packet) packetType() byte {
	switch p.dir {
	case packet.DirOut:
		return 4
	case packet.DirUnknown:
		return 3
	}
	return 0
}

// family returns the BSD address family of an ethertype.
func family(typ uint16) uint32 {
	if typ == typeIPv6 {
		return 30
	}
	return 2
}

// View returns p as a captured frame.
func (p Packet) View() packet.View {
	b := p.Bytes()
	v := packet.View{Frame: b, Time: Start.Add(p.at), OrigLen: len(b), LinkType: p.link, Dir: p.dir}
	if p.snap != 0 && p.snap < len(b) {
		n := max(0, p.snap)
		v.Frame = b[:n:n]
	}
	return v
}

// join returns a and b in a slice of their own.
func join(a, b []byte) []byte { return append(append([]byte(nil), a...), b...) }
