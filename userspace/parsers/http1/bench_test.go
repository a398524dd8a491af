package http1_test

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
)

// browser is a GET with ten header fields.
const browser = "GET /images/logo.svg?v=3 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Referer: http://www.example.com/\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=0123456789abcdef; theme=dark\r\n" +
	"If-Modified-Since: Tue, 01 Jul 2025 10:00:00 GMT\r\n" +
	"Cache-Control: max-age=0\r\n\r\n"

// page is a response of 16 KiB with ten header fields.
var page = "HTTP/1.1 200 OK\r\n" +
	"Date: Tue, 01 Jul 2025 10:00:00 GMT\r\n" +
	"Server: nginx\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 16384\r\n" +
	"Connection: keep-alive\r\n" +
	"Vary: Accept-Encoding\r\n" +
	"ETag: \"5f3c-1a2b3c\"\r\n" +
	"Cache-Control: public, max-age=600\r\n" +
	"X-Frame-Options: DENY\r\n" +
	"Accept-Ranges: bytes\r\n\r\n" + strings.Repeat("x", 16384)

// nothing is a parser that takes each chunk for a message, the baseline.
type nothing struct{ request http1.Request }

func (n *nothing) Feed(c *parsers.Context, _ flow.Side, _ []byte) { c.Emit(&n.request) }
func (*nothing) Fin(*parsers.Context, flow.Side)                  {}
func (*nothing) Rst(*parsers.Context)                             {}

// feed gives in to p in chunks of n bytes.
func feed(p parsers.SessionParser, c *parsers.Context, side flow.Side, in []byte, n int) {
	for len(in) > n {
		p.Feed(c, side, in[:n])
		in = in[n:]
	}
	p.Feed(c, side, in)
}

func BenchmarkHTTP1(b *testing.B) {
	cases := []struct {
		name   string
		parser parsers.SessionParser
		side   flow.Side
		in     string
		chunk  int
	}{
		{"proto=none", new(nothing), flow.Initiator, browser, 1 << 20},
		{"proto=http1/get", new(http1.Parser), flow.Initiator, browser, 1 << 20},
		{"proto=http1/get-in-two", new(http1.Parser), flow.Initiator, browser, len(browser) / 2},
		{"proto=http1/response-16k", new(http1.Parser), flow.Responder, page, 1448},
		{"proto=http1/chunked-16k", new(http1.Parser), flow.Responder, chunked + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 16) + "0\r\n\r\n", 1448},
	}
	for _, bb := range cases {
		b.Run(bb.name, func(b *testing.B) {
			messages := 0
			c := parsers.Context{OnMessage: func(flow.Side, flow.Timestamp, parsers.Message) { messages++ }}
			in := []byte(bb.in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				feed(bb.parser, &c, bb.side, in, bb.chunk)
			}
			if messages != b.N {
				b.Fatalf("%d messages of %d", messages, b.N)
			}
		})
	}
}

func BenchmarkSession(b *testing.B) {
	in := [2][]byte{[]byte(browser), []byte(page)}
	b.ReportAllocs()
	b.SetBytes(int64(len(in[0]) + len(in[1])))
	for b.Loop() {
		var p http1.Parser
		var c parsers.Context
		feed(&p, &c, flow.Initiator, in[0], 1448)
		feed(&p, &c, flow.Responder, in[1], 1448)
		p.Fin(&c, flow.Initiator)
		p.Fin(&c, flow.Responder)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	var m parsers.Message
	c := parsers.Context{OnMessage: func(_ flow.Side, _ flow.Timestamp, got parsers.Message) { m = got }}
	new(http1.Parser).Feed(&c, flow.Initiator, []byte(browser))
	buf := m.AppendJSON(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = m.AppendJSON(buf[:0])
	}
}

func BenchmarkProbe(b *testing.B) {
	in := []byte(browser)
	b.ReportAllocs()
	for b.Loop() {
		if http1.Probe(flow.Initiator, in) != parsers.Yes {
			b.Fatal("not recognised")
		}
	}
}

func TestAllocations(t *testing.T) {
	var p http1.Parser
	var c parsers.Context
	get, body := []byte(browser), []byte(strings.Repeat("x", 1448))
	tests := []struct {
		name string
		call func()
		want float64
	}{
		{"a request: itself, its text, its fields", func() { p.Feed(&c, flow.Initiator, get) }, 3},
		{"bytes of a body", func() { p.Feed(&c, flow.Responder, body) }, 0},
		{"a probe", func() { http1.Probe(flow.Initiator, get) }, 0},
	}
	p.Feed(&c, flow.Responder, []byte("HTTP/1.1 200 OK\r\n\r\n"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, tt.call); got > tt.want {
				t.Errorf("%v allocations, want at most %v", got, tt.want)
			}
		})
	}
}
