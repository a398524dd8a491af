package packet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// inner is what all tunnels of these tests carry.
var (
	inner  = packettest.TCP(alice, bob).Flags("PA").Seq(7).Payload("inside")
	inner6 = packettest.UDP(alice6, bob6).Payload("inside")
)

// tunnel is how a tunnel between packettest's addresses is expected.
func tunnel(kind flow.TunnelKind, id uint32, hasID bool) flow.Tunnel {
	return flow.Tunnel{
		Kind: kind, ID: id, HasID: hasID,
		Src: netip.MustParseAddr(packettest.TunnelSrc), Dst: netip.MustParseAddr(packettest.TunnelDst),
	}
}

// bare is a tunnel that no IP header carries.
func bare(kind flow.TunnelKind, id uint32) flow.Tunnel {
	return flow.Tunnel{Kind: kind, ID: id, HasID: true}
}

// ayiyaHeader is that of an AYIYA packet with 16 bytes of identity and 20 of signature.
func ayiyaHeader() []byte {
	return append([]byte{0x44, 0x52, 0x11, byte(flow.ProtoIPv6), 0, 0, 0, 1}, make([]byte, 36)...)
}

// teredoHeader has an authentication header and an origin indication.
func teredoHeader() []byte {
	return append([]byte{0, 1, 2, 1, 'i', 'd', 's', 1, 2, 3, 4, 5, 6, 7, 8, 0}, 0, 0, 1, 2, 3, 4, 5, 6)
}

