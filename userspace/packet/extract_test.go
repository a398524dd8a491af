package packet_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// extract decodes p and extracts its key with x.
func extract(t *testing.T, x packet.Extractor[flow.Key], p packettest.Packet) packet.Extracted[flow.Key] {
	t.Helper()
	got := decode(t, p)
	var e packet.Extracted[flow.Key]
	if cause := x.Extract(&got, &e); cause != flow.Decoded {
		t.Fatalf("Extract: %v", cause)
	}
	return e
}

func TestFiveTupleKey(t *testing.T) {
	want := flow.Key{
		Lo: flow.MapV4([4]byte{192, 0, 2, 1}), Hi: flow.MapV4([4]byte{198, 51, 100, 7}), LoPort: 40000, HiPort: 443,
		Proto: flow.ProtoTCP, IPVersion: 4,
	}
	p := packettest.TCP(alice, bob)
	if got := extract(t, packet.FiveTuple{}, p); got.Key != want || got.Dir != flow.Forward || !got.Sessions {
		t.Errorf("there: %+v, want %+v forward", got, want)
	}
	if got := extract(t, packet.FiveTuple{}, p.Reply()); got.Key != want || got.Dir != flow.Reverse {
		t.Errorf("back: %+v, want %+v reverse", got, want)
	}
	want.Lo, want.Hi, want.LoPort, want.HiPort, want.Directional = want.Hi, want.Lo, 443, 40000, true
	if got := extract(t, packet.FiveTuple{Directional: true}, p.Reply()); got.Key != want || got.Dir != flow.Forward {
		t.Errorf("back, directional: %+v, want %+v forward", got, want)
	}
}

// pairs of packets: one key or two, by extractor.
func TestKeys(t *testing.T) {
	five, directional := packet.FiveTuple{}, packet.FiveTuple{Directional: true}
	vlan, tun := packet.FiveTuple{KeyVLAN: true}, packet.FiveTuple{KeyTunnel: true}
	tcp, udp := packettest.TCP(alice, bob), packettest.UDP(alice, bob)
	tcp6 := packettest.TCP(alice6, bob6)
	icmp := packettest.ICMP("192.0.2.1", "192.0.2.2")
	icmp6 := packettest.ICMP("2001:db8::1", "2001:db8::2")
	self := packettest.TCP("192.0.2.1:5", "192.0.2.1:5")
	mapped := packettest.TCP("[::ffff:192.0.2.1]:40000", "[::ffff:198.51.100.7]:443")
	label := func(x packet.Extractor[flow.Key]) packet.Extractor[flow.Key] { return packet.FlowLabel(x) }
	tests := []struct {
		name     string
		x        packet.Extractor[flow.Key]
		a, b     packettest.Packet
		same     bool
		opposite bool
	}{
		{"both directions", five, tcp, tcp.Reply(), true, true},
		{"both directions, IPv6", five, tcp6, tcp6.Reply(), true, true},
		{"both directions, directional", directional, tcp, tcp.Reply(), false, false},
		{"TCP and UDP", five, tcp, udp, false, false},
		{"another port", five, tcp, packettest.TCP(alice, "198.51.100.7:444"), false, false},
		{"ports on one address", five, packettest.UDP("192.0.2.1:9", "192.0.2.1:7"), packettest.UDP("192.0.2.1:7", "192.0.2.1:9"), true, true},
		{"self-talk is forward", five, self, self.Reply(), true, false},
		{"IPv4 and mapped IPv6", five, tcp, mapped, false, false},
		{"VLANs are not in it", five, tcp, tcp.VLAN(5), true, false},
		{"VLANs, asked for", vlan, tcp.VLAN(6), tcp.VLAN(5), false, false},
		{"VLANs, asked for, order", vlan, tcp.VLAN(6, 5), tcp.VLAN(5, 6), false, false},
		{"VLANs, asked for, the same", vlan, tcp.VLAN(5), tcp.Reply().VLAN(5), true, true},
		{"VLAN id 0 is a tag", vlan, tcp, tcp.VLAN(0), false, false},
		{"VLANs asked for, tunnels not", vlan, tcp, tcp.VXLAN(5), true, false},
		{"tunnels are not in it", five, tcp, tcp.VXLAN(5), true, false},
		{"tunnels, asked for", tun, tcp.VXLAN(6), tcp.VXLAN(5), false, false},
		{"tunnels, asked for, kind", tun, tcp.GRE("K", 5), tcp.VXLAN(5), false, false},
		{"tunnels, asked for, endpoints", tun, tcp.VXLAN(5), tcp.Reply().Via(packettest.TunnelDst, packettest.TunnelSrc).VXLAN(5), true, true},
		{"echo", five, icmp, icmp.Reply(), true, true},
		{"echo, IPv6", five, icmp6, icmp6.Reply(), true, true},
		{"echo and timestamp", five, icmp, icmp.Type(13, 0), false, false},
		{"unreachable both ways", five, icmp.Type(3, 1), icmp.Reply().Type(3, 1), false, false},
		{"unreachable of two codes", five, icmp.Type(3, 1), icmp.Type(3, 2), false, false},
		{"neighbours", five, icmp6.Type(135, 0), icmp6.Reply().Type(136, 0), true, true},
		{"SCTP", five, packettest.SCTP(alice, bob), packettest.SCTP(bob, alice), true, true},
		{"other protocols", five, packettest.IP(89, "192.0.2.1", "192.0.2.2"), packettest.IP(89, "192.0.2.2", "192.0.2.1"), true, true},
		{"IP pair: TCP and UDP", packet.IPPair{}, tcp, packettest.UDP(bob, alice), true, true},
		{"IP pair: another address", packet.IPPair{}, tcp, packettest.TCP(alice, "192.0.2.9:443"), false, false},
		{"MAC pair: IPv4 and ARP", packet.MACPair{}, tcp, udp.Reply().Edit(put16(12, 0x0806)), true, true},
		{"MAC pair: another MAC", packet.MACPair{}, tcp, tcp.MACs(flow.MAC{2}, flow.MAC{4}), false, false},
		{"flow label: not split", label(five), tcp6.FlowLabel(1), tcp6.Reply().FlowLabel(2), true, true},
		{"flow label: split when directional", label(directional), tcp6.FlowLabel(1), tcp6.FlowLabel(2), false, false},
		{"flow label: IPv4", label(directional), tcp, tcp, true, false},
		{"flow label over IP pair", label(packet.IPPair{}), tcp6.FlowLabel(1), tcp6.FlowLabel(2), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := extractAny(t, tt.x, tt.a), extractAny(t, tt.x, tt.b)
			if same, opposite := a.Key == b.Key, a.Dir != b.Dir; same != tt.same || same && opposite != tt.opposite {
				t.Errorf("%+v\n%+v\nsame %v, opposite %v; want %v, %v", a, b, same, opposite, tt.same, tt.opposite)
			}
		})
	}
}

