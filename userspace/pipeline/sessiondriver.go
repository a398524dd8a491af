package pipeline

import (
	"context"
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// A SessionDriver turns frames into the events of flows and their sessions, all in
// user space. It belongs to one goroutine.
type SessionDriver[K comparable] struct {
	w *worker[K]
	intake[K]
	near nearness[K]
}

// NewSessionDriver returns a driver. It wants Options.Extractor.
func NewSessionDriver[K comparable](opt Options[K]) *SessionDriver[K] {
	d := &SessionDriver[K]{w: newWorker(opt, nil)}
	d.init(&opt, &d.w.sum, &d.w.tell)
	d.w.sum.Engine = "userspace"
	return d
}

// Track takes one frame. Frames come in the order they were captured.
func (d *SessionDriver[K]) Track(v *packet.View) {
	if !d.admit(v) {
		return
	}
	d.w.advance(v.Time)
	switch d.read(v) {
	case keyed:
		d.fill(&d.w.in, v.Frame)
		d.track(v.Frame)
		d.trackCarried()
	case stray:
		fr := d.pkt.Fragment(v.Frame)
		d.w.fragment(&fr, nil, 0)
	}
}

// trackCarried carries the packet through the stages that the one in hand completed in a
// tunnel.
func (d *SessionDriver[K]) trackCarried() {
	p, frame := d.w.frags.carried()
	if p == nil || !d.readCarried(p) {
		return
	}
	d.fillCarried(&d.w.in, frame)
	d.track(frame)
}

// track carries the input, a packet with a key, through the stages.
func (d *SessionDriver[K]) track(frame []byte) {
	w, in := d.w, &d.w.in
	f := w.table.Observe(in)
	d.pkt.Time = in.Time
	d.describe(f.State, in)
	if d.waiting.Packets > 0 {
		late := d.takeWaiting(in)
		for i := range late {
			w.table.Observe(&late[i])
		}
	}
	w.enter(f, in.Time)
	if d.x.Sessions && !in.BadChecksum {
		d.payload(f, frame)
	}
	w.finish(f, in)
}

// payload hands on what the packet in hand carries.
func (d *SessionDriver[K]) payload(f *tracked[K], frame []byte) {
	w, p, side := d.w, &d.pkt, f.Side(d.x.Dir)
	switch {
	case p.IsFragment():
		if p.HasTCP {
			f.NoteFlags(d.x.Dir, p.TCP.Flags)
		}
		fr := p.Fragment(frame)
		w.fragment(&fr, f, d.x.Dir)
	case w.in.Seg != nil:
		w.segment(side, w.in.Seg)
	case p.Proto.L4() != flow.L4UDP:
	case p.PayloadCap < p.PayloadLen:
		w.datagramCut()
	default:
		w.datagram(side, p.Payload(frame))
	}
}

// Sweep ends what is due by now, a packet time. It never changes what comes out,
// only when.
func (d *SessionDriver[K]) Sweep(now flow.Timestamp) { d.w.advance(now) }

// Finish ends all flows: the input is over. The driver must not be used after it.
func (d *SessionDriver[K]) Finish() {
	d.intake.finish()
	d.w.frags.finish()
	d.w.table.EndAll(flow.EndOfInput)
}

// Summary returns the counters so far. Conservation holds after Finish.
func (d *SessionDriver[K]) Summary() flow.Summary { return d.w.sum }

// Dedup returns what drops second copies of frames, nil if nothing does.
func (d *SessionDriver[K]) Dedup() *packet.Dedup { return d.dedup }

// Events carries the frames of src through the driver and returns what comes of them,
// then finishes it. An error of the source or the context comes last, with a nil event.
// What an event points to is valid until the loop goes on; leaving the loop leaves
// the driver as it is. A handler of the driver's options is called too, before.
func (d *SessionDriver[K]) Events(ctx context.Context, src Source) iter.Seq2[*SessionEvent[K], error] {
	return events(ctx, src, d, &d.w.opt.Handler)
}

// EmitsAnomalies reports whether Anomaly events are handed out.
func (d *SessionDriver[K]) EmitsAnomalies() bool { return d.w.opt.Anomalies }

// Snapshot returns key and counters of every open flow, those of its streams
// included, in no order of meaning. It does its work while it is ranged over, and the
// driver must not be used meanwhile.
func (d *SessionDriver[K]) Snapshot() iter.Seq2[K, flow.Stats] { return d.w.snapshot() }
