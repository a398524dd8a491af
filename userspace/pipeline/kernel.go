package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// A Handle names an entry of the kernel's table: a place, and which of the flows
// that used it.
type Handle struct{ Slot, Generation uint32 }

// A KernelCount is what the kernel counted of one flow.
type KernelCount struct {
	Dir         [2]tracker.Counters // by direction
	First, Last flow.Timestamp
}

// A KernelTable is the kernel's table as a driver needs it. Package engine adapts
// package xdp to it.
type KernelTable interface {
	// Read returns what was counted up to now. It reports false for an entry
	// that is gone.
	Read(h Handle, c *KernelCount) bool
	// Close tells the kernel that the session is over: a SYN with another
	// sequence number begins a new flow.
	Close(h Handle)
	// Kill ends an entry: the next packet of the key begins another one.
	Kill(h Handle)
	// Settle waits until no program still adds to a killed entry. After it
	// Read gives the final counters, and Free the place back.
	Settle()
	Free(h Handle)
}

// A KernelPacket is a packet as a ring record tells of it.
type KernelPacket struct {
	Handle Handle
	Dir    flow.Direction
	Time   flow.Timestamp
	// Start is set for the first packet of a flow.
	Start *KernelStart
	// Seg is the segment of a TCP packet, Datagram the payload of a UDP one,
	// nil if there is none or it was cut.
	Seg        *flow.Segment
	Datagram   []byte
	PayloadLen int
	Label      uint32 // IPv6 flow label
	// LostBytes is payload of this direction that was lost on the way up
	// since the record before.
	LostBytes uint64
}

// A KernelStart says what the first packet of a flow says for all of it.
type KernelStart struct {
	Key        flow.Key
	Proto      flow.Proto
	Attributes flow.Attributes
	// Replaces is the entry whose tuple this flow took over, if HasReplaced.
	Replaces    Handle
	HasReplaced bool
}

// A KernelDriver turns the records of an XDP program into the events of flows and
// their sessions. It belongs to one goroutine.
type KernelDriver struct {
	w      *worker[flow.Key]
	kernel KernelTable
	flows  []*tracked[flow.Key] // by slot; nil: none
	ending []ending
	// Immediate makes each flow that ends settle on its own, so that the order
	// of lines is exactly that of the userspace engine; for replay.
	immediate bool
}

// An ending is a flow that has ended but whose last packets may still be counted.
type ending struct {
	key    flow.Key
	handle Handle
	dir    flow.Direction // of the initiator's packets
	record flow.Record
}

// NewKernelDriver returns a driver over the kernel's table. Options.Extractor, Decap
// and Dedup do not concern it. Immediate is for replay: see the type.
func NewKernelDriver(opt Options[flow.Key], kernel KernelTable, immediate bool) *KernelDriver {
	d := &KernelDriver{kernel: kernel, immediate: immediate}
	d.w = newWorker(opt, d.refresh)
	d.w.onEnd = d.onEnd
	d.w.sum.Engine = "kernel"
	return d
}

// Packet takes what a record says. Records of one flow come in order.
func (d *KernelDriver) Packet(p *KernelPacket) {
	w := d.w
	w.advance(p.Time)
	f := d.find(p.Handle)
	if f == nil && p.Start == nil {
		return // of a flow that has ended: its packet is in the counters
	}
	in := d.input(p)
	if f == nil {
		f = d.open(p, in)
	} else {
		in.Key, in.Proto = f.Key, f.Proto()
		w.table.Step(f, in)
	}
	w.enter(f, in.Time)
	switch {
	case p.Seg != nil:
		w.segment(f.Side(p.Dir), p.Seg)
	case p.Datagram != nil:
		w.datagram(f.Side(p.Dir), p.Datagram)
	}
	w.finish(f, in)
	if f.Closed() != flow.EndNone && !f.State.told {
		f.State.told = true
		d.kernel.Close(p.Handle)
	}
}

func (d *KernelDriver) input(p *KernelPacket) *tracker.Input[flow.Key] {
	in := &d.w.in
	*in = tracker.Input[flow.Key]{Dir: p.Dir, Time: p.Time, Packets: 1, PayloadLen: p.PayloadLen, Label: p.Label, Seg: p.Seg}
	return in
}