// extractAny extracts a key from a frame that need not decode.
func extractAny(t *testing.T, x packet.Extractor[flow.Key], p packettest.Packet) packet.Extracted[flow.Key] {
	t.Helper()
	var d packet.Decoder
	var got packet.Packet
	var e packet.Extracted[flow.Key]
	v := p.View()
	d.Decode(&v, &got)
	if cause := x.Extract(&got, &e); cause != flow.Decoded {
		t.Fatalf("Extract: %v", cause)
	}
	return e
}

func TestFlowLabel(t *testing.T) {
	x := packet.FlowLabel(&packet.FiveTuple{})
	if got := extract(t, x, packettest.TCP(alice6, bob6).FlowLabel(0x54321)); got.Label != 0x54321 || !got.HasLabel || got.Key.FlowLabel != 0 {
		t.Errorf("bidirectional: %+v", got)
	}
	if got := extract(t, x, packettest.TCP(alice, bob)); got.Label != 0 || !got.HasLabel {
		t.Errorf("IPv4: %+v, want label 0", got)
	}
	x = packet.FlowLabel(&packet.FiveTuple{Directional: true})
	if got := extract(t, x, packettest.TCP(alice6, bob6).FlowLabel(7)); got.Key.FlowLabel != 7 || got.HasLabel {
		t.Errorf("directional: %+v, want the label in the key", got)
	}
}

func TestExtractCauses(t *testing.T) {
	tcp := packettest.TCP(alice, bob)
	tests := []struct {
		name string
		p    packettest.Packet
		want map[string]flow.Cause
	}{
		{"ARP", tcp.Edit(put16(12, 0x0806)), map[string]flow.Cause{"five-tuple": flow.CauseNotIP, "ip-pair": flow.CauseNotIP, "mac-pair": flow.Decoded}},
		{"IPv4 cut", tcp.Snap(20), map[string]flow.Cause{"five-tuple": flow.CauseTruncated, "ip-pair": flow.CauseTruncated, "mac-pair": flow.Decoded}},
		{"13 bytes", tcp.Snap(13), map[string]flow.Cause{"five-tuple": flow.CauseTruncated, "mac-pair": flow.CauseTruncated}},
		{"raw IP", tcp.Link(packet.LinkRaw), map[string]flow.Cause{"five-tuple": flow.Decoded, "mac-pair": flow.CauseExtractor}},
		{"cooked", tcp.Link(packet.LinkSLL), map[string]flow.Cause{"five-tuple": flow.Decoded, "mac-pair": flow.Decoded}},
		{"another link type", tcp.Link(147), map[string]flow.Cause{"five-tuple": flow.CauseLinkType, "mac-pair": flow.CauseLinkType}},
	}
	for _, tt := range tests {
		for key, want := range tt.want {
			t.Run(tt.name+"/"+key, func(t *testing.T) {
				x, err := packet.ParseKey(key, packet.FiveTuple{})
				if err != nil {
					t.Fatal(err)
				}
				var d packet.Decoder
				var p packet.Packet
				var e packet.Extracted[flow.Key]
				v := tt.p.View()
				d.Decode(&v, &p)
				if got := x.Extract(&p, &e); got != want {
					t.Errorf("Extract = %v, want %v", got, want)
				}
			})
		}
	}
	if _, err := packet.ParseKey("five", packet.FiveTuple{}); err == nil {
		t.Error(`ParseKey("five") is no error`)
	}
}

