package source

import (
	"io"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Block types that are read; any other is skipped.
const (
	blockSection   = 0x0a0d0d0a // the same in either byte order
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d

	blockHeaderLen  = 8 // type and total length
	blockTrailerLen = 4 // total length again
	sectionBodyLen  = 16
	ifaceBodyLen    = 8
	enhancedBodyLen = 20 // so many before the packet's bytes
	simpleBodyLen   = 4

	maxInterfaces = 1 << 16 // in one section
)

// Options, by the block they are in.
const (
	optEnd        = 0
	optIfTSResol  = 9
	optIfFCSLen   = 13
	optIfTSOffset = 14
	optPktFlags   = 2
)

// An iface is what a section says about an interface.
type iface struct {
	linkType uint16
	snapLen  uint32
	fcs      int // bytes
	clock    clock
}

// A pcapng reads the blocks of a pcapng file.
type pcapng struct {
	in     *input
	order  order
	ifaces []iface
	last   flow.Timestamp // of the packet before
}

// newPcapng reads the first section header.
func newPcapng(in *input) (*pcapng, error) {
	p := &pcapng{in: in}
	body, n, err := p.block(blockSection)
	if err == nil {
		err = p.section(body)
	}
	in.use(n)
	return p, err
}

func (p *pcapng) next(f *Frame) error {
	for {
		h, err := p.in.need(blockHeaderLen)
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return p.in.cut(err, "block", p.in.offset())
		}
		done, err := p.read(p.order.u32(h), f)
		if done || err != nil {
			return err
		}
	}
}

// read takes the next block, which is of the given type. It reports whether the
// block was a packet.
func (p *pcapng) read(typ uint32, f *Frame) (packet bool, err error) {
	switch typ {
	case blockSection, blockInterface, blockEnhanced, blockSimple, blockPacket:
	default:
		return false, p.skip(typ)
	}
	body, n, err := p.block(typ)
	if err != nil {
		return false, err
	}
	switch typ {
	case blockSection:
		err = p.section(body)
	case blockInterface:
		err = p.describe(body)
	case blockSimple:
		packet, err = true, p.simple(body, f)
	default:
		packet, err = true, p.packet(typ, body, f)
	}
	p.in.use(n)
	return packet, err
}

// length returns the total length of the next block, of which the type is known. A
// section header says in which byte order it is.
func (p *pcapng) length(typ uint32) (int, error) {
	begin := p.in.offset()
	h, err := p.in.need(blockHeaderLen + blockTrailerLen)
	if err != nil {
		return 0, p.in.cut(err, "block", begin)
	}
	if typ == blockSection {
		switch magic := h[blockHeaderLen:]; uint32(byteOrderMagic) {
		case littleEndian.u32(magic):
			p.order = littleEndian
		case bigEndian.u32(magic):
			p.order = bigEndian
		default:
			return 0, corrupt("byte-order magic % x of a section", magic)
		}
	}
	n := p.order.u32(h[4:])
	if n < blockHeaderLen+blockTrailerLen || n%4 != 0 {
		return 0, corrupt("a block of type %#x and length %d", typ, n)
	}
	return int(n), nil
}

// block returns the body of the next block, which is of the given type, and the
// number of bytes to use up after it was looked at.
func (p *pcapng) block(typ uint32) (body []byte, n int, err error) {
	begin := p.in.offset()
	if n, err = p.length(typ); err != nil {
		return nil, 0, err
	}
	if n > maxRecord {
		return nil, 0, corrupt("a block of type %#x and length %d, more than %d", typ, n, maxRecord)
	}
	b, err := p.in.need(n)
	if err != nil {
		return nil, 0, p.in.cut(err, "block", begin)
	}
	body = b[blockHeaderLen : n-blockTrailerLen]
	return body, n, p.trailer(b[n-blockTrailerLen:], n)
}

// skip passes over the next block, however long it is.
func (p *pcapng) skip(typ uint32) error {
	begin := p.in.offset()
	n, err := p.length(typ)
	if err != nil {
		return err
	}
	if err := p.in.skip(n - blockTrailerLen); err != nil {
		return p.in.cut(err, "block", begin)
	}
	b, err := p.in.need(blockTrailerLen)
	if err != nil {
		return p.in.cut(err, "block", begin)
	}
	err = p.trailer(b, n)
	p.in.use(blockTrailerLen)
	return err
}

func (p *pcapng) trailer(b []byte, n int) error {
	if m := p.order.u32(b); m != uint32(n) {
		return corrupt("a block of length %d ends with length %d", n, m)
	}
	return nil
}

// section begins a new section: interfaces are numbered from 0 again.
func (p *pcapng) section(body []byte) error {
	if len(body) < sectionBodyLen {
		return corrupt("a section header of %d bytes", len(body))
	}
	if major := p.order.u16(body[4:]); major != 1 {
		return corrupt("pcapng version %d is not supported, 1 is", major)
	}
	p.ifaces = p.ifaces[:0]
	return nil
}

