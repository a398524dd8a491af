package packet_test

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// checkPacket fails the test if p, just decoded from v, breaks a promise.
func checkPacket(t testing.TB, v *packet.View, p *packet.Packet) {
	t.Helper()
	n := len(v.Frame)
	switch {
	case p.PayloadOff < 0 || p.PayloadCap < 0 || p.PayloadOff+p.PayloadCap > n:
		t.Fatalf("payload %d+%d outside of the frame's %d bytes", p.PayloadOff, p.PayloadCap, n)
	case p.PayloadLen < p.PayloadCap || !p.Cut && p.PayloadLen != p.PayloadCap:
		t.Fatalf("payload length %d, captured %d, cut %v", p.PayloadLen, p.PayloadCap, p.Cut)
	case p.WireLen != v.WireLen() || p.IPLen > p.WireLen || p.PayloadLen > p.IPLen:
		t.Fatalf("wire %d, IP %d, payload %d", p.WireLen, p.IPLen, p.PayloadLen)
	case p.NVLANs > packet.MaxVLANs || p.NTunnels > packet.MaxTunnels:
		t.Fatalf("%d VLANs, %d tunnels", p.NVLANs, p.NTunnels)
	case p.Cause != flow.Decoded && (p.IPVersion != 0 || p.IPLen != 0 || p.HasTCP || p.IsFragment()):
		t.Fatalf("%v, but fields are left: %+v", p.Cause, p)
	case p.Cause == flow.Decoded && p.IPVersion != 4 && p.IPVersion != 6:
		t.Fatalf("decoded, IP version %d", p.IPVersion)
	}
	p.ChecksumsOK(v.Frame)
	if p.HasTCP {
		p.Segment(v.Frame)
	}
	p.Attributes()
}

// fuzzLinks are the link types that fuzzing goes through.
var fuzzLinks = []packet.LinkType{
	packet.LinkEthernet, packet.LinkRaw, packet.LinkIPv4, packet.LinkIPv6, packet.LinkSLL, packet.LinkSLL2, packet.LinkNull, packet.LinkLoop, 147,
}

// fuzzPackets are the seeds of fuzzing: one of everything.
func fuzzPackets() []packettest.Packet {
	tcp, udp6 := packettest.TCP(alice, bob).Flags("PA").Payload("hello"), packettest.UDP(alice6, bob6).Payload("hello")
	return append([]packettest.Packet{
		tcp, udp6, tcp.MSS(1460).Timestamps(1, 2), tcp.IPOptions(7, 3, 4), tcp.VLAN(1, 2).QinQ(3), tcp.PadTo60(),
		packettest.ICMP("192.0.2.1", "192.0.2.2"), packettest.SCTP(alice, bob),
		udp6.Ext(flow.ProtoHopByHop).Ext(flow.ProtoRouting).Ext(flow.ProtoAH).AtomicFragment(7),
		tcp.MPLS(16, 17), tcp.MPLSEthernet(true, 16), tcp.MPLSEthernet(false, 16), tcp.PPPoE(5), tcp.VXLAN(42), udp6.VXLANGPE(42), tcp.Geneve(42, 1, 2, 3, 4),
		tcp.GTPU(42), tcp.GTPU(42, []byte{1, 0, 0}), tcp.GRE("CKS", 9), tcp.GREEthernet("K", 0x900), tcp.ERSPAN(1, 0), tcp.ERSPAN(2, 7), tcp.ERSPAN(3, 7),
		tcp.PPTP(3), tcp.IPIP(), udp6.IPIP(), udp6.InUDP(3544, nil, false), tcp.IPIP().GRE("", 0).VXLAN(1).VXLAN(2).VXLAN(3),
		udp6.InUDP(5072, []byte{0x44, 0x52, 0x11, 41, 23: 0, 43: 0}, false), tcp.InUDP(6635, []byte{0, 1, 1, 64}, false),
	}, append(tcp.Fragments(8), udp6.Fragments(8)...)...)
}

