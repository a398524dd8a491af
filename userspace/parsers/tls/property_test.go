package tls

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// A recipe is what a generated ClientHello is made of.
type recipe struct {
	ciphers, groups, algorithms []int
	extensions                  []string
}

func (r recipe) body() string { return helloBody(TLS12, r.ciphers, r.extensions...) }

// number draws a number that is not GREASE.
var number = rapid.IntRange(1, 0xffff).Filter(func(v int) bool { return !isGREASE(uint16(v)) })

var greaseValue = rapid.Map(rapid.IntRange(0, 15), func(i int) int { return i<<12 | 0xa<<8 | i<<4 | 0xa })

func drawRecipe(t *rapid.T) recipe {
	r := recipe{
		ciphers:    rapid.SliceOf(number).Draw(t, "ciphers"),
		groups:     rapid.SliceOf(number).Draw(t, "groups"),
		algorithms: rapid.SliceOf(number).Draw(t, "algorithms"),
	}
	r.extensions = []string{
		extension(extSupportedGroups, vec16(u16s(r.groups...))),
		extension(extSignatureAlgorithms, vec16(u16s(r.algorithms...))),
		sniExtension(rapid.StringMatching(`[a-z.]{0,20}`).Draw(t, "sni")),
		alpnExtension(rapid.SliceOfN(rapid.StringMatching(`[a-z0-9/.]{1,9}`), 0, 3).Draw(t, "alpn")...),
		versionsExtension(TLS13),
	}
	for _, typ := range rapid.SliceOf(rapid.IntRange(100, 2000)).Draw(t, "extensions") {
		r.extensions = append(r.extensions, extension(typ, "x"))
	}
	return r
}

// withGREASE returns a copy of l with a GREASE value somewhere in it.
func withGREASE(t *rapid.T, l []int) []int {
	i := rapid.IntRange(0, len(l)).Draw(t, "at")
	return slices.Insert(slices.Clone(l), i, greaseValue.Draw(t, "grease"))
}

func parseRapid(t *rapid.T, body string) *ClientHello {
	h, err := ParseClientHello([]byte(body))
	if err != nil || h.Truncated {
		t.Fatalf("ParseClientHello: %+v, %v", h, err)
	}
	return h
}

// TestGREASEChangesNothing wants equal fingerprints with and without GREASE.
func TestGREASEChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecipe(t)
		want := parseRapid(t, r.body())
		r.ciphers = withGREASE(t, r.ciphers)
		r.extensions[0] = extension(extSupportedGroups, vec16(u16s(withGREASE(t, r.groups)...)))
		r.extensions[1] = extension(extSignatureAlgorithms, vec16(u16s(withGREASE(t, r.algorithms)...)))
		r.extensions[4] = versionsExtension(0xfafa, TLS13)
		i := rapid.IntRange(0, len(r.extensions)).Draw(t, "extension at")
		r.extensions = slices.Insert(r.extensions, i, extension(greaseValue.Draw(t, "extension"), ""))
		got := parseRapid(t, r.body())
		if got.JA3Raw != want.JA3Raw || got.JA4 != want.JA4 || JA4R(got) != JA4R(want) || JA4RO(got) != JA4RO(want) {
			t.Errorf("with GREASE %s %s, without %s %s", got.JA3Raw, got.JA4, want.JA3Raw, want.JA4)
		}
	})
}

// TestOrderIsNotInJA4 shuffles ciphers and extensions: JA4 stays.
func TestOrderIsNotInJA4(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecipe(t)
		want := parseRapid(t, r.body())
		r.ciphers = rapid.Permutation(r.ciphers).Draw(t, "order of ciphers")
		r.extensions = rapid.Permutation(r.extensions).Draw(t, "order of extensions")
		if got := parseRapid(t, r.body()); got.JA4 != want.JA4 {
			t.Errorf("got %s, want %s", got.JA4, want.JA4)
		}
	})
}

