package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// An intake turns frames into what a table takes: it drops second copies, decodes,
// finds keys and follows fragments. Every driver over frames has one.
type intake[K comparable] struct {
	extractor packet.Extractor[K]
	dedup     *packet.Dedup
	dec       packet.Decoder
	verify    bool // checksums
	follow    packet.Fragments
	pkt       packet.Packet
	x         packet.Extracted[K]
	key       *flow.Key // x.Key, if that is what K is
	seg       flow.Segment
	waiting   packet.Account      // fragments that waited for the one in hand …
	late      [2]tracker.Input[K] // … as inputs
	sum       *flow.Summary
	tell      *telemetry
}

func (n *intake[K]) init(opt *Options[K], sum *flow.Summary, tell *telemetry) {
	n.extractor, n.dedup, n.sum, n.tell = opt.Extractor, opt.Dedup, sum, tell
	n.dec.Decap, n.verify = opt.Decap, opt.VerifyChecksums
	n.key, _ = any(&n.x.Key).(*flow.Key)
}

// admit counts a frame. It reports false for the second copy of one.
func (n *intake[K]) admit(v *packet.View) bool {
	size := uint64(v.WireLen())
	n.sum.PacketsSeen++
	n.sum.BytesSeen += size
	duplicate := n.dedup != nil && !n.dedup.Keep(v)
	if n.tell.rec != nil {
		n.tell.frame(duplicate)
	}
	if !duplicate {
		return true
	}
	n.sum.PacketsDuplicate++
	n.sum.BytesDuplicate += size
	return false
}

// A reading says what became of a frame.
type reading uint8

const (
	refused reading = iota // it is of no flow, and was counted as such
	stray                  // a fragment whose flow is not known yet
	keyed                  // its flow has a key
)

// read decodes a frame and finds the key of its flow.
func (n *intake[K]) read(v *packet.View) reading {
	n.dec.Decode(v, &n.pkt)
	if n.pkt.DecapDepth {
		n.sum.DecapDepth++
	}
	if cause := n.extractor.Extract(&n.pkt, &n.x); cause != flow.Decoded {
		return n.refuse(cause)
	}
	if n.x.Sessions && n.pkt.IsFragment() {
		return n.readFragment()
	}
	return keyed
}

// readFragment finds the flow of a fragment by the first one of its datagram.
func (n *intake[K]) readFragment() reading {
	var verdict packet.FragVerdict
	n.waiting, verdict = n.follow.Follow(&n.pkt)
	switch verdict {
	case packet.FragOrphan:
		return n.refuse(flow.CauseFragmentOrphan)
	case packet.FragWaiting:
		return stray
	}
	if cause := n.extractor.Extract(&n.pkt, &n.x); cause != flow.Decoded {
		n.refuseWaiting(cause)
		return n.refuse(cause)
	}
	return keyed
}

// readCarried takes a packet that a tunnel in fragments carried, and reports whether it
// has a flow. One that is a fragment itself has none.
func (n *intake[K]) readCarried(p *packet.Packet) bool {
	if p.IsFragment() {
		return false
	}
	n.pkt = *p
	return n.extractor.Extract(&n.pkt, &n.x) == flow.Decoded
}

func (n *intake[K]) refuseWaiting(cause flow.Cause) {
	n.unparsed(cause, n.waiting.Packets, n.waiting.Bytes)
	n.waiting = packet.Account{}
}

func (n *intake[K]) refuse(cause flow.Cause) reading {
	n.unparsed(cause, 1, uint64(n.pkt.WireLen))
	return refused
}

// unparsed counts frames that are of no flow.
func (n *intake[K]) unparsed(cause flow.Cause, packets, bytes uint64) {
	n.sum.Unparsed[cause] += packets
	n.sum.UnparsedBytes[cause] += bytes
	n.tell.unparsed(cause, packets)
}

