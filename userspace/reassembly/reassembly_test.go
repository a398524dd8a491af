package reassembly

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// isns are the initial sequence numbers that every stream must look alike with.
var isns = []flow.Seq{0, 1, 1<<32 - 1, 1<<32 - 11}

// A recorder is a Sink that writes down what comes out, adjacent data of a side as one.
type recorder struct {
	log       []string
	data      [2][]byte
	gaps      [2]int64
	ends      [2][]flow.EndReason
	anomalies []flow.Anomaly
	onData    func(side flow.Side)
	pending   [2]string
}

func (r *recorder) flush(side flow.Side) {
	if p := r.pending[side]; p != "" {
		r.pending[side] = ""
		r.add(side, strconv.Quote(p))
	}
}

func (r *recorder) add(side flow.Side, s string) {
	if side == flow.Responder {
		s = "<" + s
	}
	r.log = append(r.log, s)
}

func (r *recorder) Data(side flow.Side, b []byte) {
	if len(b) == 0 {
		panic("empty Data")
	}
	r.data[side] = append(r.data[side], b...)
	r.pending[side] += string(b)
	if r.onData != nil {
		r.onData(side)
	}
}

func (r *recorder) Gap(side flow.Side, n int64, cause flow.GapCause) {
	r.flush(side)
	r.gaps[side] += n
	name := "gap"
	if cause == flow.GapCapture {
		name = "capgap"
	}
	r.add(side, fmt.Sprintf("%s(%d)", name, n))
}

func (r *recorder) End(side flow.Side, reason flow.EndReason) {
	r.flush(side)
	r.ends[side] = append(r.ends[side], reason)
	r.add(side, reason.String())
}

func (r *recorder) Anomaly(a *flow.Anomaly) { r.anomalies = append(r.anomalies, *a) }

func (r *recorder) String() string {
	r.flush(flow.Initiator)
	r.flush(flow.Responder)
	return strings.Join(r.log, " ")
}

// A conn feeds one assembler with segments written in words.
type conn struct {
	t   *testing.T
	sh  *Shared
	a   Assembler
	out recorder
	isn [2]flow.Seq
	now flow.Timestamp
}

func newConn(t *testing.T, isn flow.Seq, o Options) *conn {
	t.Helper()
	return &conn{t: t, sh: NewShared(o), isn: [2]flow.Seq{isn, isn + 1000}}
}

// open is the handshake, without window scaling or timestamps.
func (c *conn) open() *conn { return c.run("S <SA A") }

// run takes words:
//
//	"12:abc" payload abc at offset 12 (offsets from the ISN: 1 is the first byte)
//	"S", "SA", "A", "5:abc/FA" flags; payload has PA when none are given
//	"unseen=5" prefix: five bytes of payload were lost before the segment
//	"ack=7 "prefix for the ACK number, as an offset of the peer; "win=", "urg=", "ts="
//	"<…" the same from the responder
//	"+50ms" lets time pass; "lost:5:3" three bytes at 5 that were not captured
//	"close", "close=rst" ends the flow
func (c *conn) run(script string) *conn {
	c.t.Helper()
	seg := flow.Segment{}
	seg.Window = 65535
	for _, w := range strings.Fields(script) {
		if !c.word(w, &seg) {
			continue
		}
		seg = flow.Segment{}
		seg.Window = 65535
	}
	return c
}

// word applies one word; it reports whether a packet was sent.
func (c *conn) word(w string, seg *flow.Segment) bool {
	if d, ok := strings.CutPrefix(w, "+"); ok {
		dur, err := time.ParseDuration(d)
		c.check(w, err)
		c.now = c.now.Add(dur)
		return false
	}
	if w == "close" || strings.HasPrefix(w, "close=") {
		c.close(strings.TrimPrefix(strings.TrimPrefix(w, "close"), "="))
		return false
	}
	if k, v, ok := strings.Cut(w, "="); ok && !strings.Contains(k, ":") {
		n, err := strconv.ParseInt(v, 10, 64)
		c.check(w, err)
		switch k {
		case "unseen":
			seg.Lost = uint32(n)
		case "ack":
			seg.Ack, seg.MSS = flow.Seq(n), 1 // MSS marks that it is set
		case "win":
			seg.Window = uint16(n)
		case "urg":
			seg.Urgent = uint16(n)
		case "ts":
			seg.TSVal, seg.Options = uint32(n), seg.Options|flow.OptTimestamps
		case "ws":
			seg.WScale, seg.Options = uint8(n), seg.Options|flow.OptWScale
		default:
			c.t.Fatalf("word %q", w)
		}
		return false
	}
	c.send(w, seg)
	return true
}

