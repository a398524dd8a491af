package engine_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// never is a parser that reads everything.
func newNever(flow.Key) parsers.SessionParser { return &enough{left: 1 << 60} }

// A gap is what a session was told of missing bytes.
type gap struct {
	side  flow.Side
	bytes int64
	cause flow.GapCause
}

// TestRingFull gives the program more than a small ring holds, with a reader that comes
// late: what found no room is capture loss at its place in the stream, told at once.
func TestRingFull(t *testing.T) {
	needs.Root(t)
	const i, r = flow.Initiator, flow.Responder
	body := string(make([]byte, 10_000))
	c := pt.NewConversation("192.0.2.1:1000", "198.51.100.7:80").MSS(1000).Handshake().Sends(i, body).Acks(r)
	lost := len(c.Packets())
	frames := c.Sends(i, body).Acks(r).Sends(i, "more").Acks(r).Close().Trace()

	var o outcome
	opt := o.options(parsers.Every("never", newNever))
	var gaps []gap
	opt.MaxFlows, opt.Gaps = 64, true
	handler := opt.Handler
	opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
		if e.Kind == pipeline.Gap {
			gaps = append(gaps, gap{e.Side, e.Bytes, e.Cause})
		}
		handler(e)
	}
	d, err := engine.NewReplayRing(opt, 8192)
	if err != nil {
		t.Fatal(err)
	}
	for n := range frames {
		take := d.Frame
		if n >= lost && n < lost+10 {
			take = d.Unread
		}
		if err := take(&frames[n]); err != nil {
			t.Fatal(err)
		}
		if n == lost+12 && len(gaps) != 1 {
			t.Errorf("gaps %+v after the next segment, want one", gaps)
		}
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	sum, f := d.Summary(), o.records[1000]
	s := f.Stats.Side[i]
	if sum.RingDroppedBytes == 0 || s.CaptureMissedBytes != sum.RingDroppedBytes || s.MissedBytes != 0 || s.StreamBytes != 20_004-sum.RingDroppedBytes {
		t.Errorf("%d bytes found the ring full; the flow has %+v", sum.RingDroppedBytes, s)
	}
	if len(gaps) != 1 || gaps[0] != (gap{i, int64(sum.RingDroppedBytes), flow.GapCapture}) {
		t.Errorf("gaps %+v, want one of %d bytes, lost by the capture", gaps, sum.RingDroppedBytes)
	}
	if f.Incomplete != flow.LostRing || f.Reason != flow.EndFIN {
		t.Errorf("incomplete for %v, ended by %v; want the ring, fin", f.Incomplete, f.Reason)
	}
}

// TestRingFullAccounts does so with hundreds of conversations, in which segments are
// swapped and sent twice, and a reader that comes at any time: nothing is ever taken for
// lost on the wire, and every byte of a stream is in one account.
func TestRingFullAccounts(t *testing.T) {
	needs.Root(t)
	var o outcome
	opt := o.options(parsers.Every("never", newNever))
	opt.MaxFlows = 4096
	d, err := engine.NewReplayRing(opt, 16384)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 11))
	span := map[uint16][2]uint64{}
	for port := 1000; port < 1400; port++ {
		l := conversation(port, r, false)
		span[uint16(port)] = spans(l)
		for _, v := range pt.Trace(l...) {
			take := d.Unread
			if r.IntN(8) == 0 {
				take = d.Frame
			}
			if err := take(&v); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := pt.UDP("192.0.2.1:1", "192.0.2.2:2").View()
	last.Time = flow.Timestamp(time.Hour)
	err = d.Frame(&last)
	d.FindLost()
	if err := errors.Join(err, d.Finish()); err != nil {
		t.Fatal(err)
	}
	var lost uint64
	seen := map[uint16]bool{1: true}
	for i := range o.all {
		f := &o.all[i]
		for side, s := range f.Stats.Side {
			port, side := f.Endpoint[flow.Initiator].Port, flow.Side(side)
			if port == serverPort { // its records were the first that found room
				port, side = f.Endpoint[flow.Responder].Port, side.Other()
			}
			seen[port] = true
			lost += s.CaptureMissedBytes
			if s.MissedBytes != 0 {
				t.Errorf("port %d, %v: %d bytes missed on the wire", port, side, s.MissedBytes)
			}
			checkSpan(t, port, side, &s, span[port][side])
		}
	}
	if sum := d.Summary(); len(seen) != 401 || lost < 100_000 || lost > sum.RingDroppedBytes {
		t.Errorf("%d conversations, %d bytes lost; want 400, 100 000 and no more than found no room (%d)", len(seen)-1, lost, sum.RingDroppedBytes)
	}
}
