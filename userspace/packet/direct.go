package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// linuxTimestamps is how most stacks begin the options of an established
// connection: NOP, NOP, timestamps of 10 bytes.
const linuxTimestamps = 0x0101080a

// direct is a short way to the same answer as ipv4, for what most packets are: TCP
// or UDP over IPv4 without IP options, not a fragment, wholly captured. It reports
// false for anything else, completes p for a packet that carries no tunnel, and fills
// l for one that may.
func (c *cursor) direct(l *layer) bool {
	if len(c.b)-c.off < ipv4Len+tcpLen || c.d.plan.noDirect {
		return false
	}
	h := c.b[c.off:]
	_ = h[ipv4Len+tcpLen-1]
	first := binary.BigEndian.Uint64(h)
	size := int(first>>32&0xffff) - ipv4Len
	if first>>56 != 0x45 || first&(fragOffset|fragMore) != 0 || size > min(c.end-c.off, len(h))-ipv4Len {
		return false
	}
	switch flow.Proto(h[9]) {
	case flow.ProtoTCP:
		hlen := int(h[32]>>4) * 4
		if hlen < tcpLen || hlen > size {
			return false
		}
		c.complete(h, size, hlen, size-hlen)
		parseTCP(h[ipv4Len:ipv4Len+hlen], &c.p.TCP)
		return true
	case flow.ProtoUDP:
		n := int(binary.BigEndian.Uint16(h[24:]))
		if n < udpLen || n > size {
			return false
		}
		if plan := &c.d.plan; plan.maybe(binary.BigEndian.Uint16(h[20:])) || plan.maybe(binary.BigEndian.Uint16(h[22:])) {
			c.carry(l, h, size, n)
			return true
		}
		c.complete(h, size, udpLen, n-udpLen)
		return true
	}
	return false
}

// complete makes p the packet with the IPv4 header h, followed by size bytes: an L4
// header and n bytes of payload.
func (c *cursor) complete(h []byte, size, hlen, n int) {
	p, l4 := c.p, c.off+ipv4Len
	_ = h[ipv4Len+portsLen-1]
	p.Cut, p.Frag, p.HasTCP = false, Frag{}, flow.Proto(h[9]) == flow.ProtoTCP
	p.IPLen, p.IPOff, p.L4Off = ipv4Len+size, c.off, l4
	p.PayloadOff, p.PayloadCap, p.PayloadLen = l4+hlen, n, n
	p.SrcPort, p.DstPort, p.FlowLabel = binary.BigEndian.Uint16(h[20:]), binary.BigEndian.Uint16(h[22:]), 0
	p.IPVersion, p.TTL, p.Proto, p.ICMPType, p.ICMPCode = 4, h[8], flow.Proto(h[9]), 0, 0
	mapIPv4(&p.Src, h[12:16])
	mapIPv4(&p.Dst, h[16:20])
	c.done = true
}

// carry makes l the UDP packet of n bytes with the IPv4 header h, followed by size bytes.
func (c *cursor) carry(l *layer, h []byte, size, n int) {
	l4 := c.off + ipv4Len
	l.ip, l.l4, l.end, l.pay, l.payLen = c.off, l4, l4+size, l4+udpLen, n-udpLen
	l.label, l.frag, l.noLen, l.tcp, l.icmpType, l.icmpCode = 0, Frag{}, false, false, 0, 0
	l.sport, l.dport = binary.BigEndian.Uint16(h[20:]), binary.BigEndian.Uint16(h[22:])
	l.version, l.proto, l.ttl = 4, flow.ProtoUDP, h[8]
}
