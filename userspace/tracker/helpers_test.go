package tracker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const sec = flow.Timestamp(time.Second)

// parseFlags reads flags as TCPFlags prints them.
func parseFlags(s string) (f flow.TCPFlags) {
	for _, c := range s {
		f |= 1 << strings.IndexRune("FSRPAUEC", c)
	}
	return f
}

// parseSegment reads a segment: "i" or "r" for the side, then words: flags, and
// name=number for seq, ack, len, win, ws (which sets the option), t (ms). The window is
// 1000 unless it says.
func parseSegment(t testing.TB, text string) (flow.Side, *flow.Segment) {
	t.Helper()
	words := strings.Fields(text)
	side := flow.Initiator
	if words[0] == "r" {
		side = flow.Responder
	}
	s := &flow.Segment{TCPHeader: flow.TCPHeader{Window: 1000}}
	for _, w := range words[1:] {
		name, val, ok := strings.Cut(w, "=")
		if !ok {
			s.Flags = parseFlags(w)
			continue
		}
		var n int64
		if _, err := fmt.Sscan(val, &n); err != nil {
			t.Fatalf("segment %q: %v", text, err)
		}
		setField(t, s, name, n)
	}
	return side, s
}

func setField(t testing.TB, s *flow.Segment, name string, n int64) {
	t.Helper()
	switch name {
	case "seq":
		s.Seq = flow.Seq(n)
	case "ack":
		s.Ack = flow.Seq(n)
		s.Flags |= flow.ACK
	case "len":
		s.Len = int(n)
	case "win":
		s.Window = uint16(n)
	case "ws":
		s.WScale = uint8(n)
		s.Options |= flow.OptWScale
	case "opt":
		s.Options |= flow.TCPOptions(n)
	case "t":
		s.Time = flow.Timestamp(n * int64(time.Millisecond))
	default:
		t.Fatalf("no field %q", name)
	}
}

// trace splits a trace into its segments: one a line or divided by ";".
func trace(s string) (l []string) {
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == ';' }) {
		if part = strings.TrimSpace(part); part != "" {
			l = append(l, part)
		}
	}
	return l
}

// run feeds a trace to a fresh Conn, and returns it and the last change.
func run(t testing.TB, text string) (*Conn, Change) {
	t.Helper()
	c := new(Conn)
	var ch Change
	for _, line := range trace(text) {
		side, s := parseSegment(t, line)
		ch = c.Step(side, s)
	}
	return c, ch
}

// Traces that many cases begin with.
const (
	syn       = "i S seq=100;"
	synack    = syn + "r SA seq=500 ack=101;"
	handshake = synack + "i A seq=101 ack=501;"
	data      = handshake + "i PA seq=101 ack=501 len=10; r PA seq=501 ack=111 len=20;"
	halfClose = data + "i FA seq=111 ack=521;"
	bothFIN   = halfClose + "r FA seq=521 ack=112;"
	closedAll = bothFIN + "i A seq=112 ack=522;"
)

// lo and hi are two endpoints as keys have them.
var (
	lo = flow.MapV4([4]byte{10, 0, 0, 1})
	hi = flow.MapV4([4]byte{10, 0, 0, 2})
)

func key(proto flow.Proto, n uint16) flow.Key {
	return flow.Key{Lo: lo, Hi: hi, LoPort: 40000 + n, HiPort: 443, Proto: proto, IPVersion: 4}
}

// input is one input for flow n.
func input(proto flow.Proto, n uint16, d flow.Direction, at flow.Timestamp) *Input[flow.Key] {
	k := key(proto, n)
	return &Input[flow.Key]{
		Key: k, Dir: d, Proto: proto, Ports: [2]uint16{k.LoPort, k.HiPort}, Time: at,
		Packets: 1, Bytes: 100, IPBytes: 86, PayloadLen: 50, TTL: 64,
	}
}

// segment is an input with a TCP segment; "i" goes in direction Forward.
func segment(t testing.TB, n uint16, text string) *Input[flow.Key] {
	t.Helper()
	side, s := parseSegment(t, text)
	in := input(flow.ProtoTCP, n, flow.Direction(side), s.Time)
	in.PayloadLen = s.Len
	in.Seg = s
	return in
}

type (
	testTable = Table[flow.Key, int]
	testFlow  = Flow[flow.Key, int]
	options   = Options[flow.Key, int]
)

// A recorder makes a table and writes down its events, one line each.
type recorder struct {
	*testTable
	t     testing.TB
	lines []string
}

func newRecorder(t testing.TB, o options) *recorder {
	r := &recorder{t: t}
	o.Handler = r.handle
	r.testTable = New(o, func(flow.Key) int { return 7 })
	return r
}

func (r *recorder) handle(f *testFlow, e *flow.Event[flow.Key]) {
	r.lines = append(r.lines, line(e))
}

// line writes an event: flow number, kind, and what the kind is about.
func line(e *flow.Event[flow.Key]) string {
	who := fmt.Sprint(e.FlowKey.LoPort - 40000)
	switch e.Kind {
	case flow.EventEstablished, flow.EventStateChange:
		return fmt.Sprintf("%s %v %v>%v", who, e.Kind, e.From, e.To)
	case flow.EventPacket:
		return fmt.Sprintf("%s packet %v %d", who, e.Side, e.Len)
	case flow.EventEnded:
		return fmt.Sprintf("%s ended %v %d+%d %s", who, e.Reason, e.Stats.Side[0].Packets, e.Stats.Side[1].Packets, e.History)
	case flow.EventAnomaly:
		if e.Anomaly.Kind.TableWide() {
			return fmt.Sprintf("- %v %d %d", e.Anomaly.Kind, e.Anomaly.Count, e.Anomaly.Total)
		}
		return fmt.Sprintf("%s %v %v", who, e.Anomaly.Kind, e.Anomaly.Side)
	}
	return fmt.Sprintf("%s %v", who, e.Kind)
}

// take returns the lines since the last call, joined.
func (r *recorder) take() string {
	s := strings.Join(r.lines, "; ")
	r.lines = nil
	return s
}

// feed takes an input through Observe and Finish.
func (r *recorder) feed(in *Input[flow.Key]) *testFlow {
	f := r.Observe(in)
	r.Finish(f, in)
	return f
}

// play feeds a TCP trace of flow n.
func (r *recorder) play(n uint16, text string) (f *testFlow) {
	r.t.Helper()
	for _, line := range trace(text) {
		f = r.feed(segment(r.t, n, line))
	}
	return f
}

// without takes the Packet lines out, for tests about the others.
func without(lines, word string) string {
	var l []string
	for s := range strings.SplitSeq(lines, "; ") {
		if !strings.Contains(s, word) {
			l = append(l, s)
		}
	}
	return strings.Join(l, "; ")
}

func wantLines(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}
