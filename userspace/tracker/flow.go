package tracker

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Flow is an entry of the table. It is valid until its Ended event was handled.
type Flow[K comparable, S any] struct {
	// State is the caller's, made by the function given to [New].
	State S
	// Key is the key the flow was created with.
	Key K

	id          uint64
	first, last flow.Timestamp
	count       [2]counts        // by direction
	label       [2]uint32        // of the first packet, by direction
	ttl         [2][2]uint8      // lowest, highest, by direction
	ports       [2]uint16        // lo, hi
	slot        uint32           // in the slab
	proto       flow.Proto       // of the first packet
	reason      flow.EndReason   // once closed
	orientation flow.Orientation // how the initiator is known
	flags       flowFlags
	conn        Conn
}

type counts struct{ packets, bytes, ipBytes, payload uint64 }

type flowFlags uint8

const (
	live         flowFlags = 1 << iota
	firstReverse           // the first packet went in direction Reverse
	sidesFixed             // the initiator is final
	tcpStepped
	seenForward // a packet went there
	seenReverse
	oneWayFlow       // the key is directional
	initiatorReverse // the initiator's packets go in direction Reverse
)

func (f *Flow[K, S]) has(b flowFlags) bool { return f.flags&b != 0 }

// ID returns the flow's number, unique in a run (SEMANTICS.md §3.9).
func (f *Flow[K, S]) ID() uint64 { return f.id }

// Proto returns the protocol of the first packet.
func (f *Flow[K, S]) Proto() flow.Proto { return f.proto }

// Side returns who sends the packets that go in direction d.
func (f *Flow[K, S]) Side(d flow.Direction) flow.Side { return flow.Side(d ^ f.InitiatorDir()) }

// InitiatorDir returns the direction of the initiator's packets.
func (f *Flow[K, S]) InitiatorDir() flow.Direction {
	if f.has(initiatorReverse) {
		return flow.Reverse
	}
	return flow.Forward
}

// Orientation says how the initiator is known.
func (f *Flow[K, S]) Orientation() flow.Orientation { return f.orientation }

// FixSides makes the initiator final: from now on a late SYN does not change it.
// The driver calls it when a parser has been given bytes with a side.
func (f *Flow[K, S]) FixSides() { f.flags |= sidesFixed }

// First returns the smallest packet time.
func (f *Flow[K, S]) First() flow.Timestamp { return f.first }

// Last returns the largest packet time.
func (f *Flow[K, S]) Last() flow.Timestamp { return f.last }

// TCPState returns where the flow stands; Active if it is not TCP.
func (f *Flow[K, S]) TCPState() flow.State { return f.conn.state }

// Closed returns the end reason of a flow that is closed and lingers, or has ended,
// else EndNone.
func (f *Flow[K, S]) Closed() flow.EndReason { return f.reason }

// turned reports whether the initiator is not who sent the first packet.
func (f *Flow[K, S]) turned() bool { return f.has(firstReverse) != f.has(initiatorReverse) }

// History returns Zeek's history.
func (f *Flow[K, S]) History() string { return f.conn.History(f.turned()) }

// Events returns flowscope's own history, at most 16 letters.
func (f *Flow[K, S]) Events() string { return f.conn.Events() }

// ConnState returns Zeek's conn_state.
func (f *Flow[K, S]) ConnState() string {
	switch {
	case f.has(tcpStepped):
		return f.conn.ConnState(f.count[0].payload+f.count[1].payload > 0 || f.conn.end[0].earned(letterD) || f.conn.end[1].earned(letterD))
	case f.proto != flow.ProtoUDP && f.proto != flow.ProtoUDPLite:
		return "OTH"
	}
	d := f.InitiatorDir()
	from, to := f.seen(d), f.seen(d.Other())
	switch {
	case from && to:
		return "SF"
	case from:
		return "S0"
	}
	return "SHR"
}

// seen reports whether a packet of a datagram flow went in direction d, be it one that
// is counted elsewhere.
func (f *Flow[K, S]) seen(d flow.Direction) bool {
	return f.count[d].packets > 0 || f.conn.end[f.Side(d)].earned(letterD)
}

// Handshake returns SYN+ACK to ACK (initiator) and SYN to SYN+ACK (responder),
// negative where it is not known.
func (f *Flow[K, S]) Handshake() [2]time.Duration { return f.conn.Handshake() }

