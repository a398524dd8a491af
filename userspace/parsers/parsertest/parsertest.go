// Package parsertest holds parsers to their contract.
//
// A test writes down what happens on one flow as a [Script] and which messages
// are to come of it; [Run] plays the script whole, cut in two at every byte, byte
// by byte and cut at random, and wants the same messages at the same packet times
// each time. Every chunk is overwritten after the call, so a parser that keeps a
// slice is found out. [Garbage] does the same to damaged scripts, [Bounded] weighs
// what a parser holds on to, [Probe] tries a protocol's probe on every prefix.
//
//	parsertest.Run(t, parsers.Of[pfx.Parser](), parsertest.Script{
//		parsertest.Initiator("PFX2\x00\x05hello"),
//		parsertest.Fin(flow.Initiator),
//	}, `{"side":"initiator","kind":"frame","pfx":{"length":5}}`)
package parsertest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A Factory makes the parser of one flow; parsers.Protocol.NewSession is one.
type Factory = func(flow.Key) parsers.SessionParser

const (
	maxCuts    = 500 // positions at which a script is cut in two
	randomCuts = 32
	damages    = 200     // damaged copies of a script that Garbage plays
	weighed    = 16      // parsers that Bounded feeds at once
	garbageMax = 1 << 20 // bytes a parser may hold after garbage
)

// Run plays the script in one piece and in all ways of cutting it, and fails the
// test unless each gives the lines wanted (see [Recorder.Lines]), no more and no
// less, and the parser keeps its contract.
func Run(t testing.TB, newParser Factory, s Script, want ...string) {
	t.Helper()
	got := Lines(t, newParser, s)
	if !slices.Equal(got, want) {
		t.Errorf("script %v\n got  %s\n want %s", s, list(got), list(want))
	}
}

// Lines is Run for tests that look at the lines themselves: it returns those of
// the uncut script.
func Lines(t testing.TB, newParser Factory, s Script) []string {
	t.Helper()
	r, err := conform(newParser, s)
	if err != nil {
		t.Error(err)
	}
	return r.Lines()
}

// Play plays the script once, uncut, and returns what came of it.
func Play(t testing.TB, newParser Factory, s Script) *Recorder {
	t.Helper()
	r, err := play(newParser, s.clock())
	if err != nil {
		t.Error(err)
	}
	return r
}

// RunDatagrams plays a script whose feeds are whole datagrams and compares the
// lines.
func RunDatagrams(t testing.TB, newParser func(flow.Key) parsers.DatagramParser, s Script, want ...string) {
	t.Helper()
	var r Recorder
	if err := r.datagrams(newParser(r.Key), s.clock()); err != nil {
		t.Error(err)
	}
	if got := r.Lines(); !slices.Equal(got, want) {
		t.Errorf("script %v\n got  %s\n want %s", s, list(got), list(want))
	}
}

// Garbage plays damaged copies of the script (bytes changed, dropped, doubled, or
// noise from the start), each whole and cut at random: no panic, the same messages
// each time, and no more than 1 MiB held.
func Garbage(t testing.TB, newParser Factory, s Script) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range damages {
		bad := damage(rng, s)
		if err := garbage(rng, newParser, bad); err != nil {
			t.Fatalf("damaged script %d: %v: %v", i, bad, err)
		}
	}
	Bounded(t, newParser, garbageMax, damage(rng, s))
}

// Bounded plays the script to several parsers at once and fails the test if they
// hold more than limit bytes each when it is over, messages aside. End the script
// where the parser has to hold the most.
func Bounded(t testing.TB, newParser Factory, limit int, s Script) {
	t.Helper()
	if held := weigh(newParser, s); held > limit {
		t.Errorf("parser holds %d bytes after %d fed, want at most %d", held, fed(s.clock()), limit)
	}
}

// Cut returns the script with its data cut at random places. The pieces of a step
// count as packets of their own.
func Cut(s Script, rng *rand.Rand) Script {
	whole := s.clock()
	var pieces Script
	for _, st := range cut(whole, randomPositions(rng, fed(whole))) {
		pieces = append(pieces, st.Step)
	}
	return pieces
}

// Probe gives every prefix of data to the protocol's probe. It wants More until
// the probe knows, then the same answer for every longer prefix, the last of them
// being want.
func Probe(t testing.TB, p parsers.Protocol, side flow.Side, data string, want parsers.Result) {
	t.Helper()
	known := parsers.More
	for n := 1; n <= len(data); n++ {
		got := p.Probe(side, []byte(data[:n]))
		if known != parsers.More && got != known {
			t.Errorf("Probe(%v, %q) = %v after %v", side, data[:n], resultName(got), resultName(known))
		}
		known = got
	}
	if known != want {
		t.Errorf("Probe(%v, %q) = %v, want %v", side, data, resultName(known), resultName(want))
	}
}

func resultName(r parsers.Result) string { return [...]string{"No", "Yes", "More"}[r] }

// play plays timed steps to a new parser.
func play(newParser Factory, steps []timed) (*Recorder, error) {
	var r Recorder
	err := r.session(newParser(r.Key), steps)
	return &r, err
}

