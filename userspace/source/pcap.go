package source

import (
	"io"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Magic numbers of pcap, by the resolution of packet times.
const (
	magicMicros = 0xa1b2c3d4
	magicNanos  = 0xa1b23c4d
)

const (
	pcapHeaderLen   = 24
	recordHeaderLen = 16

	pcapMajor, pcapMinor = 2, 4

	// The upper half of the link-type word: "frame check sequence length is
	// known", and that length in units of 16 bits.
	fcsKnown = 1 << 26
	fcsShift = 28
)

// A pcap reads the records of a pcap file.
type pcap struct {
	in       *input
	order    order
	unit     int64 // nanoseconds in one unit of the fraction field
	linkType uint16
	fcs      int // bytes
}

// pcapMagic reports whether b begins a pcap file, in which order and resolution.
func pcapMagic(b []byte) (o order, unit int64, ok bool) {
	for _, o := range []order{littleEndian, bigEndian} {
		switch o.u32(b) {
		case magicMicros:
			return o, 1000, true
		case magicNanos:
			return o, 1, true
		}
	}
	return littleEndian, 0, false
}

// newPcap reads the file header. The input stands at a magic number.
func newPcap(in *input, o order, unit int64) (*pcap, error) {
	h, err := in.need(pcapHeaderLen)
	if err != nil {
		return nil, in.cut(err, "file header", 0)
	}
	if major, minor := o.u16(h[4:]), o.u16(h[6:]); major != pcapMajor || minor < pcapMinor {
		return nil, corrupt("pcap version %d.%d is not supported, %d.%d is", major, minor, pcapMajor, pcapMinor)
	}
	word := o.u32(h[20:])
	p := &pcap{in: in, order: o, unit: unit, linkType: uint16(word)}
	if word&fcsKnown != 0 {
		p.fcs = int(word>>fcsShift) * 2
	}
	if !KnownLink(p.linkType) {
		return nil, &LinkTypeError{LinkType: p.linkType}
	}
	in.use(pcapHeaderLen)
	return p, nil
}

func (p *pcap) next(f *Frame) error {
	begin := p.in.offset()
	h, err := p.in.need(recordHeaderLen)
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return p.in.cut(err, "packet header", begin)
	}
	sec, frac := p.order.u32(h), p.order.u32(h[4:])
	length, wire := p.order.u32(h[8:]), p.order.u32(h[12:])
	if length > maxRecord {
		return corrupt("a packet of %d captured bytes, more than %d", length, maxRecord)
	}
	b, err := p.in.need(recordHeaderLen + int(length))
	if err != nil {
		return p.in.cut(err, "packet", begin)
	}
	p.in.use(len(b))
	// Seconds are unsigned, the fraction is signed as in libpcap's timeval;
	// both always fit.
	f.Time = flow.Timestamp(int64(sec)*nanos + int64(int32(frac))*p.unit)
	f.LinkType, f.Dir = p.linkType, DirUnknown
	f.set(b[recordHeaderLen:], int(wire), p.fcs)
	return nil
}
