package reassembly

import (
	"fmt"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestSkip: after a verdict payload is only counted, by sequence numbers.
func TestSkip(t *testing.T) {
	tests := []struct {
		name, before, after, want, counts string
	}{
		{"rest of the stream", "1:abc", "4:def 7:ghi close", `"abc" end_of_input <end_of_input`, "map[skipped:6]"},
		{"held bytes go", "1:abc 7:ghi", "4:def close", `"abc" end_of_input <end_of_input`, "map[again:1 againBytes:3 skipped:6]"},
		{"holes are skipped too", "1:abc", "7:ghi close", `"abc" end_of_input <end_of_input`, "map[skipped:6]"},
		{"old is below max", "1:abc", "7:ghi 4:def 8:hij close", `"abc" end_of_input <end_of_input`, "map[again:2 againBytes:5 skipped:7]"},
		{"fin", "1:abc", "4:def/FA close", `"abc" fin <end_of_input`, "map[skipped:3]"},
		{"fin held before", "1:abc 9:/FA", "4:d close", `"abc" fin <end_of_input`, "map[skipped:5]"},
		{"keepalive", "1:abc", "4:def ack=7 <A 6:Z", `"abc"`, "map[keepalive:1 skipped:3]"},
		{"rst data", "1:abc", "4:why/R", `"abc"`, "map[rstData:3]"},
		{"nothing is out of window", "1:abc", "900000:z", `"abc"`, "map[skipped:899997]"},
		{"fast open", "", "1:abc close", `end_of_input <end_of_input`, "map[skipped:3]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, Options{}).open().run(tt.before)
				c.a.Skip(c.sh, &c.out)
				c.run(tt.after).want(tt.want)
				if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != tt.counts {
					t.Errorf("counts %s, want %s", got, tt.counts)
				}
				c.close("")
			}
		})
	}
}

// TestSkipSide leaves the other side alone.
func TestSkipSide(t *testing.T) {
	c := newConn(t, 3, Options{}).open().run("1:ab <4:xyz")
	c.a.SkipSide(c.sh, flow.Responder, &c.out)
	c.run("3:c <7:u <1:vwx close").want(`"abc" end_of_input <end_of_input`)
	if got := fmt.Sprint(countsOf(c.stats(flow.Responder))); got != "map[again:1 againBytes:3 skipped:7 spurious:1]" {
		t.Errorf("responder: %s", got)
	}
}

// TestSkipWithinData: a sink that has had enough says so while it is being fed, on
// every way bytes can take to it.
func TestSkipWithinData(t *testing.T) {
	tests := []struct{ name, script, want, counts string }{
		{"in order", "1:abc 4:def", `"abc"`, "map[skipped:3]"},
		{"pair swapped", "4:def 1:abc 7:g", `"abc"`, "map[late:1 skipped:4]"},
		{"drain", "4:def 8:x 1:abc", `"abc"`, "map[late:1 skipped:5]"},
		{"overlap in order", "3:cde 1:abc", `"abc"`, "map[again:1 againBytes:1 late:1 skipped:2]"},
		{"fin behind", "4:def 7:/FA 1:abc", `"abc" fin`, "map[late:1 skipped:3]"},
		{"cut", "lost:1:0 1:a cut:2:5 7:b", `"a"`, "map[skipped:6]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newConn(t, 1<<32-3, Options{}).open()
			c.out.onData = func(flow.Side) { c.a.Skip(c.sh, &c.out) }
			c.run(tt.script).want(tt.want)
			if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != tt.counts {
				t.Errorf("counts %s, want %s", got, tt.counts)
			}
			c.close("")
		})
	}
}

// TestSkipWithinClose: a verdict during the last flush stops it.
func TestSkipWithinClose(t *testing.T) {
	c := newConn(t, 8, Options{}).open().run("4:def 10:jkl 20:/FA")
	c.out.onData = func(flow.Side) { c.a.Skip(c.sh, &c.out) }
	c.run("close").want(`gap(3) "def" fin <end_of_input`)
}

func TestSwap(t *testing.T) {
	c := newConn(t, 1, Options{})
	s := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN | flow.ACK, Seq: 77, Ack: 2}}
	c.a.Segment(c.sh, flow.Initiator, &s, &c.out)
	c.a.Swap()
	s = flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.ACK, Seq: 78}, Len: 2, Data: []byte("xy")}
	c.a.Segment(c.sh, flow.Responder, &s, &c.out)
	c.run("1:ab").want(`"ab" <"xy"`)
}

// TestDropFlow: at the cap nothing more of either side comes out, and the account
// still adds up.
func TestDropFlow(t *testing.T) {
	o := Options{Cap: 10, Overflow: DropFlow}
	tests := []struct{ name, script, counts, responder string }{
		{"at the cap", "1:abc 7:0123456789", "map[]", "map[]"},
		{"over", "1:abc 7:0123456789 20:Z", "map[lost:11 missed:6 oversize:11]", "map[]"},
		{"other side's held too", "1:ab <3:xy 7:0123456789 20:Z", "map[lost:11 missed:7 oversize:11]", "map[lost:2 missed:2]"},
		{"fin beyond", "30:/FA 7:01234567890", "map[lost:11 missed:18 oversize:11]", "map[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newConn(t, 6, o).open().run(tt.script)
			over := tt.counts != "map[]"
			if c.a.Overflowed() != over {
				t.Fatalf("Overflowed() = %v, want %v", c.a.Overflowed(), over)
			}
			if !over {
				return
			}
			c.run("close=buffer_overflow 90:more <90:more")
			if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != tt.counts {
				t.Errorf("initiator: %s, want %s", got, tt.counts)
			}
			if got := fmt.Sprint(countsOf(c.stats(flow.Responder))); got != tt.responder {
				t.Errorf("responder: %s, want %s", got, tt.responder)
			}
			for side, ends := range c.out.ends {
				if fmt.Sprint(ends) != "[buffer_overflow]" {
					t.Errorf("%v ends by %v", flow.Side(side), ends)
				}
			}
			if got := fmt.Sprint(kinds(&c.out)); got != "[buffer_overflow]" && got != "[buffer_overflow watermark]" && got != "[watermark buffer_overflow]" {
				t.Errorf("anomalies %s", got)
			}
		})
	}
}

