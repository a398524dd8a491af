package dns

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// probeLen is how many bytes of a stream probe looks at. When they are the start of a
// message whose first name goes on behind them, they convince.
const probeLen = 64

// probeDatagram reports whether a datagram is a DNS message. On a port of ours it is
// unless the header or the first question says no; elsewhere it has to be one by its
// single question.
func probeDatagram(b []byte, hinted bool) bool {
	h, err := readHeader(b)
	if err != nil {
		return false
	}
	if !hinted {
		return strict(&h, len(b)) && firstQuestion(b, len(b), &h) == parsers.Yes
	}
	d := decoder{b: b}
	_, _, ok := d.name(headerLen)
	return h.counts[0] == 0 || ok || len(b) == headerLen
}

// probe looks for a message behind its length at the start of a stream.
func probe(_ flow.Side, b []byte) parsers.Result {
	if len(b) < lengthLen {
		return parsers.More
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < headerLen+minQuestionLen {
		return parsers.No
	}
	b = b[lengthLen:min(len(b), lengthLen+n, probeLen)]
	if len(b) < headerLen {
		return startOfHeader(b, n)
	}
	h, err := readHeader(b)
	if err != nil || !strict(&h, n) {
		return parsers.No
	}
	r := firstQuestion(b, n, &h)
	switch {
	case r != parsers.More:
		return r
	case len(b) == n:
		return parsers.No
	case len(b) == probeLen-lengthLen:
		return parsers.Yes
	}
	return parsers.More
}

// startOfHeader says No as soon as part of the header of a message of n bytes does.
func startOfHeader(b []byte, n int) parsers.Result {
	var whole [headerLen]byte
	whole[5] = 1 // one question, unless b says otherwise
	copy(whole[:], b)
	if h, err := readHeader(whole[:]); err != nil || !strict(&h, n) {
		return parsers.No
	}
	return parsers.More
}

// strict reports whether a header is that of a message of n bytes with one question,
// where no port speaks for it.
func strict(h *header, n int) bool {
	return h.counts[0] == 1 && h.flags&flagZ == 0 && h.minLen() <= n
}

// firstQuestion says whether the question of a message of n bytes is valid: More when
// b, its start, ends before the question does.
func firstQuestion(b []byte, n int, h *header) parsers.Result {
	d := decoder{b: b}
	_, off, ok := d.name(headerLen)
	if !ok {
		return unfinished(b[headerLen:])
	}
	if len(b)-off < 4 {
		return parsers.More
	}
	typ, class := Type(d.u16(off)), Class(d.u16(off+2))
	_, known := classNames[class&^mdnsTopBit]
	alone := h.counts[1]+h.counts[2]+h.counts[3] == 0
	if typ == 0 || !known || alone && n > off+4 || netBIOS(b[headerLen:off], typ) {
		return parsers.No
	}
	return parsers.Yes
}

// unfinished says whether the labels in b can be the start of a name: no pointers,
// nothing too long.
func unfinished(b []byte) parsers.Result {
	length := 1
	for len(b) > 0 {
		c := int(b[0])
		if length += 1 + c; c == 0 || c >= 0x40 || length > maxNameLen {
			return parsers.No
		}
		b = b[min(1+c, len(b)):]
	}
	return parsers.More
}

// netBIOS reports whether a question is one of the NetBIOS name service, which uses
// the same format (RFC 1002 §4.2): a name of 32 letters A to P, type NB or NBSTAT.
func netBIOS(name []byte, t Type) bool {
	const encoded, nb, nbstat = 32, 0x20, 0x21
	if t != nb && t != nbstat || len(name) <= encoded || name[0] != encoded {
		return false
	}
	for _, c := range name[1 : 1+encoded] {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}
