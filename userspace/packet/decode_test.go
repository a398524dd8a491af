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

func TestDecodeFields(t *testing.T) {
	got := decode(t, packettest.TCP(alice6, bob6).Flags("S").FlowLabel(0xabcde).TTL(3).
		MSS(1460).SACKPermitted().WScale(7).TCPOptions(19, 2).VLAN(5, 6).QinQ(7))
	switch {
	case got.IPVersion != 6 || got.FlowLabel != 0xabcde || got.TTL != 3:
		t.Errorf("version %d, label %x, hop limit %d", got.IPVersion, got.FlowLabel, got.TTL)
	case got.NVLANs != 3 || got.VLANs != [3]uint16{7, 6, 5}:
		t.Errorf("VLANs %v, want outermost first", got.VLANs)
	case got.SrcAddr().String() != "2001:db8::1" || got.DstAddr().String() != "2001:db8::7":
		t.Errorf("addresses %v, %v", got.SrcAddr(), got.DstAddr())
	}
	want := packet.TCP{
		Flags: flow.SYN, Window: 65535, MSS: 1460, WScale: 7,
		Options: flow.OptMSS | flow.OptWScale | flow.OptSACKPermitted | flow.OptSignature,
	}
	if got.TCP != want {
		t.Errorf("TCP = %+v, want %+v", got.TCP, want)
	}
}

func TestDecodeTCPOptions(t *testing.T) {
	tests := []struct {
		name string
		opts []byte
		want packet.TCP
	}{
		{"none", nil, packet.TCP{}},
		{"after the end", []byte{0, 2, 4, 5, 6}, packet.TCP{}},
		{"length 0", []byte{2, 0, 5, 6}, packet.TCP{}},
		{"length 1", []byte{1, 2, 1, 6}, packet.TCP{}},
		{"runs over", []byte{3, 3, 7, 2, 40, 5, 6, 7}, packet.TCP{Options: flow.OptWScale, WScale: 7}},
		{"kind alone at the end", []byte{1, 1, 1, 2}, packet.TCP{}},
		{"MSS of a wrong length", []byte{2, 3, 9, 3, 3, 15}, packet.TCP{Options: flow.OptWScale, WScale: 15}},
		{"timestamps without NOPs", []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, packet.TCP{Options: flow.OptTimestamps, TSVal: 1, TSEcr: 2}},
		{"unknown kind", []byte{254, 4, 0, 0, 4, 2}, packet.TCP{Options: flow.OptSACKPermitted}},
		{"MD5", append([]byte{19, 18}, make([]byte, 16)...), packet.TCP{Options: flow.OptSignature}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decode(t, packettest.TCP(alice, bob).Window(0).TCPOptions(tt.opts...))
			if got.TCP != tt.want {
				t.Errorf("options % x: got %+v, want %+v", tt.opts, got.TCP, tt.want)
			}
		})
	}
}

func put16(at int, n uint16) func([]byte) {
	return func(b []byte) { b[at], b[at+1] = byte(n>>8), byte(n) }
}

