package decode

import (
	"encoding/binary"
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// A sample is a packet that both decoders are given, whole and in parts.
type sample struct {
	name   string
	packet pt.Packet
}

const (
	v4a, v4b   = "192.0.2.1", "198.51.100.7"
	v4ap, v4bp = "192.0.2.1:40000", "198.51.100.7:443"
	v6a, v6b   = "2001:db8::1", "2001:db8::7"
	v6ap, v6bp = "[2001:db8::1]:40000", "[2001:db8::7]:443"
)

// samples has a packet for each rule of decoding.
func samples() []sample {
	return slices.Concat(plainSamples(), linkSamples(), extensionSamples(), fragmentSamples(), tunnelSamples(), malformedSamples())
}

func tcp4() pt.Packet {
	return pt.TCP(v4ap, v4bp).Flags("PA").Seq(7).Ack(9).Window(512).Payload("Hello, world!")
}

func tcp6() pt.Packet {
	return pt.TCP(v6ap, v6bp).Flags("PA").Seq(7).Ack(9).FlowLabel(0xabcde).Payload("Hello, world!")
}

func udp4() pt.Packet { return pt.UDP(v4ap, v4bp).Payload("datagram") }
func udp6() pt.Packet { return pt.UDP(v6ap, v6bp).Payload("datagram") }

func plainSamples() []sample {
	l := []sample{
		{"tcp", tcp4()},
		{"tcp all flags", pt.TCP(v4ap, v4bp).Flags("FSRPAUEC").Urgent(3).Payload("x")},
		{"tcp padded", pt.TCP(v4ap, v4bp).Flags("A").PadTo60()},
		{"tcp6", tcp6()},
		{"tcp syn options", pt.TCP(v4ap, v4bp).Flags("S").MSS(1460).SACKPermitted().Timestamps(5, 0).WScale(7)},
		{"tcp timestamps", tcp4().Timestamps(0x01020304, 0x05060708)},
		{"tcp6 timestamps", tcp6().Timestamps(0x01020304, 0x05060708)},
		{"tcp option lengths", tcp4().TCPOptions(2, 3, 0, 3, 4, 7, 0, 4, 3, 0, 8, 4, 1, 1, 1, 2, 4, 5, 0xb4)},
		{"tcp option too long", tcp4().TCPOptions(1, 4, 2, 8, 40)},
		{"tcp option length 0", tcp4().TCPOptions(3, 3, 9, 2, 0)},
		{"tcp option length 1", tcp4().TCPOptions(3, 3, 9, 2, 1)},
		{"tcp option end", tcp4().TCPOptions(3, 3, 9, 0, 2, 4, 5, 0xb4)},
		{"tcp option cut", tcp4().TCPOptions(1, 1, 1, 3)},
		{"tcp options of nops", tcp4().TCPOptions(slices.Repeat([]byte{1}, 40)...)},
		{"tcp options full", tcp4().TCPOptions(slices.Repeat([]byte{4, 2, 1, 3, 3, 14, 30, 2}, 5)...)},
		{"tcp md5", tcp4().TCPOptions(append([]byte{19, 18}, make([]byte, 16)...)...)},
		{"tcp ao", tcp4().TCPOptions(29, 16, 1, 1)},
		{"tcp ao whole", tcp4().TCPOptions(append([]byte{29, 16}, make([]byte, 14)...)...)},
		{"ip options", tcp4().IPOptions(1, 1, 1, 7, 3, 4)},
		{"ip options full", tcp4().IPOptions(slices.Repeat([]byte{1}, 40)...)},
		{"udp", udp4()},
		{"udp empty", pt.UDP(v4ap, v4bp)},
		{"udp6", udp6()},
		{"sctp", pt.SCTP(v4ap, v4bp).Payload("chunk")},
		{"sctp short", pt.IP(flow.ProtoSCTP, v4a, v4b).Payload("12345678")},
		{"icmp echo", pt.ICMP(v4a, v4b).Echo(1, 2).Payload("ping")},
		{"icmp unreachable", pt.ICMP(v4a, v4b).Type(3, 4)},
		{"icmp short", pt.IP(flow.ProtoICMP, v4a, v4b).Payload("\x08\x00ab")},
		{"icmp too short", pt.IP(flow.ProtoICMP, v4a, v4b).Payload("\x08\x00a")},
		{"icmp6 echo", pt.ICMP(v6a, v6b).Echo(1, 2).Payload("ping")},
		{"icmp over ipv6", pt.IP(flow.ProtoICMP, v6a, v6b).Payload("\x08\x00abcdef")},
		{"icmp6 over ipv4", pt.IP(flow.ProtoICMP6, v4a, v4b).Payload("\x80\x00abcdef")},
		{"protocol without ports", pt.IP(89, v4a, v4b).Payload("ospf")},
		{"no payload at all", pt.IP(flow.ProtoTCP, v4a, v4b)},
		{"udp-lite", pt.IP(flow.ProtoUDPLite, v4a, v4b).Payload("\x00\x35\x00\x36\x00\x08\x00\x00data")},
		{"ah over ipv4", pt.IP(flow.ProtoAH, v4a, v4b).Payload("whatever it holds, it is not opened")},
	}
	for typ := range 256 {
		l = append(l, sample{"icmp type", pt.ICMP(v4a, v4b).Type(uint8(typ), 1)}, sample{"icmp6 type", pt.ICMP(v6a, v6b).Type(uint8(typ), 1)})
	}
	return l
}

func linkSamples() []sample {
	l := []sample{
		{"vlan", tcp4().VLAN(7)},
		{"vlan 6", tcp6().VLAN(7)},
		{"priority tag", tcp4().VLAN(0)},
		{"vlan with priority", tcp4().VLAN(0xe007)},
		{"vlan twice", tcp4().VLAN(7, 8)},
		{"vlan three times", udp6().VLAN(7, 8, 9)},
		{"vlan four times", tcp4().VLAN(7, 8, 9, 10)},
		{"qinq", tcp4().VLAN(7).QinQ(100)},
		{"old qinq", tcp4().VLAN(7, 8).Edit(setType(0x9100))},
		{"arp", tcp4().Edit(setType(0x0806))},
		{"pppoe discovery", tcp4().Edit(setType(0x8863))},
		{"bridged ethertype", tcp4().Edit(setType(0x6558))},
		{"802.3", tcp4().Edit(setType(100))},
		{"snap", tcp4().Edit(snap(0, 0x0800))},
		{"snap 6", tcp6().Edit(snap(0, 0x86dd))},
		{"snap arp", tcp4().Edit(snap(0, 0x0806))},
		{"snap of others", tcp4().Edit(snap(5, 0x0800))},
		{"type 4 and version 6", tcp6().Edit(setType(0x0800))},
		{"type 6 and version 4", tcp4().Edit(setType(0x86dd))},
	}
	for _, t := range []packet.LinkType{
		packet.LinkNull, packet.LinkLoop, packet.LinkRaw, packet.LinkRawBSD, packet.LinkRawBSDOS, packet.LinkSLL, packet.LinkSLL2, 147,
	} {
		l = append(l, sample{"link", tcp4().Link(t)}, sample{"link 6", udp6().Link(t)}, sample{"link vxlan", tcp4().VXLAN(5).Link(t)},
			sample{"link in", tcp4().Link(t).Dir(packet.DirIn)}, sample{"link out", tcp4().Link(t).Dir(packet.DirOut)})
	}
	return append(l,
		sample{"link ipv4", tcp4().Link(packet.LinkIPv4)}, sample{"link ipv4 with 6", tcp6().Link(packet.LinkIPv4)},
		sample{"link ipv6", tcp6().Link(packet.LinkIPv6)}, sample{"link ipv6 with 4", tcp4().Link(packet.LinkIPv6)},
		sample{"null of another host", tcp4().Link(packet.LinkNull).Edit(func(b []byte) { slices.Reverse(b[:4]) })},
		sample{"null of appletalk", tcp4().Link(packet.LinkNull).Edit(func(b []byte) { b[0], b[3] = 16, 16 })},
		sample{"cooked vlan", tcp4().VLAN(7).Link(packet.LinkSLL)},
		sample{"cooked 802.3", tcp4().Link(packet.LinkSLL).Edit(func(b []byte) { b[14], b[15] = 0, 4 })},
		sample{"cooked without address", tcp4().Link(packet.LinkSLL).Edit(func(b []byte) { b[5] = 0 })},
		sample{"raw of version 5", tcp4().Link(packet.LinkRaw).Edit(func(b []byte) { b[0] = 0x55 })},
	)
}

// setType changes the ethertype of a frame.
func setType(typ uint16) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[12:], typ) }
}

