package reassembly

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// counts is a side's counters by short name, the zero ones left out.
type counts map[string]uint64

func countsOf(st flow.SideStats) counts {
	c := counts{
		"missed": st.MissedBytes, "lost": st.CaptureMissedBytes, "skipped": st.SkippedBytes, "urgent": st.UrgentBytes,
		"again": st.RetransmittedSegments, "againBytes": st.RetransmittedBytes, "spurious": st.SpuriousRetransmissions,
		"late": st.OutOfOrderSegments, "outside": st.OutOfWindowSegments, "dropped": st.ReassemblyDroppedSegments,
		"oversize": st.ReassemblyDroppedOversizeBytes, "conflict": st.OverlapConflictBytes, "noACK": st.NullFlagSegments,
		"oldStamp": st.OldTimestampSegments, "rstData": st.RSTDataBytes, "keepalive": st.Keepalives, "probe": st.ZeroWindowProbes,
	}
	maps.DeleteFunc(c, func(_ string, n uint64) bool { return n == 0 })
	return c
}

// TestEvasion has one case for each way to make a sensor read another stream than
// the receiver does. The comment says what the answer is and why.
func TestEvasion(t *testing.T) {
	tests := []struct {
		name, script, want string
		counts             counts // of the initiator
		opt                Options
	}{
		// A forged SYN first: the SYN+ACK says which number the peer took.
		{"syn with another isn first", "5000:/S S ack=1 <SA A 1:abc", `"abc"`, nil, Options{}},
		// A forged SYN after: the stream stays where the handshake put it.
		{"syn with another isn later", "S <SA A 9000:/S 1:abc", `"abc"`, nil, Options{}},
		// A storm of SYNs: four numbers are remembered, the real one among them.
		{"syn storm", "S 50:/S 60:/S 70:/S 80:/S 90:/S ack=1 <SA A 1:abc", `"abc"`, nil, Options{}},
		// Nobody acknowledged any of them: the first byte sent decides.
		{"syn storm, one side", "70:/S 60:/S S 1:abc", `"abc"`, nil, Options{}},
		// A forged SYN+ACK first: the final ACK chooses the real one.
		{"syn-ack with another isn", "S <700000:/SA <SA ack=1 A 1:ab <1:xyz", `"ab" <"xyz"`, nil, Options{}},
		// Only a forged SYN was seen and the data lies farther off than any window.
		{"syn of another stream", "S <SA A 2000000001:abc 2000000004:d", `"abcd"`, nil, Options{}},
		// Data in a SYN that the peer acknowledged is the start of the stream.
		{"fast open accepted", "0:abc/S ack=4 <SA A 4:def", `"abcdef"`, nil, Options{}},
		// Not acknowledged: dropped, and no retransmission when sent again.
		{"fast open refused", "0:abc/S ack=1 <SA A 1:abc 4:def", `"abcdef"`, nil, Options{}},
		// A refused SYN with other bytes than those sent later must not win.
		{"fast open refused, other data", "0:XXX/S ack=1 <SA A 1:abcd", `"abcd"`, nil, Options{}},
		// The peer took only part of it.
		{"fast open in part", "0:abcd/S ack=3 <SA A 3:cd", `"abcd"`, nil, Options{}},
		// Only the opener is captured: going on behind the data means it was taken.
		{"fast open, one side, accepted", "0:abc/S 4:def", `"abcdef"`, nil, Options{}},
		{"fast open, one side, refused", "0:abc/S 1:abcdef", `"abcdef"`, nil, Options{}},
		{"fast open, never answered", "0:abc/S close", `"abc" end_of_input <end_of_input`, nil, Options{}},
		// A SYN inside the stream changes nothing; its payload is no data.
		{"syn in established", "S <SA A 1:abc 4:zzz/S 4:def", `"abcdef"`, counts{"dropped": 1}, Options{}},
		{"handshake syn again with data", "S <SA A 1:abc 0:abc/S 4:d", `"abcd"`, counts{"again": 1, "againBytes": 3}, Options{}},
		// RST payload is a diagnostic text, never data; whether the RST counts is the tracker's to say.
		{"rst with data", "S <SA A 1:abc 4:why/RA close=rst", `"abc" rst <rst`, counts{"rstData": 3}, Options{}},
		{"rst, then data", "S <SA A 1:abc 4:/R close=rst 4:def", `"abc" rst <rst`, nil, Options{}},
		{"rst outside, then data", "S <SA A 1:abc 99999:/R 4:def", `"abcdef"`, nil, Options{}},
		// A FIN below what was delivered is old; one outside the window is nothing.
		{"fin early", "S <SA A 1:abc 2:/FA 4:def close", `"abcdef" end_of_input <end_of_input`, nil, Options{}},
		{"fin outside window", "S <SA A 1:abc 900000:/FA 4:def close", `"abcdef" end_of_input <end_of_input`, counts{"outside": 1}, Options{}},
		// The first FIN rules, as a stack that queued it honours it.
		{"fin repeated", "S <SA A 1:abc 4:/FA 4:/FA 9:/FA close", `"abc" fin <end_of_input`, nil, Options{}},
		{"fin ahead, then data beyond", "S <SA A 4:/FA 5:xyz 1:abc close", `"abc" fin <end_of_input`, counts{"dropped": 1}, Options{}},
		{"fin out of order", "S <SA A 4:de/FA 1:abc", `"abcde" fin`, counts{"late": 1}, Options{}},
		// One byte below max that the peer has: a question, not a retransmission.
		{"keepalive without data", "S <SA A 1:abc ack=4 <A 3:/A", `"abc"`, counts{"keepalive": 1}, Options{}},
		{"keepalive with a byte", "S <SA A 1:abc ack=4 <A 3:Z 4:d", `"abcd"`, counts{"keepalive": 1}, Options{}},
		// The same packet before the peer has the byte is a retransmission.
		{"no keepalive", "S <SA A 1:abc 3:c", `"abc"`, counts{"again": 1, "againBytes": 1}, Options{}},
		// Probes of a closed window carry data; the byte counts once.
		{"zero-window probe", "S <SA A 1:abc ack=4 win=0 <A 4:d 4:d ack=5 win=9 <A 5:e", `"abcde"`, counts{"probe": 2}, Options{}},
		{"zero-window probe with another byte", "S <SA A 1:abc win=0 ack=4 <A 4:d 4:X", `"abcd"`,
			counts{"probe": 1, "again": 1, "againBytes": 1}, Options{}},
		// Neither SYN, ACK nor RST: no stack takes that after a handshake.
		{"no-ack chaff", "S <SA A 1:abc 4:XXX/P 4:def", `"abcdef"`, counts{"noACK": 1, "dropped": 1}, Options{}},
		{"no-ack fin", "S <SA A 1:abc 4:/F 4:def", `"abcdef"`, counts{"noACK": 1}, Options{}},
		{"no-ack without handshake", "1:abc/P 4:d/P", `"abcd"`, nil, Options{}},
		// Old timestamp: dropped only where the window speaks against it too, or if asked.
		{"old timestamp in window", "ts=10 S ts=9 <SA ts=20 1:abc ts=5 7:GGG ts=21 4:def", `"abcdefGGG"`, counts{"late": 1}, Options{}},
		{"old timestamp outside window", "ts=10 S ts=9 win=10 <SA ts=20 1:abc ts=5 90:GGG ts=21 4:def", `"abcdef"`,
			counts{"oldStamp": 1, "dropped": 1}, Options{}},
		{"old timestamp, strict", "ts=10 S ts=9 <SA ts=20 1:abc ts=5 4:XXX ts=21 4:def", `"abcdef"`,
			counts{"oldStamp": 1, "dropped": 1}, Options{PAWS: PAWSStrict}},
		{"old timestamp after 25 days", "ts=10 S ts=9 <SA ts=20 1:abc +600h ts=5 4:def", `"abcdef"`, nil, Options{PAWS: PAWSStrict}},
		{"timestamp not negotiated", "ts=10 S <SA ts=20 1:abc ts=5 4:def", `"abcdef"`, nil, Options{PAWS: PAWSStrict}},
		{"timestamp zero", "ts=10 S ts=9 <SA ts=20 1:abc ts=0 4:def", `"abcdef"`, nil, Options{PAWS: PAWSStrict}},
		{"timestamp wraps", "ts=4294967290 S ts=9 <SA ts=4294967295 1:abc ts=3 4:def", `"abcdef"`, nil, Options{PAWS: PAWSStrict}},
		{"old timestamp, off", "ts=10 S ts=9 win=10 <SA ts=20 1:abc ts=5 90:GGG close", `"abc" gap(86) "GGG" end_of_input <end_of_input`,
			counts{"missed": 86}, Options{PAWS: PAWSOff}},
		// Gaps wherever they are.
		{"gap first", "S <SA A 4:def close", `gap(3) "def" end_of_input <end_of_input`, counts{"missed": 3}, Options{}},
		{"gap last", "S <SA A 1:abc 7:/FA close", `"abc" gap(3) fin <end_of_input`, counts{"missed": 3}, Options{}},
		{"gap at fin with data", "S <SA A 1:abc 7:gh/FA close", `"abc" gap(3) "gh" fin <end_of_input`, counts{"missed": 3}, Options{}},
		// Urgent data: the byte before the pointer is out of band, as on Linux; 0 means the first.
		{"urgent 0", "S <SA A urg=0 1:abc/PAU", `"bc"`, counts{"urgent": 1}, Options{}},
		{"urgent 1", "S <SA A urg=1 1:abc/PAU", `"bc"`, counts{"urgent": 1}, Options{}},
		{"urgent n", "S <SA A urg=3 1:abc/PAU 4:d", `"abd"`, counts{"urgent": 1}, Options{}},
		{"urgent beyond", "S <SA A urg=5 1:abc/PAU 4:def", `"abcdf"`, counts{"urgent": 1}, Options{}},
		{"urgent without payload", "S <SA A urg=2 1:/AU 1:abc", `"ac"`, counts{"urgent": 1}, Options{}},
		{"urgent queued", "S <SA A urg=1 4:def/PAU 1:abc", `"abcef"`, counts{"urgent": 1, "late": 1}, Options{}},
		{"urgent delivered already", "S <SA A 1:abc urg=2 1:abc/PAU 4:d", `"abcd"`, counts{"again": 1, "againBytes": 3}, Options{}},
		{"urgent inline", "S <SA A urg=2 1:abc/PAU", `"abc"`, nil, Options{Urgent: UrgentInline}},
		{"urgent drop", "S <SA A urg=2 1:abc/PAU 4:d", `"d"`, counts{"urgent": 3}, Options{Urgent: UrgentDrop}},
		{"urgent gap", "S <SA A urg=2 1:abc/PAU 4:d", `capgap(3) "d"`, counts{"lost": 3}, Options{Urgent: UrgentGap}},
		// Far ahead of what the peer allows: chaff, or a window that was never opened.
		{"out of window", "S <SA A 1:abc 131200:ZZZ 4:def", `"abcdef"`, counts{"outside": 1, "dropped": 1}, Options{}},
		{"in twice the window", "S <SA A 1:abc 131000:ZZZ 4:def close", `"abcdef" gap(130993) "ZZZ" end_of_input <end_of_input`,
			counts{"missed": 130993, "late": 1}, Options{}},
		{"before the syn", "S <SA A -9:ZZZ 1:abc", `"abc"`, counts{"outside": 1, "dropped": 1}, Options{}},
		{"two gigabytes off", "S <SA A 1:abc 2147483647:Z -2147483644:Z 4:d", `"abcd"`, counts{"outside": 2, "dropped": 2}, Options{}},
		// Window scale: 15 counts as 14 (RFC 7323 §2.3); without both SYNs offering it, it is off.
		{"scale 14", "ws=0 S ws=14 <SA win=20 <A 600000:Z close", `gap(599999) "Z" end_of_input <end_of_input`, counts{"missed": 599999}, Options{}},
		{"scale 15", "ws=0 S ws=15 <SA win=20 <A 700000:Z close", `end_of_input <end_of_input`, counts{"outside": 1, "dropped": 1}, Options{}},
		{"scale not offered by one", "S ws=14 <SA win=20 <A 200000:Z close", `end_of_input <end_of_input`, counts{"outside": 1, "dropped": 1}, Options{}},
		{"scale not seen", "<A 1:abc 900000:Z close", `"abc" gap(899996) "Z" end_of_input <end_of_input`, counts{"missed": 899996}, Options{}},
		// The clock of a capture may stand still, jump or go back.
		{"clock back", "S <SA A +10s 1:abc +-20s 7:ghi +-5s 4:def", `"abcdefghi"`, counts{"late": 1}, Options{}},
		{"clock jumps", "S <SA A 1:abc 7:ghi +10000h 4:def", `"abcdefghi"`, counts{"again": 1, "againBytes": 3}, Options{}},
		// Mid-stream: the first payload byte seen is offset 0.
		{"midstream", "500:abc 503:def <700:xyz", `"abcdef" <"xyz"`, nil, Options{}},
		{"midstream, older data after", "500:abc 490:zz 503:def", `"abcdef"`, counts{"again": 1, "againBytes": 2}, Options{}},
		{"midstream, fin first", "506:/FA 500:abc 503:def", `"abcdef" fin`, nil, Options{}},
		{"midstream, syn later", "1:abc S 4:def", `"abcdef"`, nil, Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, tt.opt).run(tt.script)
				if got, want := fmt.Sprint(countsOf(c.stats(flow.Initiator))), fmt.Sprint(tt.counts); got != want {
					t.Errorf("isn %d: counts %s, want %s", isn, got, want)
				}
				c.want(tt.want)
				c.close("")
			}
		})
	}
}

