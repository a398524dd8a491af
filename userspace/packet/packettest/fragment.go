package packettest

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// Ext appends an IPv6 extension header of typ with data behind its first two bytes,
// filled up to its unit. The first one appended comes first in the packet.
func (p Packet) Ext(typ flow.Proto, data ...byte) Packet {
	unit, less := 8, 1
	if typ == flow.ProtoAH {
		unit, less = 4, 2
		data = join(make([]byte, 10), data) // reserved, SPI, sequence number
	}
	for (2+len(data))%unit != 0 {
		data = append(data[:len(data):len(data)], 0)
	}
	rest := append([]byte{byte((2+len(data))/unit - less)}, data...)
	return p.ext(typ, rest)
}

// AtomicFragment appends an IPv6 fragment header that says "the whole packet".
func (p Packet) AtomicFragment(id uint32) Packet { return p.fragmentHeader(id, 0, false) }

func (p Packet) fragmentHeader(id uint32, offset int, more bool) Packet {
	b := binary.BigEndian.AppendUint16([]byte{0}, fragWord6(offset, more))
	return p.ext(flow.ProtoFragment, binary.BigEndian.AppendUint32(b, id))
}

func fragWord6(offset int, more bool) uint16 {
	if more {
		return uint16(offset) | 1
	}
	return uint16(offset)
}

func (p Packet) ext(typ flow.Proto, rest []byte) Packet {
	p.exts = append(p.exts[:len(p.exts):len(p.exts)], extension{typ, rest})
	return p
}

// Fragments returns p cut into fragments with at most n bytes of data each, n being a
// multiple of 8. For IPv6 the identification is that of IPID. Call it before anything
// that wraps.
func (p Packet) Fragments(n int) []Packet {
	l4 := p.transport()
	var list []Packet
	for off := 0; off < len(l4); off += n {
		list = append(list, p.Fragment(off, min(off+n, len(l4))))
	}
	return list
}

// Fragment returns the fragment with the bytes from off to end of what follows p's IP
// header.
func (p Packet) Fragment(off, end int) Packet {
	if len(p.wraps) > 0 || off%8 != 0 {
		panic("packettest: Fragment after a wrap, or at an offset that is no multiple of 8")
	}
	l4 := p.transport()
	return p.RawFragment(off, end < len(l4), l4[off:end])
}

// RawFragment returns a fragment of p's datagram with any data, for fragments that
// overlap or lie.
func (p Packet) RawFragment(off int, more bool, data []byte) Packet {
	p.l4 = append([]byte{}, data...) // not nil
	if p.src.Addr().Is6() {
		return p.fragmentHeader(uint32(p.ipID), off, more)
	}
	p.frag = packet.Frag{Offset: uint16(off), More: more}
	return p
}

// L4 returns the L4 header and the payload of p.
func (p Packet) L4() []byte { return p.transport() }