// snap turns a frame into 802.3 with a SNAP header; it overwrites eight bytes of room
// made for that in front of the packet.
func snap(oui byte, typ uint16) func([]byte) {
	return func(b []byte) {
		copy(b[22:], slices.Clone(b[14:len(b)-8]))
		copy(b[12:], []byte{0, 60, 0xaa, 0xaa, 3, 0, 0, oui, byte(typ >> 8), byte(typ)})
	}
}

// chained returns an IPv6 packet with extension headers of the given types, then proto
// with l4 behind them.
func chained(l4 []byte, proto flow.Proto, types ...flow.Proto) pt.Packet {
	for i := len(types) - 1; i >= 0; i-- {
		h := append([]byte{byte(proto), 0}, make([]byte, 6)...)
		switch types[i] {
		case flow.ProtoAH:
			h = append(h, make([]byte, 4)...)
			h[1] = 1
		case flow.ProtoDstOpts:
			h = append(h, make([]byte, 16)...)
			h[1] = 2
		}
		l4, proto = append(h, l4...), types[i]
	}
	return pt.IP(proto, v6a, v6b).PayloadBytes(l4)
}

// l4 returns what p has behind its IPv6 header.
func l4(p pt.Packet) []byte { return p.Bytes()[54:] }

func extensionSamples() []sample {
	hop, opts, frag, ah, routing := flow.ProtoHopByHop, flow.ProtoDstOpts, flow.ProtoFragment, flow.ProtoAH, flow.ProtoRouting
	tcp := l4(tcp6())
	l := []sample{
		{"hop by hop", chained(tcp, flow.ProtoTCP, hop)},
		{"every extension", chained(tcp, flow.ProtoTCP, hop, opts, routing, ah, flow.ProtoMobility, flow.ProtoHIP, flow.ProtoShim6)},
		{"hop by hop last", chained(tcp, flow.ProtoTCP, opts, hop)},
		{"atomic fragment", chained(tcp, flow.ProtoTCP, frag)},
		{"8 extensions", chained(tcp, flow.ProtoTCP, slices.Repeat([]flow.Proto{opts}, 8)...)},
		{"9 extensions", chained(tcp, flow.ProtoTCP, slices.Repeat([]flow.Proto{opts}, 9)...)},
		{"esp", chained([]byte("encrypted"), flow.ProtoESP, hop)},
		{"no next header", chained([]byte("nothing"), flow.ProtoNoNext, hop)},
		{"extension cut by its packet", pt.IP(hop, v6a, v6b).Payload("\x06\x00\x00\x00")},
		{"extension longer than its packet", pt.IP(hop, v6a, v6b).Payload("\x06\x09\x00\x00\x00\x00\x00\x00")},
		{"large extension", pt.IP(opts, v6a, v6b).PayloadBytes(append(append([]byte{17, 255}, make([]byte, 2046)...), l4(udp6())...))},
		{"extension in vxlan", chained(tcp, flow.ProtoTCP, hop, opts).VXLAN(3)},
	}
	for _, off := range []uint16{1, 8, 8 | 1, 6, 0xfff8, 0xfff9} {
		h := []byte{byte(flow.ProtoTCP), 0, byte(off >> 8), byte(off), 1, 2, 3, 4}
		l = append(l,
			sample{"fragment header", pt.IP(frag, v6a, v6b).PayloadBytes(append(h, tcp[:24]...))},
			sample{"fragment header odd", pt.IP(frag, v6a, v6b).PayloadBytes(append(h, tcp[:27]...))},
			sample{"fragment header twice", pt.IP(frag, v6a, v6b).PayloadBytes(append(append([]byte{44, 0, 0, 1, 9, 9, 9, 9}, h...), tcp[:24]...))},
			sample{"options in fragment", pt.IP(frag, v6a, v6b).PayloadBytes(
				append(append([]byte{60, 0, byte(off >> 8), byte(off), 1, 2, 3, 4}, 6, 0, 1, 4, 0, 0, 0, 0), tcp[:24]...))},
		)
	}
	return l
}

