package dns

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

const optDO = 1 << 15 // in the TTL of an OPT record

// data writes the data of a record as text. Data that is not as its type wants it is
// written like that of an unknown type.
func (d *decoder) data(it *item) span {
	from := len(d.text)
	if s, ok := d.oneName(it); ok {
		return s
	}
	if !d.typed(it) {
		d.discard(from)
		d.text = appendUnknown(d.text, d.b[it.raw.from:it.raw.to])
	}
	return span{from, len(d.text)}
}

// appendUnknown appends data in hexadecimal (RFC 3597 §5).
func appendUnknown(t, b []byte) []byte {
	t = strconv.AppendInt(append(t, `\# `...), int64(len(b)), 10)
	if len(b) > 0 {
		t = hex.AppendEncode(append(t, ' '), b)
	}
	return t
}

// oneName reads data that is nothing but a name.
func (d *decoder) oneName(it *item) (span, bool) {
	switch it.typ {
	case TypeNS, TypeCNAME, TypePTR:
		s, end, ok := d.name(it.raw.from)
		return s, ok && end == it.raw.to
	}
	return span{}, false
}

// typed writes data of the types we know.
func (d *decoder) typed(it *item) bool {
	b := d.b[it.raw.from:it.raw.to]
	switch it.typ {
	case TypeA, TypeAAAA:
		return d.address(it.typ, b)
	case TypeMX:
		return d.numbersAndName(it, 1)
	case TypeSRV:
		return d.numbersAndName(it, 3)
	case TypeSOA:
		return d.soa(it)
	case TypeTXT:
		return d.strings(b)
	case TypeCAA:
		return d.caa(b)
	case TypeDS:
		return d.ds(b)
	case TypeDNSKEY:
		return d.dnskey(b)
	case TypeSVCB, TypeHTTPS:
		return d.svcb(it)
	case TypeOPT:
		return d.opt(it, b)
	}
	return false
}

func (d *decoder) address(t Type, b []byte) bool {
	a, ok := netip.AddrFromSlice(b)
	if !ok || a.Is4() != (t == TypeA) {
		return false
	}
	d.text = a.AppendTo(d.text)
	return true
}

func (d *decoder) number(n uint64) { d.text = strconv.AppendUint(d.text, n, 10) }
func (d *decoder) space()          { d.text = append(d.text, ' ') }

// copyName writes the name at off, which has to end at or before end, and returns the
// offset after it.
func (d *decoder) copyName(off, end int) (next int, ok bool) {
	before := len(d.text)
	s, next, ok := d.name(off)
	if ok && len(d.text) == before { // known: its text lies elsewhere
		d.text = append(d.text, d.text[s.from:s.to]...)
	}
	return next, ok && next <= end
}

// numbersAndName writes so many 16-bit numbers and a name.
func (d *decoder) numbersAndName(it *item, numbers int) bool {
	off := it.raw.from
	if it.raw.to-off < 2*numbers {
		return false
	}
	for range numbers {
		d.number(uint64(d.u16(off)))
		d.space()
		off += 2
	}
	next, ok := d.copyName(off, it.raw.to)
	return ok && next == it.raw.to
}

// soa writes two names and five 32-bit numbers.
func (d *decoder) soa(it *item) bool {
	off, ok := d.copyName(it.raw.from, it.raw.to)
	if !ok {
		return false
	}
	d.space()
	off, ok = d.copyName(off, it.raw.to)
	if !ok || it.raw.to-off != 20 {
		return false
	}
	for ; off < it.raw.to; off += 4 {
		d.space()
		d.number(uint64(d.u32(off)))
	}
	return true
}

// quoted writes a character string.
func (d *decoder) quoted(b []byte) {
	d.text = append(d.text, '"')
	for _, c := range b {
		switch c {
		case ' ':
			d.text = append(d.text, c)
		case '"':
			d.text = append(d.text, '\\', c)
		default:
			d.text = appendEscaped(d.text, c)
		}
	}
	d.text = append(d.text, '"')
}

// strings writes character strings, of which there is at least one.
func (d *decoder) strings(b []byte) bool {
	for i := 0; len(b) > 0; i++ {
		n := int(b[0])
		if len(b)-1 < n {
			return false
		}
		if i > 0 {
			d.space()
		}
		d.quoted(b[1 : 1+n])
		if b = b[1+n:]; len(b) == 0 {
			return true
		}
	}
	return false
}

// caa writes flags, tag and value (RFC 8659 §4.1).
func (d *decoder) caa(b []byte) bool {
	if len(b) < 2 || b[1] == 0 || len(b)-2 < int(b[1]) {
		return false
	}
	tag, value := b[2:2+b[1]], b[2+b[1]:]
	for _, c := range tag {
		if c < '0' || c > '9' && c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	d.number(uint64(b[0]))
	d.space()
	d.text = append(append(d.text, tag...), ' ')
	d.quoted(value)
	return true
}

// ds writes key tag, algorithm, digest type and digest (RFC 4034 §5.3).
func (d *decoder) ds(b []byte) bool {
	if len(b) < 5 {
		return false
	}
	d.words(b)
	d.text = hex.AppendEncode(d.text, b[4:])
	return true
}

// dnskey writes flags, protocol, algorithm and key (RFC 4034 §2.2).
func (d *decoder) dnskey(b []byte) bool {
	if len(b) < 5 {
		return false
	}
	d.words(b)
	d.text = base64.StdEncoding.AppendEncode(d.text, b[4:])
	return true
}

// words writes a 16-bit number and two of 8 bits.
func (d *decoder) words(b []byte) {
	for _, n := range [...]uint64{uint64(binary.BigEndian.Uint16(b)), uint64(b[2]), uint64(b[3])} {
		d.number(n)
		d.space()
	}
}
