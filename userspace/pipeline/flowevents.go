package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// segment hands one TCP packet of f to the assemblers of both sides.
func (d *FlowDriver[K, S]) segment(f *tracker.Flow[K, FlowState[S]], dir flow.Direction, seg *flow.Segment) {
	s := &f.State
	if s.closed || d.opt.NoReassembly {
		return
	}
	side := f.Side(dir)
	if !s.asked[side] {
		if seg.Len > 0 {
			d.assemble(f, side)
		} else {
			d.noteEarly(s, dir, seg)
		}
	}
	if s.sides != nil {
		d.show(f, side, seg)
	}
	d.closeIfOver(f)
}

// show shows a segment to the assemblers of both sides.
func (d *FlowDriver[K, S]) show(f *tracker.Flow[K, FlowState[S]], side flow.Side, seg *flow.Segment) {
	own, other := &f.State.sides[side], &f.State.sides[side.Other()]
	d.feeding = f
	if own.Assembler != nil {
		d.feed(own, side, seg)
	}
	if other.peer != nil {
		other.peer.Peer(seg)
	}
	d.feeding = nil
	if own.poisoned() || other.poisoned() {
		d.table.CloseFlow(f, flow.EndBufferOverflow)
	}
}

// feed gives a segment to the assembler of its side.
func (d *FlowDriver[K, S]) feed(a *assembly, side flow.Side, seg *flow.Segment) {
	if !a.custom {
		a.Segment(seg)
		return
	}
	before := a.Diagnostics()
	a.Segment(seg)
	after := a.Diagnostics()
	if n := after.ReassemblyDroppedOversizeBytes - before.ReassemblyDroppedOversizeBytes; n > 0 {
		d.report(&flow.Anomaly{Kind: flow.AnomalyBufferOverflow, Side: side, Bytes: int64(n), Policy: d.opt.Reassembly.Overflow})
	}
	if n := after.OutOfOrderSegments - before.OutOfOrderSegments; n > 0 {
		d.report(&flow.Anomaly{Kind: flow.AnomalyOutOfOrder, Side: side, Count: int64(n)})
	}
}

// assemble makes the assembler of a side and shows it what came before. The sides are
// final from then on.
func (d *FlowDriver[K, S]) assemble(f *tracker.Flow[K, FlowState[S]], side flow.Side) {
	f.FixSides()
	s := &f.State
	s.asked[side] = true
	if a := d.opt.NewAssembler(f.Key, side); a != nil {
		if s.sides == nil {
			s.sides = new([2]assembly)
		}
		s.sides[side] = newAssembly(a, d.report)
		d.catchUp(f, side)
	}
	if s.asked[side.Other()] {
		d.dropEarly(s)
	}
}

// catchUp shows a new assembler what came before it.
func (d *FlowDriver[K, S]) catchUp(f *tracker.Flow[K, FlowState[S]], side flow.Side) {
	a := &f.State.sides[side]
	d.feeding = f
	for _, h := range f.State.early {
		seg := flow.Segment{TCPHeader: h.TCPHeader, Time: h.time}
		if f.Side(h.dir) == side {
			a.Segment(&seg)
		} else if a.peer != nil {
			a.peer.Peer(&seg)
		}
	}
	d.feeding = nil
}