// dirty is what an earlier frame may have left in a Packet.
var dirty = packet.Packet{
	FlowLabel: 7, ICMPType: 7, ICMPCode: 7, TTL: 7, HasTCP: true, HasMAC: true, Cut: true, DecapDepth: true, NVLANs: 3, NTunnels: 4,
	Frag: packet.Frag{ID: 7, Offset: 7, More: true, Proto: flow.ProtoTCP, Start: 7},
	TCP:  packet.TCP{Options: flow.OptMSS, MSS: 7, WScale: 7, TSVal: 7, TSEcr: 7, Urgent: 7},
}

// FuzzDecode holds the promises of Decode on any bytes, and the short ways of decoding
// against the long one, after any frame.
func FuzzDecode(f *testing.F) {
	for _, p := range fuzzPackets() {
		f.Add(p.Bytes(), uint8(0), uint16(0))
	}
	tcp6, udp := packettest.TCP(alice6, bob6).Timestamps(1, 2).Payload("hello"), packettest.UDP(alice, bob).Payload("hello")
	for _, p := range []packettest.Packet{
		tcp6, tcp6.VXLAN(7), tcp6.Geneve(7), udp.VXLAN(7).VLAN(5), udp.VLAN(5).VXLAN(7), tcp6.VLAN(1, 2, 3), udp.VXLANGPE(7),
		udp.VXLAN(1).Geneve(2).VXLAN(3).VXLAN(4), udp.VXLAN(1).Geneve(2).VXLAN(3).VXLAN(4).VXLAN(5),
	} {
		f.Add(p.Bytes(), uint8(0), uint16(0))
		f.Add(p.Bytes()[:len(p.Bytes())-4], uint8(0), uint16(4))
	}
	f.Add([]byte{1, 2, 3, 4, 5}, uint8(1), uint16(9))
	f.Fuzz(func(t *testing.T, frame []byte, link uint8, more uint16) {
		v := packet.View{Frame: frame, LinkType: fuzzLinks[int(link)%len(fuzzLinks)], OrigLen: len(frame) + int(more)}
		var d packet.Decoder
		p, long := dirty, dirty
		d.Decode(&v, &p)
		checkPacket(t, &v, &p)
		ld := packet.LongDecoder()
		if ld.Decode(&v, &long); p != long {
			t.Errorf("short way %+v\n long way %+v", p, long)
		}
	})
}

// FuzzExtract holds for each extractor: a packet and its mirror image have the same
// key in opposite directions.
func FuzzExtract(f *testing.F) {
	for _, p := range fuzzPackets() {
		f.Add(p.Bytes())
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		v := packet.View{Frame: frame, OrigLen: len(frame), LinkType: packet.LinkEthernet}
		for _, decap := range []packet.Decap{packet.DecapAuto, packet.DecapNone, {VXLAN: packet.VXLANPorts, GRE: true, Require: true}} {
			d := packet.Decoder{Decap: decap}
			var p packet.Packet
			d.Decode(&v, &p)
			for _, x := range []packet.Extractor[flow.Key]{
				&packet.FiveTuple{}, &packet.FiveTuple{KeyVLAN: true, KeyTunnel: true}, &packet.IPPair{}, &packet.MACPair{},
				packet.FlowLabel(&packet.FiveTuple{}),
			} {
				checkMirror(t, x, p)
			}
		}
	})
}

func checkMirror(t *testing.T, x packet.Extractor[flow.Key], p packet.Packet) {
	t.Helper()
	var there, back packet.Extracted[flow.Key]
	cause := x.Extract(&p, &there)
	p.Src, p.Dst, p.SrcPort, p.DstPort, p.SrcMAC, p.DstMAC = p.Dst, p.Src, p.DstPort, p.SrcPort, p.DstMAC, p.SrcMAC
	if icmp := p.Proto == flow.ProtoICMP || p.Proto == flow.ProtoICMP6; icmp {
		answer, ok := flow.ICMPCounterpart(p.Proto, p.ICMPType)
		if !ok {
			return
		}
		p.ICMPType = answer
	}
	if again := x.Extract(&p, &back); again != cause {
		t.Fatalf("%T: %v one way, %v the other", x, cause, again)
	}
	self := there.Key.Lo == there.Key.Hi && there.Key.LoPort == there.Key.HiPort
	if cause == flow.Decoded && (there.Key != back.Key || there.Dir == back.Dir && !self) {
		t.Fatalf("%T: %+v, mirrored %+v", x, there, back)
	}
}
