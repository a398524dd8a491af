package dns

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"golang.org/x/net/dns/dnsmessage"
)

// FuzzDNSMessage holds what must be true of any bytes: no panic, bounded text, valid
// JSON, nothing that was not sent, the same from a prefix, and the same questions as
// golang.org/x/net reads where it does.
func FuzzDNSMessage(f *testing.F) {
	f.Add(answer())
	f.Add([]byte(ask(1, "a.b")))
	f.Add(msg(1, 0x8400).question("x", TypeSOA, ClassIN).
		answer("x", TypeTXT, 1, []byte("\x01a\x02bc")).
		answer("x", TypeSRV, 1, []byte("\x00\x01\x00\x02\x00\x03\xc0\x0c")).
		answer("x", TypeHTTPS, 1, []byte("\x00\x01\x00\x00\x01\x00\x03\x02h2")).
		answer("x", TypeCAA, 1, []byte("\x00\x05issueca")).
		additional(".", TypeOPT, 4096, optDO, []byte("\x00\x08\x00\x07\x00\x01\x18\x00\x01\x02\x03")).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if m.text > maxText+64*len(b)+8*maxNameLen {
			t.Errorf("%d bytes of text from %d", m.text, len(b))
		}
		if out := m.AppendJSON(nil); !json.Valid(out) {
			t.Errorf("not JSON: %s", out)
		}
		if m.Wire != string(b) {
			t.Errorf("Wire is not what was sent")
		}
		prefix(t, m, b)
		compare(t, m, b)
	})
}

// prefix holds that half of a message gives the start of what all of it gives.
func prefix(t *testing.T, m *Message, b []byte) {
	half, err := Parse(b[:max(headerLen, len(b)/2)])
	if err != nil {
		t.Fatalf("the start of a message: %v", err)
	}
	got, want := records(half), records(m)
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) || len(half.Questions) > len(m.Questions) {
		t.Errorf("half gives %v, all %v", got, want)
	}
}

func records(m *Message) []Record { return slices.Concat(m.Answers, m.Authorities, m.Additionals) }

// compare reads the message with golang.org/x/net.
func compare(t *testing.T, m *Message, b []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(b); err != nil || m.TruncatedParse {
		return
	}
	theirs, err := p.AllQuestions()
	if err != nil {
		return // it refuses names of more than 10 pointers
	}
	if len(theirs) != len(m.Questions) {
		t.Fatalf("%d questions, want %d", len(m.Questions), len(theirs))
	}
	for i, q := range theirs {
		want := strings.TrimSuffix(q.Name.String(), ".")
		got := strings.NewReplacer(`\.`, ".").Replace(m.Questions[i].Name)
		if strings.Contains(got, `\`) || want == "" {
			continue // they escape nothing
		}
		if got != want || uint16(q.Type) != uint16(m.Questions[i].Type) || uint16(q.Class) != uint16(m.Questions[i].Class) {
			t.Errorf("question %d = %+v, want %v", i, m.Questions[i], q)
		}
	}
}

// FuzzDNSTCP feeds both sides of a flow whole and cut by the fuzzer's choice, with a
// gap between, and wants the same messages and verdict.
func FuzzDNSTCP(f *testing.F) {
	stream := []byte(framed(ask(1, "a")) + framed(string(answer())) + framed(ask(2, "b.c")))
	f.Add(stream, []byte(framed(reply(1, "a"))), []byte{3, 1, 50}, uint16(10), uint16(5))
	f.Add(stream[:40], stream, []byte{1}, uint16(0), uint16(1000))
	f.Add([]byte("\x00\x05abc"), stream[7:], []byte{}, uint16(2), uint16(0))
	f.Fuzz(func(t *testing.T, a, b, cuts []byte, gapAt, gap uint16) {
		whole := flowOf(a, b, nil, int(gapAt), int64(gap))
		cut := flowOf(a, b, cuts, int(gapAt), int64(gap))
		bytewise := flowOf(a, b, []byte{0}, int(gapAt), int64(gap))
		if !slices.Equal(whole, cut) || !slices.Equal(whole, bytewise) {
			t.Errorf("whole    %v\ncut      %v\nbytewise %v", whole, cut, bytewise)
		}
	})
}

// flowOf plays one flow: side 0 up to a gap, side 1, the rest of side 0. cuts are the
// lengths of chunks, over and over.
func flowOf(a, b, cuts []byte, gapAt int, gap int64) (l []string) {
	var p TCP
	c := parsers.Context{OnMessage: func(side flow.Side, _ flow.Timestamp, m parsers.Message) {
		l = append(l, side.String()+" "+m.Kind()+string(m.AppendJSON(nil)))
	}}
	i := 0
	feed := func(side flow.Side, b []byte) {
		for len(b) > 0 && c.Verdict() == parsers.Continue {
			n := len(b)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
				i++
			}
			chunk := bytes.Clone(b[:n])
			p.Feed(&c, side, chunk)
			clear(chunk)
			b = b[n:]
		}
	}
	gapAt = min(gapAt, len(a))
	feed(0, a[:gapAt])
	if gap > 0 && c.Verdict() == parsers.Continue {
		p.Gap(&c, 0, gap, flow.GapNetwork)
	}
	feed(1, b)
	feed(0, a[gapAt:])
	v, reason, _ := c.TakeVerdict()
	p.Rst(&c)
	if v == parsers.Poisoned {
		l = append(l, reason)
	}
	return l
}
