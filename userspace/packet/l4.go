package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Lengths of L4 headers.
const (
	portsLen = 4
	tcpLen   = 20
	udpLen   = 8
	sctpLen  = 12
	icmpLen  = 8
)

// Kinds of TCP options (RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 2385, RFC 5925).
const (
	optEnd       = 0
	optNOP       = 1
	optMSS       = 2
	optWScale    = 3
	optSACKPerm  = 4
	optTimestamp = 8
	optMD5       = 19
	optAO        = 29
)

// transport reads the L4 header at l.l4.
func (c *cursor) transport(l *layer) flow.Cause {
	l.pay, l.payLen = l.l4, l.end-l.l4
	l.sport, l.dport, l.icmpType, l.icmpCode, l.tcp = 0, 0, 0, 0, false
	if l.frag.IsFragment() {
		n := l.end - l.frag.Start
		if int(l.frag.Offset)+n > maxDatagram || l.frag.More && n%8 != 0 {
			return flow.CauseMalformed
		}
		if l.frag.Offset != 0 {
			return flow.Decoded
		}
	}
	switch l.proto {
	case flow.ProtoTCP:
		return c.tcp(l)
	case flow.ProtoUDP, flow.ProtoUDPLite:
		return c.udp(l)
	case flow.ProtoSCTP:
		if cause := c.ports(l, portsLen); cause != flow.Decoded {
			return cause
		}
		l.skip(sctpLen)
	case flow.ProtoICMP, flow.ProtoICMP6:
		if cause := c.need(l, portsLen); cause != flow.Decoded {
			return cause
		}
		l.icmpType, l.icmpCode = c.b[l.l4], c.b[l.l4+1]
		l.skip(icmpLen)
	}
	return flow.Decoded
}

// skip takes a header of n bytes, or all there is, off the payload.
func (l *layer) skip(n int) {
	n = min(n, l.payLen)
	l.pay += n
	l.payLen -= n
}

// ports reads source and destination port. The packet must hold min bytes of L4.
func (c *cursor) ports(l *layer, min int) flow.Cause {
	if l.payLen < min {
		return flow.CauseMalformed
	}
	if l.l4+portsLen > len(c.b) {
		return flow.CauseTruncated
	}
	h := c.b[l.l4 : l.l4+portsLen]
	l.sport, l.dport = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	return flow.Decoded
}

// tcp checks a TCP header. Its fields are read when the packet is committed.
func (c *cursor) tcp(l *layer) flow.Cause {
	least := tcpLen
	if l.frag.More {
		least = portsLen
	}
	if cause := c.ports(l, least); cause != flow.Decoded {
		return cause
	}
	if l.payLen < tcpLen || l.l4+tcpLen > len(c.b) {
		l.skip(tcpLen)
		return flow.Decoded
	}
	hlen := int(c.b[l.l4+12]>>4) * 4
	l.tcp = hlen <= l.payLen
	if hlen < tcpLen || !l.tcp && !l.frag.More {
		return flow.CauseMalformed
	}
	l.skip(hlen)
	return flow.Decoded
}

// udp reads a UDP header. A first fragment has the length of the whole datagram in
// it, UDP-Lite its checksum coverage: neither is used.
func (c *cursor) udp(l *layer) flow.Cause {
	if cause := c.ports(l, udpLen); cause != flow.Decoded {
		return cause
	}
	if l.proto == flow.ProtoUDP && !l.frag.More && l.l4+udpLen <= len(c.b) {
		n := int(binary.BigEndian.Uint16(c.b[l.l4+4:]))
		if n == 0 && l.noLen {
			n = l.payLen
		}
		if n < udpLen || n > l.payLen {
			return flow.CauseMalformed
		}
		l.payLen = n
	}
	l.skip(udpLen)
	return flow.Decoded
}

// parseTCP reads the captured part of a TCP header, at least 20 bytes.
func parseTCP(h []byte, t *TCP) {
	o := h[tcpLen:]
	_ = h[tcpLen-1]
	t.Seq = flow.Seq(binary.BigEndian.Uint32(h[4:]))
	t.Ack = flow.Seq(binary.BigEndian.Uint32(h[8:]))
	t.Flags = flow.TCPFlags(h[13])
	t.Window = binary.BigEndian.Uint16(h[14:])
	t.Urgent = binary.BigEndian.Uint16(h[18:])
	t.Options = 0
	t.WScale, t.MSS, t.TSVal, t.TSEcr = 0, 0, 0, 0
	switch {
	case len(o) == 12 && binary.BigEndian.Uint32(o) == linuxTimestamps:
		t.Options = flow.OptTimestamps
		t.TSVal, t.TSEcr = binary.BigEndian.Uint32(o[4:]), binary.BigEndian.Uint32(o[8:])
	case len(o) > 0:
		parseOptions(o, t)
	}
}

// parseOptions reads TCP options up to the first that is cut or has a bad length.
// A known kind of another length than its RFC says is passed over.
func parseOptions(o []byte, t *TCP) {
	for len(o) > 0 && o[0] != optEnd {
		if o[0] == optNOP {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return
		}
		parseOption(o[0], o[2:o[1]], t)
		o = o[o[1]:]
	}
}

// parseOption reads one option with its data.
func parseOption(kind byte, data []byte, t *TCP) {
	switch {
	case kind == optTimestamp && len(data) == 8:
		t.Options |= flow.OptTimestamps
		t.TSVal, t.TSEcr = binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
	case kind == optMSS && len(data) == 2:
		t.Options |= flow.OptMSS
		t.MSS = binary.BigEndian.Uint16(data)
	case kind == optWScale && len(data) == 1:
		t.Options |= flow.OptWScale
		t.WScale = data[0]
	case kind == optSACKPerm && len(data) == 0:
		t.Options |= flow.OptSACKPermitted
	case kind == optMD5 || kind == optAO:
		t.Options |= flow.OptSignature
	}
}

// DecodeL4 fills p from the datagram g that fragments made up: addresses, protocol,
// ports, ICMP fields and TCP, and the payload as offsets into g.Data. Everything
// about link, tunnels and the IP header is left as it is. A datagram that fragments
// carried in a fragment is malformed.
func (p *Packet) DecodeL4(g *Datagram) flow.Cause {
	c := cursor{b: g.Data, end: len(g.Data), p: p}
	l := layer{version: g.Key.IPVersion, proto: g.Proto, end: len(g.Data), ttl: p.TTL, label: p.FlowLabel}
	if l.version == 6 {
		if cause := c.extensions(&l); cause != flow.Decoded {
			return cause
		}
	}
	if l.frag.IsFragment() {
		return flow.CauseMalformed
	}
	if cause := c.transport(&l); cause != flow.Decoded {
		return cause
	}
	p.Time, p.Src, p.Dst, p.IPVersion, p.Frag = g.Time, g.Key.Src, g.Key.Dst, l.version, Frag{}
	l.commitL4(g.Data, p)
	return flow.Decoded
}