// FlowLabel returns the IPv6 flow label of the initiator's first packet, and how
// often the initiator changed it later.
func (f *Flow[K, S]) FlowLabel() (label uint32, changes uint64) {
	dir := f.InitiatorDir()
	if d := f.conn.d; d != nil {
		changes = d.labelChanges[dir]
	}
	return f.label[dir], changes
}

// Packets returns the packets of both directions.
func (f *Flow[K, S]) Packets() uint64 { return f.count[0].packets + f.count[1].packets }

// PacketsAfterClose returns how many packets came after the flow closed.
func (f *Flow[K, S]) PacketsAfterClose() uint64 {
	if f.reason == flow.EndNone || f.conn.d == nil {
		return 0
	}
	return f.Packets() - f.conn.d.atClose
}

// Stats returns the counters that the table keeps; those of the streams are the
// reassembler's, and zero here.
func (f *Flow[K, S]) Stats() flow.Stats {
	s := flow.Stats{Start: f.first, End: f.last}
	for d := range flow.Direction(2) {
		f.sideStats(d, &s.Side[f.Side(d)])
	}
	return s
}

func (f *Flow[K, S]) sideStats(d flow.Direction, s *flow.SideStats) {
	c, side := &f.count[d], f.Side(d)
	s.Packets, s.Bytes, s.IPBytes, s.PayloadBytes = c.packets, c.bytes, c.ipBytes, c.payload
	s.TTLMin, s.TTLMax = f.ttl[d][0], f.ttl[d][1]
	s.TCPFlags = f.conn.end[side].flags
	if f.conn.d == nil {
		return
	}
	q := &f.conn.d.side[side]
	s.ZeroWindows, s.ZeroWindowProbes, s.Keepalives = q.zeroWindows, q.probes, q.keepalives
	s.DuplicateACKs, s.RTT = q.duplicateACKs, q.rtt
}

// Fill sets what the table knows of r: all but Key, Endpoint, the attributes of the
// first packet other than the flow label, and what parsers and reassembly know.
// Counters of the streams that are in r already stay.
func (f *Flow[K, S]) Fill(r *flow.Record) {
	r.ID = f.id
	r.Stats.Start, r.Stats.End = f.first, f.last
	for d := range flow.Direction(2) {
		f.sideStats(d, &r.Stats.Side[f.Side(d)])
	}
	r.Orientation = f.orientation
	r.State, r.Reason = f.conn.state, f.reason
	r.ConnState, r.History, r.Events = f.ConnState(), f.History(), f.Events()
	r.Handshake = f.Handshake()
	r.FlowLabel, r.FlowLabelChanges = f.FlowLabel()
	r.PacketsAfterClose = f.PacketsAfterClose()
}

// NoteGap adds the letter of a gap in side's stream to the history: the first,
// tenth, hundredth … while both sides are, or were when they closed, established.
func (f *Flow[K, S]) NoteGap(side flow.Side) {
	if f.conn.end[0].point.up() && f.conn.end[1].point.up() {
		f.conn.often(side, letterG)
	}
}

// NoteLimit adds the letter of a limit that was reached, once.
func (f *Flow[K, S]) NoteLimit(side flow.Side) {
	if !f.conn.end[side.Other()].earned(letterX) {
		f.conn.once(side, letterX)
	}
}

// Counters are what one direction of a flow counted up to now, for engines that
// count elsewhere. Lowest and highest TTL are 0 before the first packet.
type Counters struct {
	Packets, Bytes, IPBytes, PayloadBytes uint64
	TCPFlags                              flow.TCPFlags
	TTLMin, TTLMax                        uint8
}

// Add adds what was counted of the same direction elsewhere.
func (c *Counters) Add(o *Counters) {
	if o.Packets == 0 {
		return
	}
	if c.Packets == 0 {
		*c = *o
		return
	}
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.IPBytes += o.IPBytes
	c.PayloadBytes += o.PayloadBytes
	c.TCPFlags |= o.TCPFlags
	c.TTLMin, c.TTLMax = min(c.TTLMin, o.TTLMin), max(c.TTLMax, o.TTLMax)
}

// SetCounters replaces the counters of direction d. TCP flags are united with those of
// the segments that were shown, which may come in fragments.
func (f *Flow[K, S]) SetCounters(d flow.Direction, c Counters) {
	f.count[d] = counts{c.Packets, c.Bytes, c.IPBytes, c.PayloadBytes}
	f.ttl[d] = [2]uint8{c.TTLMin, c.TTLMax}
	f.conn.end[f.Side(d)].flags |= c.TCPFlags
}