// TestAnyCut cuts messages into records and records into segments anywhere: the
// messages are the same, records aside (P1).
func TestAnyCut(t *testing.T) {
	certificate := testCertificate(t)
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecipe(t)
		hello := message(typeClientHello, r.body())
		flight := oldAnswer + message(22, "status") + certificate + helloDone
		whole := parsertest.Script{initiator(records(TLS10, hello)), responder(records(TLS10, flight), alertRecord(1, 0), changeCipherSpec), initiator(changeCipherSpec)}
		cut := parsertest.Script{
			initiator(records(TLS10, drawParts(t, "hello", hello)...)),
			responder(records(TLS10, drawParts(t, "flight", flight)...), alertRecord(1, 0), changeCipherSpec),
			initiator(changeCipherSpec),
		}
		want, got := lines(newParser, whole, nil), lines(newParser, cut, rapid.SliceOfN(rapid.IntRange(1, 50), 1, 20).Draw(t, "segments"))
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// drawParts cuts s in parts.
func drawParts(t *rapid.T, label, s string) (parts []string) {
	for len(s) > 0 {
		n := rapid.IntRange(1, len(s)).Draw(t, label)
		parts, s = append(parts, s[:n]), s[n:]
	}
	return parts
}

// lines plays the feeds of a script, in segments of the lengths given over and over,
// and returns the messages as JSON and the verdict.
func lines(newParser parsertest.Factory, script parsertest.Script, segments []int) (l []string) {
	p := newParser(flow.Key{})
	var c parsers.Context
	c.OnMessage = func(side flow.Side, _ flow.Timestamp, m parsers.Message) {
		l = append(l, fmt.Sprintf("%v %s", side, m.AppendJSON(nil)))
	}
	i := 0
	for _, step := range script {
		for b := []byte(step.Data); len(b) > 0 && c.Verdict() == parsers.Continue; i++ {
			n := len(b)
			if len(segments) > 0 {
				n = min(n, segments[i%len(segments)])
			}
			p.Feed(&c, step.Side, b[:n])
			b = b[n:]
		}
	}
	v, reason, _ := c.TakeVerdict()
	return append(l, fmt.Sprint(v, " ", reason))
}

func FuzzTLSRecord(f *testing.F) {
	oldFlight := records(TLS10, oldAnswer, testCertificate(f), helloDone)
	f.Add([]byte(records(TLS10, modernHello)), []byte(records(TLS12, modernAnswer)), byte(7))
	f.Add([]byte(records(TLS10, modernHello)+changeCipherSpec+records(TLS12, modernHello)), []byte(records(TLS12, modernRetry)+changeCipherSpec+records(TLS12, modernAnswer)), byte(1))
	f.Add([]byte(records(TLS10, oldHello, keyExchange)+changeCipherSpec+encryptedFinished), []byte(oldFlight+changeCipherSpec), byte(100))
	f.Add([]byte(v2Record(TLS10, 4, 5)), []byte(alertRecord(1, 0)+alertRecord(2, 40)), byte(3))
	f.Add([]byte(applicationData+applicationData), []byte("\x80\x10\x04"), byte(2))
	f.Fuzz(func(t *testing.T, initiatorData, responderData []byte, segment byte) {
		script := parsertest.Script{parsertest.Initiator(string(initiatorData)), parsertest.Responder(string(responderData))}
		want := lines(newParser, script, nil)
		got := lines(newParser, script, []int{1 + int(segment)})
		if !slices.Equal(got, want) {
			t.Errorf("in segments of %d\n got  %q\n want %q", 1+int(segment), got, want)
		}
		for _, l := range want[:len(want)-1] {
			if _, object, _ := strings.Cut(l, " "); !json.Valid([]byte(object)) {
				t.Errorf("not JSON: %s", object)
			}
		}
	})
}

func FuzzClientHello(f *testing.F) {
	f.Add([]byte(modernHello[messageHeaderLen:]))
	f.Add([]byte(oldHello[messageHeaderLen:]))
	f.Add([]byte(specHello(specAlgorithms)))
	f.Add([]byte(helloBody(TLS12, []int{0x0a0a}, alpnExtension("", "\xff"), sniExtension("\xff"))))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := ParseClientHello(body)
		if err != nil {
			return
		}
		if strings.Count(h.JA3Raw, ",") != 4 || len(h.JA3) != 32 || len(h.JA4) != 36 {
			t.Errorf("JA3 %q %s, JA4 %s", h.JA3Raw, h.JA3, h.JA4)
		}
		if a, _, _ := strings.Cut(h.JA4, "_"); !strings.HasPrefix(JA4RO(h), a+"_") || !strings.HasPrefix(JA4R(h), a+"_") {
			t.Errorf("JA4 %s, raw %s, %s", h.JA4, JA4R(h), JA4RO(h))
		}
		if b := h.AppendJSON(nil); !json.Valid(b) {
			t.Errorf("not JSON: %s", b)
		}
	})
}
