package packettest_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// layersOf returns what gopacket, which had no part in building the frame, finds in it.
func layersOf(t *testing.T, frame []byte) string {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	if e := p.ErrorLayer(); e != nil {
		t.Errorf("% x: %v", frame, e.Error())
	}
	var names []string
	for _, l := range p.Layers() {
		names = append(names, l.LayerType().String())
	}
	return strings.Join(names, " ")
}

func TestBuilder(t *testing.T) {
	tcp := packettest.TCP("192.0.2.1:40000", "198.51.100.7:8443").Flags("PA").MSS(1460).Timestamps(1, 2).Payload("x")
	udp6 := packettest.UDP("[2001:db8::1]:40000", "[2001:db8::2]:9999").Payload("x")
	tests := []struct {
		name string
		p    packettest.Packet
		want string
	}{
		{"TCP", tcp, "Ethernet IPv4 TCP Payload"},
		{"UDP over IPv6", udp6, "Ethernet IPv6 UDP Payload"},
		{"extension header", udp6.Ext(flow.ProtoHopByHop), "Ethernet IPv6 IPv6HopByHop UDP Payload"},
		{"fragment", udp6.Fragments(8)[1], "Ethernet IPv6 IPv6Fragment Fragment"},
		{"IPv4 options", tcp.IPOptions(1, 1, 1), "Ethernet IPv4 TCP Payload"},
		{"ICMP", packettest.ICMP("192.0.2.1", "192.0.2.2").Payload("x"), "Ethernet IPv4 ICMPv4 Payload"},
		{"ICMPv6", packettest.ICMP("2001:db8::1", "2001:db8::2").Echo(1, 2).Payload("x"), "Ethernet IPv6 ICMPv6 ICMPv6Echo"},
		{"VLAN", tcp.VLAN(5, 6), "Ethernet Dot1Q Dot1Q IPv4 TCP Payload"},
		{"MPLS", tcp.MPLS(16, 17), "Ethernet MPLS MPLS IPv4 TCP Payload"},
		{"PPPoE", tcp.PPPoE(5), "Ethernet PPPoE PPP IPv4 TCP Payload"},
		{"VXLAN", tcp.VXLAN(5), "Ethernet IPv4 UDP VXLAN Ethernet IPv4 TCP Payload"},
		{"Geneve", tcp.Geneve(5, 0, 1, 0, 0), "Ethernet IPv4 UDP Geneve Ethernet IPv4 TCP Payload"},
		{"GTP-U", tcp.GTPU(5), "Ethernet IPv4 UDP GTPv1U IPv4 TCP Payload"},
		{"GTP-U with an extension", tcp.GTPU(5, []byte{1, 0, 0}), "Ethernet IPv4 UDP GTPv1U IPv4 TCP Payload"},
		{"GRE", tcp.GRE("CKS", 5), "Ethernet IPv4 GRE IPv4 TCP Payload"},
		{"ERSPAN", tcp.ERSPAN(2, 5), "Ethernet IPv4 GRE ERSPAN Type II Ethernet IPv4 TCP Payload"},
		{"IP in IP", tcp.IPIP(), "Ethernet IPv4 IPv4 TCP Payload"},
		{"6in4", udp6.IPIP(), "Ethernet IPv4 IPv6 UDP Payload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := layersOf(t, tt.p.Bytes()); got != tt.want {
				t.Errorf("gopacket sees %s, want %s", got, tt.want)
			}
		})
	}
}

// Lengths and checksums are what gopacket computes for the same headers.
func TestChecksums(t *testing.T) {
	for _, p := range []packettest.Packet{
		packettest.TCP("192.0.2.1:1", "192.0.2.2:2").Flags("S").MSS(9).Payload("odd"),
		packettest.UDP("192.0.2.1:1", "192.0.2.2:2").Payload("even"),
		packettest.TCP("[2001:db8::1]:1", "[2001:db8::2]:2").Payload("odd"),
		packettest.ICMP("192.0.2.1", "192.0.2.2").Payload("odd"),
	} {
		frame := p.Bytes()
		gp := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		var list []gopacket.SerializableLayer
		for _, l := range gp.Layers() {
			if s, ok := l.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok {
				if err := s.SetNetworkLayerForChecksum(gp.NetworkLayer()); err != nil {
					t.Fatal(err)
				}
			}
			list = append(list, l.(gopacket.SerializableLayer))
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b.Bytes(), frame) { // gopacket pads
			t.Errorf("got  % x\nwant % x", frame, b.Bytes())
		}
	}
}

