package reassembly

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// oldHole is the age from which a hole that fills was a loss before the capture
// point, not reordering.
const oldHole = 200 * time.Millisecond

// refused counts a segment that is not looked at further, by the classes 2 to 6 of
// SEMANTICS.md §5.3, and reports whether s is one.
func (o *op) refused(x, peer *stream, s *flow.Segment, off int64) bool {
	switch {
	case x.keepalive(s, off):
		o.more(x).keepalives++
		return true
	case !x.has(skipping) && x.probeAgain(s, off):
		o.more(x).probes++
		return true
	case s.Len == 0 && s.Flags&flow.FIN == 0 || x.has(skipping):
		return false
	case x.outOfWindow(s, off):
		o.more(x).outOfWindow++
		o.sh.report.of(o.side(x)).outOfWindow++
	case s.Flags&(flow.SYN|flow.ACK) == 0 && x.has(synSeen) && peer.has(synSeen):
		o.more(x).nullFlags++
	case o.oldStamp(x, peer, s, off):
		o.more(x).oldStamps++
	default:
		o.noteProbe(x, s, off)
		return false
	}
	o.refuse(x, s)
	return true
}

// refuse counts a segment whose payload is not used.
func (o *op) refuse(x *stream, s *flow.Segment) {
	if s.Len > 0 {
		o.more(x).dropped++
	}
}

// keepalive reports whether s asks for a sign of life (RFC 9293 §3.8.4).
func (x *stream) keepalive(s *flow.Segment, off int64) bool {
	return s.Len <= 1 && off == x.max-1 && s.Flags&(flow.SYN|flow.FIN) == 0 && x.has(ackSeen) && x.ack >= x.max
}

// noteProbe counts the first probe of a zero window; its byte is data.
func (o *op) noteProbe(x *stream, s *flow.Segment, off int64) {
	x.flags &^= probed
	if x.has(winZero) && s.Len == 1 && off == x.next && off == x.max && len(s.Data) == 1 {
		o.more(x).probes++
		x.flags |= probed
		x.probe = s.Data[0]
	}
}

// probeAgain reports whether s repeats a zero-window probe.
func (x *stream) probeAgain(s *flow.Segment, off int64) bool {
	return x.has(probed|winZero) && s.Len == 1 && off == x.max-1 &&
		(len(s.Data) == 0 || s.Data[0] == x.probe)
}

// outOfWindow reports whether s can be no part of the stream now: beyond twice
// the window, older than any window, or before the SYN. A segment that leaves no
// hole is always inside, as the ACKs for what came before may not have been seen.
func (x *stream) outOfWindow(s *flow.Segment, off int64) bool {
	end := off + int64(s.Len)
	if off < x.next {
		return end < x.next-farAhead || x.has(synSeen) && end <= 0 && s.Len > 0
	}
	if off == x.next || !x.has(winKnown|ackSeen) {
		return false
	}
	return off > max(x.ack, x.next)+x.unseen()+2*max(int64(x.win), minWindow)
}

// oldStamp reports whether s is dropped for its timestamp (RFC 7323 §5).
func (o *op) oldStamp(x, peer *stream, s *flow.Segment, off int64) bool {
	if s.Options&flow.OptTimestamps == 0 || s.TSVal == 0 || o.sh.opt.PAWS == PAWSOff ||
		!x.has(stamped|stampsSeen) || !peer.has(stampsSeen) ||
		int32(s.TSVal-x.tsVal) >= 0 || x.stampIdle(s.Time) {
		return false
	}
	return o.sh.opt.PAWS == PAWSStrict || x.has(winKnown|ackSeen) && off > x.ack+int64(x.win)
}

// A tally says what one segment's payload turned out to be.
type tally struct {
	old   int64          // bytes delivered or held already
	fill  int64          // unseen bytes below max
	born  flow.Timestamp // when the first hole filled was first seen
	whole bool           // all of it was delivered already
}

// filled adds n bytes that filled a hole.
func (t *tally) filled(n int64, born flow.Timestamp) {
	if t.fill == 0 {
		t.born = born
	}
	t.fill += n
}

// classify counts a placed segment by the classes 7 to 12. end is where its payload
// ends.
func (o *op) classify(x *stream, t *tally, end int64) {
	again, bytes := t.old > 0, t.old
	if t.fill > 0 {
		if o.now.SaturatingSub(t.born) >= oldHole {
			again, bytes = true, bytes+t.fill
		} else {
			o.more(x).outOfOrder++
			o.sh.report.of(o.side(x)).outOfOrder++
		}
	}
	if !again {
		return
	}
	m := o.more(x)
	m.retransmitted++
	m.retransmittedBytes += bytes
	if t.whole && x.has(ackSeen) && end <= x.ack {
		m.spurious++
	}
	o.sh.report.of(o.side(x)).retransmission = true
}
