package dns

import (
	"log/slog"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A Kind says what a message stands for.
type Kind uint8

// The kinds.
const (
	Query Kind = iota
	Response
	Unanswered // a query that got no response in time, or none before the flow ended
)

// String returns "query", "response" or "unanswered".
func (k Kind) String() string {
	switch k {
	case Response:
		return "response"
	case Unanswered:
		return "unanswered"
	}
	return "query"
}

// A Question is what is asked for.
type Question struct {
	Name  string // see Record.Name
	Type  Type
	Class Class
	// UnicastResponse is mDNS's QU bit, which is not in Class then.
	UnicastResponse bool
}

// A Record is one resource record.
type Record struct {
	// Name has no trailing dot; the root is ".". A dot or backslash inside a
	// label is escaped by a backslash, a byte that is not printable ASCII as
	// \DDD in decimal.
	Name  string
	Type  Type
	Class Class
	TTL   uint32 // seconds; flags and the extended rcode in an OPT record
	Data  string // in the form of zone files, RFC 3597 for unknown types
	Raw   string // the bytes of the data; names in them may be compressed
	// CacheFlush is mDNS's bit of that name, which is not in Class then.
	CacheFlush bool
}

// A Message is a DNS message, or the news that a query was not answered. It holds no
// reference to what it was parsed from. Receivers may keep it but must not change it.
type Message struct {
	ID     uint16
	Opcode Opcode
	Flags  Flags
	Rcode  Rcode

	Questions                         []Question
	Answers, Authorities, Additionals []Record

	Variant Variant
	// TruncatedParse is true when the message is cut or malformed somewhere: all
	// before that point is here.
	TruncatedParse bool
	// RTT is the time from the first query to this response, if HasRTT.
	RTT    time.Duration
	HasRTT bool
	// Retransmissions counts how often the query was repeated before this
	// message, this one included if it is a repeat.
	Retransmissions int

	Wire string // the bytes of the message

	unanswered bool
	text       int         // bytes of text behind the strings
	first      [1]Question // place for Questions
}

// Parser returns "dns".
func (m *Message) Parser() string { return "dns" }

// Kind returns the name of what the message stands for.
func (m *Message) Kind() string { return m.Is().String() }

// Is returns what the message stands for. The QR flag decides, not the side.
func (m *Message) Is() Kind {
	switch {
	case m.unanswered:
		return Unanswered
	case m.Flags&FlagQR != 0:
		return Response
	}
	return Query
}

// LogValue gives what may stand in a log: numbers, no names.
func (m *Message) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", m.Kind()),
		slog.Int("transaction_id", int(m.ID)),
		slog.String("opcode", m.Opcode.String()),
		slog.String("rcode", m.Rcode.String()),
		slog.Int("questions", len(m.Questions)),
		slog.Int("answers", len(m.Answers)),
	)
}

// EDNS is what an OPT record says beside its options (RFC 6891 §6.1.3).
type EDNS struct {
	UDPSize uint16 // bytes of UDP payload the sender takes
	Version uint8
	DO      bool // DNSSEC records wanted
}

// EDNS returns the content of the OPT record, false without one.
func (m *Message) EDNS() (EDNS, bool) {
	for i := range m.Additionals {
		if r := &m.Additionals[i]; r.Type == TypeOPT {
			return EDNS{UDPSize: uint16(r.Class), Version: uint8(r.TTL >> 16), DO: r.TTL&optDO != 0}, true
		}
	}
	return EDNS{}, false
}

// asUnanswered returns the query again, as unanswered.
func (m *Message) asUnanswered(retransmissions int) *Message {
	u := *m
	u.unanswered, u.Retransmissions = true, retransmissions
	return &u
}

// AppendJSON appends the message's object (CONTRACT.md, "dns").
func (m *Message) AppendJSON(b []byte) []byte {
	b = appendNumber(b, `{"transaction_id":`, uint64(m.ID))
	b = appendCode(b, `,"opcode`, uint64(m.Opcode), opcodeNames[m.Opcode])
	b = append(b, `,"flags":`...)
	b = appendFlags(b, m.Flags, m.Variant)
	kind := m.Is()
	if kind == Response {
		b = appendCode(b, `,"rcode`, uint64(m.Rcode), rcodeNames[m.Rcode])
	}
	b = append(b, `,"questions":`...)
	b = appendQuestions(b, m.Questions)
	b = appendSection(b, `,"answers":`, m.Answers, kind)
	b = appendSection(b, `,"authorities":`, m.Authorities, kind)
	b = appendSection(b, `,"additionals":`, m.Additionals, kind)
	if m.HasRTT {
		b = appendNumber(b, `,"rtt_ns":`, uint64(m.RTT))
	}
	if m.Retransmissions > 0 {
		b = appendNumber(b, `,"retransmissions":`, uint64(m.Retransmissions))
	}
	if m.Variant != Unicast {
		b = parsers.AppendJSONString(append(b, `,"variant":`...), m.Variant.String())
	}
	if m.TruncatedParse {
		b = append(b, `,"truncated_parse":true`...)
	}
	return append(b, '}')
}
