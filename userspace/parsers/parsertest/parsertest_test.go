package parsertest

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// word is a message: one line of text.
type word struct{ text []byte }

func (*word) Parser() string               { return "words" }
func (*word) Kind() string                 { return "word" }
func (w *word) LogValue() slog.Value       { return slog.GroupValue(slog.Int("length", len(w.text))) }
func (w *word) AppendJSON(b []byte) []byte { return parsers.AppendJSONString(b, w.text) }

// words splits each side at newlines. Its defects are switched on by name.
type words struct {
	defect string
	buf    [2][]byte
	idle   bool
}

func (w *words) Feed(c *parsers.Context, side flow.Side, b []byte) {
	switch w.defect {
	case "panics":
		_ = b[100]
	case "writes":
		b[0] = '!'
	case "keeps":
		c.Emit(&word{b})
	case "one chunk":
		w.buf[side] = nil
	}
	w.buf[side] = append(w.buf[side], b...)
	for c.Verdict() == parsers.Continue {
		i := bytes.IndexByte(w.buf[side], '\n')
		if i < 0 {
			break
		}
		w.line(c, side, i)
	}
	if w.defect == "late" && w.idle {
		c.Emit(&word{[]byte("late")})
	}
	w.idle = true
}

// line acts on the line of n bytes at the start of a side's buffer.
func (w *words) line(c *parsers.Context, side flow.Side, n int) {
	text := slices.Clone(w.buf[side][:n])
	w.buf[side] = w.buf[side][n+1:]
	switch string(text) {
	case "poison":
		c.Poison("asked for")
	case "done":
		c.Done()
	case "over":
		c.Handover(w.buf)
	default:
		c.Emit(&word{text})
	}
}

func (w *words) Fin(c *parsers.Context, side flow.Side) { c.Emit(&word{[]byte("fin")}) }

func (w *words) Rst(c *parsers.Context) { c.EmitFor(flow.Initiator, &word{[]byte("rst")}) }

func (w *words) Gap(_ *parsers.Context, _ flow.Side, n int64, _ flow.GapCause) bool { return n < 10 }

func (w *words) Tick(c *parsers.Context) { c.Emit(&word{[]byte("tick")}) }

func factory(defect string) Factory {
	return func(flow.Key) parsers.SessionParser { return &words{defect: defect} }
}

func said(side, text string) string {
	return fmt.Sprintf(`{"side":%q,"kind":"word","words":%q}`, side, text)
}