// fragment says in the IPv4 header of a frame that it is one.
func fragment(off uint16, more bool) func([]byte) {
	word := off / 8
	if more {
		word |= 0x2000
	}
	return func(b []byte) { binary.BigEndian.PutUint16(b[20:], word) }
}

func fragmentSamples() []sample {
	tcp := tcp4().Payload("12345678901234567890").IPID(77)
	udp := udp4().Payload("1234567890123456").IPID(77)
	l := []sample{
		{"first fragment", tcp.Edit(fragment(0, true))},
		{"first fragment, options beyond it", tcp.Edit(fragment(0, true)).Edit(func(b []byte) { b[46] = 0xf0 })},
		{"first fragment, bad data offset", tcp.Edit(fragment(0, true)).Edit(func(b []byte) { b[46] = 0x40 })},
		{"first fragment, tiny", pt.IP(flow.ProtoTCP, v4a, v4b).Payload("\x00\x50\x01\xbb\x00\x00\x00\x01").Edit(fragment(0, true))},
		{"first fragment, no data", pt.IP(flow.ProtoTCP, v4a, v4b).Edit(fragment(0, true))},
		{"first fragment of udp", udp.Edit(fragment(0, true))},
		{"first fragment of icmp", pt.ICMP(v4a, v4b).Payload("12345678").Edit(fragment(0, true))},
		{"first fragment of vxlan", tcp4().Payload("123").VXLAN(3).Edit(fragment(0, true))},
		{"first fragment in vxlan", tcp4().VXLAN(3).Edit(func(b []byte) { b[70] = 0x20 })},
		{"middle fragment", tcp.Edit(fragment(800, true))},
		{"last fragment", udp.Edit(fragment(800, false))},
		{"last fragment odd", tcp4().Edit(fragment(800, false))},
		{"middle fragment odd", tcp4().Edit(fragment(800, true))},
		{"fragment beyond 65535", udp.Edit(fragment(65528, false))},
		{"fragment up to 65535", pt.IP(99, v4a, v4b).Payload("1234567").Edit(fragment(65528, false))},
		{"evil bit and do not fragment", tcp.Edit(func(b []byte) { b[20] = 0xc0 })},
	}
	return l
}