// Every cause by at least one frame, and next to it what is still good.
func TestDecodeCauses(t *testing.T) {
	tcp, udp := packettest.TCP(alice, bob).Payload("x"), packettest.UDP(alice, bob).Payload("x")
	tcp6, udp6 := packettest.TCP(alice6, bob6).Payload("x"), packettest.UDP(alice6, bob6).Payload("x")
	sctp, icmp := packettest.SCTP(alice, bob), packettest.ICMP("192.0.2.1", "192.0.2.2")
	raw := tcp.Link(packet.LinkRaw)
	tests := []struct {
		name string
		p    packettest.Packet
		want flow.Cause
	}{
		{"unknown link type", tcp.Link(147), flow.CauseLinkType},
		{"5-byte frame", tcp.Snap(5), flow.CauseTruncated},
		{"ARP", tcp.Edit(put16(12, 0x0806)), flow.CauseNotIP},
		{"LLDP", tcp.Edit(put16(12, 0x88cc)), flow.CauseNotIP},
		{"802.3", tcp.Edit(put16(12, 100)), flow.CauseNotIP},
		{"IPv4 version 6", tcp.Edit(func(b []byte) { b[14] = 0x65 }), flow.CauseMalformed},
		{"IHL 4", tcp.Edit(func(b []byte) { b[14] = 0x44 }), flow.CauseMalformed},
		{"IHL beyond total length", tcp.Edit(func(b []byte) { b[14] = 0x4f }), flow.CauseMalformed},
		{"total length below the header", tcp.Edit(put16(16, 19)), flow.CauseMalformed},
		{"total length beyond the frame", tcp.Edit(put16(16, 42)), flow.CauseMalformed},
		{"total length 0", tcp.Edit(put16(16, 0)), flow.Decoded},
		{"IPv6 version 4", tcp6.Edit(func(b []byte) { b[14] = 0x40 }), flow.CauseMalformed},
		{"IPv6 length beyond the frame", tcp6.Edit(put16(18, 22)), flow.CauseMalformed},
		{"IPv6 length 0", tcp6.Edit(put16(18, 0)), flow.Decoded},
		{"data offset 4", tcp.Edit(func(b []byte) { b[46] = 0x40 }), flow.CauseMalformed},
		{"data offset beyond the packet", tcp.Edit(func(b []byte) { b[46] = 0x60 }), flow.CauseMalformed},
		{"TCP in 19 bytes", tcp.Edit(put16(16, 39)), flow.CauseMalformed},
		{"UDP length 7", udp.Edit(put16(38, 7)), flow.CauseMalformed},
		{"UDP length 0", udp.Edit(put16(38, 0)), flow.CauseMalformed},
		{"UDP length beyond the packet", udp.Edit(put16(38, 10)), flow.CauseMalformed},
		{"UDP length below the packet", udp.Edit(put16(38, 8)), flow.Decoded},
		{"UDP in 7 bytes", udp.Edit(put16(16, 27)), flow.CauseMalformed},
		{"IPv6 UDP length 0", udp6.Edit(put16(58, 0)), flow.CauseMalformed},
		{"IPv6 UDP length 0, IPv6 length 0", udp6.Edit(put16(58, 0)).Edit(put16(18, 0)), flow.Decoded},
		{"SCTP in 3 bytes", sctp.Edit(put16(16, 23)), flow.CauseMalformed},
		{"SCTP in 4 bytes", sctp.Edit(put16(16, 24)), flow.Decoded},
		{"ICMP in 3 bytes", icmp.Edit(put16(16, 23)), flow.CauseMalformed},
		{"3 bytes of TCP captured", tcp.Snap(14 + 20 + 3), flow.CauseTruncated},
		{"4 bytes of TCP captured", tcp.Snap(14 + 20 + 4), flow.Decoded},
		{"19 bytes of IPv4 captured", tcp.Snap(14 + 19), flow.CauseTruncated},
		{"IPv4 options not captured", tcp.IPOptions(1, 1, 1, 1).Snap(14 + 23), flow.CauseTruncated},
		{"VLAN tag not captured", tcp.VLAN(5).Snap(17), flow.CauseTruncated},
		{"raw, nothing captured", raw.Snap(-1), flow.CauseTruncated},
		{"raw, version 5", raw.Edit(func(b []byte) { b[0] = 0x55 }), flow.CauseMalformed},
		{"IPv6 on an IPv4 link", tcp6.Link(packet.LinkIPv4), flow.CauseMalformed},
		{"IPv4 on an IPv6 link", packettest.UDP(alice, bob).Payload("long enough for IPv6").Link(packet.LinkIPv6), flow.CauseMalformed},
		{"IPv6 on its link", tcp6.Link(packet.LinkIPv6), flow.Decoded},
		{"loopback, family 7", tcp.Link(packet.LinkLoop).Edit(func(b []byte) { b[3] = 7 }), flow.CauseNotIP},
		{"null, big endian", tcp.Link(packet.LinkNull).Edit(func(b []byte) { b[0], b[3] = 0, 2 }), flow.Decoded},
		{"null, family 24", tcp6.Link(packet.LinkNull).Edit(func(b []byte) { b[0] = 24 }), flow.Decoded},
		{"cooked, too short", tcp.Link(packet.LinkSLL).Snap(15), flow.CauseTruncated},
		{"cooked, 802.2", tcp.Link(packet.LinkSLL).Edit(put16(14, 4)), flow.CauseNotIP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d packet.Decoder
			var p packet.Packet
			v := tt.p.View()
			got := d.Decode(&v, &p)
			checkPacket(t, &v, &p)
			if got != tt.want || p.Cause != got {
				t.Errorf("Decode = %v, Cause %v, want %v", got, p.Cause, tt.want)
			}
		})
	}
}