// TestAnomalies: one for each kind and side of a packet, with the change since the
// last.
func TestAnomalies(t *testing.T) {
	tests := []struct {
		name, script string
		opt          Options
		want         []flow.Anomaly
	}{
		{"clean", "1:abc 4:def 7:/FA close", Options{}, nil},
		{"late", "4:def 1:abc", Options{}, []flow.Anomaly{{Kind: flow.AnomalyOutOfOrder, Count: 1}}},
		{"late, general way", "4:def 8:z 1:abc", Options{}, []flow.Anomaly{{Kind: flow.AnomalyOutOfOrder, Count: 1}}},
		{"gap", "4:def close", Options{}, []flow.Anomaly{{Kind: flow.AnomalyStreamGap, Bytes: 3}}},
		{"two gaps at once", "4:d lost:7:2 close", Options{}, []flow.Anomaly{
			{Kind: flow.AnomalyStreamGap, Bytes: 5}, {Kind: flow.AnomalyStreamGap, Offset: 6, Bytes: 2, Cause: flow.GapCapture}}},
		{"conflict, old kept", "3:cd 3:XX", Options{}, []flow.Anomaly{
			{Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 2},
			{Kind: flow.AnomalyOverlapConflict, Offset: 2, Bytes: 2}}},
		{"conflict, new kept", "3:cde 2:bcX", Options{}, []flow.Anomaly{
			{Kind: flow.AnomalyOutOfOrder, Count: 1}, {Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 2},
			{Kind: flow.AnomalyOverlapConflict, Offset: 3, Bytes: 1, Kept: flow.KeptNew}}},
		{"conflict, mixed", "2:b 5:e 3:XX 2:YYYYY", Options{Overlap: Solaris}, []flow.Anomaly{
			{Kind: flow.AnomalyOutOfOrder, Count: 1}, {Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 4},
			{Kind: flow.AnomalyOverlapConflict, Offset: 1, Bytes: 4, Kept: flow.KeptNew}}},
		{"conflict with delivered", "1:abc 1:aXX", Options{KeepDelivered: 10}, []flow.Anomaly{
			{Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 3}, {Kind: flow.AnomalyOverlapConflict, Offset: 1, Bytes: 2}}},
		{"out of window", "900000:x", Options{}, []flow.Anomaly{{Kind: flow.AnomalyOutOfWindow, Count: 1}}},
		{"retransmissions, one a second", "1:abc 1:abc 1:a +999ms 1:ab +1ms 1:a 1:abc close", Options{}, []flow.Anomaly{
			{Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 3},
			{Kind: flow.AnomalyRetransmission, Count: 3, Bytes: 4},
			{Kind: flow.AnomalyRetransmission, Count: 1, Bytes: 3}}},
		{"overflow", "4:defgh 10:j", Options{Cap: 5}, []flow.Anomaly{
			{Kind: flow.AnomalyWatermark, Bytes: 5, Limit: 5}, {Kind: flow.AnomalyBufferOverflow, Bytes: 3}, {Kind: flow.AnomalyStreamGap, Bytes: 3}}},
		{"watermark again", "4:defg 1:abc 10:j 8:k +1s 11:abc", Options{Cap: 5}, []flow.Anomaly{
			{Kind: flow.AnomalyWatermark, Bytes: 4, Limit: 5}, {Kind: flow.AnomalyOutOfOrder, Count: 1},
			{Kind: flow.AnomalyOutOfOrder, Count: 1}, {Kind: flow.AnomalyWatermark, Bytes: 4, Limit: 5}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, tt.opt).open().run(tt.script)
				if fmt.Sprint(c.out.anomalies) != fmt.Sprint(tt.want) && len(c.out.anomalies)+len(tt.want) > 0 {
					t.Errorf("got  %+v\nwant %+v", c.out.anomalies, tt.want)
				}
			}
		})
	}
}

// TestKeepDelivered compares with no more than the bytes kept, and not over a gap.
func TestKeepDelivered(t *testing.T) {
	for script, want := range map[string]uint64{
		"1:abcdefghij 1:XXXXXXXXXX":         8, // the ring holds eight
		"1:abcdefghij 1:abcdefghij":         0,
		"1:ab 3:cd 5:ef 1:aXcXeX":           3,
		"1:ab lost:3:2 5:ef 1:XXXXXX":       2,
		"1:abcdefghijklmnopqrst 17:XXXX":    4,
		"1:abcdefghijklmnopqrst 10:XXXX":    1,
		"1:abcdefghijklmnopqrst 1:XXXXXXXX": 0,
	} {
		c := newConn(t, 4, Options{KeepDelivered: 7}).open().run(script)
		if got := c.stats(flow.Initiator).OverlapConflictBytes; got != want {
			t.Errorf("%s: %d bytes in conflict, want %d", script, got, want)
		}
	}
}