func tunnelSamples() []sample {
	in := tcp4()
	return []sample{
		{"mpls", in.MPLS(17)},
		{"mpls 2", tcp6().MPLS(17, 18)},
		{"mpls 16", in.MPLS(labels(16)...)},
		{"mpls 17", in.MPLS(labels(17)...)},
		{"mpls ethernet", in.MPLSEthernet(false, 17)},
		{"mpls control word", in.MPLSEthernet(true, 17)},
		{"mpls after vlan", in.MPLS(17).VLAN(3)},
		{"mpls multicast", in.MPLS(17).Edit(setType(0x8848))},
		{"mpls in mpls", in.MPLSEthernet(true, 17).MPLSEthernet(false, 18).MPLSEthernet(true, 19).MPLS(20)},
		{"mpls too deep", in.MPLSEthernet(true, 17).MPLSEthernet(false, 18).MPLSEthernet(true, 19).MPLSEthernet(true, 20).MPLSEthernet(true, 21)},
		{"pppoe", in.PPPoE(9)},
		{"pppoe 6", tcp6().PPPoE(9)},
		{"pppoe mpls", in.MPLS(5).PPPoE(9)},
		{"pppoe version", in.PPPoE(9).Edit(func(b []byte) { b[14] = 0x12 })},
		{"pppoe code", in.PPPoE(9).Edit(func(b []byte) { b[15] = 7 })},
		{"pppoe lcp", in.PPPoE(9).Edit(func(b []byte) { b[20], b[21] = 0xc0, 0x21 })},
		{"pppoe after vlan", udp4().PPPoE(9).VLAN(4)},
		{"vxlan", in.VXLAN(42)},
		{"vxlan without flag", in.VXLAN(42).Edit(func(b []byte) { b[42] = 0 })},
		{"vxlan 6", tcp6().Via(v6a, v6b).VXLAN(42)},
		{"vxlan vlan", in.VLAN(5, 6).VXLAN(42).VLAN(7)},
		{"vxlan vlan too many", in.VLAN(5, 6, 8).VXLAN(42).VLAN(7)},
		{"vxlan of arp", in.VXLAN(42).Edit(func(b []byte) { b[62], b[63] = 8, 6 })},
		{"vxlan 8472", in.InUDP(8472, []byte{8, 0, 0, 0, 0, 0, 7, 0}, true)},
		{"vxlan by source port", in.VXLAN(42).Edit(func(b []byte) { b[34], b[35], b[36], b[37] = b[36], b[37], b[34], b[35] })},
		{"vxlan gpe", in.VXLANGPE(42)},
		{"vxlan gpe 6", tcp6().VXLANGPE(42)},
		{"vxlan gpe ethernet", in.InUDP(4790, []byte{0x0c, 0, 0, 3, 0, 0, 7, 0}, true)},
		{"vxlan gpe mpls", in.MPLS(5).InUDP(4790, []byte{0x0c, 0, 0, 5, 0, 0, 7, 0}, false)},
		{"vxlan gpe nsh", in.InUDP(4790, []byte{0x0c, 0, 0, 4, 0, 0, 7, 0}, false)},
		{"vxlan gpe without p", in.InUDP(4790, []byte{0x08, 0, 0, 4, 0, 0, 7, 0}, true)},
		{"geneve", in.Geneve(42)},
		{"geneve options", in.Geneve(42, make([]byte, 252)...)},
		{"geneve ip", in.InUDP(6081, []byte{0, 0, 8, 0, 0, 0, 7, 0}, false)},
		{"geneve version", in.InUDP(6081, []byte{0x40, 0, 8, 0, 0, 0, 7, 0}, false)},
		{"geneve unknown", in.InUDP(6081, []byte{0, 0, 8, 6, 0, 0, 7, 0}, false)},
		{"geneve option length", in.InUDP(6081, []byte{0x3f, 0, 8, 0, 0, 0, 7, 0}, false)},
		{"gtpu", in.GTPU(42)},
		{"gtpu extension", in.GTPU(42, []byte{1, 0x11, 0x22})},
		{"gtpu 8 extensions", tcp6().GTPU(42, slices.Repeat([][]byte{{1, 0x11, 0x22}}, 8)...)},
		{"gtpu 9 extensions", in.GTPU(42, slices.Repeat([][]byte{{1, 0x11, 0x22}}, 9)...)},
		{"gtpu long extension", in.GTPU(42, append([]byte{64}, make([]byte, 254)...))},
		{"gtpu extension length 0", in.GTPU(42, []byte{0, 0x11, 0x22})},
		{"gtpu sequence", in.InUDP(2152, []byte{0x32, 255, 0, 0, 0, 0, 0, 7, 0, 1, 0, 5}, false)},
		{"gtpu echo", in.InUDP(2152, []byte{0x32, 1, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0}, false)},
		{"gtp prime", in.InUDP(2152, []byte{0x20, 255, 0, 0, 0, 0, 0, 7}, false)},
		{"gre", in.GRE("", 0)},
		{"gre checksum", in.GRE("C", 0)},
		{"gre key", in.GRE("K", 42)},
		{"gre all", tcp6().GRE("CKS", 42)},
		{"gre routing", in.GRE("", 0).Edit(func(b []byte) { b[34] |= 0x40 })},
		{"gre version 2", in.GRE("", 0).Edit(func(b []byte) { b[35] |= 2 })},
		{"gre unknown", in.GRE("", 0).Edit(func(b []byte) { b[36] = 9 })},
		{"gre mpls", in.MPLS(5).GRE("", 0)},
		{"gre vlan", in.VLAN(5).GRE("", 0)},
		{"gre ppp", in.InIP(flow.ProtoGRE, []byte{0, 0, 0x88, 0x0b, 0, 0x21})},
		{"gre pppoe", in.PPPoE(5).GRE("", 0)},
		{"nvgre", in.GREEthernet("K", 0x123456ff)},
		{"gre ethernet", in.GREEthernet("", 0)},
		{"erspan 1", in.ERSPAN(1, 100)},
		{"erspan 2", in.ERSPAN(2, 100)},
		{"erspan 3", in.ERSPAN(3, 100)},
		{"erspan 3 subheader", in.InIP(flow.ProtoGRE, append(append([]byte{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 20)...), 8, 0))},
		{"erspan of another version", in.ERSPAN(2, 100).Edit(func(b []byte) { b[42] = 0x30 })},
		{"pptp", in.PPTP(42)},
		{"pptp ack", in.InIP(flow.ProtoGRE, []byte{0x30, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0x21})},
		{"pptp ack hdlc", in.InIP(flow.ProtoGRE, []byte{0x30, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21})},
		{"pptp without data", in.InIP(flow.ProtoGRE, []byte{0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1})},
		{"pptp compressed", in.InIP(flow.ProtoGRE, []byte{0x30, 1, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1, 0xfd})},
		{"ipip", in.IPIP()},
		{"6in4", tcp6().IPIP()},
		{"4in6", in.Via(v6a, v6b).IPIP()},
		{"6in6", tcp6().Via(v6a, v6b).IPIP()},
		{"ipip of the other version", in.InIP(flow.ProtoIPv6, nil)},
		{"mpls over udp", in.MPLS(5).InUDP(6635, nil, false)},
		{"teredo", tcp6().InUDP(3544, nil, false)},
		{"teredo origin", tcp6().InUDP(3544, []byte{0, 0, 1, 2, 3, 4, 5, 6}, false)},
		{"teredo authentication", tcp6().InUDP(3544, []byte{0, 1, 2, 3, 1, 2, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false)},
		{"teredo both", tcp6().InUDP(3544, []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6}, false)},
		{"teredo of ipv4", in.InUDP(3544, nil, false)},
		{"teredo with a rest", tcp6().Pad(3).InUDP(3544, nil, false).Edit(func(b []byte) { b[47]-- })},
		{"ayiya", tcp6().InUDP(5072, ayiya(1, 41), false)},
		{"ayiya heartbeat", tcp6().InUDP(5072, ayiya(0, 59), false)},
		{"wrong port", udp4().Payload("this is no tunnel at all").InUDP(6081, []byte("nothing of the kind"), false)},
		{"4 tunnels", in.GRE("", 0).VXLAN(1).IPIP().GTPU(5)},
		{"5 tunnels", in.VXLAN(2).GRE("", 0).VXLAN(1).IPIP().GTPU(5)},
		{"6 tunnels", in.IPIP().IPIP().IPIP().IPIP().IPIP().IPIP()},
		{"tunnel padded", in.VXLAN(2).Pad(7)},
		{"udp in udp tunnels", udp6().VXLAN(2).GTPU(4)},
	}
}