// describe adds an interface.
func (p *pcapng) describe(body []byte) error {
	if len(body) < ifaceBodyLen {
		return corrupt("an interface description of %d bytes", len(body))
	}
	if len(p.ifaces) == maxInterfaces {
		return corrupt("more than %d interfaces", maxInterfaces)
	}
	i := iface{linkType: p.order.u16(body), snapLen: p.order.u32(body[4:])}
	resol, offset := byte(microseconds), int64(0)
	for b := body[ifaceBodyLen:]; ; {
		code, v, rest := p.option(b)
		switch {
		case code == optEnd:
			i.clock = newClock(resol, offset)
			p.ifaces = append(p.ifaces, i)
			return nil
		case code == optIfTSResol && len(v) == 1:
			resol = v[0]
		case code == optIfTSOffset && len(v) == 8:
			offset = int64(p.order.u64(v))
		case code == optIfFCSLen && len(v) == 1:
			i.fcs = fcsBytes(v[0])
		}
		b = rest
	}
}

// fcsBytes reads if_fcslen, which is in bits by the text of the format and in bytes
// by its example and most writers. No frame check sequence has more than 8 bytes.
func fcsBytes(v byte) int {
	if v > 8 {
		return int(v / 8)
	}
	return int(v)
}

// option returns the first option of b and what follows it; optEnd at the end of the
// list, and where it is cut or runs over.
func (p *pcapng) option(b []byte) (code uint16, value, rest []byte) {
	if len(b) < 4 {
		return optEnd, nil, nil
	}
	n := int(p.order.u16(b[2:]))
	padded := (n + 3) &^ 3
	if len(b)-4 < padded {
		return optEnd, nil, nil
	}
	return p.order.u16(b), b[4 : 4+n], b[4+padded:]
}

// packet reads an enhanced packet block or the obsolete one, which differ in how wide
// the interface number is.
func (p *pcapng) packet(typ uint32, body []byte, f *Frame) error {
	if len(body) < enhancedBodyLen {
		return corrupt("a packet block of %d bytes", len(body))
	}
	id := p.order.u32(body)
	if typ == blockPacket {
		id = uint32(p.order.u16(body))
	}
	if int64(id) >= int64(len(p.ifaces)) {
		return corrupt("a packet of interface %d, of which there is no description", id)
	}
	length := p.order.u32(body[12:])
	data := body[enhancedBodyLen:]
	if int64(length) > int64(len(data)) {
		return corrupt("a packet of %d captured bytes in a block with room for %d", length, len(data))
	}
	i := &p.ifaces[id]
	p.last = p.time(i, uint64(p.order.u32(body[4:]))<<32|uint64(p.order.u32(body[8:])))
	flags := p.flags(data[min((int(length)+3)&^3, len(data)):])
	fcs := i.fcs
	if n := int(flags >> 5 & 0xf); n != 0 {
		fcs = n
	}
	f.Time, f.LinkType, f.Dir = p.last, i.linkType, dirOf(flags)
	f.set(data[:length], int(p.order.u32(body[16:])), fcs)
	return nil
}

// flags returns the packet's epb_flags, 0 without them.
func (p *pcapng) flags(b []byte) uint32 {
	for len(b) >= 4 {
		code, v, rest := p.option(b)
		if code == optEnd {
			break
		}
		if code == optPktFlags && len(v) == 4 {
			return p.order.u32(v)
		}
		b = rest
	}
	return 0
}

func dirOf(flags uint32) Dir {
	switch flags & 3 {
	case 1:
		return DirIn
	case 2:
		return DirOut
	}
	return DirUnknown
}

// time turns a packet's time into ours and counts those that do not fit.
func (p *pcapng) time(i *iface, units uint64) flow.Timestamp {
	t, ok := i.clock.at(units)
	if !ok {
		p.in.clamped++
	}
	return t
}

// simple reads a simple packet block: a packet of interface 0, without a time.
func (p *pcapng) simple(body []byte, f *Frame) error {
	if len(body) < simpleBodyLen {
		return corrupt("a simple packet block of %d bytes", len(body))
	}
	if len(p.ifaces) == 0 {
		return corrupt("a simple packet, but no interface is described")
	}
	i, wire := &p.ifaces[0], p.order.u32(body)
	n := min(int64(wire), int64(len(body)-simpleBodyLen))
	if i.snapLen != 0 {
		n = min(n, int64(i.snapLen))
	}
	f.Time, f.LinkType, f.Dir = p.last, i.linkType, DirUnknown
	f.set(body[simpleBodyLen:simpleBodyLen+n], int(wire), i.fcs)
	return nil
}