func TestMACPairKey(t *testing.T) {
	got := extract(t, packet.MACPair{}, packettest.TCP(alice, bob).MACs(flow.MAC{9, 1}, flow.MAC{8, 2}))
	want := flow.Key{Lo: [16]byte{8, 2}, Hi: [16]byte{9, 1}}
	if got.Key != want || got.Dir != flow.Reverse || got.Sessions {
		t.Errorf("got %+v, want %+v, reverse, no sessions", got, want)
	}
}

func TestAttributes(t *testing.T) {
	p := decode(t, packettest.ICMP("2001:db8::1", "2001:db8::2").Type(1, 4).FlowLabel(5).VLAN(7))
	got := p.Attributes()
	if !slices.Equal(got.VLANs, []uint16{7}) || !got.HasICMP || got.ICMPType != 1 || got.ICMPCode != 4 || got.FlowLabel != 5 ||
		!got.HasMAC || got.MAC != [2]flow.MAC{p.SrcMAC, p.DstMAC} {
		t.Errorf("Attributes = %+v", got)
	}
}

// A vector is one of the Community ID specification; for ICMP the ports are the type and
// its counterpart, or type and code.
type vector struct {
	Proto        flow.Proto
	Saddr, Daddr netip.Addr
	Sport, Dport uint16
	CommunityID  string
}

// packet returns a packet as the vector describes it.
func (v vector) packet() packet.Packet {
	p := packet.Packet{Proto: v.Proto, IPVersion: 6, Src: v.Saddr.As16(), Dst: v.Daddr.As16(), SrcPort: v.Sport, DstPort: v.Dport}
	if v.Saddr.Is4() {
		p.IPVersion = 4
	}
	if p.HasICMP() {
		p.ICMPType, p.ICMPCode, p.SrcPort, p.DstPort = uint8(v.Sport), uint8(v.Dport), 0, 0
	}
	return p
}

// The vectors of the Community ID specification: each gives its id, and every packet of the
// captures beside them has an id among them.
func TestCommunityIDVectors(t *testing.T) {
	files := 0
	for _, path := range corpus(t) {
		b, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".communityid.json")
		if err != nil {
			continue
		}
		files++
		var vectors []vector
		if err := json.Unmarshal(b, &vectors); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		known := map[string]bool{}
		for _, v := range vectors {
			p := v.packet()
			if got := communityID(&p); got != v.CommunityID {
				t.Errorf("%+v: got %s", v, got)
			}
			known[v.CommunityID] = true
		}
		var d packet.Decoder
		var p packet.Packet
		views := readCapture(t, path)
		for i := range views {
			if d.Decode(&views[i], &p) == flow.Decoded && !known[communityID(&p)] {
				t.Errorf("%s, frame %d: %s is no vector", filepath.Base(path), i, communityID(&p))
			}
		}
	}
	if files == 0 {
		t.Error("no vectors in the corpus")
	}
}

func communityID(p *packet.Packet) string {
	var x packet.Extracted[flow.Key]
	packet.FiveTuple{}.Extract(p, &x)
	return x.Key.CommunityID(0)
}

func BenchmarkExtract(b *testing.B) {
	for _, name := range []string{"five-tuple", "ip-pair", "mac-pair"} {
		b.Run(name, func(b *testing.B) {
			x, err := packet.ParseKey(name, packet.FiveTuple{})
			if err != nil {
				b.Fatal(err)
			}
			var d packet.Decoder
			var p packet.Packet
			var e packet.Extracted[flow.Key]
			v := packettest.TCP(alice, bob).View()
			d.Decode(&v, &p)
			b.ReportAllocs()
			for b.Loop() {
				x.Extract(&p, &e)
			}
		})
	}
}
