package source

import (
	"bytes"
	"encoding/binary"
)

// pcapFile writes a pcap file in words.
type pcapFile struct {
	order binary.AppendByteOrder
	buf   []byte
}

func newPcapFile(order binary.AppendByteOrder, magic, link uint32) *pcapFile {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint32(b, 0)
	b = order.AppendUint32(b, 0)
	b = order.AppendUint32(b, 262144)
	return &pcapFile{order, order.AppendUint32(b, link)}
}

func (p *pcapFile) packet(sec, frac uint32, wire int, data string) *pcapFile {
	for _, v := range []uint32{sec, frac, uint32(len(data)), uint32(wire)} {
		p.buf = p.order.AppendUint32(p.buf, v)
	}
	p.buf = append(p.buf, data...)
	return p
}

// ngFile writes a pcapng file in words.
type ngFile struct {
	order binary.AppendByteOrder
	buf   []byte
}

func newNgFile(order binary.AppendByteOrder) *ngFile {
	return (&ngFile{order: order}).section()
}

// block adds a block whose body is the parts one after the other.
func (g *ngFile) block(typ uint32, parts ...any) *ngFile {
	var body []byte
	for _, p := range parts {
		switch p := p.(type) {
		case uint16:
			body = g.order.AppendUint16(body, p)
		case uint32:
			body = g.order.AppendUint32(body, p)
		case uint64:
			body = g.order.AppendUint64(body, p)
		case []byte:
			body = append(body, p...)
		case string:
			body = append(body, p...)
			body = append(body, make([]byte, -len(p)&3)...)
		}
	}
	n := uint32(12 + len(body))
	g.buf = g.order.AppendUint32(g.buf, typ)
	g.buf = g.order.AppendUint32(g.buf, n)
	g.buf = append(g.buf, body...)
	g.buf = g.order.AppendUint32(g.buf, n)
	return g
}

func (g *ngFile) option(code uint16, v []byte) []byte {
	b := g.order.AppendUint16(nil, code)
	b = g.order.AppendUint16(b, uint16(len(v)))
	return append(append(b, v...), make([]byte, -len(v)&3)...)
}

func (g *ngFile) section() *ngFile {
	return g.block(blockSection, uint32(byteOrderMagic), uint16(1), uint16(0), ^uint64(0))
}

func (g *ngFile) iface(link uint16, snap uint32, options ...[]byte) *ngFile {
	return g.block(blockInterface, link, uint16(0), snap, bytes.Join(options, nil))
}

func (g *ngFile) resol(v byte) []byte  { return g.option(optIfTSResol, []byte{v}) }
func (g *ngFile) fcsLen(v byte) []byte { return g.option(optIfFCSLen, []byte{v}) }
func (g *ngFile) offset(v int64) []byte {
	return g.option(optIfTSOffset, g.order.AppendUint64(nil, uint64(v)))
}
func (g *ngFile) flags(v uint32) []byte {
	return g.option(optPktFlags, g.order.AppendUint32(nil, v))
}

func (g *ngFile) packet(id uint32, t uint64, wire int, data string, options ...[]byte) *ngFile {
	return g.block(blockEnhanced, id, uint32(t>>32), uint32(t), uint32(len(data)), uint32(wire), data, bytes.Join(options, nil))
}
