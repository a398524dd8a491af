package tls

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// TestMemory wants no parser to hold more than 128 KiB a side, whatever comes.
func TestMemory(t *testing.T) {
	almost := records(TLS12, chop(message(typeClientHello, strings.Repeat("m", DefaultMaxMessage))[:DefaultMaxMessage], 16384)...)
	tests := []struct {
		name   string
		script parsertest.Script
		limit  int
	}{
		{"message almost whole on both sides", parsertest.Script{initiator(almost), responder(almost)}, 256 << 10},
		{"announced, not sent", parsertest.Script{initiator(records(TLS12, u8(typeClientHello)+u24(DefaultMaxMessage)))}, 1 << 10},
		{"a byte a record", parsertest.Script{initiator(records(TLS12, chop(modernHello[:1000], 1)...))}, 4 << 10},
		{"after the hello", parsertest.Script{initiator(records(TLS10, modernHello), applicationData)}, 1 << 10},
		{"after a poison", parsertest.Script{initiator(almost), responder("not TLS")}, 1 << 10},
		{"after the end", parsertest.Script{initiator(almost), parsertest.Fin(flow.Initiator)}, 1 << 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Bounded(t, newParser, tt.limit, tt.script) })
	}
}

// TestGarbage plays damaged handshakes.
func TestGarbage(t *testing.T) {
	parsertest.Garbage(t, newParser, parsertest.Script{
		initiator(records(TLS10, oldHello)), responder(records(TLS10, oldAnswer, testCertificate(t), helloDone)),
		initiator(records(TLS10, keyExchange), changeCipherSpec, encryptedFinished), responder(changeCipherSpec, encryptedFinished, applicationData),
	})
}

// TestSkippingAllocatesNothing wants encrypted records to cost no memory.
func TestSkippingAllocatesNothing(t *testing.T) {
	p := new(Parser)
	var c parsers.Context
	p.Feed(&c, flow.Initiator, []byte(records(TLS10, modernHello)))
	data := []byte(strings.Repeat(applicationData, 10))
	if n := testing.AllocsPerRun(100, func() { p.Feed(&c, flow.Initiator, data) }); n != 0 {
		t.Errorf("%v allocations per call, want 0", n)
	}
	if c.Verdict() != parsers.Continue {
		t.Errorf("verdict %d", c.Verdict())
	}
}

func BenchmarkClientHello(b *testing.B) {
	for _, bb := range []struct{ name, hello string }{
		{"kind=specification", message(typeClientHello, specHello(specAlgorithms))},
		{"kind=post-quantum", modernHello},
		{"kind=old", oldHello},
	} {
		data := []byte(records(TLS10, bb.hello))
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			var c parsers.Context
			n := 0
			c.OnMessage = func(flow.Side, flow.Timestamp, parsers.Message) { n++ }
			for b.Loop() {
				var p Parser
				p.Feed(&c, flow.Initiator, data)
			}
			if n == 0 {
				b.Fatal("no message")
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	up, down := []byte(records(TLS10, modernHello)), []byte(records(TLS12, modernAnswer))
	b.ReportAllocs()
	b.SetBytes(int64(len(up) + len(down)))
	for b.Loop() {
		var p Parser
		var c parsers.Context
		p.Feed(&c, flow.Initiator, up)
		p.Feed(&c, flow.Responder, down)
	}
}

func BenchmarkSkip(b *testing.B) {
	p := new(Parser)
	var c parsers.Context
	p.Feed(&c, flow.Initiator, []byte(records(TLS10, modernHello)))
	data := []byte(strings.Repeat(tlsRecord(recordApplicationData, TLS12, strings.Repeat("x", 1400)), 10))
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		p.Feed(&c, flow.Initiator, data)
	}
}

func BenchmarkFingerprints(b *testing.B) {
	h := mustParse(b, specHello(specAlgorithms))
	b.Run("kind=ja3", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			JA3(h)
		}
	})
	b.Run("kind=ja4", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			JA4(h)
		}
	})
}
