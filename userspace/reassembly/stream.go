package reassembly

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const (
	minWindow     = 64 << 10 // smaller windows are taken for this in rule 4
	maxScale      = 14       // RFC 7323 §2.3
	farAhead      = 1 << 30  // no window is larger, so nothing real is this far off
	pawsIdle      = 24 * 24 * time.Hour
	maxCandidates = 4
)

type streamFlags uint32

const (
	known      streamFlags = 1 << iota // base is set
	synSeen                            // a SYN of this side was seen
	scaleSeen                          // its SYN offered window scaling
	stampsSeen                         // its SYN offered timestamps
	seen                               // a packet of this side was seen
	ackSeen                            // ack means something
	winKnown                           // win means something
	winZero                            // the peer announced a window of 0
	finSeen                            // fin means something
	ended                              // End was called
	skipping                           // payload not wanted any more
	synData                            // the held data came with the SYN and waits for an ACK
	choice                             // several initial sequence numbers are possible
	probed                             // the byte before max came as a zero-window probe
	stamped                            // tsVal means something
	watermark                          // held data passed the watermark
	lossy                              // more.unseen is not 0
)

// A stream is one direction of a flow: what one side sends. Offsets count from the
// first byte after the SYN, or from the first byte seen.
//
// While held is nil, next equals max.
type stream struct {
	next    int64 // offset up to which bytes were delivered or given up
	max     int64 // highest end offset seen
	ack     int64 // highest ACK of the peer; its sequence number until base is known
	fin     int64 // offset of the FIN; its sequence number until base is known
	skipped int64
	held    *held
	more    *more
	base    flow.Seq // sequence number of offset 0
	win     uint32   // window the peer announced, in bytes
	tsVal   uint32   // newest timestamp in order
	tsTime  uint32   // packet time of tsVal in units of 2³⁰ ns
	peak    uint32   // most bytes held
	flags   streamFlags
	wscale  uint8
	probe   byte  // the byte of the last zero-window probe
	policy  uint8 // overlap policy plus one; 0 for the default
}

// more is what few streams need.
type more struct {
	missed, captureMissed, urgent                     int64
	retransmitted, retransmittedBytes, spurious       int64
	outOfOrder, outOfWindow, dropped, droppedOversize int64
	conflict, nullFlags, oldStamps, rstData           int64
	keepalives, probes                                int64

	unseen, seenTo int64 // bytes lost on the way here; up to where there were any

	candidates [maxCandidates]flow.Seq // possible bases, the chosen one too
	candidateN uint8
	urgents    uint8 // of urgentAt in use
	urgentAt   [4]int64

	reportedAt                     flow.Timestamp // last retransmission line
	reportedSegments, reportedSize int64

	kept     []byte // ring of delivered bytes
	keptFrom int64  // offset from which kept is whole
}

func (x *stream) has(f streamFlags) bool { return x.flags&f == f }

func (x *stream) any(f streamFlags) bool { return x.flags&f != 0 }

// offset returns the offset of s nearest to next.
func (x *stream) offset(s flow.Seq) int64 {
	return x.next + int64(int32(uint32(s)-uint32(x.base)-uint32(x.next)))
}

// fresh reports whether nothing of the stream is settled yet, so that its base may
// still move.
func (x *stream) fresh() bool {
	return x.next == 0 && !x.any(ended|skipping) && (x.held == nil || x.has(synData))
}

// setBase puts offset 0 at s and turns what was kept as sequence numbers into
// offsets.
func (x *stream) setBase(s flow.Seq) {
	was := x.base
	x.base = s
	shift := func(v int64) int64 {
		if x.has(known) {
			return v + int64(int32(was-s))
		}
		return int64(int32(flow.Seq(v) - s))
	}
	if x.has(ackSeen) {
		x.ack = shift(x.ack)
	}
	if x.has(finSeen) {
		if x.fin = shift(x.fin); x.fin < 0 {
			x.flags &^= finSeen
		}
	}
	x.flags |= known
}

// acked notes the acknowledgment and window in s, a packet of peer without RST.
func (x *stream) acked(peer *stream, s *flow.Segment) {
	if s.Flags&flow.ACK == 0 {
		return
	}
	x.noteWindow(peer, s)
	if !x.has(known) {
		if !x.has(ackSeen) || flow.Seq(x.ack).Less(s.Ack) {
			x.ack = int64(s.Ack)
			x.flags |= ackSeen
		}
		return
	}
	a := x.offset(s.Ack)
	if s.Ack == 0 && a-x.max > farAhead {
		return // a field left at zero, not an acknowledgment
	}
	if a > x.ack || !x.has(ackSeen) {
		x.ack = a
		x.flags |= ackSeen
	}
}

// noteWindow scales the window peer announces in s (RFC 7323 §2.2). Without the
// SYNs the scale is not known, but zero is zero.
func (x *stream) noteWindow(peer *stream, s *flow.Segment) {
	x.flags &^= winKnown | winZero
	if s.Window == 0 {
		x.flags |= winZero
	}
	x.win = uint32(s.Window)
	switch {
	case s.Flags&flow.SYN != 0:
		x.flags |= winKnown
	case x.has(synSeen) && peer.has(synSeen):
		if x.has(scaleSeen) && peer.has(scaleSeen) {
			x.win <<= peer.wscale
		}
		x.flags |= winKnown
	case peer.has(synSeen) && !peer.has(scaleSeen):
		x.flags |= winKnown
	}
}

// stamp notes a newer timestamp of a segment that starts in order (RFC 7323 §4.3).
func (x *stream) stamp(s *flow.Segment) {
	if !x.has(stamped) || int32(s.TSVal-x.tsVal) >= 0 || x.stampIdle(s.Time) {
		x.tsVal, x.tsTime = s.TSVal, uint32(s.Time>>30)
		x.flags |= stamped
	}
}

// stampIdle reports whether the newest timestamp is too old to compare with.
func (x *stream) stampIdle(now flow.Timestamp) bool {
	return int32(uint32(now>>30)-x.tsTime) > int32(pawsIdle>>30)
}

// delivered returns the bytes handed to the sink.
func (x *stream) delivered() int64 {
	n := x.next - x.skipped
	if m := x.more; m != nil {
		n -= m.missed + m.captureMissed + m.urgent
	}
	return n
}