func (c *conn) check(w string, err error) {
	if err != nil {
		c.t.Helper()
		c.t.Fatalf("word %q: %v", w, err)
	}
}

func (c *conn) send(w string, seg *flow.Segment) {
	side := flow.Initiator
	if rest, ok := strings.CutPrefix(w, "<"); ok {
		side, w = flow.Responder, rest
	}
	body, flags, hasFlags := strings.Cut(w, "/")
	lost := strings.HasPrefix(body, "lost:") || strings.HasPrefix(body, "cut:")
	unwanted := strings.HasPrefix(body, "cut:")
	if lost {
		_, body, _ = strings.Cut(body, ":")
	}
	pos, data, hasPos := strings.Cut(body, ":")
	off := int64(0)
	switch {
	case hasPos:
		n, err := strconv.ParseInt(pos, 10, 64)
		c.check(w, err)
		off = n
		if !hasFlags {
			flags = "PA"
		}
	default:
		flags = body
		if !strings.Contains(flags, "S") {
			off = 1 + int64(c.a.stream[side].max)
		}
	}
	seg.Flags = parseFlags(flags)
	seg.Seq = c.isn[side] + flow.Seq(uint32(off))
	if seg.Flags&flow.ACK != 0 {
		if seg.MSS == 0 {
			seg.Ack = 1 + flow.Seq(uint32(c.a.stream[side.Other()].next))
		}
		seg.Ack += c.isn[side.Other()]
	}
	seg.MSS = 0
	seg.Time = c.now
	if lost {
		n, err := strconv.Atoi(data)
		c.check(w, err)
		seg.Len, seg.Capture, seg.Unwanted = n, !unwanted, unwanted
	} else {
		seg.Len, seg.Data = len(data), []byte(data)
	}
	c.a.Segment(c.sh, side, seg, &c.out)
	clear(seg.Data)
	c.invariants()
}

func parseFlags(s string) (f flow.TCPFlags) {
	for _, r := range s {
		f |= 1 << strings.IndexRune("FSRPAUEC", r)
	}
	return f
}

func (c *conn) close(reason string) {
	r := flow.EndOfInput
	for i := flow.EndNone; int(i) < flow.EndReasons; i++ {
		if reason == i.String() {
			r = i
		}
	}
	c.a.Close(c.sh, r, c.now, &c.out)
	c.lawHolds()
}

// invariants hold after every packet.
func (c *conn) invariants() {
	c.t.Helper()
	for side := range c.a.stream {
		checkStream(c.t, c.sh, &c.a.stream[side])
	}
}

func checkStream(t failer, sh *Shared, x *stream) {
	t.Helper()
	if x.held == nil {
		if x.next != x.max {
			t.Fatalf("next %d, max %d with nothing held", x.next, x.max)
		}
		return
	}
	h, bytes, at := x.held, uint32(0), x.next
	if len(h.pieces) == 0 {
		t.Fatal("held without pieces")
	}
	for i := range h.pieces {
		p := &h.pieces[i]
		if p.from < at || p.n == 0 || p.kind == pieceBorrowed || p.kind == pieceData && len(p.data) != int(p.n) {
			t.Fatalf("piece %d: %+v after %d", i, p, at)
		}
		at = p.end()
		bytes += p.n
	}
	if at != x.max || bytes != h.bytes || h.runs != h.starts(0, len(h.pieces)) {
		t.Fatalf("held ends %d, %d bytes, %d runs; max %d, %d bytes, %d runs", at, bytes, h.starts(0, len(h.pieces)), x.max, h.bytes, h.runs)
	}
	if sh.opt.Cap > 0 && int(h.bytes) > sh.opt.Cap || int(h.runs) > sh.opt.MaxRuns {
		t.Fatalf("%d bytes in %d runs held", h.bytes, h.runs)
	}
}

