package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// A SessionDriver turns frames into the events of flows and their sessions, all in
// user space. It belongs to one goroutine.
type SessionDriver[K comparable] struct {
	w       *worker[K]
	dec     packet.Decoder
	follow  packet.Fragments
	pkt     packet.Packet
	x       packet.Extracted[K]
	key     *flow.Key      // x.Key, if that is what K is
	waiting packet.Account // fragments that waited for the one in hand
}

// NewSessionDriver returns a driver. It wants Options.Extractor.
func NewSessionDriver[K comparable](opt Options[K]) *SessionDriver[K] {
	d := &SessionDriver[K]{w: newWorker(opt, nil)}
	d.dec.Decap = opt.Decap
	d.key, _ = any(&d.x.Key).(*flow.Key)
	d.w.sum.Engine = "userspace"
	return d
}

// Frame takes one frame. Frames come in the order they were captured.
func (d *SessionDriver[K]) Frame(v *packet.View) {
	w := d.w
	w.sum.PacketsSeen++
	w.sum.BytesSeen += uint64(v.WireLen())
	if w.opt.Dedup != nil && !w.opt.Dedup.Keep(v) {
		w.sum.PacketsDuplicate++
		w.sum.BytesDuplicate += uint64(v.WireLen())
		return
	}
	w.advance(v.Time)
	d.dec.Decode(v, &d.pkt)
	if d.pkt.DecapDepth {
		w.sum.DecapDepth++
	}
	if cause := w.opt.Extractor.Extract(&d.pkt, &d.x); cause != flow.Decoded {
		w.unparsed(cause, d.pkt.WireLen)
		return
	}
	if d.x.Sessions && d.pkt.IsFragment() && !d.followFragment(v.Frame) {
		return
	}
	d.track(v.Frame)
}

// followFragment finds the flow of a fragment. It reports false if that is not
// known, or not yet.
func (d *SessionDriver[K]) followFragment(frame []byte) bool {
	var verdict packet.FragVerdict
	d.waiting, verdict = d.follow.Follow(&d.pkt)
	switch verdict {
	case packet.FragOrphan:
		d.w.unparsed(flow.CauseFragmentOrphan, d.pkt.WireLen)
		return false
	case packet.FragWaiting:
		fr := d.pkt.Fragment(frame)
		d.w.fragment(&fr, nil, 0)
		return false
	}
	return d.w.opt.Extractor.Extract(&d.pkt, &d.x) == flow.Decoded
}

// track carries a packet with a key through the stages.
func (d *SessionDriver[K]) track(frame []byte) {
	w, p := d.w, &d.pkt
	in := &w.in
	in.Key, in.Dir, in.Proto, in.Time = d.x.Key, d.x.Dir, p.Proto, p.Time
	in.Packets, in.Bytes, in.IPBytes, in.PayloadLen = 1, p.WireLen, p.IPLen, p.PayloadLen
	in.TTL, in.Label, in.Seg = p.TTL, p.FlowLabel, nil
	in.OneWay = d.key != nil && d.key.Directional
	if d.x.Dir == flow.Forward {
		in.Ports = [2]uint16{p.SrcPort, p.DstPort}
	} else {
		in.Ports = [2]uint16{p.DstPort, p.SrcPort}
	}
	if d.x.Sessions && p.HasTCP && !p.IsFragment() {
		w.seg = p.Segment(frame)
		in.Seg = &w.seg
	}
	f := w.table.Observe(in)
	d.describe(f)
	w.enter(f, p.Time)
	if d.x.Sessions {
		d.payload(f, frame)
	}
	w.finish(f, in)
	if d.waiting.Packets > 0 {
		d.addWaiting()
	}
}

// payload hands on what the packet in hand carries.
func (d *SessionDriver[K]) payload(f *tracked[K], frame []byte) {
	w, p, side := d.w, &d.pkt, f.Side(d.x.Dir)
	switch {
	case p.IsFragment():
		fr := p.Fragment(frame)
		w.fragment(&fr, f, d.x.Dir)
	case w.in.Seg != nil:
		w.segment(side, w.in.Seg)
	case p.Proto.L4() != flow.L4UDP:
	case p.PayloadCap < p.PayloadLen:
		w.sess.lost |= flow.LostSnaplen
	default:
		w.datagram(side, p.Payload(frame))
	}
}

// addWaiting counts the fragments that came before the first one of their datagram,
// with the times they had.
func (d *SessionDriver[K]) addWaiting() {
	a, in := d.waiting, &d.w.in
	d.waiting = packet.Account{}
	in.Seg, in.PayloadLen = nil, int(a.PayloadBytes)
	in.Packets, in.Bytes, in.IPBytes = a.Packets, int(a.Bytes), int(a.IPBytes)
	in.Time, in.TTL = a.First, a.TTLMin
	d.w.table.Finish(d.w.table.Observe(in), in)
	in.Packets, in.Bytes, in.IPBytes, in.PayloadLen = 0, 0, 0, 0
	in.Time, in.TTL = a.Last, a.TTLMax
	d.w.table.Finish(d.w.table.Observe(in), in)
}

// describe notes what the first packet of a flow says for all of it.
func (d *SessionDriver[K]) describe(f *tracked[K]) {
	s := f.State
	if s.known {
		return
	}
	s.known = true
	s.proto, s.first, s.fiveTuple = d.pkt.Proto, d.x.Dir, d.x.Sessions
	s.attrs = d.pkt.Attributes()
	s.tuple = d.tuple()
}

// tuple returns the key where it is one of ours, else the packet's five-tuple in the
// same direction.
func (d *SessionDriver[K]) tuple() flow.Key {
	if d.key != nil {
		return *d.key
	}
	p := &d.pkt
	k := flow.Key{Lo: p.Src, Hi: p.Dst, LoPort: p.SrcPort, HiPort: p.DstPort, Proto: p.Proto, IPVersion: p.IPVersion}
	if d.x.Dir == flow.Reverse {
		k.Lo, k.Hi, k.LoPort, k.HiPort = k.Hi, k.Lo, k.HiPort, k.LoPort
	}
	return k
}

// Sweep ends what is due by now, a packet time. It never changes what comes out,
// only when.
func (d *SessionDriver[K]) Sweep(now flow.Timestamp) { d.w.advance(now) }

// Finish ends all flows: the input is over. The driver must not be used after it.
func (d *SessionDriver[K]) Finish() {
	packets, bytes := d.follow.Expire(flow.MaxTimestamp)
	d.w.sum.Unparsed[flow.CauseFragmentOrphan] += packets
	d.w.sum.UnparsedBytes[flow.CauseFragmentOrphan] += bytes
	d.w.sum.FragmentTableFull = d.follow.Full()
	d.w.frags.defrag.Expire(flow.MaxTimestamp)
	d.w.table.EndAll(flow.EndOfInput)
}

// Summary returns the counters so far. Conservation holds after Finish.
func (d *SessionDriver[K]) Summary() flow.Summary { return d.w.sum }
