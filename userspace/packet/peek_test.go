package packet_test

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

func TestPeek(t *testing.T) {
	const a, b = "192.0.2.1:40000", "198.51.100.7:443"
	const a6, b6 = "[2001:db8::1]:40000", "[2001:db8::2]:53"
	tests := []struct {
		name string
		p    packettest.Packet
		want bool
	}{
		{"tcp", packettest.TCP(a, b), true},
		{"the other way", packettest.TCP(b, a), true},
		{"udp", packettest.UDP(a, b), true},
		{"tcp6", packettest.TCP(b6, a6), true},
		{"udp6", packettest.UDP(a6, b6), true},
		{"tagged", packettest.TCP(a, b).VLAN(7), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := packettest.Trace(tt.p)[0]
			var got flow.Key
			ok := packet.Peek(&v, &got)
			if ok != tt.want || ok && got != keyOf(t, &v) {
				t.Errorf("got %v, %v; want %v, %v", got, ok, keyOf(t, &v), tt.want)
			}
			for n := range v.Frame {
				short := v
				short.Frame = v.Frame[:n]
				packet.Peek(&short, &got)
			}
		})
	}
}

func keyOf(t *testing.T, v *packet.View) flow.Key {
	t.Helper()
	var d packet.Decoder
	var p packet.Packet
	var x packet.Extracted[flow.Key]
	d.Decode(v, &p)
	if cause := (packet.FiveTuple{}).Extract(&p, &x); cause != flow.Decoded {
		t.Fatal(cause)
	}
	return x.Key
}