// lawHolds checks that a closed flow's bytes add up (SEMANTICS.md §5.5), against what the sink saw.
func (c *conn) lawHolds() {
	c.t.Helper()
	for side := flow.Initiator; side <= flow.Responder; side++ {
		st := c.stats(side)
		x := &c.a.stream[side]
		span := x.max
		if x.has(known | finSeen) {
			span = max(span, x.fin)
		}
		if got := st.StreamBytes + st.MissedBytes + st.CaptureMissedBytes + st.SkippedBytes + st.UrgentBytes; got != uint64(span) {
			c.t.Errorf("%v: accounted for %d of span %d: %+v", side, got, span, st)
		}
		if st.StreamBytes != uint64(len(c.out.data[side])) {
			c.t.Errorf("%v: stream bytes %d, sink saw %d", side, st.StreamBytes, len(c.out.data[side]))
		}
	}
}

func (c *conn) stats(side flow.Side) (st flow.SideStats) {
	c.a.Stats(side, &st)
	return st
}

func (c *conn) want(want string) *conn {
	c.t.Helper()
	if got := c.out.String(); got != want {
		c.t.Errorf("got %s, want %s", got, want)
	}
	return c
}

func TestAssembler(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"in order", "1:abc 4:def", `"abcdef"`},
		{"reordered", "1:abc 7:ghi 4:def", `"abcdefghi"`},
		{"hole at close", "1:abc 7:ghi close", `"abc" gap(3) "ghi" end_of_input <end_of_input`},
		{"leading hole", "4:def close", `gap(3) "def" end_of_input <end_of_input`},
		{"duplicate", "1:abc 1:abc 4:d", `"abcd"`},
		{"partial", "1:abc 2:bcde", `"abcde"`},
		{"fin", "1:abc/FA close", `"abc" fin <end_of_input`},
		{"fin before data", "4:/FA 1:abc close", `"abc" fin <end_of_input`},
		{"fin over hole", "7:/FA 1:abc close", `"abc" gap(3) fin <end_of_input`},
		{"data beyond fin", "4:/FA 4:def 1:abc close", `"abc" fin <end_of_input`},
		{"held beyond fin", "4:def 4:/FA 1:abc close", `"abc" fin <end_of_input`},
		{"fin with data before held", "4:def 1:abc/FA close", `"abc" fin <end_of_input`},
		{"fin inside held", "4:defgh 9:ijk 7:/FA 1:abc close", `"abcdef" fin <end_of_input`},
		{"second fin elsewhere", "3:/FA 5:/FA 1:ab close", `"ab" fin <end_of_input`},
		{"rst data", "1:abc 4:xyz/RA 4:def", `"abcdef"`},
		{"close by rst", "1:abc 7:ghi close=rst", `"abc" gap(3) "ghi" rst <rst`},
		{"both sides", "1:ab <1:xyz 3:c", `"abc" <"xyz"`},
		{"lost in order", "1:ab lost:3:4 7:cd", `"ab" capgap(4) "cd"`},
		{"lost ahead", "1:ab lost:5:2 3:xx 7:y", `"abxx" capgap(2) "y"`},
		{"lost then sent again", "1:ab lost:5:2 5:zz 3:xx", `"abxxzz"`},
		{"network and capture", "1:ab lost:5:2 7:z close", `"ab" gap(2) capgap(2) "z" end_of_input <end_of_input`},
		{"unwanted", "1:ab cut:3:4 7:cd", `"abcd"`},
		{"close twice", "1:a close close", `"a" end_of_input <end_of_input`},
		{"after close", "1:a close 2:b", `"a" end_of_input <end_of_input`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, Options{}).open().run(tt.script).want(tt.want)
				if c.a.state&closed == 0 {
					c.close("")
				}
			}
		})
	}
}

func TestSizes(t *testing.T) {
	if got := int(sizeofAssembler); got > 200 {
		t.Errorf("an Assembler takes %d bytes, want at most 200", got)
	}
	if sizeofPiece != pieceSize || sizeofHeld != heldSize {
		t.Errorf("piece %d, held %d bytes; accounted for as %d and %d", sizeofPiece, sizeofHeld, pieceSize, heldSize)
	}
}
