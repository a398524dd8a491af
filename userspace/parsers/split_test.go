package parsers_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

var errNoDigit = errors.New("no digit")

// digitSize is the size of an element that is a colon, a digit and as many bytes.
func digitSize(b []byte) (int, error) {
	switch {
	case b[0] != ':':
		return 0, errNoDigit
	case len(b) < 2:
		return 0, nil
	case b[1] < '0' || b[1] > '9':
		return 0, errNoDigit
	}
	return 2 + int(b[1]-'0'), nil
}

// text is a message that is nothing but text.
type text string

func (text) Parser() string               { return "digits" }
func (text) Kind() string                 { return "text" }
func (s text) LogValue() slog.Value       { return slog.GroupValue(slog.Int("length", len(s))) }
func (s text) AppendJSON(b []byte) []byte { return parsers.AppendJSONString(b, string(s)) }

// digits is a parser made of a Split for each side. With resync it looks for the next
// element where there is none, otherwise it gives up.
type digits struct {
	in     [2]parsers.Split
	resync bool
}

func newDigits(limit int, resync bool) parsertest.Factory {
	return func(flow.Key) parsers.SessionParser {
		d := &digits{resync: resync}
		for side := range d.in {
			d.in[side] = parsers.Split{Size: digitSize, Max: limit}
		}
		return d
	}
}

func (d *digits) Feed(c *parsers.Context, side flow.Side, b []byte) {
	for element, err := range d.in[side].Elements(b) {
		switch {
		case err == nil:
			c.Emit(text(element))
		case d.resync:
			d.in[side].Lose()
		default:
			c.Poison(err.Error())
		}
	}
}

func (d *digits) Fin(c *parsers.Context, side flow.Side) {
	c.Emit(text("held " + string(d.in[side].Held())))
}
func (d *digits) Rst(*parsers.Context) {}

func (d *digits) Gap(_ *parsers.Context, side flow.Side, n int64, _ flow.GapCause) bool {
	if d.in[side].Gap(n) {
		return true
	}
	d.in[side].Lose()
	return d.resync
}

// texts are the lines of the initiator's messages.
func texts(s ...string) (lines []string) {
	for _, t := range s {
		lines = append(lines, fmt.Sprintf(`{"side":"initiator","kind":"text","digits":%q}`, t))
	}
	return lines
}

func TestSplit(t *testing.T) {
	send, gap := parsertest.Initiator, func(n int64) parsertest.Step { return parsertest.Gap(flow.Initiator, n, flow.GapNetwork) }
	fin := parsertest.Fin(flow.Initiator)
	tests := []struct {
		name   string
		script parsertest.Script
		want   []string
	}{
		{"whole elements", parsertest.Script{send(":1a:0:3abc")}, texts(":1a", ":0", ":3abc")},
		{"an element not whole", parsertest.Script{send(":1a:3ab"), fin}, texts(":1a", "held :3ab")},
		{"a header not whole", parsertest.Script{send(":"), fin}, texts("held :")},
		{"no element, then one", parsertest.Script{send("xy:x::1a"), fin}, texts(":1a", "held ")},
		{"no element ever", parsertest.Script{send(strings.Repeat("x", 100)), fin}, texts("held ")},
		{"gap inside an element", parsertest.Script{send(":1a:5ab"), gap(2), send("e:1b")}, texts(":1a", ":1b")},
		{"gap to its end", parsertest.Script{send(":5ab"), gap(3), send(":1b")}, texts(":1b")},
		{"two gaps inside an element", parsertest.Script{send(":9ab"), gap(2), send("ef"), gap(2), send("i:1b")}, texts(":1b")},
		{"gap beyond an element", parsertest.Script{send(":5ab"), gap(4), send("1b:1c"), fin}, texts(":1c", "held ")},
		{"gap between elements", parsertest.Script{send(":1a"), gap(4), send("b:1c")}, texts(":1a", ":1c")},
		{"gap inside a header", parsertest.Script{send(":"), gap(1), send("b:1c")}, texts(":1c")},
		{"gap while lost", parsertest.Script{send("x:"), gap(1), send("1b:1c")}, texts(":1c")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Run(t, newDigits(0, true), tt.script, tt.want...) })
	}
}

func TestSplitGivesUp(t *testing.T) {
	poisoned := func(reason string) string {
		return fmt.Sprintf(`{"verdict":"poisoned","side":"initiator","reason":%q}`, reason)
	}
	tests := []struct {
		name, in, reason string
	}{
		{"no element", ":1ax", "no digit"},
		{"bad header", ":1a:x", "no digit"},
		{"element longer than the limit", ":1a:6", "element too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := append(texts(":1a"), poisoned(tt.reason))
			parsertest.Run(t, newDigits(7, false), parsertest.Script{parsertest.Initiator(tt.in)}, want...)
		})
	}
}

func TestSplitHoldsNoMoreThanMax(t *testing.T) {
	s := parsers.Split{Size: func([]byte) (int, error) { return 0, nil }, Max: 8}
	for range 7 {
		for element, err := range s.Elements([]byte("x")) {
			t.Fatalf("element %q, %v", element, err)
		}
	}
	for element, err := range s.Elements([]byte("x")) {
		if !errors.Is(err, parsers.ErrTooLong) {
			t.Errorf("after 8 bytes: element %q, error %v, want %v", element, err, parsers.ErrTooLong)
		}
	}
}

func TestSplitKeepsWhatALoopLeaves(t *testing.T) {
	s := parsers.Split{Size: digitSize}
	for element := range s.Elements([]byte(":1a:1b:1")) {
		if string(element) != ":1a" {
			t.Fatalf("element %q, want :1a", element)
		}
		break
	}
	if got := string(s.Held()); got != ":1b:1" {
		t.Errorf("Held() = %q, want :1b:1", got)
	}
	var got []string
	for element := range s.Elements([]byte("c")) {
		got = append(got, string(element))
	}
	if want := []string{":1b", ":1c"}; !slices.Equal(got, want) {
		t.Errorf("elements %q, want %q", got, want)
	}
}

func TestSplitAllocates(t *testing.T) {
	s := parsers.Split{Size: digitSize}
	whole, first, second := []byte(":1a:3abc"), []byte(":3a"), []byte("bc")
	n := 0
	got := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{whole, first, second} {
			for range s.Elements(b) {
				n++
			}
		}
	})
	if got != 0 || n == 0 {
		t.Errorf("%v allocations for %d elements, want 0", got, n)
	}
}

// FuzzSplit cuts a stream at random and wants the same elements.
func FuzzSplit(f *testing.F) {
	f.Add(":1a:3abcx:0:", uint64(1), true)
	f.Add(":9:1", uint64(2), false)
	f.Fuzz(func(t *testing.T, in string, seed uint64, resync bool) {
		s := parsertest.Script{parsertest.Initiator(in), parsertest.Fin(flow.Initiator)}
		want := parsertest.Play(t, newDigits(9, resync), s).Lines()
		cut := parsertest.Cut(s, rand.New(rand.NewPCG(seed, 0)))
		if got := parsertest.Play(t, newDigits(9, resync), cut).Lines(); !slices.Equal(got, want) {
			t.Fatalf("cut %v\n got  %q\n want %q", cut, got, want)
		}
	})
}
