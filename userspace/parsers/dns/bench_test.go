package dns

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"golang.org/x/net/dns/dnsmessage"
)

// answer is a response as resolvers send it: an alias, four addresses, EDNS.
func answer() []byte {
	m := msg(0x1234, 0x8180).question("www.example.com", TypeA, ClassIN)
	m.answer("www.example.com", TypeCNAME, 300, m.nameBytes("edge.example.net"))
	for i := range byte(4) {
		m.answer("edge.example.net", TypeA, 60, []byte{192, 0, 2, i})
	}
	return m.additional(".", TypeOPT, Class(1232), 0, nil).bytes()
}

func BenchmarkParse(b *testing.B) {
	query := msg(0x1234, 0x0100).question("www.example.com", TypeA, ClassIN).bytes()
	for _, bb := range []struct {
		name string
		msg  []byte
	}{{"query", query}, {"response", answer()}} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.msg)))
			b.ReportAllocs()
			for b.Loop() {
				if m, err := Parse(bb.msg); err != nil || m.TruncatedParse {
					b.Fatal(m, err)
				}
			}
		})
		b.Run(bb.name+"/x-net", func(b *testing.B) {
			b.SetBytes(int64(len(bb.msg)))
			b.ReportAllocs()
			for b.Loop() {
				var m dnsmessage.Message
				if err := m.Unpack(bb.msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUDP reads a query and its response, matched, and writes the JSON of both.
func BenchmarkUDP(b *testing.B) {
	query := msg(0x1234, 0x0100).question("www.example.com", TypeA, ClassIN).bytes()
	response := answer()
	var out []byte
	for _, bb := range []struct {
		name string
		emit func(flow.Side, flow.Timestamp, parsers.Message)
	}{
		{"messages", func(flow.Side, flow.Timestamp, parsers.Message) {}},
		{"json", func(_ flow.Side, _ flow.Timestamp, m parsers.Message) { out = m.AppendJSON(out[:0]) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := NewUDP(Options{})
			c := &parsers.Context{OnMessage: bb.emit}
			b.ReportAllocs()
			for b.Loop() {
				c.Time += 1000
				p.Parse(c, flow.Initiator, query)
				p.Parse(c, flow.Responder, response)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/message")
		})
	}
}

// TestAllocations holds what a message costs: itself, one string, one slice of records.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what is allocated")
	}
	b := answer()
	if n := testing.AllocsPerRun(200, func() { parsed(t, b) }); n > 3 {
		t.Errorf("%v allocations for a response, want 3", n)
	}
	p, c := NewUDP(Options{}), &parsers.Context{}
	garbage := []byte("\xff\xff\xff\xff this is no DNS message")
	if n := testing.AllocsPerRun(200, func() { p.Parse(c, flow.Initiator, garbage) }); n != 0 {
		t.Errorf("%v allocations for what is no message, want 0", n)
	}
}
