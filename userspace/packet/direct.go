package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// linuxTimestamps is how most stacks begin the options of an established
// connection: NOP, NOP, timestamps of 10 bytes.
const linuxTimestamps = 0x0101080a

// direct is a short way to the same answer as ipv4 or ipv6, for what most packets are:
// TCP or UDP right behind an IP header without options, not a fragment, wholly captured.
// The header, of type next, is at off of frame b, in a layer that ends at end. direct
// reports false for anything else, and leaves p.
func (p *Packet) direct(b []byte, off, end int, next uint32) bool {
	if len(b)-off < ipv4Len+tcpLen {
		return false
	}
	h := b[off:]
	_ = h[ipv4Len+tcpLen-1]
	first := binary.BigEndian.Uint64(h)
	l4, size, proto := plainIP(h, first, next)
	if l4 == 0 || size > min(end-off, len(h))-l4 {
		return false
	}
	t := h[l4:]
	_ = t[tcpLen-1] // whichever IP it is
	hlen, n := plainL4(t, size, proto)
	if hlen == 0 {
		return false
	}
	p.IPLen, p.IPOff, p.L4Off = l4+size, off, off+l4
	p.PayloadOff, p.PayloadCap, p.PayloadLen = off+l4+hlen, n-hlen, n-hlen
	if l4 == ipv4Len {
		mapIPv4(&p.Src, h[12:16])
		mapIPv4(&p.Dst, h[16:20])
		p.FlowLabel, p.IPVersion, p.TTL = 0, 4, h[8]
	} else {
		p.Src = [16]byte(h[8:24]) // one at a time: together they are copied aside
		p.Dst = [16]byte(h[24:40])
		p.FlowLabel, p.IPVersion, p.TTL = uint32(first>>32&0xfffff), 6, byte(first)
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	p.Proto, p.ICMPType, p.ICMPCode = proto, 0, 0
	p.HasTCP, p.Cut = proto == flow.ProtoTCP, false
	p.Frag = Frag{}
	if p.HasTCP {
		parseTCP(t[:hlen], &p.TCP)
	}
	return true
}

// plainIP returns the length of the IP header h, of type next and beginning with first,
// and the size and protocol of what follows. The length is 0 if that is not plain.
func plainIP(h []byte, first uint64, next uint32) (n, size int, proto flow.Proto) {
	switch {
	case next == etherIPv4 && first>>56 == 0x45 && first&(fragOffset|fragMore) == 0:
		return ipv4Len, int(first>>32&0xffff) - ipv4Len, flow.Proto(h[9])
	case next == etherIPv6 && first>>60 == 6 && len(h) >= ipv6Len+tcpLen:
		return ipv6Len, int(first >> 16 & 0xffff), flow.Proto(first >> 8)
	}
	return 0, 0, 0
}

// plainL4 returns the length of the L4 header t, and its own and its payload's length
// together, of size bytes that follow the IP header; 0 if it is not TCP, not UDP, or bad.
func plainL4(t []byte, size int, proto flow.Proto) (hlen, n int) {
	switch proto {
	case flow.ProtoTCP:
		hlen, n = int(t[12]>>4)*4, size
		if hlen >= tcpLen && hlen <= size {
			return hlen, n
		}
	case flow.ProtoUDP:
		n = int(binary.BigEndian.Uint16(t[4:]))
		if n >= udpLen && n <= size {
			return udpLen, n
		}
	}
	return 0, 0
}

// overlay is a short way to the same answer as inside, where p, which direct made,
// carries an Ethernet frame with such a packet again. It reports false for anything
// else, and leaves p.
func (d *Decoder) overlay(b []byte, p *Packet) bool {
	if p.Proto != flow.ProtoUDP || p.NTunnels == MaxTunnels {
		return false
	}
	off, end := p.PayloadOff, p.PayloadOff+p.PayloadLen
	h := b[off:end]
	s, next := d.plan.openUDP(p, h)
	n := s.n + etherLen
	if next != nextEther || len(h) < n {
		return false
	}
	p.push(s, p.IPVersion)
	if !p.direct(b, off+n, end, uint32(binary.BigEndian.Uint16(h[n-2:]))) {
		p.NTunnels--
		return false
	}
	return true
}
