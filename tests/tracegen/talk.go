package tracegen

import "net/netip"

// The sides of a talk.
const (
	initiator = 0
	responder = 1
)

// TCP flags (RFC 9293 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	_
	flagPSH
	flagACK
)

const mss = 1460

// A say is something one side sends: data, repeat times over.
type say struct {
	side   int
	data   []byte
	repeat int
}

// A packet is one packet of a talk.
type packet struct {
	side     int
	flags    byte
	seq, ack uint32
	payload  []byte
	again    bool // a copy of one that was sent
}

// A talk is one flow on its way: a handshake, what is said, and the end, or just
// datagrams.
type talk struct {
	proto  byte
	addr   [2]netip.AddrPort
	says   []say
	truth  *Flow
	digest [2]digest
	lane   lane

	phase   int // packets of handshake, then of the end, that were sent
	seq     [2]uint32
	off     int // in the say in hand
	unacked int // segments
	last    int // side that sent the last of them
}

const (
	protoTCP = 6
	protoUDP = 17
)

// newTalk begins a talk of the next flow to a port of a server.
func (m *maker) newTalk(proto byte, port uint16, says ...say) *talk {
	n := m.serial
	m.serial++
	t := &talk{proto: proto, says: says, truth: &Flow{}, seq: [2]uint32{m.Uint32(), m.Uint32()}}
	host, server := byte(n%250), byte(m.IntN(200))
	src := uint16(1025 + n/250%60_000)
	if m.opt.Kind != Short && m.IntN(4) == 0 {
		t.addr[0] = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 1, 14: byte(n / 15_000_000), 15: host}), src)
		t.addr[1] = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 2, 15: server}), port)
	} else {
		t.addr[0] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n / 15_000_000), host}), src)
		t.addr[1] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, server}), port)
	}
	for s := range 2 {
		*t.truth.side(s) = Side{IP: t.addr[s].Addr(), Port: t.addr[s].Port()}
	}
	t.digest[initiator].next, t.digest[responder].next = t.seq[initiator]+1, t.seq[responder]+1
	t.truth.Proto, t.truth.State = "udp", "active"
	if proto == protoTCP {
		t.truth.Proto, t.truth.State = "tcp", "closed"
	}
	return t
}

func (t *talk) message(side int, parser, kind, what string, body int) {
	name := [2]string{"initiator", "responder"}[side]
	t.truth.Messages = append(t.truth.Messages, Message{name, parser, kind, what, body})
}

// next returns the next packet in order.
func (t *talk) next() (packet, bool) {
	if t.proto == protoUDP {
		return t.datagram()
	}
	switch {
	case t.phase < 3:
		return t.handshake(), true
	case t.unacked == 2, t.unacked > 0 && (len(t.says) == 0 || t.says[0].side != t.last):
		t.unacked = 0
		return t.packet(1-t.last, flagACK, nil), true
	case len(t.says) > 0:
		return t.segment(), true
	case t.phase < 6:
		return t.end(), true
	}
	return packet{}, false
}

// packet makes a packet and counts its sequence numbers.
func (t *talk) packet(side int, flags byte, payload []byte) packet {
	p := packet{side: side, flags: flags, seq: t.seq[side], ack: t.seq[1-side], payload: payload}
	t.seq[side] += uint32(len(payload))
	if flags&(flagSYN|flagFIN) != 0 {
		t.seq[side]++
	}
	return p
}

func (t *talk) handshake() packet {
	t.phase++
	switch t.phase {
	case 1:
		p := t.packet(initiator, flagSYN, nil)
		p.ack = 0
		return p
	case 2:
		return t.packet(responder, flagSYN|flagACK, nil)
	}
	return t.packet(initiator, flagACK, nil)
}

func (t *talk) end() packet {
	t.phase++
	switch t.phase {
	case 4:
		return t.packet(initiator, flagFIN|flagACK, nil)
	case 5:
		return t.packet(responder, flagFIN|flagACK, nil)
	}
	return t.packet(initiator, flagACK, nil)
}

// segment returns the next piece of what is said.
func (t *talk) segment() packet {
	s := &t.says[0]
	n := min(mss, len(s.data)-t.off)
	p := t.packet(s.side, flagACK, s.data[t.off:t.off+n])
	t.last = s.side
	t.unacked++
	if t.off += n; t.off == len(s.data) {
		t.off = 0
		if s.repeat--; s.repeat <= 0 {
			p.flags |= flagPSH
			t.says = t.says[1:]
		}
	}
	return p
}

func (t *talk) datagram() (packet, bool) {
	if len(t.says) == 0 {
		return packet{}, false
	}
	s := t.says[0]
	t.says = t.says[1:]
	return packet{side: s.side, payload: s.data}, true
}

// finish completes the truth once all packets are written.
func (t *talk) finish() {
	for s := range 2 {
		t.truth.side(s).StreamSHA256 = t.digest[s].sum()
	}
}