func TestDecodeSNAP(t *testing.T) {
	snap := func(b []byte) []byte { // put length and SNAP header in place of the ethertype
		return append(append(append([]byte(nil), b[:12]...), 0, 49, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0), b[14:]...)
	}
	var d packet.Decoder
	var p packet.Packet
	v := packettest.UDP(alice, bob).Payload("x").View().WithFrame(snap(packettest.UDP(alice, bob).Payload("x").Bytes()))
	if cause := d.Decode(&v, &p); cause != flow.Decoded || p.SrcPort != 40000 || p.PayloadOff != 50 {
		t.Errorf("SNAP with IPv4: %v, port %d, payload at %d", cause, p.SrcPort, p.PayloadOff)
	}
	v.Frame[20] = 9
	if cause := d.Decode(&v, &p); cause != flow.CauseNotIP {
		t.Errorf("SNAP with ethertype 0x0900: %v, want %v", cause, flow.CauseNotIP)
	}
}

// A frame cut by the snaplen tells what it can, with the original lengths.
func TestDecodeSnaplen(t *testing.T) {
	p := packettest.TCP(alice, bob).Flags("PA").Seq(9).Timestamps(1, 2).Payload("0123456789")
	whole := p.View()
	for n := 14 + 20 + 4; n <= len(whole.Frame); n++ {
		got := decode(t, p.Snap(n))
		if got.WireLen != len(whole.Frame) || got.IPLen != 62 {
			t.Fatalf("%d bytes: lengths %d, %d", n, got.WireLen, got.IPLen)
		}
		hasTCP, payload := n >= 54, 10
		if !hasTCP { // options are not known
			payload = 22
		}
		if got.HasTCP != hasTCP || got.PayloadLen != payload || got.PayloadCap != max(0, n-66) || got.Cut != (n < len(whole.Frame)) {
			t.Fatalf("%d bytes: TCP %v, payload %d of %d, cut %v", n, got.HasTCP, got.PayloadCap, got.PayloadLen, got.Cut)
		}
		if s := got.Segment(whole.Frame); hasTCP && s.Capture != (n < len(whole.Frame)) {
			t.Fatalf("%d bytes: Segment.Capture = %v", n, s.Capture)
		}
	}
	testCuts(t, whole, ptr(decode(t, p)))
}

func ptr[T any](v T) *T { return &v }

func TestDecodeExtensionHeaders(t *testing.T) {
	udp := packettest.UDP(alice6, bob6).Payload("x")
	eight := udp
	for range 8 {
		eight = eight.Ext(flow.ProtoDstOpts)
	}
	tests := []struct {
		name  string
		p     packettest.Packet
		proto flow.Proto
		l4    int
		want  flow.Cause
	}{
		{"one of each", udp.Ext(flow.ProtoHopByHop, 1, 2, 3).Ext(flow.ProtoDstOpts, make([]byte, 20)...).Ext(flow.ProtoRouting).
			Ext(flow.ProtoAH, 1, 2, 3).Ext(flow.ProtoMobility).Ext(flow.ProtoHIP).Ext(flow.ProtoShim6), flow.ProtoUDP, 54 + 8 + 24 + 8 + 16 + 8 + 8 + 8, 0},
		{"hop-by-hop again", udp.Ext(flow.ProtoHopByHop).Ext(flow.ProtoHopByHop), flow.ProtoUDP, 70, 0},
		{"eight", eight, flow.ProtoUDP, 54 + 64, 0},
		{"nine", eight.Ext(flow.ProtoRouting), flow.ProtoRouting, 54 + 64, 0},
		{"ESP ends it", packettest.IP(flow.ProtoESP, "2001:db8::1", "2001:db8::2").Payload("x").Ext(flow.ProtoDstOpts), flow.ProtoESP, 62, 0},
		{"no next header", packettest.IP(flow.ProtoNoNext, "2001:db8::1", "2001:db8::2").Ext(flow.ProtoDstOpts), flow.ProtoNoNext, 62, 0},
		{"no next header, nothing", packettest.IP(flow.ProtoNoNext, "2001:db8::1", "2001:db8::2").Pad(6), flow.ProtoNoNext, 54, 0},
		{"atomic fragment", udp.AtomicFragment(7), flow.ProtoUDP, 62, 0},
		{"past the packet", udp.Ext(flow.ProtoDstOpts).Edit(func(b []byte) { b[55] = 9 }), 0, 0, flow.CauseMalformed},
		{"past what was captured", udp.Ext(flow.ProtoDstOpts, make([]byte, 30)...).Snap(54 + 20), 0, 0, flow.CauseTruncated},
		{"first bytes not captured", udp.Ext(flow.ProtoDstOpts).Snap(55), 0, 0, flow.CauseTruncated},
		{"AH over IPv4 is a protocol", packettest.IP(flow.ProtoAH, "192.0.2.1", "192.0.2.2").Payload("x"), flow.ProtoAH, 34, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d packet.Decoder
			var p packet.Packet
			v := tt.p.View()
			if got := d.Decode(&v, &p); got != tt.want || p.Proto != tt.proto || p.L4Off != tt.l4 {
				t.Errorf("Decode = %v, protocol %v at %d; want %v, %v at %d", got, p.Proto, p.L4Off, tt.want, tt.proto, tt.l4)
			}
			if tt.want == flow.Decoded && p.IsFragment() {
				t.Errorf("fragment %+v", p.Frag)
			}
		})
	}
}