func TestTunnels(t *testing.T) {
	nvgre := tunnel(flow.TunnelGRE, 0x123456, true)
	tests := []struct {
		name string
		p    packettest.Packet
		want []flow.Tunnel
	}{
		{"MPLS", inner.MPLS(16), []flow.Tunnel{bare(flow.TunnelMPLS, 16)}},
		{"MPLS, two labels", inner.MPLS(16, 17), []flow.Tunnel{bare(flow.TunnelMPLS, 17)}},
		{"MPLS, 16 labels", inner.MPLS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 99), []flow.Tunnel{bare(flow.TunnelMPLS, 99)}},
		{"MPLS, IPv6", inner6.MPLS(16), []flow.Tunnel{bare(flow.TunnelMPLS, 16)}},
		{"MPLS behind a VLAN tag", inner.MPLS(16).VLAN(5), []flow.Tunnel{bare(flow.TunnelMPLS, 16)}},
		{"MPLS pseudowire, control word", inner.MPLSEthernet(true, 16), []flow.Tunnel{bare(flow.TunnelMPLS, 16)}},
		{"MPLS pseudowire", inner.MACs(flow.MAC{2}, flow.MAC{0xf2}).MPLSEthernet(false, 16), []flow.Tunnel{bare(flow.TunnelMPLS, 16)}},
		{"MPLS in UDP", inner.InUDP(6635, []byte{0, 1, 1, 64}, false), []flow.Tunnel{tunnel(flow.TunnelMPLS, 16, true)}},
		{"MPLS in PPPoE", inner.MPLS(16).PPPoE(7), []flow.Tunnel{bare(flow.TunnelPPPoE, 7), bare(flow.TunnelMPLS, 16)}},
		{"MPLS in GRE", inner.MPLS(16).GRE("", 0), []flow.Tunnel{tunnel(flow.TunnelGRE, 0, false), tunnel(flow.TunnelMPLS, 16, true)}},
		{"PPPoE", inner.PPPoE(7), []flow.Tunnel{bare(flow.TunnelPPPoE, 7)}},
		{"PPPoE, IPv6", inner6.PPPoE(7), []flow.Tunnel{bare(flow.TunnelPPPoE, 7)}},
		{"PPPoE, short protocol number", inner.PPPoE(7).Edit(shortPPP), []flow.Tunnel{bare(flow.TunnelPPPoE, 7)}},
		{"VXLAN", inner.VXLAN(42), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"VXLAN, tags inside and outside", inner.VLAN(5).VXLAN(42).VLAN(6), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"VXLAN on 8472", inner.InUDP(8472, []byte{8, 1, 2, 3, 0, 0, 42, 9}, true), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"VXLAN-GPE", inner.VXLANGPE(42), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"VXLAN-GPE, IPv6", inner6.VXLANGPE(42), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"VXLAN-GPE without P", inner.InUDP(4790, []byte{8, 0, 0, 9, 0, 0, 42, 0}, true), []flow.Tunnel{tunnel(flow.TunnelVXLAN, 42, true)}},
		{"Geneve", inner.Geneve(42), []flow.Tunnel{tunnel(flow.TunnelGeneve, 42, true)}},
		{"Geneve with options", inner.Geneve(42, 1, 2, 3, 4, 5, 6, 7, 8), []flow.Tunnel{tunnel(flow.TunnelGeneve, 42, true)}},
		{"Geneve, IPv4", inner.InUDP(6081, []byte{0, 0, 8, 0, 0, 0, 42, 0}, false), []flow.Tunnel{tunnel(flow.TunnelGeneve, 42, true)}},
		{"GTP-U", inner.GTPU(42), []flow.Tunnel{tunnel(flow.TunnelGTPU, 42, true)}},
		{"GTP-U, IPv6", inner6.GTPU(42), []flow.Tunnel{tunnel(flow.TunnelGTPU, 42, true)}},
		{"GTP-U with sequence number", inner.InUDP(2152, []byte{0x32, 255, 0, 0, 0, 0, 0, 42, 0, 1, 0, 0}, false), []flow.Tunnel{tunnel(flow.TunnelGTPU, 42, true)}},
		{"GTP-U with a next type but no E", inner.InUDP(2152, []byte{0x32, 255, 0, 0, 0, 0, 0, 42, 0, 1, 0, 5}, false), []flow.Tunnel{tunnel(flow.TunnelGTPU, 42, true)}},
		{"GTP-U with extensions", inner.GTPU(42, []byte{1, 0, 0}, []byte{2, 0, 0, 0, 0, 0, 0}), []flow.Tunnel{tunnel(flow.TunnelGTPU, 42, true)}},
		{"GRE", inner.GRE("", 0), []flow.Tunnel{tunnel(flow.TunnelGRE, 0, false)}},
		{"GRE, checksum", inner.GRE("C", 0), []flow.Tunnel{tunnel(flow.TunnelGRE, 0, false)}},
		{"GRE, key", inner.GRE("K", 9), []flow.Tunnel{tunnel(flow.TunnelGRE, 9, true)}},
		{"GRE, checksum and key", inner.GRE("CK", 9), []flow.Tunnel{tunnel(flow.TunnelGRE, 9, true)}},
		{"GRE, all of them", inner.GRE("CKS", 9), []flow.Tunnel{tunnel(flow.TunnelGRE, 9, true)}},
		{"GRE, IPv6", inner6.GRE("", 0), []flow.Tunnel{tunnel(flow.TunnelGRE, 0, false)}},
		{"GRE, VLAN tag", inner.VLAN(5).GRE("", 0), []flow.Tunnel{tunnel(flow.TunnelGRE, 0, false)}},
		{"GRE over IPv6", inner.Via("2001:db8::a", "2001:db8::b").GRE("", 0), []flow.Tunnel{{
			Kind: flow.TunnelGRE, Src: netip.MustParseAddr("2001:db8::a"), Dst: netip.MustParseAddr("2001:db8::b"),
		}}},
		{"NVGRE", inner.GREEthernet("K", 0x12345678), []flow.Tunnel{nvgre}},
		{"ERSPAN I", inner.ERSPAN(1, 0), []flow.Tunnel{tunnel(flow.TunnelERSPAN, 0, false)}},
		{"ERSPAN II", inner.ERSPAN(2, 77), []flow.Tunnel{tunnel(flow.TunnelERSPAN, 77, true)}},
		{"ERSPAN III", inner.ERSPAN(3, 77), []flow.Tunnel{tunnel(flow.TunnelERSPAN, 77, true)}},
		{"PPTP", inner.PPTP(3), []flow.Tunnel{tunnel(flow.TunnelPPTP, 3, true)}},
		{"IP in IP", inner.IPIP(), []flow.Tunnel{tunnel(flow.TunnelIPIP, 0, false)}},
		{"6in4", inner6.IPIP(), []flow.Tunnel{tunnel(flow.TunnelIPIP, 0, false)}},
		{"Teredo", inner6.InUDP(3544, nil, false), []flow.Tunnel{tunnel(flow.TunnelTeredo, 0, false)}},
		{"Teredo, authenticated", inner6.InUDP(3544, teredoHeader(), false), []flow.Tunnel{tunnel(flow.TunnelTeredo, 0, false)}},
		{"AYIYA", inner6.InUDP(5072, ayiyaHeader(), false), []flow.Tunnel{tunnel(flow.TunnelAYIYA, 0, false)}},
		{"GRE in GRE", inner.GRE("K", 1).GRE("K", 2), []flow.Tunnel{tunnel(flow.TunnelGRE, 2, true), tunnel(flow.TunnelGRE, 1, true)}},
		{"VXLAN in ERSPAN", inner.VXLAN(1).ERSPAN(2, 2), []flow.Tunnel{tunnel(flow.TunnelERSPAN, 2, true), tunnel(flow.TunnelVXLAN, 1, true)}},
		{"four levels", inner.VXLAN(1).GRE("K", 2).IPIP().GTPU(4), []flow.Tunnel{
			tunnel(flow.TunnelGTPU, 4, true), tunnel(flow.TunnelIPIP, 0, false),
			tunnel(flow.TunnelGRE, 2, true), tunnel(flow.TunnelVXLAN, 1, true),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.p.View()
			got := decode(t, tt.p)
			if tunnels := got.Attributes().Tunnels; !slices.Equal(tunnels, tt.want) {
				t.Errorf("tunnels = %v, want %v", tunnels, tt.want)
			}
			if s := string(got.Payload(v.Frame)); s != "inside" {
				t.Errorf("payload = %q at %d, want %q", s, got.PayloadOff, "inside")
			}
			if got.SrcPort != 40000 || got.DstPort != 443 || got.DecapDepth {
				t.Errorf("ports %d, %d, depth reached %v", got.SrcPort, got.DstPort, got.DecapDepth)
			}
			testCuts(t, v, &got)
		})
	}
}

