package reassembly

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestGapRules is the table of SEMANTICS.md §5.5: what has come out at the end of
// each script, with the flow still open.
func TestGapRules(t *testing.T) {
	const hole = "S <SA A 1:abc 7:ghi " // 4 to 6 are missing
	const gap = `"abc" gap(3) "ghi"`
	acks := func(n int) string { return strings.Repeat("ack=10 <A ", n) }
	oneSided := func(n, size int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d:%s ", 7+i*size, strings.Repeat("g", size))
		}
		return b.String()
	}
	tests := []struct {
		name, script, want string
		opt                Options
	}{
		{"acked, two packets since", hole + "ack=10 <A +50ms " + acks(2), `"abc"`, Options{}},
		{"acked, three packets since", hole + "ack=10 <A +50ms " + acks(3), gap, Options{}},
		{"acked, three packets within 50 ms", hole + "ack=10 <A +49999us " + acks(3), `"abc"`, Options{}},
		{"acked, then 50 ms", hole + "ack=10 <A +49999us " + acks(3) + "+1us " + acks(1), gap, Options{}},
		{"acked, packets of either side count", hole + "ack=10 <A +50ms 10:j 11:k 12:l", `"abc" gap(3) "ghijkl"`, Options{}},
		{"acked, then it comes", hole + "ack=10 <A +50ms " + acks(2) + "4:def", `"abcdefghi"`, Options{}},
		{"acked, no grace", hole + acks(1), gap, Options{Grace: -1}},
		{"acked before what lies beyond came", "S <SA A 1:abc ack=10 <A +60ms " + acks(3) + "7:ghi", `"abc"`, Options{}},
		{"acked before it, and a grace on", "S <SA A 1:abc ack=10 <A 7:ghi +50ms " + acks(3), gap, Options{}},
		{"acked in part", hole + "ack=6 <A +60ms ack=6 <A ack=6 <A ack=6 <A", `"abc"`, Options{}},
		{"not acked", hole + "+29999ms ack=4 <A", `"abc"`, Options{}},
		{"not acked for 30 s", hole + "+30s ack=4 <A", gap, Options{}},
		{"ack of a reset", hole + "ack=10 <RA +60ms ack=4 <A ack=4 <A ack=4 <A", `"abc"`, Options{Grace: -1}},
		{"one side, 63 segments", "S 1:abc " + oneSided(63, 1), `"abc"`, Options{}},
		{"one side, 64 segments", "S 1:abc " + oneSided(64, 1), `"abc" gap(3) "` + strings.Repeat("g", 64) + `"`, Options{}},
		{"one side, 256 KiB", "S 1:abc " + oneSided(8, 32<<10), `"abc" gap(3) "` + strings.Repeat("g", 256<<10) + `"`, Options{}},
		{"one side, less than 1 s", "S 1:abc 7:ghi +999ms 10:j", `"abc"`, Options{}},
		{"one side, 1 s", "S 1:abc 7:ghi +1s 10:j", `"abc" gap(3) "ghij"`, Options{}},
		{"one side, progress counts", "S 1:abc 7:ghi +900ms 4:d +900ms 10:j", `"abcd"`, Options{}},
		{"capture loss", "S <SA A 1:abc lost:4:3 7:ghi", `"abc" capgap(3) "ghi"`, Options{}},
		{"capture loss behind a hole", "S <SA A 1:abc lost:6:1 7:ghi", `"abc"`, Options{}},
		{"both, split", "S <SA A 1:abc lost:6:1 7:ghi ack=10 <A +50ms " + acks(3), `"abc" gap(2) capgap(1) "ghi"`, Options{}},
		{"two holes, one ack", hole + "13:mno ack=16 <A +50ms ack=16 <A ack=16 <A ack=16 <A", gap + ` gap(3) "mno"`, Options{}},
		{"cap", "S <SA A 1:abc 7:ghi 13:mno", gap, Options{Cap: 5}},
		{"runs", "S <SA A 1:abc 7:g 9:i 11:k", `"abc" gap(3) "g"`, Options{MaxRuns: 2}},
		{"no limits", "S <SA A 1:abc 7:g 9:i 11:k", `"abc"`, Options{Cap: -1, MaxRuns: -1}},
		{"fin behind a hole", hole + "10:/FA +30s ack=4 <A", gap + " fin", Options{}},
		{"both directions", "S <SA A 4:def <4:xyz +30s A", `gap(3) <gap(3) "def" <"xyz"`, Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				newConn(t, isn, tt.opt).run(tt.script).want(tt.want)
			}
		})
	}
}

