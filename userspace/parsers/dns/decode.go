package dns

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
)

// Limits of the format and of what is read of it.
const (
	headerLen      = 12
	minQuestionLen = 5  // root name, type, class
	minRecordLen   = 11 // root name, type, class, TTL, data length
	maxMessageLen  = 65535
	maxNameLen     = 255
	maxPointers    = 64   // compression pointers followed in one name
	maxRecords     = 4096 // questions and records in one message
	maxText        = 1 << 20

	additional = 3 // section number

	mdnsTopBit = 1 << 15 // QU in questions, cache flush in records
)

// Reasons why bytes are not a DNS message.
var (
	ErrShort  = errors.New("shorter than a DNS header")
	ErrOpcode = errors.New("no such opcode")
	ErrCounts = errors.New("more records announced than fit in a message")
)

// Parse reads one DNS message, without the length that precedes it over TCP. It fails
// for what cannot be one by its header; a message that is cut or malformed behind it
// gives all before that point and is marked TruncatedParse. b is not kept.
func Parse(b []byte) (*Message, error) { return parse(b, Unicast) }

// A header is the fixed start of a message.
type header struct {
	id     uint16
	flags  uint16
	counts [4]int // questions, answers, authorities, additionals
}

func (h *header) opcode() Opcode { return Opcode(h.flags >> opcodeShift & opcodeMask) }

// minLen returns the least length of a message with so many questions and records.
func (h *header) minLen() int {
	return headerLen + minQuestionLen*h.counts[0] + minRecordLen*(h.counts[1]+h.counts[2]+h.counts[3])
}

