package tracegen

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

const (
	tcpLen = 20

	vxlanPort = 4789
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100
	protoIPv4 = 4
	protoIPv6 = 41
	protoGRE  = 47
)

var (
	macs       = [2][6]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	tunnelEnds = [2]netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 1}), netip.AddrFrom4([4]byte{203, 0, 113, 2})}
)

// A writer writes frames in the pcap format (draft-ietf-opsawg-pcap), and counts them
// in the truth about their flow.
type writer struct {
	w     io.Writer
	buf   []byte
	begun bool
}

func newWriter(w io.Writer) *writer { return &writer{w: w, buf: make([]byte, 0, 4096)} }

// header is that of a file of Ethernet frames with nanoseconds.
func header() []byte {
	b := make([]byte, 24)
	binary.LittleEndian.PutUint32(b, 0xa1b23c4d)
	binary.LittleEndian.PutUint16(b[4:], 2)
	binary.LittleEndian.PutUint16(b[6:], 4)
	binary.LittleEndian.PutUint32(b[16:], 1<<18)
	binary.LittleEndian.PutUint32(b[20:], 1)
	return b
}

// frame writes one packet of t at a time after Epoch.
func (w *writer) frame(after time.Duration, t *talk, p *packet) error {
	b := w.buf[:0]
	if !w.begun {
		w.begun = true
		b = append(b, header()...)
	}
	at := len(b)
	b = append(b, make([]byte, 16)...)
	begin := len(b)
	b, ipLen := t.encode(b, p)
	ts := Epoch.Add(after)
	binary.LittleEndian.PutUint32(b[at:], uint32(ts.Unix()))
	binary.LittleEndian.PutUint32(b[at+4:], uint32(ts.Nanosecond()))
	binary.LittleEndian.PutUint32(b[at+8:], uint32(len(b)-begin))
	binary.LittleEndian.PutUint32(b[at+12:], uint32(len(b)-begin))
	w.buf = b
	t.count(p, len(b)-begin, ipLen)
	_, err := w.w.Write(b)
	return err
}

// count adds a frame to the truth.
func (t *talk) count(p *packet, frame, ip int) {
	s := t.truth.side(p.side)
	s.Packets++
	s.Bytes += uint64(frame)
	s.IPBytes += uint64(ip)
	s.PayloadBytes += uint64(len(p.payload))
	if t.proto == protoTCP && len(p.payload) > 0 && !p.again {
		s.StreamBytes += uint64(len(p.payload))
		t.digest[p.side].add(p)
	}
}

// encode appends the frame of p, in its tunnel, and returns the length of the inner IP
// packet.
func (t *talk) encode(b []byte, p *packet) ([]byte, int) {
	src, dst := t.addr[p.side], t.addr[1-p.side]
	inner := func(b []byte) []byte {
		return appendIP(b, src.Addr(), dst.Addr(), t.proto, func(b []byte) []byte { return t.appendL4(b, p) })
	}
	ether := uint16(etherIPv4)
	if !src.Addr().Is4() {
		ether = etherIPv6
	}
	outer := func(b []byte, proto byte, body func([]byte) []byte) []byte {
		return appendIP(b, tunnelEnds[p.side], tunnelEnds[1-p.side], proto, body)
	}
	begin := 0
	switch t.lane.tunnel {
	case inVLAN:
		b = appendEthernet(b, p.side, etherVLAN)
		b = binary.BigEndian.AppendUint16(b, 7)
		b = binary.BigEndian.AppendUint16(b, ether)
		begin = len(b)
		b = inner(b)
	case inVXLAN:
		b = outer(appendEthernet(b, p.side, etherIPv4), protoUDP, func(b []byte) []byte {
			at := len(b)
			b = appendUDP(b, 50_000, vxlanPort)
			b = append(b, 8, 0, 0, 0, 0, 0, 42, 0)
			b = appendEthernet(b, p.side, ether)
			begin = len(b)
			b = inner(b)
			binary.BigEndian.PutUint16(b[at+4:], uint16(len(b)-at))
			return b
		})
	case inGRE:
		b = outer(appendEthernet(b, p.side, etherIPv4), protoGRE, func(b []byte) []byte {
			b = binary.BigEndian.AppendUint16(append(b, 0, 0), ether)
			begin = len(b)
			return inner(b)
		})
	case inIPIP:
		proto := byte(protoIPv4)
		if ether == etherIPv6 {
			proto = protoIPv6
		}
		b = outer(appendEthernet(b, p.side, etherIPv4), proto, func(b []byte) []byte {
			begin = len(b)
			return inner(b)
		})
	default:
		b = appendEthernet(b, p.side, ether)
		begin = len(b)
		b = inner(b)
	}
	return b, len(b) - begin
}

func appendEthernet(b []byte, side int, typ uint16) []byte {
	b = append(append(b, macs[1-side][:]...), macs[side][:]...)
	return binary.BigEndian.AppendUint16(b, typ)
}

// appendIP appends an IP packet (RFC 791, RFC 8200) whose payload body appends.
func appendIP(b []byte, src, dst netip.Addr, proto byte, body func([]byte) []byte) []byte {
	at := len(b)
	if src.Is4() {
		b = append(b, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, 0, 0, proto, 64)
	}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	l4 := len(b)
	b = body(b)
	if src.Is4() {
		binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
		binary.BigEndian.PutUint16(b[at+10:], ^fold(sum(b[at:l4], 0)))
	} else {
		binary.BigEndian.PutUint16(b[at+4:], uint16(len(b)-l4))
	}
	return b
}

// appendL4 appends the TCP segment (RFC 9293) or the datagram (RFC 768).
func (t *talk) appendL4(b []byte, p *packet) []byte {
	at, src, dst := len(b), t.addr[p.side], t.addr[1-p.side]
	check := at + 6
	if t.proto == protoUDP {
		b = append(appendUDP(b, src.Port(), dst.Port()), p.payload...)
		binary.BigEndian.PutUint16(b[at+4:], uint16(len(b)-at))
	} else {
		check = at + 16
		b = appendTCP(b, src.Port(), dst.Port(), p)
		b = append(b, p.payload...)
	}
	n := sum(src.Addr().AsSlice(), uint64(t.proto)+uint64(len(b)-at))
	n = sum(dst.Addr().AsSlice(), n)
	binary.BigEndian.PutUint16(b[check:], ^fold(sum(b[at:], n)))
	return b
}

func appendUDP(b []byte, src, dst uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	return append(b, 0, 0, 0, 0)
}

func appendTCP(b []byte, src, dst uint16, p *packet) []byte {
	b = binary.BigEndian.AppendUint16(b, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint32(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ack)
	return append(b, tcpLen/4<<4, p.flags, 0xff, 0xff, 0, 0, 0, 0)
}

// sum adds to the sum of the internet checksum (RFC 1071).
func sum(b []byte, n uint64) uint64 {
	for ; len(b) >= 4; b = b[4:] {
		n += uint64(binary.BigEndian.Uint32(b))
	}
	for i, c := range b {
		n += uint64(c) << (8 * (^i & 1))
	}
	return n
}

func fold(n uint64) uint16 {
	for n>>16 != 0 {
		n = n&0xffff + n>>16
	}
	return uint16(n)
}
