package reassembly

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A cut is one segment of a stream to be sent.
type cut struct{ from, to int }

// drawCuts cuts n bytes into segments, repeats and widens some, and reorders them
// no further than span places.
func drawCuts(t *rapid.T, n, span int) []cut {
	var l []cut
	for at := 0; at < n; {
		to := min(n, at+rapid.IntRange(1, 200).Draw(t, "size"))
		l = append(l, cut{at, to})
		switch rapid.IntRange(0, 5).Draw(t, "more") {
		case 0:
			l = append(l, cut{at, to})
		case 1:
			l = append(l, cut{max(0, at-rapid.IntRange(0, 300).Draw(t, "back")), to})
		}
		at = to
	}
	for i := range l {
		j := min(len(l)-1, i+rapid.IntRange(0, span).Draw(t, "swap"))
		l[i], l[j] = l[j], l[i]
	}
	return l
}

// TestCutDuplicateReorder: however a stream is cut, repeated and reordered, the
// same bytes come out, whatever the policy (properties P1 to P4).
func TestCutDuplicateReorder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := make([]byte, rapid.IntRange(1, 3000).Draw(t, "length"))
		for i := range text {
			text[i] = byte(i*7 + i>>8)
		}
		isn := rapid.SampledFrom(isns).Draw(t, "isn")
		sh := NewShared(Options{Overlap: rapid.SampledFrom(policies).Draw(t, "policy")})
		var out recorder
		var a Assembler
		send := func(flags flow.TCPFlags, from int, data []byte) {
			s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flags, Seq: isn + flow.Seq(from)}}
			s.Data = bytes.Clone(data)
			s.Len = len(data)
			a.Segment(sh, flow.Initiator, &s, &out)
			clear(s.Data)
			checkStream(t, sh, &a.stream[0])
		}
		send(flow.SYN, 0, nil)
		for _, c := range drawCuts(t, len(text), 20) {
			send(flow.ACK, 1+c.from, text[c.from:c.to])
		}
		send(flow.ACK|flow.FIN, 1+len(text), nil)
		if !bytes.Equal(out.data[0], text) || out.gaps[0] != 0 {
			t.Fatalf("got %d bytes and %d missing, want %d", len(out.data[0]), out.gaps[0], len(text))
		}
		if got := fmt.Sprint(out.ends[0]); got != "[fin]" {
			t.Fatalf("ends %v, want one fin", got)
		}
		a.Close(sh, flow.EndFIN, 0, &out)
		var st flow.SideStats
		a.Stats(flow.Initiator, &st)
		if st.StreamBytes != uint64(len(text)) || st.OverlapConflictBytes != 0 {
			t.Fatalf("stats %+v", st)
		}
	})
}

// TestUsualIsGeneral gives the same packets to an assembler and to one that never
// takes the short ways: everything comes out alike.
func TestUsualIsGeneral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{Cap: rapid.IntRange(100, 5000).Draw(t, "cap")}
		shs := [2]*Shared{NewShared(o), NewShared(o)}
		var as [2]Assembler
		var outs [2]recorder
		now := flow.Timestamp(0)
		next := [2]int{}
		send := func(side flow.Side, flags flow.TCPFlags, off, n int) {
			for i := range as {
				s := flow.Segment{Time: now, Len: n, Data: pattern(int64(off), int64(off+n), false)}
				s.Seq, s.Flags, s.Window = flow.Seq(off), flags, 65535
				s.Ack = flow.Seq(next[side.Other()])
				if i == 0 {
					as[i].Segment(shs[i], side, &s, &outs[i])
				} else {
					as[i].general(shs[i], side, &s, &outs[i])
				}
			}
		}
		send(flow.Initiator, flow.SYN, 0, 0)
		next[0] = 1
		send(flow.Responder, flow.SYN|flow.ACK, 0, 0)
		next[1] = 1
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			side := flow.Side(rapid.IntRange(0, 1).Draw(t, "side"))
			if rapid.IntRange(0, 19).Draw(t, "unwanted") == 0 {
				for i := range as {
					as[i].SkipSide(shs[i], side, &outs[i])
				}
			}
			n := rapid.IntRange(0, 100).Draw(t, "n")
			skip := rapid.SampledFrom([]int{0, 0, 0, 10, 50, -10}).Draw(t, "skip")
			now = now.Add(100 * time.Millisecond * rapid.SampledFrom([]time.Duration{0, 0, 1, 3}).Draw(t, "wait"))
			send(side, flow.ACK, max(1, next[side]+skip), n)
			if skip > 0 && rapid.Bool().Draw(t, "fill") {
				send(side, flow.ACK, next[side], skip)
			}
			next[side] = max(next[side], next[side]+skip+n)
		}
		for i := range as {
			as[i].Close(shs[i], flow.EndOfInput, now, &outs[i])
		}
		if got, want := outs[0].String(), outs[1].String(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if !reflect.DeepEqual(outs[0].anomalies, outs[1].anomalies) {
			t.Fatalf("got %+v, want %+v", outs[0].anomalies, outs[1].anomalies)
		}
		for side := flow.Initiator; side <= flow.Responder; side++ {
			var got, want flow.SideStats
			as[0].Stats(side, &got)
			as[1].Stats(side, &want)
			if got != want {
				t.Fatalf("%v: got %+v, want %+v", side, got, want)
			}
		}
	})
}

// general is Segment without the short ways.
func (a *Assembler) general(sh *Shared, side flow.Side, s *flow.Segment, sink Sink) {
	o := op{a: a, sh: sh, sink: sink, now: s.Time}
	o.begin()
	o.segment(side, s)
	o.end(side)
}