// shortPPP leaves out the first byte of a PPP protocol number.
func shortPPP(frame []byte) { copy(frame[20:], frame[21:]) }

// testCuts cuts the frame of whole short at every byte: it must decode to the same
// flow, to one further out, or be truncated, and never show bytes that are not there.
func testCuts(t *testing.T, v packet.View, whole *packet.Packet) {
	t.Helper()
	var d packet.Decoder
	var p packet.Packet
	for n := range v.Frame {
		cut := v
		cut.Frame = v.Frame[:n:n]
		cause := d.Decode(&cut, &p)
		checkPacket(t, &cut, &p)
		reached := n >= whole.L4Off+4 // the ports of the innermost packet
		switch {
		case reached && (cause != flow.Decoded || p.SrcPort != whole.SrcPort || p.PayloadLen < whole.PayloadLen):
			t.Fatalf("cut to %d of %d bytes: %v, port %d, payload %d", n, len(v.Frame), cause, p.SrcPort, p.PayloadLen)
		case !reached && cause == flow.Decoded && p.NTunnels >= whole.NTunnels:
			t.Fatalf("cut to %d of %d bytes, before the ports at %d: decoded", n, len(v.Frame), whole.L4Off)
		case cause != flow.Decoded && cause != flow.CauseTruncated && cause != flow.CauseNotIP:
			t.Fatalf("cut to %d of %d bytes: %v", n, len(v.Frame), cause)
		}
	}
}