func TestRun(t *testing.T) {
	tests := []struct {
		name   string
		script Script
		want   []string
	}{
		{"nothing", nil, nil},
		{"both sides", Script{Initiator("one\ntwo\nthr"), Responder("four\n"), Initiator("ee\n")},
			[]string{said("initiator", "one"), said("initiator", "two"), said("responder", "four"), said("initiator", "three")}},
		{"fin", Script{Fin(flow.Responder)}, []string{said("responder", "fin")}},
		{"rst", Script{Initiator("a\n"), Rst()}, []string{said("initiator", "a"), said("initiator", "rst")}},
		{"gap bridged", Script{Initiator("a\n"), Gap(flow.Initiator, 9, flow.GapNetwork), Initiator("b\n")},
			[]string{said("initiator", "a"), said("initiator", "b")}},
		{"gap not bridged", Script{Gap(flow.Responder, 10, flow.GapNetwork), Initiator("b\n")},
			[]string{said("initiator", "rst"), `{"verdict":"poisoned","side":"responder","reason":"gap"}`}},
		{"poison ends it", Script{Initiator("poison\nb\n"), Initiator("c\n"), Rst()},
			[]string{said("initiator", "rst"), `{"verdict":"poisoned","side":"initiator","reason":"asked for"}`}},
		{"done still hears fin", Script{Initiator("done\nb\n"), Responder("c\n"), Fin(flow.Initiator)},
			[]string{said("initiator", "fin"), `{"verdict":"done"}`}},
		{"handover collects what follows", Script{Responder("held"), Initiator("over\nre"), Initiator("st"), Responder("\nx"), Fin(flow.Initiator)},
			[]string{`{"verdict":"handover","initiator":"rest","responder":"held\nx"}`}},
		{"tick", Script{Tick(time.Second), End()}, []string{said("initiator", "tick"), said("initiator", "tick")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { Run(t, factory(""), tt.script, tt.want...) })
	}
}

func TestConformFindsDefects(t *testing.T) {
	script := Script{Initiator("one\ntwo\n"), Responder("three\n")}
	tests := []struct{ defect, want string }{
		{"panics", "panic at"},
		{"writes", "wrote to its input"},
		{"keeps", "keeps a slice"},
		{"one chunk", "the messages differ"},
		{"late", "the messages differ"},
	}
	for _, tt := range tests {
		t.Run(tt.defect, func(t *testing.T) {
			_, err := conform(factory(tt.defect), script)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("conform = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	Garbage(t, factory(""), Script{Initiator("one\ntwo\nthree\n"), Responder("four\nfive\n")})
}

func TestWeigh(t *testing.T) {
	open := Script{Initiator(strings.Repeat("x", 1<<20))} // a line that never ends is held
	if held := weigh(factory(""), open); held < 1<<20 {
		t.Errorf("weigh = %d, want at least %d", held, 1<<20)
	}
	closed := Script{Initiator(strings.Repeat(strings.Repeat("x", 1000)+"\n", 1000))}
	if held := weigh(factory(""), closed); held > 64<<10 {
		t.Errorf("weigh = %d, want at most %d", held, 64<<10)
	}
}

func TestTimes(t *testing.T) {
	r := Play(t, factory(""), Script{Initiator("on"), Initiator("e\n"), Tick(time.Minute)})
	want := []flow.Timestamp{flow.Timestamp(1001 * time.Millisecond), flow.Timestamp(61002 * time.Millisecond)}
	for i, m := range r.Messages {
		if m.Time != want[i] {
			t.Errorf("message %d has time %v, want %v", i, m.Time, want[i])
		}
	}
}

func TestCut(t *testing.T) {
	steps := Script{Initiator("abc"), Fin(flow.Initiator), Responder("def")}.clock()
	var got []string
	for _, st := range cut(steps, []int{0, 1, 1, 3, 5}) {
		got = append(got, st.String())
	}
	want := []string{`initiator:"a"`, `initiator:"bc"`, "initiator:fin", `responder:"de"`, `responder:"f"`}
	if !slices.Equal(got, want) {
		t.Errorf("cut = %v, want %v", got, want)
	}
}

func TestRandomPositionsAreInRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 1000 {
		if at := randomPositions(rng, 50); !slices.IsSorted(at) || len(at) > 0 && (at[0] < 0 || at[len(at)-1] >= 50) {
			t.Fatalf("randomPositions(50) = %v", at)
		}
	}
}

// echo answers each datagram with a message, and the end with another.
type echo struct{}

func (echo) Parse(c *parsers.Context, _ flow.Side, b []byte) { c.Emit(&word{slices.Clone(b)}) }
func (echo) End(c *parsers.Context)                          { c.Emit(&word{[]byte("end")}) }

func TestRunDatagrams(t *testing.T) {
	newEcho := func(flow.Key) parsers.DatagramParser { return echo{} }
	RunDatagrams(t, newEcho, Script{Initiator("ask"), Responder(""), End()},
		said("initiator", "ask"), said("responder", ""), said("initiator", "end"))
}

func TestProbe(t *testing.T) {
	p := parsers.Protocol{Probe: func(_ flow.Side, b []byte) parsers.Result {
		switch {
		case bytes.HasPrefix(b, []byte("HELO")):
			return parsers.Yes
		case bytes.HasPrefix([]byte("HELO"), b):
			return parsers.More
		}
		return parsers.No
	}}
	Probe(t, p, flow.Initiator, "HELO me", parsers.Yes)
	Probe(t, p, flow.Initiator, "HE", parsers.More)
	Probe(t, p, flow.Responder, "HELP", parsers.No)
}
