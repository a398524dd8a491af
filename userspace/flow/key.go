package flow

import (
	"bytes"
	"cmp"
	"net/netip"
)

// A Direction says which way a packet goes in terms of its key: Forward is from
// the lower endpoint to the higher one.
type Direction uint8

// The directions.
const (
	Forward Direction = iota
	Reverse
)

// Other returns the opposite direction.
func (d Direction) Other() Direction { return d ^ 1 }

// String returns "forward" or "reverse".
func (d Direction) String() string {
	if d == Forward {
		return "forward"
	}
	return "reverse"
}

// A Key names a flow, both directions of it. It is comparable and has one
// canonical order of endpoints: Lo comes before Hi (address bytes, then port),
// unless the extractor that made it is directional.
//
// IPVersion is 4 or 6; an IPv4 address is held IPv4-mapped. For a key made of
// MAC addresses it is 0 and the first six bytes of Lo and Hi hold them. For ICMP the
// ports are the two words of Community ID (type and counterpart, or type and
// 256+code). Context tells overlapping address plans apart (a hash of VLAN or
// tunnel ids) and is 0 unless asked for.
type Key struct {
	Lo, Hi         [16]byte
	LoPort, HiPort uint16
	Proto          Proto
	IPVersion      uint8
	Directional    bool // Lo is the source: endpoints were not put in order
	FlowLabel      uint32
	Context        uint32
}

// EitherPort reports whether one endpoint has port p.
func (k Key) EitherPort(p uint16) bool {
	return k.Proto.HasPorts() && (k.LoPort == p || k.HiPort == p)
}

// Addrs returns the two addresses, unmapped; invalid ones for a key of MACs.
func (k Key) Addrs() (lo, hi netip.Addr) { return k.addr(k.Lo), k.addr(k.Hi) }

func (k Key) addr(b [16]byte) netip.Addr {
	switch k.IPVersion {
	case 4:
		return netip.AddrFrom4([4]byte(b[12:]))
	case 6:
		return netip.AddrFrom16(b)
	}
	return netip.Addr{}
}

// Source returns the endpoint a packet going in direction d comes from.
func (k Key) Source(d Direction) (addr netip.Addr, port uint16) {
	if d == Forward {
		return k.addr(k.Lo), k.LoPort
	}
	return k.addr(k.Hi), k.HiPort
}

// Compare orders keys: IP version, protocol, endpoints, the rest.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.IPVersion, o.IPVersion),
		cmp.Compare(k.Proto, o.Proto),
		bytes.Compare(k.Lo[:], o.Lo[:]),
		cmp.Compare(k.LoPort, o.LoPort),
		bytes.Compare(k.Hi[:], o.Hi[:]),
		cmp.Compare(k.HiPort, o.HiPort),
		cmp.Compare(k.FlowLabel, o.FlowLabel),
		cmp.Compare(k.Context, o.Context),
	)
}

// MapV4 returns the IPv4-mapped form of four address bytes.
func MapV4(a [4]byte) (m [16]byte) {
	m[10], m[11] = 0xff, 0xff
	copy(m[12:], a[:])
	return m
}
