package tracker

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Details are what most flows never need, or need seldom. A flow gets them with
// its second TCP segment at the latest.
type details struct {
	side [2]sideDetails

	// Of the handshake: when each side's first SYN came, and what was measured.
	synAt     [2]flow.Timestamp
	handshake [2]time.Duration

	// A reset that may be one, until suspectEnd or a sign of life, with doubtful.
	suspectEnd  flow.Timestamp
	suspectSeq  flow.Seq
	suspectNext flow.Seq // the receiver's next expected
	suspectAck  flow.Seq // its highest ACK so far

	// A SYN inside a live flow, waiting for the peer's SYN+ACK, with reusePending.
	reuseSeq flow.Seq

	idle         time.Duration // chosen for this flow, with hasIdle
	nextUpdate   flow.Timestamp
	atClose      uint64 // packets when the flow closed
	labelChanges [2]uint64
	label        [2]uint32 // newest, by direction, where labelChanges > 0

	events  events
	flags   detailFlags
	letters uint8
	more    [maxHistory - inlineLetters]byte
}

type detailFlags uint16

const (
	hasSYN           detailFlags = 1 << iota // synAt[0]
	hasSYN2                                  // synAt[1]
	hasHandshake                             // handshake[0]
	hasHandshake2                            // handshake[1]
	resentSYN                                // a SYN or SYN+ACK came twice before established
	suspectResponder                         // the responder sent the doubtful reset
	reuseResponder                           // the responder sent the pending SYN
	hasIdle
	hasUpdate
)

func (d *details) has(f detailFlags) bool { return d.flags&f != 0 }

// put sets or clears f.
func (d *details) put(f detailFlags, on bool) {
	d.flags &^= f
	if on {
		d.flags |= f
	}
}

// sideDetails are the details of one side.
type sideDetails struct {
	rtt     flow.RTT
	armedAt flow.Timestamp // when the last timed segment was sent
	armed   flow.Seq       // its end
	timed   bool           // the two hold
	latest  flow.Seq       // of its latest segment
	nISNs   uint8          // of isns

	zeroWindows, probes, keepalives, duplicateACKs uint64

	often [letterC - letterW + 1]uint32 // by letter
	lasts [letterR - letterS + 1]flow.Seq
	isns  [maxISNs - 1]flow.Seq // other initial sequence numbers
}

// maxISNs is how many initial sequence numbers of a side are kept until the
// handshake decides between them.
const maxISNs = 4

func (d *details) last(side flow.Side, l letter) flow.Seq {
	return d.side[side].lasts[l-letterS]
}

func (d *details) setLast(side flow.Side, l letter, seq flow.Seq) {
	d.side[side].lasts[l-letterS] = seq
}

// swap exchanges the sides.
func (d *details) swap() {
	d.side[0], d.side[1] = d.side[1], d.side[0]
	d.synAt[0], d.synAt[1] = d.synAt[1], d.synAt[0]
	d.handshake[0], d.handshake[1] = d.handshake[1], d.handshake[0]
	f := d.flags
	d.put(hasSYN, f&hasSYN2 != 0)
	d.put(hasSYN2, f&hasSYN != 0)
	d.put(hasHandshake, f&hasHandshake2 != 0)
	d.put(hasHandshake2, f&hasHandshake != 0)
	d.events = d.events.swapped()
	d.flags ^= suspectResponder | reuseResponder
	for i, b := range d.more[:d.letters] {
		d.more[i] = b ^ 0x20
	}
}
