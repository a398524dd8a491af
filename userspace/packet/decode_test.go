package packet_test

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

const (
	alice, bob   = "192.0.2.1:40000", "198.51.100.7:443"
	alice6, bob6 = "[2001:db8::1]:40000", "[2001:db8::7]:443"
)

// decode decodes p and fails the test if that is refused.
func decode(t *testing.T, p packettest.Packet) packet.Packet {
	t.Helper()
	var d packet.Decoder
	var got packet.Packet
	v := p.View()
	if cause := d.Decode(&v, &got); cause != flow.Decoded {
		t.Fatalf("Decode: %v, want decoded; frame % x", cause, v.Frame)
	}
	return got
}

func TestDecodeTCP(t *testing.T) {
	p := packettest.TCP(alice, bob).Flags("PA").Seq(100).Ack(200).Window(300).TTL(9).
		Timestamps(7, 8).Payload("hello")
	v := p.View()
	v.Time = 42
	var d packet.Decoder
	var got packet.Packet
	if cause := d.Decode(&v, &got); cause != flow.Decoded {
		t.Fatalf("Decode: %v", cause)
	}
	want := packet.Packet{
		Time: 42, WireLen: 71, IPLen: 57, IPOff: 14, L4Off: 34, PayloadOff: 66, PayloadCap: 5, PayloadLen: 5,
		Src: flow.MapV4([4]byte{192, 0, 2, 1}), Dst: flow.MapV4([4]byte{198, 51, 100, 7}),
		SrcPort: 40000, DstPort: 443, IPVersion: 4, Proto: flow.ProtoTCP, TTL: 9, HasMAC: true, HasTCP: true,
		TCP: packet.TCP{
			Seq: 100, Ack: 200, Window: 300, Flags: flow.PSH | flow.ACK,
			Options: flow.OptTimestamps, TSVal: 7, TSEcr: 8,
		},
		SrcMAC: flow.MAC{2, 0, 192, 0, 2, 1}, DstMAC: flow.MAC{2, 0, 198, 51, 100, 7},
	}
	if got != want {
		t.Errorf("Decode:\n got %+v\nwant %+v", got, want)
	}
	if s := got.Segment(v.Frame); string(s.Data) != "hello" || s.Len != 5 || s.Capture || s.Time != 42 || s.Seq != 100 {
		t.Errorf("Segment = %+v", s)
	}
}

func TestDecodePayload(t *testing.T) {
	tests := []struct {
		name   string
		p      packettest.Packet
		off, n int
	}{
		{"plain TCP", packettest.TCP(alice, bob).Payload("x"), 54, 1},
		{"bare ACK, padded", packettest.TCP(alice, bob).Flags("A").PadTo60(), 54, 0},
		{"UDP", packettest.UDP(alice, bob).Payload("xyz").PadTo60(), 42, 3},
		{"IPv6 TCP", packettest.TCP(alice6, bob6).Payload("x"), 74, 1},
		{"IPv6 UDP", packettest.UDP(alice6, bob6).Payload("x"), 62, 1},
		{"VLAN", packettest.UDP(alice, bob).Payload("x").VLAN(5), 46, 1},
		{"three VLANs", packettest.UDP(alice, bob).Payload("x").VLAN(5, 6).QinQ(7), 54, 1},
		{"IPv4 options", packettest.UDP(alice, bob).Payload("x").IPOptions(7, 3, 4), 46, 1},
		{"TCP options", packettest.TCP(alice, bob).MSS(1460).SACKPermitted().WScale(7).Payload("x"), 66, 1},
		{"ICMP", packettest.ICMP("192.0.2.1", "192.0.2.2").Payload("x"), 42, 1},
		{"ICMPv6", packettest.ICMP("2001:db8::1", "2001:db8::2").Payload("x"), 62, 1},
		{"SCTP", packettest.SCTP(alice, bob).Payload("x"), 46, 1},
		{"OSPF", packettest.IP(89, "192.0.2.1", "192.0.2.2").Payload("x"), 34, 1},
		{"VXLAN", packettest.UDP(alice, bob).Payload("x").VXLAN(42), 14 + 20 + 8 + 8 + 42, 1},
		{"raw", packettest.UDP(alice, bob).Payload("x").Link(packet.LinkRaw), 28, 1},
		{"cooked", packettest.UDP(alice, bob).Payload("x").Link(packet.LinkSLL), 44, 1},
		{"cooked v2", packettest.UDP(alice, bob).Payload("x").Link(packet.LinkSLL2), 48, 1},
		{"null", packettest.UDP(alice6, bob6).Payload("x").Link(packet.LinkNull), 52, 1},
		{"loop", packettest.UDP(alice, bob).Payload("x").Link(packet.LinkLoop), 32, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decode(t, tt.p)
			if got.PayloadOff != tt.off || got.PayloadLen != tt.n || got.PayloadCap != tt.n {
				t.Errorf("payload at %d, length %d, captured %d; want %d, %d, %[5]d",
					got.PayloadOff, got.PayloadLen, got.PayloadCap, tt.off, tt.n)
			}
		})
	}
}