// find returns the flow of a handle, or nil.
func (d *KernelDriver) find(h Handle) *tracked[flow.Key] {
	if int(h.Slot) >= len(d.flows) {
		return nil
	}
	f := d.flows[h.Slot]
	if f == nil || f.State.handle != h {
		return nil
	}
	return f
}

// open begins a flow.
func (d *KernelDriver) open(p *KernelPacket, in *tracker.Input[flow.Key]) *tracked[flow.Key] {
	s := p.Start
	in.Key, in.Proto, in.Ports = s.Key, s.Proto, [2]uint16{s.Key.LoPort, s.Key.HiPort}
	var replaced *tracked[flow.Key]
	if s.HasReplaced {
		replaced = d.find(s.Replaces)
	}
	f := d.w.table.Open(in, replaced)
	*f.State = session{
		known: true, tuple: s.Key, proto: s.Proto, fiveTuple: true,
		first: p.Dir, attrs: s.Attributes, handle: p.Handle,
	}
	for int(p.Handle.Slot) >= len(d.flows) {
		d.flows = append(d.flows, make([]*tracked[flow.Key], max(1024, len(d.flows)))...)
	}
	d.flows[p.Handle.Slot] = f
	return f
}

// refresh brings a flow's counters and times up to date from the kernel's memory.
func (d *KernelDriver) refresh(f *tracked[flow.Key]) {
	var c KernelCount
	if f.State.known && d.kernel.Read(f.State.handle, &c) {
		setCounters(f, &c)
	}
}

func setCounters(f *tracked[flow.Key], c *KernelCount) {
	for dir := range c.Dir {
		f.SetCounters(flow.Direction(dir), c.Dir[dir])
	}
	f.SetTimes(c.First, c.Last)
}

// onEnd takes a flow that ended: from here on its key's packets are another flow's,
// and its record waits for the counters to be final.
func (d *KernelDriver) onEnd(f *tracked[flow.Key], reason flow.EndReason) {
	h := f.State.handle
	d.kernel.Kill(h)
	r := d.w.record(f)
	r.Reason = reason
	d.flows[h.Slot] = nil
	d.ending = append(d.ending, ending{key: f.Key, handle: h, dir: f.InitiatorDir(), record: r})
	if d.immediate {
		d.settle()
	}
}

// settle hands out the records of flows that ended, with their final counters.
func (d *KernelDriver) settle() {
	if len(d.ending) == 0 {
		return
	}
	d.kernel.Settle()
	for i := range d.ending {
		e := &d.ending[i]
		var c KernelCount
		if d.kernel.Read(e.handle, &c) {
			e.finish(&c)
		}
		d.kernel.Free(e.handle)
		d.w.hand(e.key, &e.record)
	}
	d.ending = d.ending[:0]
}

// finish puts the final counters into the record.
func (e *ending) finish(c *KernelCount) {
	s := &e.record.Stats
	for dir := range c.Dir {
		side, n := &s.Side[flow.Direction(dir)^e.dir], &c.Dir[dir]
		side.Packets, side.Bytes, side.IPBytes, side.PayloadBytes = n.Packets, n.Bytes, n.IPBytes, n.PayloadBytes
		side.TCPFlags, side.TTLMin, side.TTLMax = n.TCPFlags, n.TTLMin, n.TTLMax
	}
	s.Start, s.End = min(s.Start, c.First), max(s.End, c.Last)
}

// Sweep ends what is due by now, and hands out the records of what has ended.
func (d *KernelDriver) Sweep(now flow.Timestamp) {
	d.w.advance(now)
	d.settle()
}

// Has reports whether the flow of an entry is known.
func (d *KernelDriver) Has(h Handle) bool { return d.find(h) != nil }

// Finish ends all flows: the input is over.
func (d *KernelDriver) Finish() {
	d.w.table.EndAll(flow.EndOfInput)
	d.settle()
}

// Summary returns the counters so far, other than those that the kernel keeps.
func (d *KernelDriver) Summary() *flow.Summary { return &d.w.sum }
