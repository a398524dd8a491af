package http1_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// small are limits that short inputs reach.
var small = http1.Options{MaxHead: 256, MaxHeaders: 4, MaxTarget: 32, MaxChunkLine: 16, MaxPending: 2, KeepBody: 8}

// FuzzHTTP1 cuts what both sides send at random and wants the same messages, with
// the usual limits and with small ones.
func FuzzHTTP1(f *testing.F) {
	for _, seed := range [][2]string{
		{get, empty}, {head + get, chunked + "1\r\nx\r\n0\r\nA: b\r\n\r\n"}, {connect + "abc", "HTTP/1.1 200 OK\r\n\r\nabc"},
		{upgrade + "\x81", "HTTP/1.1 101 S\r\n\r\n\x81"}, {"GET / HTTP/1.1\n a\nb : c\n d\n\n", "HTTP/1.0 200\r\n\r\nabc"},
		{connect + get, "HTTP/1.1 407 A\r\nContent-Length: 1\r\n\r\nx"},
	} {
		f.Add(seed[0], seed[1], uint64(1))
	}
	f.Fuzz(func(t *testing.T, a, b string, seed uint64) {
		s := script{ask(a), answer(b), fin(flow.Initiator), fin(flow.Responder)}
		for _, o := range []http1.Options{{}, small} {
			want := parsertest.Play(t, with(o), s)
			for range 4 {
				cut := parsertest.Cut(s, rand.New(rand.NewPCG(seed, 0)))
				seed++
				if got := parsertest.Play(t, with(o), cut); !slices.Equal(got.Lines(), want.Lines()) {
					t.Fatalf("cut %v\n got  %q\n want %q", cut, got.Lines(), want.Lines())
				}
			}
		}
	})
}

// FuzzProbe wants an answer within 64 bytes, which longer input does not change.
func FuzzProbe(f *testing.F) {
	for _, seed := range []string{get, empty, "0 /\n" + strings.Repeat("0", 60), "\r\nGET /", "OPTIONS * RTSP/1.0\r\n", "HTTP/1.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		known := parsers.More
		for n := 1; n <= len(in); n++ {
			got := http1.Probe(flow.Initiator, []byte(in[:n]))
			if known != parsers.More && got != known {
				t.Fatalf("Probe(%q) = %v after %v", in[:n], got, known)
			}
			if n >= 64 && got == parsers.More {
				t.Fatalf("Probe(%q) does not know after %d bytes", in[:n], n)
			}
			known = got
		}
	})
}

// sent is one message as a test makes it.
type sent struct {
	text  string
	kind  string
	bytes int
}

// bodies draws a body and how it is sent: fields, and the bytes on the wire.
func bodies(t *rapid.T) (fields, wire string, n int) {
	body := rapid.StringN(0, 40, 60).Draw(t, "body")
	if rapid.Bool().Draw(t, "chunked") {
		var w strings.Builder
		for rest := body; rest != ""; {
			k := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			fmt.Fprintf(&w, "%x\r\n%s\r\n", k, rest[:k])
			rest = rest[k:]
		}
		return "Transfer-Encoding: chunked\r\n", w.String() + "0\r\n\r\n", len(body)
	}
	return fmt.Sprintf("Content-Length: %d\r\n", len(body)), body, len(body)
}

// exchange draws a request and its response.
func exchange(t *rapid.T) (req, resp sent) {
	method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "X-OWN"}).Draw(t, "method")
	status := rapid.SampledFrom([]int{200, 204, 304, 404, 500}).Draw(t, "status")
	fields, wire, n := bodies(t)
	req = sent{fmt.Sprintf("%s / HTTP/1.1\r\n%s\r\n%s", method, fields, wire), "request " + method, n}
	fields, wire, n = bodies(t)
	if method == "HEAD" || status == 204 || status == 304 {
		wire, n = "", 0
	}
	return req, sent{fmt.Sprintf("HTTP/1.1 %d X\r\n%s\r\n%s", status, fields, wire), fmt.Sprint("response ", method, " ", status), n}
}

// seen is what a parser made of a message, in the words of sent.
func seen(e parsertest.Entry) string {
	switch m := e.Message.(type) {
	case *http1.Request:
		return fmt.Sprint("request ", m.Method, " ", m.BodyBytes)
	case *http1.Response:
		return fmt.Sprint("response ", m.RequestMethod, " ", m.Status, " ", m.BodyBytes)
	}
	return "?"
}

// TestExchanges pipelines requests and their responses and wants each back, with
// its body's length and the method it answers, wherever the bytes are cut.
func TestExchanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s script
		var want []string
		var responses []sent
		for range rapid.IntRange(1, 8).Draw(t, "exchanges") {
			req, resp := exchange(t)
			s, want = append(s, ask(req.text)), append(want, fmt.Sprint(req.kind, " ", req.bytes))
			responses = append(responses, resp)
		}
		for _, r := range responses {
			s, want = append(s, answer(r.text)), append(want, fmt.Sprint(r.kind, " ", r.bytes))
		}
		cut := parsertest.Cut(s, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		var r parsertest.Recorder
		if err := r.Play(newParser(flow.Key{}), cut); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range r.Messages {
			got = append(got, seen(m))
		}
		if !slices.Equal(got, want) || r.Verdict != parsers.Continue {
			t.Fatalf("script %q\n got  %q, verdict %v %s\n want %q", s, got, r.Verdict, r.Reason, want)
		}
	})
}