// conform plays the script whole and cut, and returns the first difference.
func conform(newParser Factory, s Script) (*Recorder, error) {
	whole := s.clock()
	want, err := play(newParser, whole)
	if err != nil {
		return want, err
	}
	total := fed(whole)
	for at := 1; at < total; at += 1 + total/maxCuts {
		if err := same(newParser, whole, []int{at}, want); err != nil {
			return want, err
		}
	}
	rng := rand.New(rand.NewPCG(uint64(total), 1))
	for range randomCuts {
		if err := same(newParser, whole, randomPositions(rng, total), want); err != nil {
			return want, err
		}
	}
	return want, same(newParser, whole, everyPosition(total), want)
}

// garbage is conform with a few random cuts only.
func garbage(rng *rand.Rand, newParser Factory, s Script) error {
	whole := s.clock()
	want, err := play(newParser, whole)
	if err != nil {
		return err
	}
	for range 3 {
		if err := same(newParser, whole, randomPositions(rng, fed(whole)), want); err != nil {
			return err
		}
	}
	return same(newParser, whole, everyPosition(fed(whole)), want)
}

// same plays the steps cut at the positions and compares with want.
func same(newParser Factory, whole []timed, at []int, want *Recorder) error {
	got, err := play(newParser, cut(whole, at))
	if err != nil {
		return fmt.Errorf("cut at %s: %w", positions(at), err)
	}
	if g, w := got.stamped(), want.stamped(); !slices.Equal(g, w) {
		return fmt.Errorf("cut at %s the messages differ\n got  %s\n want %s", positions(at), list(g), list(w))
	}
	return nil
}

// stamped returns the lines with their packet times.
func (r *Recorder) stamped() []string {
	lines := r.Lines()
	for i, m := range r.Messages {
		lines[i] = m.Time.String() + " " + lines[i]
	}
	return lines
}

// cut cuts the data of steps at positions of the script's bytes, in order.
func cut(steps []timed, at []int) []timed {
	var pieces []timed
	pos := 0
	for _, st := range steps {
		end := pos + len(st.Data)
		for len(at) > 0 && at[0] < end {
			if n := at[0] - pos; n > 0 {
				head := st
				head.Data, st.Data = st.Data[:n], st.Data[n:]
				pieces, pos = append(pieces, head), at[0]
			}
			at = at[1:]
		}
		pieces, pos = append(pieces, st), end
	}
	return pieces
}

func everyPosition(total int) []int {
	at := make([]int, total)
	for i := range at {
		at[i] = i
	}
	return at
}

// randomPositions returns between none and total/2 positions, in order.
func randomPositions(rng *rand.Rand, total int) []int {
	if total == 0 {
		return nil
	}
	at := make([]int, rng.IntN(1+min(total/2, 1<<rng.IntN(12))))
	for i := range at {
		at[i] = rng.IntN(total)
	}
	slices.Sort(at)
	return at
}

// damage returns a damaged copy of the script.
func damage(rng *rand.Rand, s Script) Script {
	bad := slices.Clone(s)
	for i := range bad {
		if b := []byte(bad[i].Data); len(b) > 0 && rng.IntN(2) == 0 {
			bad[i].Data = string(damageBytes(rng, b))
		}
	}
	return bad
}

func damageBytes(rng *rand.Rand, b []byte) []byte {
	i := rng.IntN(len(b))
	j := i + rng.IntN(len(b)-i)
	switch rng.IntN(5) {
	case 0:
		b[i] = byte(rng.Uint32())
	case 1:
		b[i] ^= 1 << rng.IntN(8)
	case 2:
		b = slices.Delete(b, i, j)
	case 3:
		b = slices.Insert(b, i, b[i:j]...)
	case 4:
		for k := range b {
			b[k] = byte(rng.Uint32())
		}
	}
	return b
}

// weighings is how often a parser is weighed: what others do to the heap meanwhile can
// only add, so the least counts.
const weighings = 5

// weigh returns the bytes one parser holds after the script.
func weigh(newParser Factory, s Script) int {
	chunks := chop(s.clock(), 1400)
	least := weighOnce(newParser, chunks)
	for range weighings - 1 {
		least = min(least, weighOnce(newParser, chunks))
	}
	return least
}

func weighOnce(newParser Factory, chunks []timed) int {
	before := heap()
	held := grow(newParser, chunks)
	after := heap()
	runtime.KeepAlive(held)
	runtime.KeepAlive(chunks)
	return max(0, int(after)-int(before)) / weighed
}

// grow plays steps to some parsers and returns them.
func grow(newParser Factory, steps []timed) any {
	var held [weighed]struct {
		p parsers.SessionParser
		r Recorder
	}
	for i := range held {
		h := &held[i]
		h.p = newParser(h.r.Key)
		for _, st := range steps {
			_ = guard(st, func() error { return h.r.step(h.p, st) }) // panics are Garbage's to tell
			h.r.Messages = nil
			h.r.Rest = [2]string{}
		}
	}
	return &held
}

// chop cuts steps into chunks of at most n bytes.
func chop(steps []timed, n int) []timed {
	var at []int
	for i := n; i < fed(steps); i += n {
		at = append(at, i)
	}
	return cut(steps, at)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // empties the pools too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func list(lines []string) string { return strings.Join(append([]string{""}, lines...), "\n   ") }

// positions shows where a script was cut; a long list is cut itself.
func positions(at []int) string {
	if len(at) > 20 {
		return fmt.Sprintf("%v and %d more", at[:20], len(at)-20)
	}
	return fmt.Sprint(at)
}
