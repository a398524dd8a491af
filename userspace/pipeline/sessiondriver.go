package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// A SessionDriver turns frames into the events of flows and their sessions, all in
// user space. It belongs to one goroutine.
type SessionDriver[K comparable] struct {
	w   *worker[K]
	dec packet.Decoder
	pkt packet.Packet
	x   packet.Extracted[K]
}

// NewSessionDriver returns a driver. It wants Options.Extractor.
func NewSessionDriver[K comparable](opt Options[K]) *SessionDriver[K] {
	d := &SessionDriver[K]{w: newWorker(opt, nil)}
	d.dec.Decap = opt.Decap
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
	d.track(v.Frame)
}

// track carries a packet with a key through the stages.
func (d *SessionDriver[K]) track(frame []byte) {
	w, p := d.w, &d.pkt
	in := &w.in
	in.Key, in.Dir, in.Proto, in.Time = d.x.Key, d.x.Dir, p.Proto, p.Time
	in.Packets, in.Bytes, in.IPBytes, in.PayloadLen = 1, p.WireLen, p.IPLen, p.PayloadLen
	in.TTL, in.Label, in.Seg = p.TTL, p.FlowLabel, nil
	if d.x.Dir == flow.Forward {
		in.Ports = [2]uint16{p.SrcPort, p.DstPort}
	} else {
		in.Ports = [2]uint16{p.DstPort, p.SrcPort}
	}
	if d.x.Sessions && p.HasTCP {
		w.seg = p.Segment(frame)
		in.Seg = &w.seg
	}
	f := w.table.Observe(in)
	d.describe(f)
	w.enter(f, p.Time)
	if in.Seg != nil {
		w.segment(f.Side(in.Dir), in.Seg)
	} else if d.x.Sessions && p.Proto.L4() == flow.L4UDP && p.PayloadCap == p.PayloadLen {
		w.datagram(f.Side(in.Dir), p.Payload(frame))
	}
	w.finish(f, in)
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
	if k, ok := any(d.x.Key).(flow.Key); ok {
		return k
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
func (d *SessionDriver[K]) Finish() { d.w.table.EndAll(flow.EndOfInput) }

// Summary returns the counters so far. Conservation holds after Finish.
func (d *SessionDriver[K]) Summary() flow.Summary { return d.w.sum }