// noteEarly keeps a SYN or FIN for the assembler that does not exist yet.
func (d *FlowDriver[K, S]) noteEarly(s *FlowState[S], dir flow.Direction, seg *flow.Segment) {
	if seg.Flags&(flow.SYN|flow.FIN) == 0 || len(s.early) == maxEarly {
		return
	}
	if n := len(d.spare); s.early == nil && n > 0 {
		s.early, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	s.early = append(s.early, earlyHeader{seg.TCPHeader, seg.Time, dir})
}

// maxSpare is how many emptied lists of early headers are kept for other flows.
const maxSpare = 1024

func (d *FlowDriver[K, S]) dropEarly(s *FlowState[S]) {
	if s.early != nil && len(d.spare) < maxSpare {
		d.spare = append(d.spare, s.early[:0])
	}
	s.early = nil
}

// closeIfOver tells the assemblers of a flow that TCP, or a full buffer, has closed.
func (d *FlowDriver[K, S]) closeIfOver(f *tracker.Flow[K, FlowState[S]]) {
	switch {
	case f.Closed() != flow.EndNone:
		d.closeStreams(f, f.Closed())
	case f.TCPState().Terminal():
		d.closeStreams(f, reasonOf(f.TCPState()))
	}
}

// closeStreams tells the assemblers of f why it is over, once.
func (d *FlowDriver[K, S]) closeStreams(f *tracker.Flow[K, FlowState[S]], reason flow.EndReason) {
	s := &f.State
	if s.closed {
		return
	}
	s.closed = true
	d.feeding = f
	for side := range flow.Side(2) {
		switch a := s.side(side); {
		case a == nil:
		case orderly(reason):
			a.Fin()
		default:
			a.Rst()
		}
	}
	d.feeding = nil
}

// orderly reports whether a flow that ended for r was not cut off.
func orderly(r flow.EndReason) bool {
	return r == flow.EndFIN || r == flow.EndIdle || r == flow.EndOfInput
}

// onAnomaly takes what an assembler found odd.
func (d *FlowDriver[K, S]) onAnomaly(a *flow.Anomaly) { d.table.Report(d.feeding, *a) }

// onTable takes the table's events, in order.
func (d *FlowDriver[K, S]) onTable(f *tracker.Flow[K, FlowState[S]], e *flow.Event[K]) {
	switch e.Kind {
	case flow.EventEnded:
		d.ended(f, e)
		return
	case flow.EventStarted:
		d.say.started(e.L4)
		d.levels()
	case flow.EventStateChange:
		if d.expiring && e.To.Terminal() {
			d.emit(e)
			d.closeStreams(f, reasonOf(e.To))
			return
		}
	case flow.EventAnomaly:
		d.say.anomaly(e.Anomaly.Kind)
		if !d.opt.Anomalies {
			return
		}
	case flow.EventUpdate:
		f.State.diagnose(e.Stats)
	}
	d.emit(e)
}

func (d *FlowDriver[K, S]) emit(e *flow.Event[K]) {
	if d.opt.OnEvent != nil {
		d.opt.OnEvent(e)
	}
}

func (d *FlowDriver[K, S]) levels() {
	if d.say.rec != nil {
		d.say.levels(d.table.Len(), d.table.Full(), d.shared.Used())
	}
}

// ended takes a flow that the table has let go of: it is handed out now, or by
// Finalize.
func (d *FlowDriver[K, S]) ended(f *tracker.Flow[K, FlowState[S]], e *flow.Event[K]) {
	d.closeStreams(f, e.Reason)
	d.now = heldEnd[K, S]{event: *e, stats: *e.Stats, state: f.State}
	d.now.state.diagnose(&d.now.stats)
	if d.holding {
		d.held = append(d.held, d.now)
	} else {
		d.hand(&d.now)
	}
	d.now = heldEnd[K, S]{}
}

// hand counts and hands out the end of a flow.
func (d *FlowDriver[K, S]) hand(h *heldEnd[K, S]) {
	h.event.Stats = &h.stats
	d.tracked(&h.stats)
	d.say.ended(h.event.Reason, &h.stats)
	d.ending = h
	d.emit(&h.event)
	d.ending = nil
	d.release(&h.state)
	d.levels()
}

func (d *FlowDriver[K, S]) tracked(st *flow.Stats) {
	d.count.PacketsTracked += st.Packets()
	d.count.BytesTracked += st.Bytes()
}

// release gives back what the assemblers of a flow hold.
func (d *FlowDriver[K, S]) release(s *FlowState[S]) {
	for side := range flow.Side(2) {
		if a := s.side(side); a != nil {
			a.release()
		}
	}
	d.dropEarly(s)
}

// diagnose adds the counters of the streams to those of the table. Classes of segments
// are the assembler's to tell, where there is one.
func (s *FlowState[S]) diagnose(st *flow.Stats) {
	for side := range flow.Side(2) {
		a := s.side(side)
		if a == nil {
			continue
		}
		st.Side[side].Keepalives, st.Side[side].ZeroWindowProbes = 0, 0
		stream := a.Diagnostics()
		st.Side[side].Add(&stream)
	}
}

// whole implements datagramTaker.
func (d *FlowDriver[K, S]) whole(f *tracker.Flow[K, FlowState[S]], dir flow.Direction, p *packet.Packet, seg *flow.Segment, _ []byte) {
	if seg == nil {
		return
	}
	in := d.in
	in.Dir, in.Seg, in.PayloadLen = dir, seg, p.PayloadLen
	d.table.Step(f, &in)
	d.segment(f, dir, seg)
}

// around implements datagramTaker.
func (d *FlowDriver[K, S]) around(_ *tracker.Flow[K, FlowState[S]], _ flow.Direction, p *packet.Packet) {
	q := &d.pkt
	p.SrcMAC, p.DstMAC, p.HasMAC = q.SrcMAC, q.DstMAC, q.HasMAC
	p.VLANs, p.NVLANs, p.Tunnels, p.NTunnels = q.VLANs, q.NVLANs, q.Tunnels, q.NTunnels
}

// overlap implements datagramTaker.
func (d *FlowDriver[K, S]) overlap(f *tracker.Flow[K, FlowState[S]], _ flow.Timestamp, a *flow.Anomaly) {
	d.table.Report(f, *a)
}

// lost implements datagramTaker. The events of a flow do not say what its datagrams
// lack.
func (d *FlowDriver[K, S]) lost(*tracker.Flow[K, FlowState[S]]) {}
