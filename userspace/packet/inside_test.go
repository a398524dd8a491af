package packet_test

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// TestInside holds that a datagram that fragments made up is opened like a packet that
// came whole, to the innermost and no deeper than the limit with the tunnels around it.
func TestInside(t *testing.T) {
	inner := packettest.TCP("10.0.0.1:1", "10.0.0.2:2").Flags("PA").Payload("data")
	tests := []struct {
		name    string
		whole   packettest.Packet
		around  uint8 // tunnels the fragments are in
		decap   packet.Decap
		inside  bool
		tunnels uint8
	}{
		{"ipip", inner.IPIP(), 0, packet.DecapAuto, true, 1},
		{"gtpu", inner.GTPU(7), 0, packet.DecapAuto, true, 1},
		{"gre in vxlan", inner.GRE("", 0).VXLAN(5), 0, packet.DecapAuto, true, 2},
		{"vlan inside", inner.VLAN(9).VXLAN(5), 0, packet.DecapAuto, true, 1},
		{"in three tunnels", inner.IPIP(), 3, packet.DecapAuto, true, 4},
		{"in four tunnels", inner.IPIP(), 4, packet.DecapAuto, false, 4},
		{"off", inner.IPIP(), 0, packet.DecapNone, false, 0},
		{"no tunnel", inner, 0, packet.DecapAuto, false, 0},
		{"gtp without a packet", packettest.UDP("10.0.0.1:2152", "10.0.0.2:2152").Payload("hello, world"), 0, packet.DecapAuto, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := outermost(t, tt.whole)
			data := tt.whole.Bytes()[14+20:]
			g := packet.Datagram{Key: packet.FragKey{Src: p.Src, Dst: p.Dst, IPVersion: 4}, Proto: p.Proto, Data: data}
			q := packet.Packet{NTunnels: tt.around}
			if cause := q.DecodeL4(&g); cause != flow.Decoded {
				t.Fatalf("DecodeL4: %v", cause)
			}
			d := packet.Decoder{Decap: tt.decap}
			if got := d.Inside(data, &q); got != tt.inside || q.NTunnels != tt.tunnels {
				t.Fatalf("Inside %v with %d tunnels, want %v with %d", got, q.NTunnels, tt.inside, tt.tunnels)
			}
			if tt.inside && (q.SrcPort != 1 || !q.HasTCP || string(q.Payload(data)) != "data") {
				t.Errorf("inside: port %d, TCP %v, payload %q", q.SrcPort, q.HasTCP, q.Payload(data))
			}
			if !tt.inside && q.Proto != p.Proto {
				t.Errorf("protocol %v, want that of the outer packet, %v", q.Proto, p.Proto)
			}
		})
	}
}

// outermost decodes p with its tunnels closed.
func outermost(t *testing.T, p packettest.Packet) *packet.Packet {
	t.Helper()
	d, v := packet.Decoder{Decap: packet.DecapNone}, p.View()
	var q packet.Packet
	if cause := d.Decode(&v, &q); cause != flow.Decoded {
		t.Fatalf("Decode: %v", cause)
	}
	return &q
}

// TestSurround holds that a packet gets what its flow's first packet said of the way it
// came, turned round if it goes the other way.
func TestSurround(t *testing.T) {
	v := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("x").GRE("K", 3).VXLAN(5).VLAN(9).View()
	var d packet.Decoder
	var p, q packet.Packet
	d.Decode(&v, &p)
	a := p.Attributes()
	for _, same := range []bool{true, false} {
		q.Surround(&a, same)
		if q.NVLANs != 1 || q.VLANs != p.VLANs || q.NTunnels != 2 || q.Tunnels != p.Tunnels {
			t.Errorf("same %v: VLANs %v, tunnels %v, want %v, %v", same, q.VLANs, q.Tunnels, p.VLANs, p.Tunnels)
		}
		if (q.SrcMAC == p.SrcMAC) != same || !q.HasMAC {
			t.Errorf("same %v: MACs %v %v, of the first packet %v %v", same, q.SrcMAC, q.DstMAC, p.SrcMAC, p.DstMAC)
		}
	}
}