// TestACKZero: an ACK number left at zero is no acknowledgment when it would be far
// ahead, and one when it is near.
func TestACKZero(t *testing.T) {
	far := newConn(t, 1<<31+1000, Options{Grace: -1}).run("S <SA A 1:abc 7:ghi")
	near := newConn(t, 1<<32-100, Options{Grace: -1}).run("S <SA A 1:abc 7:ghi")
	for c, want := range map[*conn]string{far: `"abc"`, near: `"abc" gap(3) "ghi"`} {
		s := flow.Segment{TCPHeader: flow.TCPHeader{Seq: c.isn[1] + 1, Flags: flow.ACK}}
		c.a.Segment(c.sh, flow.Responder, &s, &c.out)
		c.want(want)
	}
}

// TestSteadyLoss: with a hole in every round trip none waits longer than two graces.
func TestSteadyLoss(t *testing.T) {
	c := newConn(t, 1, Options{}).open()
	for i := range 200 { // a segment of 2 bytes each 10 ms, every fifth lost
		if i%5 != 3 {
			c.run(fmt.Sprintf("%d:xy", 1+2*i))
		}
		c.run(fmt.Sprintf("ack=%d <A +10ms", 1+2*i))
		if lag := int64(2*i) - c.a.stream[0].next; lag > 2*12 {
			t.Fatalf("%d bytes behind after segment %d", lag, i)
		}
	}
}

// TestOldHole: what fills after 200 ms was lost before the capture point.
func TestOldHole(t *testing.T) {
	for script, want := range map[string]string{
		"7:ghi +199ms 4:def":                "map[late:1]",
		"7:ghi +200ms 4:def":                "map[again:1 againBytes:3]",
		"7:ghi +200ms 4:de 6:f":             "map[again:2 againBytes:3]",
		"7:ghi +150ms 5:e +100ms 4:d +1s A": "map[again:1 againBytes:1 late:1]",
		"7:ghi +150ms 10:j +100ms 4:defg":   "map[again:1 againBytes:4]",
	} {
		c := newConn(t, 9, Options{}).open().run("1:abc " + script)
		if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != want {
			t.Errorf("%s: got %s, want %s", script, got, want)
		}
	}
}

// TestClasses counts what rows 7 to 13 of SEMANTICS.md §5.3 count.
func TestClasses(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"in order", "1:abc 4:def", "map[]"},
		{"spurious", "1:abc ack=4 <A 1:abc", "map[again:1 againBytes:3 spurious:1]"},
		{"not acked yet", "1:abc 1:abc", "map[again:1 againBytes:3]"},
		{"spurious in part is not", "1:abcd ack=4 <A 1:abcd", "map[again:1 againBytes:4]"},
		{"duplicate of held", "4:def 4:def", "map[again:1 againBytes:3]"},
		{"part of held", "4:def 5:e", "map[again:1 againBytes:1]"},
		{"partly delivered", "1:abc 2:bcde", "map[again:1 againBytes:2]"},
		{"partly held, partly ahead", "4:def 5:efgh", "map[again:1 againBytes:2]"},
		{"late and old", "1:ab 5:e 2:bcde", "map[again:1 againBytes:2 late:1]"},
		{"late", "4:def 1:abc", "map[late:1]"},
		{"late fills part", "7:ghi 4:de", "map[late:1]"},
		{"late and ahead", "4:d 1:abcdef", "map[again:1 againBytes:1 late:1]"},
		{"ahead is not counted", "4:def 9:x", "map[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newConn(t, 1<<32-2, Options{}).open().run(tt.script)
			if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			c.close("")
		})
	}
}