func TestFragments(t *testing.T) {
	p := packettest.UDP("192.0.2.1:1", "192.0.2.2:2").Payload("0123456789abcdefghij")
	var data []byte
	frags := p.Fragments(16)
	for _, f := range frags {
		data = append(data, f.Bytes()[34:]...)
	}
	if len(frags) != 2 || !bytes.Equal(data, p.L4()) {
		t.Errorf("%d fragments with % x, want 2 with % x", len(frags), data, p.L4())
	}
}

func TestReply(t *testing.T) {
	syn := packettest.TCP("192.0.2.1:1", "192.0.2.2:2").Flags("S").Seq(100)
	var d packet.Decoder
	var p packet.Packet
	v := syn.Reply().Flags("SA").Seq(9).View()
	d.Decode(&v, &p)
	if p.SrcPort != 2 || p.TCP.Ack != 101 || p.TCP.Seq != 9 || p.TCP.Flags != flow.SYN|flow.ACK || p.SrcMAC != (flow.MAC{2, 0, 192, 0, 2, 2}) {
		t.Errorf("reply to a SYN: %+v", p)
	}
}

// Each side of a conversation acknowledges what the other sent.
func TestConversation(t *testing.T) {
	c := packettest.NewConversation("10.0.0.1:1", "10.0.0.2:2").ISN(0xffffffff, 7).MSS(4).
		Handshake().Request("abcdefgh").Response("ij").Close()
	var d packet.Decoder
	var p packet.Packet
	var got []string
	for _, f := range c.Trace() {
		d.Decode(&f, &p)
		got = append(got, strings.TrimSpace(p.TCP.Flags.String()+" "+string(p.Payload(f.Frame))))
		if p.SrcPort == 1 && p.TCP.Flags&flow.FIN != 0 && (p.TCP.Seq != 8 || p.TCP.Ack != 10) {
			t.Errorf("the initiator's FIN has seq %d, ack %d, want 8, 10", p.TCP.Seq, p.TCP.Ack)
		}
	}
	want := "S,SA,A,A abcd,PA efgh,A,PA ij,A,FA,FA,A"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

func TestFixtures(t *testing.T) {
	tests := []struct {
		name  string
		list  []packettest.Packet
		n     int
		proto string // of each packet: t, u or i
	}{
		{"HTTP", packettest.HTTPSession(), 10, "tttttttttt"},
		{"DNS", packettest.DNS(), 6, "uuuuuu"},
		{"mixed", packettest.Mixed(), 8, "tttuiiuu"},
		{"length-prefixed", packettest.LengthPrefixed(), 14, strings.Repeat("t", 14)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d packet.Decoder
			var p packet.Packet
			proto := ""
			for _, f := range packettest.Trace(tt.list...) {
				if cause := d.Decode(&f, &p); cause != flow.Decoded || !p.ChecksumsOK(f.Frame) {
					t.Errorf("%v, checksums %v", cause, p.ChecksumsOK(f.Frame))
				}
				proto += p.Proto.String()[:1]
			}
			if len(tt.list) != tt.n || proto != tt.proto {
				t.Errorf("%d packets %s, want %d %s", len(tt.list), proto, tt.n, tt.proto)
			}
		})
	}
}

func TestDNSFixtureParses(t *testing.T) {
	for i, f := range packettest.Trace(packettest.DNS()...) {
		p := gopacket.NewPacket(f.Frame, layers.LayerTypeEthernet, gopacket.Default)
		if dns, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS); !ok || len(dns.Questions) != 1 {
			t.Errorf("packet %d is no DNS message with a question: %v", i, p)
		}
	}
}

func TestTraceTimes(t *testing.T) {
	p := packettest.UDP("192.0.2.1:1", "192.0.2.2:2")
	trace := packettest.Trace(p, p, p.At(time.Second), p)
	for i, want := range []time.Duration{0, time.Millisecond, time.Second, time.Second + time.Millisecond} {
		if got := trace[i].Time; got != packettest.Start.Add(want) {
			t.Errorf("frame %d at %v, want start + %v", i, got, want)
		}
	}
}

func TestWritePcap(t *testing.T) {
	trace := packettest.Trace(
		packettest.UDP("192.0.2.1:1", "192.0.2.2:2").Payload("x").Link(packet.LinkRaw),
		packettest.UDP("192.0.2.1:1", "192.0.2.2:2").Payload("0123456789").Link(packet.LinkRaw).Snap(30))
	var b bytes.Buffer
	if err := packettest.WritePcap(&b, trace); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(&b)
	if err != nil || r.LinkType() != layers.LinkType(packet.LinkRaw) {
		t.Fatalf("link type %v, %v", r.LinkType(), err)
	}
	for i, want := range trace {
		data, ci, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(data, want.Frame) || ci.Length != want.OrigLen || flow.At(ci.Timestamp) != want.Time {
			t.Errorf("frame %d: % x, %+v, %v; want %+v", i, data, ci, err, want)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last frame: %v", err)
	}
}