func TestDecodeHardwareVLAN(t *testing.T) {
	var d packet.Decoder
	var p packet.Packet
	v := packettest.UDP(alice, bob).VLAN(5, 6).View()
	v.VLAN, v.HasVLAN = 7, true
	if cause := d.Decode(&v, &p); cause != flow.Decoded || p.NVLANs != 3 || p.VLANs != [3]uint16{7, 6, 5} {
		t.Errorf("Decode = %v, VLANs %v", cause, p.VLANs[:p.NVLANs])
	}
	v.Frame = packettest.UDP(alice, bob).VLAN(4, 5, 6).Bytes()
	if cause := d.Decode(&v, &p); cause != flow.CauseMalformed {
		t.Errorf("a fourth tag: Decode = %v, want malformed", cause)
	}
}

func TestDirection(t *testing.T) {
	p := packettest.UDP(alice, bob)
	for _, link := range []packet.LinkType{packet.LinkSLL, packet.LinkSLL2} {
		for _, want := range []packet.CaptureDir{packet.DirIn, packet.DirOut, packet.DirUnknown} {
			v := p.Link(link).Dir(want).View()
			v.Dir = packet.DirUnknown
			if got := v.Direction(); got != want {
				t.Errorf("link type %d: Direction = %v, want %v", link, got, want)
			}
			if got := decode(t, p.Link(link).Dir(want)); got.Dir != want || !got.HasMAC {
				t.Errorf("link type %d: Dir %v, MAC %v", link, got.Dir, got.HasMAC)
			}
		}
	}
}

func TestChecksumsOK(t *testing.T) {
	odd := packettest.TCP(alice, bob).Payload("odd")
	tests := []struct {
		name string
		p    packettest.Packet
		want bool
	}{
		{"TCP", odd, true},
		{"TCP, IPv6", packettest.TCP(alice6, bob6).Payload("even"), true},
		{"UDP", packettest.UDP(alice, bob).Payload("odd"), true},
		{"UDP, IPv6, extension header", packettest.UDP(alice6, bob6).Ext(flow.ProtoDstOpts).Payload("x"), true},
		{"UDP without", packettest.UDP(alice, bob).Edit(put16(40, 0)), true},
		{"UDP without, IPv6", packettest.UDP(alice6, bob6).Edit(put16(60, 0)), false},
		{"inside a tunnel", odd.VXLAN(1), true},
		{"padding is not in it", odd.Pad(3), true},
		{"IP options", odd.IPOptions(7, 3, 4), true},
		{"bad TCP", odd.Edit(func(b []byte) { b[56]++ }), false},
		{"bad UDP", packettest.UDP(alice, bob).Payload("odd").Edit(func(b []byte) { b[44]++ }), false},
		{"bad IPv4", odd.Edit(func(b []byte) { b[22]++ }), false},
		{"bad, but cut", odd.Edit(func(b []byte) { b[54]++ }).Snap(56), true},
		{"a fragment", odd.Fragments(8)[0], true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.p.View()
			p := decode(t, tt.p)
			if got := p.ChecksumsOK(v.Frame); got != tt.want {
				t.Errorf("ChecksumsOK = %v, want %v; frame % x", got, tt.want, v.Frame)
			}
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var d packet.Decoder
	var p packet.Packet
	var x packet.Extracted[flow.Key]
	var five packet.Extractor[flow.Key] = &packet.FiveTuple{KeyVLAN: true, KeyTunnel: true}
	for _, pp := range fuzzPackets() {
		v := pp.View()
		if n := testing.AllocsPerRun(100, func() {
			d.Decode(&v, &p)
			five.Extract(&p, &x)
		}); n != 0 {
			t.Errorf("%v allocations for a frame of %d bytes", n, len(v.Frame))
		}
	}
}