// fill makes in the packet in hand. The segment of a TCP packet stays the intake's.
func (n *intake[K]) fill(in *tracker.Input[K], frame []byte) {
	p := &n.pkt
	in.Key, in.Dir, in.Proto, in.Time = n.x.Key, n.x.Dir, p.Proto, p.Time
	in.Packets, in.Bytes, in.IPBytes, in.PayloadLen = 1, p.WireLen, p.IPLen, p.PayloadLen
	in.TTL, in.Label, in.Seg, in.Carried = p.TTL, p.FlowLabel, nil, false
	in.OneWay = n.key != nil && n.key.Directional
	in.Ports = [2]uint16{p.SrcPort, p.DstPort}
	if n.x.Dir == flow.Reverse {
		in.Ports = [2]uint16{p.DstPort, p.SrcPort}
	}
	in.BadChecksum = n.verify && !in.Carried && !p.ChecksumsOK(frame)
	if n.x.Sessions && p.HasTCP && !p.IsFragment() && !in.BadChecksum {
		s := &n.seg
		s.TCPHeader, s.Time, s.Len, s.Data = p.TCP, p.Time, p.PayloadLen, p.Payload(frame)
		s.Capture = p.PayloadCap < p.PayloadLen
		in.Seg = s
	}
}

// fillCarried makes in the packet that readCarried took, whose frames are counted in the
// flow of the tunnel.
func (n *intake[K]) fillCarried(in *tracker.Input[K], frame []byte) {
	n.fill(in, frame)
	in.Packets, in.Bytes, in.IPBytes, in.PayloadLen, in.Carried = 0, 0, 0, 0, true
}

// describe notes what the first packet of a flow says for all of it, and that the counters
// of one whose packets are carried lack something.
func (n *intake[K]) describe(s *session, in *tracker.Input[K]) {
	if in.Carried {
		s.lost |= flow.LostFragment
	}
	if s.known {
		return
	}
	s.known = true
	s.proto, s.first, s.fiveTuple = n.pkt.Proto, n.x.Dir, n.x.Sessions
	s.attrs = n.pkt.Attributes()
	s.tuple = n.tuple()
}

// takeWaiting returns the fragments that waited for the packet in hand as two inputs
// of its flow: all of them at the first time, and nothing at the last.
func (n *intake[K]) takeWaiting(in *tracker.Input[K]) []tracker.Input[K] {
	a := n.waiting
	n.waiting = packet.Account{}
	counted, last := &n.late[0], &n.late[1]
	*counted = *in
	counted.Seg, counted.PayloadLen = nil, int(a.PayloadBytes)
	counted.Packets, counted.Bytes, counted.IPBytes = a.Packets, int(a.Bytes), int(a.IPBytes)
	counted.Time, counted.TTL = a.First, a.TTLMin
	*last = *counted
	last.Packets, last.Bytes, last.IPBytes, last.PayloadLen = 0, 0, 0, 0
	last.Time, last.TTL = a.Last, a.TTLMax
	return n.late[:]
}

// finish counts the fragments whose flow never became known: the input is over.
func (n *intake[K]) finish() {
	packets, bytes := n.follow.Expire(flow.MaxTimestamp)
	n.unparsed(flow.CauseFragmentOrphan, packets, bytes)
	n.sum.FragmentTableFull = n.follow.Full()
}

// tuple returns the key where it is one of ours, else the packet's five-tuple in the
// same direction.
func (n *intake[K]) tuple() flow.Key {
	if n.key != nil {
		return *n.key
	}
	p := &n.pkt
	k := flow.Key{Lo: p.Src, Hi: p.Dst, LoPort: p.SrcPort, HiPort: p.DstPort, Proto: p.Proto, IPVersion: p.IPVersion}
	if n.x.Dir == flow.Reverse {
		k.Lo, k.Hi, k.LoPort, k.HiPort = k.Hi, k.Lo, k.HiPort, k.LoPort
	}
	return k
}
