package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// ChecksumsOK reports whether the checksums of p are right, as far as they can be
// known: of the innermost IPv4 header, and of TCP or UDP when the packet is whole
// (captured to its end, no fragment) and has one. frame is the one p was decoded from.
func (p *Packet) ChecksumsOK(frame []byte) bool {
	if p.IPVersion == 4 && internetSum(0, frame[p.IPOff:p.L4Off]) != 0xffff {
		return false
	}
	if p.Cut || p.IsFragment() {
		return true
	}
	end := p.IPOff + p.IPLen
	switch p.Proto {
	case flow.ProtoTCP:
	case flow.ProtoUDP:
		end = p.PayloadOff + p.PayloadLen
		if p.IPVersion == 4 && binary.BigEndian.Uint16(frame[p.L4Off+6:]) == 0 {
			return true // none was sent (RFC 768)
		}
	default:
		return true
	}
	l4 := frame[p.L4Off:end]
	sum := internetSum(uint64(p.Proto)+uint64(len(l4)), p.pseudoAddrs(frame))
	return internetSum(sum, l4) == 0xffff
}

// pseudoAddrs returns the addresses as the pseudo header has them.
func (p *Packet) pseudoAddrs(frame []byte) []byte {
	if p.IPVersion == 4 {
		return frame[p.IPOff+12 : p.IPOff+20]
	}
	return frame[p.IPOff+8 : p.IPOff+40]
}

// internetSum returns the folded one's complement sum (RFC 1071) of b on top of sum.
func internetSum(sum uint64, b []byte) uint64 {
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.BigEndian.Uint32(b))
	}
	switch len(b) {
	case 3:
		sum += uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8
	case 2:
		sum += uint64(b[0])<<24 | uint64(b[1])<<16
	case 1:
		sum += uint64(b[0]) << 24
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum
}