// readHeader reads a header and refuses what no DNS message has.
func readHeader(b []byte) (h header, err error) {
	if len(b) < headerLen {
		return h, ErrShort
	}
	h.id, h.flags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	for i := range h.counts {
		h.counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	switch {
	case h.opcode() > maxOpcode:
		return h, ErrOpcode
	case h.minLen() > maxMessageLen:
		return h, ErrCounts
	}
	return h, nil
}

// A span is a piece of a decoder's text.
type span struct{ from, to int }

// An item is a question or record while the text still grows.
type item struct {
	name, data span
	raw        span // of the message
	typ        Type
	class      Class
	ttl        uint32
	section    uint8
}

// A decoder reads one message.
type decoder struct {
	b     []byte
	text  []byte // of all names and data
	items []item
	rcode Rcode // extended bits from an OPT record
	mdns  bool

	// Names are mostly pointers to names seen before, the last few of which are
	// remembered: where they lie in the message, and their text.
	seen     [8]seenName
	nSeen    int
	pointers int // followed in the name read last
}

// A seenName says where a name lies in the message and its text, and how many pointers
// it takes. An offset of 0 is nowhere.
type seenName struct{ off, from, to, pointers uint16 }

// parse reads a message of a variant.
func parse(b []byte, v Variant) (*Message, error) {
	h, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	d := decoders.Get().(*decoder)
	d.b, d.mdns = b, v == MDNS
	whole := d.sections(&h)
	m := d.message(&h)
	m.Variant, m.TruncatedParse = v, !whole
	d.release()
	return m, nil
}

// decoders saves each message the buffers of a decoder. What is in it never shows.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// keepText is how much of its text buffer a decoder keeps between messages.
const keepText = 16 << 10

// release empties the decoder and gives it back.
func (d *decoder) release() {
	text, items := d.text[:0], d.items[:0]
	if cap(text) > keepText || cap(items) > keepText/64 {
		text, items = nil, nil
	}
	*d = decoder{text: text, items: items}
	decoders.Put(d)
}

// sections reads all questions and records, and reports whether it came to the end.
func (d *decoder) sections(h *header) bool {
	off, ok := headerLen, true
	for section, n := range h.counts {
		for range n {
			if len(d.items) == maxRecords || len(d.text) > maxText {
				return false
			}
			if section == 0 {
				off, ok = d.question(off)
			} else {
				off, ok = d.record(off, uint8(section))
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

// question reads the question at off and returns the offset after it.
func (d *decoder) question(off int) (int, bool) {
	name, off, ok := d.name(off)
	if !ok || len(d.b)-off < 4 {
		return 0, false
	}
	d.items = append(d.items, item{name: name, typ: Type(d.u16(off)), class: Class(d.u16(off + 2))})
	return off + 4, true
}

// record reads the record at off and returns the offset after it.
func (d *decoder) record(off int, section uint8) (int, bool) {
	name, off, ok := d.name(off)
	if !ok || len(d.b)-off < 10 {
		return 0, false
	}
	it := item{name: name, typ: Type(d.u16(off)), class: Class(d.u16(off + 2)), ttl: d.u32(off + 4), section: section}
	it.raw = span{off + 10, off + 10 + d.u16(off+8)}
	if it.raw.to > len(d.b) {
		return 0, false
	}
	it.data = d.data(&it)
	if it.typ == TypeOPT && section == additional {
		d.rcode = Rcode(it.ttl >> 24 << 4)
	}
	d.items = append(d.items, it)
	return it.raw.to, true
}

func (d *decoder) u16(off int) int    { return int(binary.BigEndian.Uint16(d.b[off:])) }
func (d *decoder) u32(off int) uint32 { return binary.BigEndian.Uint32(d.b[off:]) }

// name writes the name at off as text and returns where that is and the offset after
// the name.
func (d *decoder) name(off int) (s span, next int, ok bool) {
	if s, ok := d.recall(off); ok {
		return s, off + 2, true
	}
	from := len(d.text)
	next, ok = d.labels(off)
	if !ok {
		d.discard(from)
		return span{}, 0, false
	}
	if len(d.text) == from {
		d.text = append(d.text, '.')
	} else {
		d.text = d.text[:len(d.text)-1] // the last label's dot
	}
	s = span{from, len(d.text)}
	d.remember(off, s)
	return s, next, true
}

// labels writes the labels of the name at off, each with a dot behind it. Pointers
// lead strictly backward, to before the labels that led to them, so that there are no
// loops (RFC 1035 §4.1.4: "a prior occurrence").
func (d *decoder) labels(off int) (next int, ok bool) {
	begin, length := off, 1
	d.pointers = 0
	for off < len(d.b) {
		c := int(d.b[off])
		switch {
		case c == 0:
			if d.pointers == 0 {
				next = off + 1
			}
			return next, true
		case c < 0x40:
			end := off + 1 + c
			if length += 1 + c; end > len(d.b) || length > maxNameLen {
				return 0, false
			}
			d.label(d.b[off+1 : end])
			off = end
		case c >= 0xc0:
			target, ok := d.pointer(off)
			if d.pointers++; !ok || target >= begin || d.pointers > maxPointers {
				return 0, false
			}
			if d.pointers == 1 {
				next = off + 2
			}
			off, begin = target, target
		default: // extended labels, which RFC 6891 §5 gave up
			return 0, false
		}
	}
	return 0, false
}

// pointer returns where the pointer at off leads, never into the header.
func (d *decoder) pointer(off int) (target int, ok bool) {
	if len(d.b)-off < 2 {
		return 0, false
	}
	target = d.u16(off) & 0x3fff
	return target, target >= headerLen
}

// recall finds the text of a name that is nothing but a pointer to one seen before.
func (d *decoder) recall(off int) (span, bool) {
	if off >= len(d.b) || d.b[off] < 0xc0 {
		return span{}, false
	}
	target, ok := d.pointer(off)
	if !ok || target >= off {
		return span{}, false
	}
	for i := range d.seen {
		if s := &d.seen[i]; int(s.off) == target && s.pointers < maxPointers {
			return span{int(s.from), int(s.to)}, true
		}
	}
	return span{}, false
}

// remember keeps the text of a name for recall, as long as 16 bits can say where.
func (d *decoder) remember(off int, s span) {
	if s.to > 0xffff {
		return
	}
	d.seen[d.nSeen%len(d.seen)] = seenName{uint16(off), uint16(s.from), uint16(s.to), uint16(d.pointers)}
	d.nSeen++
}

// discard takes back the text from an offset on, and what recall knows of it.
func (d *decoder) discard(from int) {
	d.text = d.text[:from]
	for i := range d.seen {
		if int(d.seen[i].to) > from {
			d.seen[i].off = 0
		}
	}
}

// label writes a label and a dot.
func (d *decoder) label(b []byte) {
	for _, c := range b {
		if !plain[c] {
			d.escapedLabel(b)
			return
		}
	}
	d.text = append(append(d.text, b...), '.')
}

func (d *decoder) escapedLabel(b []byte) {
	for _, c := range b {
		if c == '.' {
			d.text = append(d.text, '\\', c)
		} else {
			d.text = appendEscaped(d.text, c)
		}
	}
	d.text = append(d.text, '.')
}

// plain marks the characters that stand for themselves in a label.
var plain = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != '.' && c != '\\'
	}
	return t
}()

// appendEscaped appends a character of a label or string.
func appendEscaped(b []byte, c byte) []byte {
	switch {
	case c == '\\':
		return append(b, '\\', '\\')
	case c <= ' ' || c > '~':
		return append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	}
	return append(b, c)
}

// message makes the message of what was read: one string holds all its text and its
// bytes, one slice all its records.
func (d *decoder) message(h *header) *Message {
	var all strings.Builder
	all.Grow(len(d.text) + len(d.b))
	all.Write(d.text)
	all.Write(d.b)
	text := len(d.text)
	m := &Message{
		ID: h.id, Opcode: h.opcode(), Flags: Flags(h.flags) & allFlags,
		Rcode: Rcode(h.flags&headerRcodeMask) | d.rcode,
		Wire:  all.String()[text:], text: text,
	}
	n := 0 // questions
	for n < len(d.items) && d.items[n].section == 0 {
		n++
	}
	m.Questions = m.first[:0]
	if n > len(m.first) {
		m.Questions = make([]Question, 0, n)
	}
	for i := range d.items[:n] {
		m.Questions = append(m.Questions, d.items[i].question(all.String(), d.mdns))
	}
	m.sort(d.records(all.String(), d.items[n:]), d.items[n:])
	return m
}

// records makes records of items; all is the text and the message after it.
func (d *decoder) records(all string, items []item) []Record {
	if len(items) == 0 {
		return nil
	}
	l := make([]Record, len(items))
	for i := range l {
		items[i].record(&l[i], all, len(d.text), d.mdns)
	}
	return l
}

// sort puts the records, which are in order, into their sections.
func (m *Message) sort(records []Record, items []item) {
	var n [4]int
	for i := range items {
		n[items[i].section]++
	}
	m.Answers, records = records[:n[1]:n[1]], records[n[1]:]
	m.Authorities, records = records[:n[2]:n[2]], records[n[2]:]
	m.Additionals = records
}

func (it *item) question(text string, mdns bool) Question {
	q := Question{Name: text[it.name.from:it.name.to], Type: it.typ, Class: it.class}
	if mdns && q.Class&mdnsTopBit != 0 {
		q.Class, q.UnicastResponse = q.Class&^mdnsTopBit, true
	}
	return q
}

// record fills in r; all is the text and, from base on, the message.
func (it *item) record(r *Record, all string, base int, mdns bool) {
	*r = Record{
		Name: all[it.name.from:it.name.to], Type: it.typ, Class: it.class, TTL: it.ttl,
		Data: all[it.data.from:it.data.to], Raw: all[base+it.raw.from : base+it.raw.to],
	}
	if mdns && r.Type != TypeOPT && r.Class&mdnsTopBit != 0 {
		r.Class, r.CacheFlush = r.Class&^mdnsTopBit, true
	}
}