// What looks like a tunnel and is none stays what it is outside.
func TestNoTunnel(t *testing.T) {
	out := func(port uint16, header []byte, ether bool) packettest.Packet {
		return inner.InUDP(port, header, ether)
	}
	tests := []struct {
		name string
		p    packettest.Packet
	}{
		{"VXLAN without I", out(4789, make([]byte, 8), true)},
		{"VXLAN with ARP inside", out(4789, append([]byte{8, 7: 0}, append(make([]byte, 12), 8, 6)...), false)},
		{"VXLAN header alone", packettest.UDP(alice, "192.0.2.9:4789").PayloadBytes([]byte{8, 7: 0})},
		{"DNS on VXLAN's port", packettest.UDP("192.0.2.9:4789", "192.0.2.10:53").PayloadBytes(packettest.DNSMessage(0x0800, 1, "a", ""))},
		{"GPE with NSH", out(4790, []byte{0x0c, 0, 0, 4, 7: 0}, false)},
		{"Geneve version 1", out(6081, []byte{0x40, 0, 0x65, 0x58, 7: 0}, true)},
		{"Geneve with another protocol", out(6081, []byte{0, 0, 0x65, 0x59, 7: 0}, true)},
		{"Geneve, options too long", out(6081, []byte{0x3f, 0, 0x65, 0x58, 7: 0}, true)},
		{"GTP version 2", out(2152, []byte{0x50, 255, 7: 0}, false)},
		{"GTP'", out(2152, []byte{0x20, 255, 7: 0}, false)},
		{"GTP echo", out(2152, []byte{0x30, 1, 7: 0}, false)},
		{"GTP extension of length 0", inner.GTPU(1, []byte{0, 0, 0})},
		{"GTP, nine extensions", inner.GTPU(1, slices.Repeat([][]byte{{1, 0, 0}}, 9)...)},
		{"GRE with routing", inner.InIP(flow.ProtoGRE, []byte{0x40, 0, 8, 0, 7: 0})},
		{"GRE version 2", inner.InIP(flow.ProtoGRE, []byte{0, 2, 8, 0})},
		{"GRE of another protocol", inner.InIP(flow.ProtoGRE, []byte{0, 0, 0, 0})},
		{"ERSPAN II of version 2", inner.ERSPAN(2, 7).Edit(func(b []byte) { b[14+20+8] = 0x20 })},
		{"PPTP without payload", inner.PPTP(3).Edit(func(b []byte) { b[34] = 0x20 })},
		{"PPTP, compressed", inner.PPTP(3).Edit(func(b []byte) { b[14+20+12+3] = 0xfd })},
		{"IP in IP of the other version", inner.InIP(flow.ProtoIPv6, nil)},
		{"MPLS in UDP, 17 labels", out(6635, make([]byte, 17*4), false)},
		{"Teredo with IPv4", out(3544, nil, false)},
		{"Teredo, trailing bytes", packettest.UDP(alice, "192.0.2.9:3544").PayloadBytes(append(ipv6Bytes(), 0))},
		{"AYIYA heartbeat", inner6.InUDP(5072, []byte{0x44, 0x52, 0x10, 59, 43: 0}, false)},
		{"inner IP too long", inner.VXLAN(1).Edit(func(b []byte) { b[14+20+8+8+14+3]++ })},
		{"inner IP of version 5", inner.VXLAN(1).Edit(func(b []byte) { b[14+20+8+8+14] = 0x55 })},
		{"inner TCP with a data offset of 4", inner.IPIP().Edit(func(b []byte) { b[14+20+20+12] = 0x40 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decode(t, tt.p)
			if got.NTunnels != 0 || got.NVLANs != 0 || got.IPOff != 14 {
				t.Errorf("%d tunnels, %d VLANs, IP header at %d: want the outer packet", got.NTunnels, got.NVLANs, got.IPOff)
			}
		})
	}
}

// ipv6Bytes returns an IPv6 packet without link header.
func ipv6Bytes() []byte { return inner6.Link(packet.LinkRaw).Bytes() }

func TestTunnelDepth(t *testing.T) {
	p := inner.IPIP().IPIP().IPIP().IPIP()
	if got := decode(t, p); got.NTunnels != 4 || got.DecapDepth || got.Proto != flow.ProtoTCP {
		t.Errorf("four levels: %d tunnels, depth reached %v, protocol %v", got.NTunnels, got.DecapDepth, got.Proto)
	}
	got := decode(t, p.IPIP())
	if got.NTunnels != 4 || !got.DecapDepth || got.Proto != flow.ProtoIPIP || got.IPOff != 14+4*20 {
		t.Errorf("five levels: %d tunnels, depth reached %v, protocol %v at %d", got.NTunnels, got.DecapDepth, got.Proto, got.IPOff)
	}
}

// A fragment is not searched for a tunnel, even if one would fit.
func TestTunnelInFragment(t *testing.T) {
	b := inner.Link(packet.LinkRaw).Bytes()
	p := packettest.IP(flow.ProtoIPIP, "192.0.2.8", "192.0.2.9").RawFragment(0, true, append(b, make([]byte, 8-len(b)%8)...))
	if got := decode(t, p); got.NTunnels != 0 || got.Proto != flow.ProtoIPIP || !got.IsFirst() {
		t.Errorf("%d tunnels, protocol %v, fragment %+v", got.NTunnels, got.Proto, got.Frag)
	}
}

func TestDecap(t *testing.T) {
	custom := inner.InUDP(9999, []byte{8, 7: 0}, true)
	tests := []struct {
		decap   string
		p       packettest.Packet
		tunnels uint8
	}{
		{"auto", inner.VXLAN(1), 1},
		{"none", inner.VXLAN(1), 0},
		{"vlan", inner.VXLAN(1).VLAN(5), 0},
		{"vxlan", inner.VXLAN(1), 1},
		{"vxlan", inner.GRE("", 0), 0},
		{"gre", inner.VXLAN(1), 0},
		{"gre, vxlan", inner.VXLAN(1).GRE("", 0), 2},
		{"gre", inner.VXLAN(1).GRE("", 0), 1},
		{"auto", custom, 0},
		{"vxlan:9999", custom, 1},
		{"vxlan:4789,9999,gre", custom.GRE("", 0), 2},
		{"vxlan:9999", inner.VXLAN(1), 0},
		{"geneve:9999", custom, 0},
		{"gtpu:2152", inner.GTPU(5), 1},
		{"erspan", inner.ERSPAN(2, 1), 1},
		{"gre", inner.ERSPAN(2, 1), 0},
		{"pptp", inner.PPTP(1), 1},
		{"ipip,teredo,ayiya,mpls,pppoe", inner.IPIP().MPLS(3).PPPoE(2), 3},
	}
	for _, tt := range tests {
		t.Run(tt.decap, func(t *testing.T) {
			decap, err := packet.ParseDecap(tt.decap)
			if err != nil {
				t.Fatal(err)
			}
			d := packet.Decoder{Decap: decap}
			var p packet.Packet
			v := tt.p.View()
			if cause := d.Decode(&v, &p); cause != flow.Decoded || p.NTunnels != tt.tunnels {
				t.Errorf("Decode = %v with %d tunnels, want %d", cause, p.NTunnels, tt.tunnels)
			}
		})
	}
}

func TestDecapRequire(t *testing.T) {
	d := packet.Decoder{Decap: packet.Decap{VXLAN: packet.VXLANPorts, Require: true}}
	var p packet.Packet
	for _, tt := range []struct {
		name string
		p    packettest.Packet
		want flow.Cause
	}{
		{"of that kind", inner.VXLAN(1), flow.Decoded},
		{"plain", inner, flow.CauseExtractor},
		{"another kind", inner.GRE("", 0), flow.CauseExtractor},
	} {
		v := tt.p.View()
		if got := d.Decode(&v, &p); got != tt.want || p.Cause != tt.want {
			t.Errorf("%s: Decode = %v, Cause %v, want %v", tt.name, got, p.Cause, tt.want)
		}
	}
	d = packet.Decoder{Decap: packet.Decap{Require: true}}
	v := inner.GTPU(1).View()
	if got := d.Decode(&v, &p); got != flow.Decoded {
		t.Errorf("Require alone, GTP-U: Decode = %v, want decoded: every kind is open", got)
	}
}

func TestParseDecapErrors(t *testing.T) {
	for _, s := range []string{"", "vxlna", "gre:5", "vxlan:0", "vxlan:x", "vxlan:65536", "4789", "gre,4789", "vxlan:1,2,3,4,5", "auto,gre"} {
		if d, err := packet.ParseDecap(s); err == nil {
			t.Errorf("ParseDecap(%q) = %+v, want an error", s, d)
		}
	}
}

// Link-level tunnels that are closed or broken leave no packet at all.
func TestLinkTunnelCauses(t *testing.T) {
	labels := make([]uint32, 17)
	tests := []struct {
		name  string
		decap packet.Decap
		p     packettest.Packet
		want  flow.Cause
	}{
		{"MPLS, 17 labels", packet.DecapAuto, inner.MPLS(labels...), flow.CauseMalformed},
		{"MPLS off", packet.DecapNone, inner.MPLS(16), flow.CauseNotIP},
		{"MPLS, nothing below", packet.DecapAuto, inner.MPLS(16).Snap(18), flow.CauseTruncated},
		{"PPPoE off", packet.DecapNone, inner.PPPoE(5), flow.CauseNotIP},
		{"PPPoE version 2", packet.DecapAuto, inner.PPPoE(5).Edit(func(b []byte) { b[14] = 0x21 }), flow.CauseNotIP},
		{"PPPoE code 9", packet.DecapAuto, inner.PPPoE(5).Edit(func(b []byte) { b[15] = 9 }), flow.CauseNotIP},
		{"LCP", packet.DecapAuto, inner.PPPoE(5).Edit(func(b []byte) { binary.BigEndian.PutUint16(b[20:], 0xc021) }), flow.CauseNotIP},
		{"four VLAN tags", packet.DecapAuto, inner.VLAN(1, 2, 3, 4), flow.CauseMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := packet.Decoder{Decap: tt.decap}
			var p packet.Packet
			v := tt.p.View()
			if got := d.Decode(&v, &p); got != tt.want {
				t.Errorf("Decode = %v, want %v", got, tt.want)
			}
		})
	}
}
