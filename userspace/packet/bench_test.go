package packet_test

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// benchPackets are the frames both decoders are measured on.
var benchPackets = []struct {
	name string
	p    packettest.Packet
}{
	{"plain", packettest.TCP(alice, bob).Flags("PA").Seq(1).Ack(2).Timestamps(3, 4).PayloadBytes(make([]byte, 512))},
	{"udp", packettest.UDP(alice, bob).PayloadBytes(make([]byte, 512))},
	{"ipv6", packettest.TCP(alice6, bob6).Flags("PA").Seq(1).Ack(2).Timestamps(3, 4).PayloadBytes(make([]byte, 512))},
	{"vlan", packettest.TCP(alice, bob).Flags("PA").Seq(1).Ack(2).Timestamps(3, 4).PayloadBytes(make([]byte, 512)).VLAN(5)},
	{"vxlan", packettest.TCP(alice, bob).Flags("PA").Seq(1).Ack(2).Timestamps(3, 4).PayloadBytes(make([]byte, 512)).VXLAN(42)},
}

func BenchmarkDecode(b *testing.B) {
	for _, bb := range benchPackets {
		b.Run(bb.name, func(b *testing.B) {
			var d packet.Decoder
			var p packet.Packet
			v := bb.p.View()
			b.ReportAllocs()
			b.SetBytes(int64(len(v.Frame)))
			for b.Loop() {
				if d.Decode(&v, &p) != flow.Decoded {
					b.Fatal(p.Cause)
				}
			}
			if p.SrcPort != 40000 {
				b.Fatal("the inner packet was not reached")
			}
		})
	}
}

// BenchmarkGopacket is the yardstick: a DecodingLayerParser that reaches the same
// inner packet of the same frames.
func BenchmarkGopacket(b *testing.B) {
	for _, bb := range benchPackets {
		b.Run(bb.name, func(b *testing.B) {
			var (
				eth     layers.Ethernet
				dot1q   layers.Dot1Q
				ip4     layers.IPv4
				ip6     layers.IPv6
				tcp     layers.TCP
				udp     layers.UDP
				vxlan   layers.VXLAN
				payload gopacket.Payload
			)
			parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet,
				&eth, &dot1q, &ip4, &ip6, &tcp, &udp, &vxlan, &payload)
			parser.IgnoreUnsupported = true
			decoded := make([]gopacket.LayerType, 0, 16)
			frame := bb.p.Bytes()
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if err := parser.DecodeLayers(frame, &decoded); err != nil {
					b.Fatal(err)
				}
			}
			if tcp.SrcPort != 40000 && udp.SrcPort != 40000 {
				b.Fatal("the inner packet was not reached")
			}
		})
	}
}