// ayiya returns an AYIYA header with an identity of 16 bytes and a signature of 20.
func ayiya(opcode, next byte) []byte {
	return append([]byte{0x41, 0x52, 0x10 | opcode, next, 0, 0, 0, 0}, make([]byte, 36)...)
}

func labels(n int) []uint32 {
	l := make([]uint32, n)
	for i := range l {
		l[i] = uint32(100 + i)
	}
	return l
}

// malformedSamples have one wrong field each. The IPv4 header begins at byte 14, the L4
// header at byte 34.
func malformedSamples() []sample {
	set := func(at int, to ...byte) func([]byte) { return func(b []byte) { copy(b[at:], to) } }
	return []sample{
		{"version 5", tcp4().Edit(set(14, 0x55))},
		{"ihl 4", tcp4().Edit(set(14, 0x44))},
		{"ihl beyond total", tcp4().Edit(set(14, 0x4f)).Edit(set(16, 0, 30))},
		{"total 0", tcp4().Edit(set(16, 0, 0))},
		{"total 0 padded", tcp4().Pad(9).Edit(set(16, 0, 0))},
		{"total beyond the frame", tcp4().Edit(set(16, 1, 0))},
		{"total beyond the frame by one", tcp4().Edit(set(17, 54))},
		{"total less than the header", tcp4().Edit(set(16, 0, 19))},
		{"data offset 4", tcp4().Edit(set(46, 0x40))},
		{"data offset beyond", tcp4().Edit(set(46, 0xf0))},
		{"no room for tcp", tcp4().Edit(set(16, 0, 39))},
		{"udp length 7", udp4().Edit(set(38, 0, 7))},
		{"udp length 0", udp4().Edit(set(38, 0, 0))},
		{"udp length beyond", udp4().Edit(set(38, 0, 17))},
		{"udp length shorter", udp4().Edit(set(38, 0, 10))},
		{"no room for udp", udp4().Edit(set(16, 0, 27))},
		{"udp6 length 0", udp6().Edit(set(58, 0, 0))},
		{"ipv6 length 0", tcp6().Edit(set(18, 0, 0))},
		{"ipv6 and udp length 0", udp6().Edit(set(18, 0, 0)).Edit(set(58, 0, 0))},
		{"ipv6 length 0, no next header", tcp6().Edit(set(18, 0, 0)).Edit(set(20, 59))},
		{"ipv6 length beyond", tcp6().Edit(set(18, 1, 0))},
		{"ipv6 version", tcp6().Edit(set(14, 0x50))},
	}
}
