package pipeline

import (
	"context"
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// FlowOptions configures a [FlowDriver]. Of Options, Handler, Protocols, Gaps,
// PoisonEndsFlow, StreamHash and TraceMessages do not concern it.
type FlowOptions[K comparable, S any] struct {
	Options[K]

	// OnEvent takes the events, synchronously and in the order of SEMANTICS.md
	// §3.2. It may read from the driver and drain it, not drive it. What an
	// event points to is valid during the call.
	OnEvent func(e *flow.Event[K])
	// NewState makes the caller's part of each flow; nil leaves it zero.
	NewState func(key K) S
	// NewAssembler makes what takes a side's payload, at the first that comes;
	// nil for a side that nobody wants to read. By default it is a
	// reassembly.Buffer with Options.Reassembly.
	NewAssembler func(key K, side flow.Side) Assembler
	// NoReassembly leaves all payload alone.
	NoReassembly bool
}

// A FlowState is what a FlowDriver keeps of a flow in its table.
type FlowState[S any] struct {
	// User is the caller's, made by FlowOptions.NewState.
	User S

	closed bool          // the assemblers were told of the end
	asked  [2]bool       // the side has an assembler, or none is wanted
	sides  *[2]assembly  // nil while there is none
	early  []earlyHeader // SYN and FIN before payload
}

// side returns the assembler of a side, or nil.
func (s *FlowState[S]) side(side flow.Side) *assembly {
	if s.sides == nil || s.sides[side&1].Assembler == nil {
		return nil
	}
	return &s.sides[side&1]
}

// A FlowDriver turns frames into the events of flows, and holds the ordered bytes of
// TCP flows until they are drained. It belongs to one goroutine.
//
// Track does all for one frame. Who wants the bytes before a flow ends calls
// TrackPending and Finalize in its place, and drains in between: the events from
// Packet on wait till then. In OnEvent, Drain works too: at Ended it gives the rest.
type FlowDriver[K comparable, S any] struct {
	intake[K]
	table *tracker.Table[K, FlowState[S]]
	opt   FlowOptions[K, S]
	topt  tracker.Options[K, FlowState[S]]
	frags defragmenter[K, FlowState[S]]
	in    tracker.Input[K]
	count flow.Summary
	say   telemetry

	shared   *reassembly.Memory
	inHand   *tracker.Flow[K, FlowState[S]] // its packet waits for Finalize
	feeding  *tracker.Flow[K, FlowState[S]] // whose assembler is at work
	report   func(*flow.Anomaly)            // d.onAnomaly, bound once
	expiring bool                           // flows close by time, not by a packet
	holding  bool                           // flows that end wait for Finalize
	held     []heldEnd[K, S]
	ending   *heldEnd[K, S] // whose Ended event is being handled
	now      heldEnd[K, S]  // a flow that ends without waiting
	spare    [][]earlyHeader
}

// A heldEnd is a flow that has ended and is no longer in the table.
type heldEnd[K comparable, S any] struct {
	event flow.Event[K]
	stats flow.Stats
	state FlowState[S]
}

// NewFlowDriver returns a driver. It wants Options.Extractor.
func NewFlowDriver[K comparable, S any](opt FlowOptions[K, S]) *FlowDriver[K, S] {
	d := &FlowDriver[K, S]{opt: opt}
	d.count.Engine = "userspace"
	d.say = newTelemetry(opt.Metrics, opt.Logger, false)
	d.init(&opt.Options, &d.count, &d.say)
	d.frags.init(d, opt.Decap)
	d.report = d.onAnomaly
	if opt.Reassembly.Memory == nil {
		d.opt.Reassembly.Memory = reassembly.NewMemory(reassembly.DefaultMemory)
	}
	d.shared = d.opt.Reassembly.Memory
	if opt.NewAssembler == nil {
		buffers := reassembly.BufferFactory[K](d.opt.Reassembly)
		d.opt.NewAssembler = func(key K, side flow.Side) Assembler { return buffers(key, side) }
	}
	d.topt = trackerOptions[K, FlowState[S]](&opt.Options, d.onTable)
	d.topt.Events = d.wanted(opt.OnEvent != nil)
	d.table = tracker.New(d.topt, func(key K) (s FlowState[S]) {
		if opt.NewState != nil {
			s.User = opt.NewState(key)
		}
		return s
	})
	return d
}

// wanted says which of the table's events there is a use for.
func (d *FlowDriver[K, S]) wanted(handled bool) tracker.Mask {
	m := tracker.MaskOf(flow.EventStarted, flow.EventStateChange, flow.EventEnded)
	if handled {
		m |= tracker.MaskOf(flow.EventEstablished, flow.EventPacket, flow.EventUpdate)
	}
	if d.opt.Anomalies && handled || d.opt.Metrics != nil || d.opt.Logger != nil {
		m |= tracker.MaskOf(flow.EventAnomaly)
	}
	return m
}

// Track takes one frame.
func (d *FlowDriver[K, S]) Track(v *packet.View) {
	d.TrackPending(v)
	d.Finalize()
}

// TrackPending takes one frame up to where its payload is with the assembler. Events
// from Packet on wait for [FlowDriver.Finalize]; flows that end before this frame,
// by their timeouts or for want of room, end now.
func (d *FlowDriver[K, S]) TrackPending(v *packet.View) {
	d.Finalize()
	if !d.admit(v) {
		return
	}
	d.expire(v.Time)
	switch d.read(v) {
	case keyed:
		d.fill(&d.in, v.Frame)
		d.track(v.Frame)
	case stray:
		if !d.opt.NoReassembly {
			fr := d.pkt.Fragment(v.Frame)
			d.frags.insert(&fr, nil, 0)
		}
	}
}

// track carries a packet with a key up to its payload.
func (d *FlowDriver[K, S]) track(frame []byte) {
	in := &d.in
	f := d.table.Observe(in)
	d.pkt.Time = in.Time
	d.inHand = f
	if d.waiting.Packets > 0 {
		late := d.takeWaiting(in)
		for i := range late {
			d.table.Observe(&late[i])
		}
	}
	switch {
	case in.Seg != nil:
		d.segment(f, in.Dir, in.Seg)
	case d.x.Sessions && d.pkt.IsFragment() && !in.BadChecksum:
		d.fragment(f, frame)
	}
}

// fragment takes the payload of a fragment. Its TCP step is due when the datagram is
// whole; the flags it shows count now.
func (d *FlowDriver[K, S]) fragment(f *tracker.Flow[K, FlowState[S]], frame []byte) {
	if d.pkt.HasTCP {
		f.NoteFlags(d.x.Dir, d.pkt.TCP.Flags)
	}
	fr := d.pkt.Fragment(frame)
	d.frags.insert(&fr, f, d.x.Dir)
}

// Finalize completes what TrackPending or SweepPending began: it hands out the events
// that waited. It does nothing when there is nothing to complete.
func (d *FlowDriver[K, S]) Finalize() {
	if f := d.inHand; f != nil {
		d.inHand = nil
		d.table.Finish(f, &d.in)
		d.trackCarried()
	}
	if len(d.held) > 0 {
		d.handHeld()
	}
}

// trackCarried does all for the packet that the one in hand completed in a tunnel, whose
// frames are counted in the flow of that.
func (d *FlowDriver[K, S]) trackCarried() {
	p, frame := d.frags.carried()
	if p == nil || !d.readCarried(p) {
		return
	}
	d.fillCarried(&d.in, frame)
	d.track(frame)
	d.Finalize()
}

// handHeld hands out the ends that waited.
func (d *FlowDriver[K, S]) handHeld() {
	for i := range d.held {
		d.hand(&d.held[i])
		d.held[i] = heldEnd[K, S]{}
	}
	d.held = d.held[:0]
}

// Sweep ends what is due by now, a packet time. It never changes what comes out, only
// when.
func (d *FlowDriver[K, S]) Sweep(now flow.Timestamp) {
	d.Finalize()
	d.expire(now)
}

// SweepPending is Sweep with the Ended events left to [FlowDriver.Finalize], so that the
// flows can be drained before.
func (d *FlowDriver[K, S]) SweepPending(now flow.Timestamp) {
	d.Finalize()
	d.holding = true
	d.expire(now)
	d.holding = false
}

func (d *FlowDriver[K, S]) expire(now flow.Timestamp) {
	d.expiring = true
	d.table.Expire(now)
	d.expiring = false
}

// Finish ends all flows: the input is over. The driver must not be used after it, but
// for what it counted.
func (d *FlowDriver[K, S]) Finish() {
	d.Finalize()
	d.intake.finish()
	d.frags.finish()
	d.table.EndAll(flow.EndOfInput)
}

// Forget takes the flow of a key out without an event. It reports whether there was
// one. Use it rather than the table's, which does not give memory back.
func (d *FlowDriver[K, S]) Forget(key K) bool {
	d.Finalize()
	f := d.table.Lookup(key)
	if f == nil {
		return false
	}
	st := f.Stats()
	d.tracked(&st)
	d.release(&f.State)
	return d.table.Forget(key)
}

// Table returns the table of open flows, to read from and to change its options.
func (d *FlowDriver[K, S]) Table() *tracker.Table[K, FlowState[S]] { return d.table }

// State returns the caller's part of a flow: of one that is open, or whose end is
// pending or being handled. It is nil if there is none.
func (d *FlowDriver[K, S]) State(key K) *S {
	if s := d.find(key); s != nil {
		return &s.User
	}
	return nil
}

// Reassembler returns the assembler of one side of a flow, found as State finds it; nil
// if it has none, as before its first payload.
func (d *FlowDriver[K, S]) Reassembler(key K, side flow.Side) Assembler {
	if s := d.find(key); s != nil {
		if a := s.side(side); a != nil {
			return a.Assembler
		}
	}
	return nil
}

// Drain takes the ordered bytes that wait on one side of a flow, found as State finds
// it. They are the caller's from then on.
func (d *FlowDriver[K, S]) Drain(key K, side flow.Side) []byte {
	if s := d.find(key); s != nil {
		if a := s.side(side); a != nil {
			return a.take()
		}
	}
	return nil
}

func (d *FlowDriver[K, S]) find(key K) *FlowState[S] {
	if d.ending != nil && d.ending.event.FlowKey == key {
		return &d.ending.state
	}
	for i := range d.held {
		if d.held[i].event.FlowKey == key {
			return &d.held[i].state
		}
	}
	if f := d.table.Lookup(key); f != nil {
		return &f.State
	}
	return nil
}

// Snapshot returns key and counters of every open flow, those of its streams
// included, in no order of meaning. It does its work while it is ranged over, and the
// driver must not be used meanwhile.
func (d *FlowDriver[K, S]) Snapshot() iter.Seq2[K, flow.Stats] {
	return func(yield func(K, flow.Stats) bool) {
		for f := range d.table.Flows() {
			st := f.Stats()
			f.State.diagnose(&st)
			if !yield(f.Key, st) {
				return
			}
		}
	}
}

// Events carries the frames of src through the driver and returns what comes of them,
// then finishes it. An error of the source or the context comes last, with a nil event.
// What an event points to is valid until the loop goes on; leaving the loop leaves
// the driver as it is.
func (d *FlowDriver[K, S]) Events(ctx context.Context, src Source) iter.Seq2[*flow.Event[K], error] {
	if !d.topt.Events.Has(flow.EventPacket) {
		d.topt.Events = d.wanted(true)
		d.table.SetOptions(d.topt)
	}
	return events(ctx, src, d, &d.opt.OnEvent)
}

// EmitsAnomalies reports whether anomalies are handed out.
func (d *FlowDriver[K, S]) EmitsAnomalies() bool { return d.opt.Anomalies }

// Dedup returns what drops second copies of frames, nil if nothing does.
func (d *FlowDriver[K, S]) Dedup() *packet.Dedup { return d.dedup }

// Summary returns the counters so far. Conservation holds after Finish.
func (d *FlowDriver[K, S]) Summary() flow.Summary {
	s, c := d.count, d.table.Counters()
	s.FlowsEnded, s.Anomalies = c.Ended, c.Anomalies
	for _, n := range c.Created {
		s.FlowsStarted += n
	}
	return s
}