// TestOneByteSegments sends a stream a byte at a time, forward, backward and at
// random: it reads the same.
func TestOneByteSegments(t *testing.T) {
	const n = 250
	text := pattern(0, n, false)
	for name, at := range map[string]func(i int) int{
		"forward": func(i int) int { return i },
		"reverse": func(i int) int { return n - 1 - i },
		"random":  func(i int) int { return rand.New(rand.NewPCG(1, 2)).Perm(n)[i] },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConn(t, 1<<32-100, Options{}).open()
			for i := range n {
				c.run(fmt.Sprintf("%d:%c", at(i)+1, text[at(i)]))
			}
			if got := string(c.out.data[flow.Initiator]); got != string(text) {
				t.Errorf("got %q, want %q", got, text)
			}
			c.close("")
		})
	}
}

// TestEverySecondByte holds one byte at every second offset: at the limit of runs
// the holes are given up from the front, and nothing received is dropped.
func TestEverySecondByte(t *testing.T) {
	c := newConn(t, 5, Options{}).open()
	const n = 2000
	for i := range n {
		c.run(fmt.Sprintf("%d:x", 2+2*i))
	}
	c.close("")
	st := c.stats(flow.Initiator)
	if st.StreamBytes != n || st.MissedBytes != n || st.ReassemblyHighWatermark > DefaultMaxRuns {
		t.Errorf("got %d bytes, %d missed, peak %d", st.StreamBytes, st.MissedBytes, st.ReassemblyHighWatermark)
	}
	if !strings.Contains(fmt.Sprint(kinds(&c.out)), "buffer_overflow") {
		t.Error("the overflow was not reported")
	}
}

func kinds(r *recorder) (l []string) {
	for _, a := range r.anomalies {
		l = append(l, a.Kind.String())
	}
	return l
}

// TestFourGigabytes lets sequence numbers wrap more than once.
func TestFourGigabytes(t *testing.T) {
	var out counter
	sh := NewShared(Options{})
	var a Assembler
	s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Seq: 1<<32 - 11, Window: 65535}}
	a.Segment(sh, flow.Initiator, &s, &out)
	const size, total = 60_000, 9 << 30
	s = flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK}, Len: size, Data: make([]byte, size)}
	n := int64(0)
	for ; n < total; n += 2 * size {
		for _, off := range [2]int64{n + size, n} { // each pair swapped
			s.Seq = flow.Seq(uint32(1<<32 - 10 + off))
			a.Segment(sh, flow.Initiator, &s, &out)
		}
	}
	a.Close(sh, flow.EndOfInput, 0, &out)
	var st flow.SideStats
	a.Stats(flow.Initiator, &st)
	if out.bytes != n || out.gaps != 0 || st.StreamBytes != uint64(n) {
		t.Errorf("got %d bytes and %d missing of %d", out.bytes, out.gaps, n)
	}
}
