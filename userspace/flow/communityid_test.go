package flow

import "testing"

func TestCommunityID(t *testing.T) {
	a, b := MapV4([4]byte{1, 2, 3, 4}), MapV4([4]byte{5, 6, 7, 8})
	key := func(proto Proto) Key {
		return Key{Lo: a, Hi: b, LoPort: 1122, HiPort: 3344, Proto: proto, IPVersion: 4}
	}
	reversed := Key{Lo: b, Hi: a, LoPort: 3344, HiPort: 1122, Proto: ProtoTCP, IPVersion: 4, Directional: true}
	tests := []struct {
		name string
		key  Key
		seed uint16
		want string
	}{
		{"tcp", key(ProtoTCP), 0, "1:wCb3OG7yAFWelaUydu0D+125CLM="},
		{"tcp, seed 1", key(ProtoTCP), 1, "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk="},
		{"tcp, directional the other way", reversed, 0, "1:wCb3OG7yAFWelaUydu0D+125CLM="},
		{"udp", key(ProtoUDP), 0, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="},
		{"MACs", Key{}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.key.CommunityID(tt.seed); got != tt.want {
				t.Errorf("CommunityID(%d) of %+v = %q, want %q", tt.seed, tt.key, got, tt.want)
			}
		})
	}
}

// Vectors for ICMP run over real frames, in
// package packet. Here: order does not matter where there are two ways, and does
// where there is one.
func TestCommunityIDOfICMP(t *testing.T) {
	a, b := MapV4([4]byte{1, 2, 3, 4}), MapV4([4]byte{5, 6, 7, 8})
	icmp := func(lo, hi [16]byte, loWord, hiWord uint16) string {
		return Key{Lo: lo, Hi: hi, LoPort: loWord, HiPort: hiWord, Proto: ProtoICMP, IPVersion: 4}.CommunityID(0)
	}
	if x, y := icmp(a, b, 8, 0), icmp(b, a, 0, 8); x != y {
		t.Errorf("echo request %s and its reply %s differ", x, y)
	}
	if x, y := icmp(a, b, 11, 256), icmp(a, b, 256, 11); x == y {
		t.Errorf("time exceeded from a to b and from b to a are both %s", x)
	}
	if x, y := icmp(a, b, 11, 256), icmp(b, a, 256, 11); x != y {
		t.Errorf("one packet, two orders of endpoints: %s and %s", x, y)
	}
}

func TestICMPCounterpart(t *testing.T) {
	for _, proto := range []Proto{ProtoICMP, ProtoICMP6} {
		for i := range 256 {
			typ := uint8(i)
			other, ok := ICMPCounterpart(proto, typ)
			if !ok {
				continue
			}
			if back, ok := ICMPCounterpart(proto, other); !ok || back != typ {
				t.Errorf("%v: %d answers %d, which answers %d", proto, other, typ, back)
			}
		}
	}
}