// Quality is what one direction's headers told, for engines that read them
// elsewhere.
type Quality struct {
	ZeroWindows, ZeroWindowProbes, Keepalives, DuplicateACKs uint64
	RTT                                                      flow.RTT
}

// SetQuality replaces the quality counters of direction d.
func (f *Flow[K, S]) SetQuality(d flow.Direction, q Quality) {
	if f.conn.d == nil && q == (Quality{}) {
		return
	}
	s := &f.conn.details().side[f.Side(d)]
	s.zeroWindows, s.probes, s.keepalives = q.ZeroWindows, q.ZeroWindowProbes, q.Keepalives
	s.duplicateACKs, s.rtt = q.DuplicateACKs, q.RTT
}

// SetHandshake replaces the handshake times; negative is not known.
func (f *Flow[K, S]) SetHandshake(t [2]time.Duration) {
	if f.conn.d == nil && t[0] < 0 && t[1] < 0 {
		return
	}
	d := f.conn.details()
	d.handshake = t
	for side, v := range t {
		d.put(hasHandshake<<side, v >= 0)
	}
}

// Progress is how far one direction's segments have got, for engines that do not show
// the table every segment.
type Progress struct {
	Max    flow.Seq // highest sequence number sent, + 1, SYN and FIN included
	Ack    flow.Seq // highest sent; with HasACK
	Last   flow.Seq // of the latest segment
	Window uint16   // its window, as sent
	HasACK bool
}

// SetProgress brings what is known of direction d's segments up to the one that is to
// be stepped next, without that one. It is for directions of which some segment was
// stepped already. Resets and FINs are judged by it.
func (f *Flow[K, S]) SetProgress(d flow.Direction, p Progress) {
	e := &f.conn.end[f.Side(d)]
	if !e.has(hasMax) {
		return
	}
	e.window, f.conn.details().side[f.Side(d)].latest = p.Window, p.Last
	if !e.has(sentFIN) {
		e.max = p.Max
	}
	if p.HasACK {
		e.ack = p.Ack
		e.known |= hasACK
	}
}

// SetRepeats says how many packets with window 0, and how many retransmissions, went in
// direction d before the segment that is to be stepped next. The history notes the
// first, tenth, hundredth … of each.
func (f *Flow[K, S]) SetRepeats(d flow.Direction, zeroWindows, retransmissions uint32) {
	if f.conn.d == nil && zeroWindows|retransmissions == 0 {
		return
	}
	often := &f.conn.details().side[f.Side(d)].often
	often[0], often[letterT-letterW] = zeroWindows, retransmissions
}

// SetTimes tells of packets from first to last. What is known of smaller and larger times
// stays.
func (f *Flow[K, S]) SetTimes(first, last flow.Timestamp) {
	f.first, f.last = min(f.first, first), f.last.Max(last)
}

// ReusedBy reports whether the segment s, going in direction d, begins another flow
// on f's tuple (SEMANTICS.md §3.6). Observe acts on it; a driver that finds flows
// itself asks, and passes f to [Table.Open].
func (f *Flow[K, S]) ReusedBy(d flow.Direction, s *flow.Segment) bool {
	return f.has(tcpStepped) && f.conn.ReusedBy(f.Side(d), s)
}

// add counts a packet, or several of one direction.
func (f *Flow[K, S]) add(in *Input[K]) {
	c := &f.count[in.Dir]
	c.packets += in.Packets
	c.bytes += uint64(in.Bytes)
	c.ipBytes += uint64(in.IPBytes)
	c.payload += uint64(in.PayloadLen)
}

// turn exchanges the sides.
func (f *Flow[K, S]) turn() {
	f.flags ^= initiatorReverse
	f.conn.swap()
}

// oneSidedFIN reports whether one side only was ever seen, and has sent its FIN.
func (f *Flow[K, S]) oneSidedFIN() bool {
	return f.conn.state == flow.StateFINWait && (f.silent(flow.Forward) || f.silent(flow.Reverse))
}

// silent reports whether no packet of a TCP flow went in direction d.
func (f *Flow[K, S]) silent(d flow.Direction) bool {
	return f.count[d].packets == 0 && !f.conn.end[f.Side(d)].has(hasMax)
}

// NoteFlags adds TCP flags of direction d that were seen where no segment is shown: in a
// first fragment.
func (f *Flow[K, S]) NoteFlags(d flow.Direction, flags flow.TCPFlags) {
	f.conn.end[f.Side(d)].flags |= flags
}
