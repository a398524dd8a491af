package pipeline

import (
	"iter"
	"net/netip"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// A Handle names an entry of the kernel's table: a place, and which of the flows
// that used it.
type Handle struct{ Slot, Generation uint32 }

// A DirCount is what was counted of one direction of a flow.
type DirCount = tracker.Counters

// A KernelCount is what the kernel counted of one flow.
type KernelCount struct {
	Dir         [2]DirCount // by direction
	First, Last flow.Timestamp
	Dead        bool          // the entry was given up: nothing will be added to it
	Quality     [2]DirQuality // of TCP, by direction
	// Handshake is by side, with Initiator the direction of the initiator's packets;
	// negative when not known.
	Handshake [2]time.Duration
	Lost      bool // a record since the last one found the ring full
	// Where TCP stands, and which way the initiator's packets go.
	Initiator   flow.Direction
	Orientation flow.Orientation
	State       flow.State
}

// A DirQuality is what the kernel measured of one direction of a TCP flow. RTT is without
// samples of 4.29 s or more, which come up as they are taken ([KernelDriver.RTT]).
// ZeroWindows ends at 65,535.
type DirQuality struct {
	ZeroWindows, DuplicateACKs uint64
	RTT                        flow.RTT
	// How far the direction has got: the end of its highest segment, and how many
	// packets had window 0 or were sent before, for the letters of the history.
	NextSeq                      flow.Seq
	LostBytes                    uint32 // of payload, in records since the last one
	ISN                          flow.Seq
	HasSYN                       bool // ISN holds
	ZeroPackets, Retransmissions uint64
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
	// Verdict tells the kernel what is wanted no more of one direction of a flow.
	Verdict(h Handle, dir flow.Direction, v Verdict)
	// Kill ends an entry: the next packet of the key begins another one.
	Kill(h Handle)
	// Settle waits until no program still adds to a killed entry. After it
	// Read gives the final counters, and Free the place back: it is called once the
	// record was handed out.
	Settle()
	Free(h Handle)
	// Oldest returns the entry that is longest silent of those in the places that
	// key may have. It reports false if one of these is free, or will be.
	Oldest(key flow.Key) (Handle, bool)
}

// A KernelPacket is a packet as a ring record tells of it.
type KernelPacket struct {
	Handle  Handle
	HasFlow bool // Handle means something; false for a fragment whose flow is not known
	Dir     flow.Direction
	Time    flow.Timestamp
	// Start is set for the first packet of a flow.
	Start *KernelStart
	// Seg is the segment of a TCP packet. Datagram is the payload of a UDP packet
	// with HasDatagram; Cut says that there was one, and that part of it is missing.
	Seg              *flow.Segment
	Datagram         []byte
	HasDatagram, Cut bool
	Fragment         *KernelFragment // set for a fragment
	PayloadLen       int
	// Lost says that the ring was full for a packet of this direction since the
	// record before, LostBytes how much payload that was.
	Lost      bool
	LostBytes uint32
	// Unseen says that TCP segments without news do not come up.
	Unseen bool
}

// A KernelStart says what the first packet of a flow says for all of it.
type KernelStart struct {
	Key        flow.Key
	Attributes flow.Attributes
	// Replaces is the entry whose tuple this flow took over, if HasReplaced.
	Replaces    Handle
	HasReplaced bool
	Late        bool // of a later packet: the records before were lost
}

// A KernelFragment is an IP fragment with its data.
type KernelFragment struct {
	Src, Dst    netip.Addr
	Proto       flow.Proto // as the fragments say it
	ID          uint32
	Offset, Len int
	More        bool
	Data        []byte // what was captured
}

func (k *KernelFragment) fragment(ts flow.Timestamp) packet.Fragment {
	f := packet.Fragment{Proto: k.Proto, Offset: k.Offset, More: k.More, Len: k.Len, Data: k.Data, Time: ts}
	f.Key = packet.FragKey{Src: k.Src.As16(), Dst: k.Dst.As16(), ID: k.ID, IPVersion: 6}
	if k.Src.Is4() {
		f.Key.IPVersion, f.Key.Proto = 4, k.Proto
	}
	return f
}

// A KernelDriver turns the records of an XDP program into the events of flows and
// their sessions. It belongs to one goroutine.
type KernelDriver struct {
	w      *worker[flow.Key]
	kernel KernelTable
	flows  []*tracked[flow.Key] // by slot; nil: none
	over   []uint32             // by slot: the generation that ended last
	ending []ending
	total  KernelCount      // of the flow in hand
	inner  intake[flow.Key] // of packets that tunnels in fragments carried
	// Immediate makes each flow that ends settle on its own, so that the order
	// of lines is exactly that of the userspace engine; for replay.
	immediate bool
	settleAt  int // so many flows that ended are not left waiting
}

// An ending is a flow that has ended but whose last packets may still be counted.
type ending struct {
	key     flow.Key
	session *session
	counted Counted
	known   Known
}

// Entries of flows that have ended take room in the kernel's table, which has an eighth more
// than there may be flows. Half of that is for those that wait to be settled.
const (
	spareShare = 16
	minEndings = 64
)

// NewKernelDriver returns a driver over the kernel's table. Of Options, Dedup does not
// concern it; Extractor and Decap have to be what the kernel does. Immediate is for
// replay: see the type.
func NewKernelDriver(opt Options[flow.Key], kernel KernelTable, immediate bool) *KernelDriver {
	d := &KernelDriver{kernel: kernel, immediate: immediate, settleAt: max(minEndings, opt.MaxFlows/spareShare)}
	d.w = newWorker(opt, d.refresh)
	d.w.onEnd, d.w.closing = d.onEnd, d.tellLost
	d.w.kernel = d.read
	d.w.sum.Engine = "kernel"
	if opt.Extractor == nil {
		opt.Extractor = packet.FiveTuple{}
	}
	d.inner.init(&opt, &d.w.sum, &d.w.tell)
	return d
}

// Packet takes what a record says. Records of one flow come in order.
func (d *KernelDriver) Packet(p *KernelPacket) {
	w := d.w
	w.advance(p.Time)
	if !p.HasFlow {
		d.stray(p)
		return
	}
	f := d.find(p.Handle)
	if f == nil && (p.Start == nil || d.ended(p.Handle)) {
		return // of a flow that has ended: its packet is in the counters
	}
	in := d.input(p)
	if f == nil {
		f = d.open(p, in)
	} else {
		d.known(f, in)
		d.catchUp(f, p)
		w.table.Step(f, in)
	}
	w.enter(f, in.Time)
	d.payload(f, p)
	w.finish(f, in)
	d.tell(f, p.Handle)
	d.packetCarried()
}

// packetCarried takes the packet that the one in hand completed in a tunnel. The kernel
// knows nothing of it: its flow may have no entry, or get one later.
func (d *KernelDriver) packetCarried() {
	p, frame := d.w.frags.carried()
	if p == nil || !d.inner.readCarried(p) {
		return
	}
	w, in := d.w, &d.w.in
	d.inner.fillCarried(in, frame)
	f := w.table.Observe(in)
	f.State.spilled = f.State.spilled || !f.State.known
	d.inner.describe(f.State, in)
	w.enter(f, in.Time)
	h := f.State.handle
	w.carried(f.Side(in.Dir), &d.inner.pkt, frame)
	w.finish(f, in)
	d.tell(f, h)
}

// payload hands on what the packet in hand carries.
func (d *KernelDriver) payload(f *tracked[flow.Key], p *KernelPacket) {
	w, side := d.w, f.Side(p.Dir)
	if p.Lost {
		w.sess.lost |= flow.LostRing
		f.State.lostBytes[p.Dir] += p.LostBytes
		d.begin(f, p)
	}
	w.sess.partial = w.sess.partial || p.Lost
	w.sess.unseen = w.sess.unseen || p.Seg != nil && p.Unseen
	switch {
	case p.Fragment != nil:
		fr := p.Fragment.fragment(p.Time)
		w.fragment(&fr, f, p.Dir)
	case p.Seg != nil:
		p.Seg.Lost, f.State.lostBytes[p.Dir] = f.State.lostBytes[p.Dir], 0
		w.segment(side, p.Seg)
	case p.Cut:
		w.datagramCut()
	case p.HasDatagram:
		w.datagram(side, p.Datagram)
	}
}

// stray takes a fragment that came before the first one of its datagram.
func (d *KernelDriver) stray(p *KernelPacket) {
	if p.Fragment != nil {
		fr := p.Fragment.fragment(p.Time)
		d.w.fragment(&fr, nil, 0)
	}
}

// tell says to the kernel what it wants to know of a flow: what is not wanted any more,
// and, once, that its session is over.
func (d *KernelDriver) tell(f *tracked[flow.Key], h Handle) {
	if d.find(h) != f {
		return // it has ended
	}
	d.decide(f)
	if f.Closed() != flow.EndNone && !f.State.told {
		f.State.told = true
		f.State.handles(d.kernel.Close)
	}
}

// known completes the input of a flow that is there.
func (d *KernelDriver) known(f *tracked[flow.Key], in *tracker.Input[flow.Key]) {
	in.Key, in.Proto = f.Key, f.Proto()
	if in.Dir == f.State.first {
		in.Label = f.State.attrs.FlowLabel
	}
}

func (d *KernelDriver) input(p *KernelPacket) *tracker.Input[flow.Key] {
	in := &d.w.in
	*in = tracker.Input[flow.Key]{Dir: p.Dir, Time: p.Time, Packets: 1, PayloadLen: p.PayloadLen, Seg: p.Seg}
	return in
}

// find returns the flow of a handle, or nil.
func (d *KernelDriver) find(h Handle) *tracked[flow.Key] {
	if int(h.Slot) >= len(d.flows) {
		return nil
	}
	f := d.flows[h.Slot]
	if f == nil || !f.State.owns(h) {
		return nil
	}
	return f
}

// open begins a flow, unless it is one of those that are open.
func (d *KernelDriver) open(p *KernelPacket, in *tracker.Input[flow.Key]) *tracked[flow.Key] {
	s := p.Start
	in.Key, in.Proto, in.Ports = s.Key, s.Key.Proto, [2]uint16{s.Key.LoPort, s.Key.HiPort}
	in.Label = s.Attributes.FlowLabel
	same := d.w.table.Lookup(s.Key)
	if same != nil && !d.replaces(p, same) {
		d.place(same, p.Handle)
		d.known(same, in)
		d.w.table.Step(same, in)
		return same
	}
	f := d.w.table.Open(in, same)
	*f.State = session{
		known: true, tuple: s.Key, proto: s.Key.Proto, fiveTuple: true,
		first: p.Dir, attrs: s.Attributes, spilled: true,
	}
	d.place(f, p.Handle)
	return f
}

// replaces reports whether a flow that begins in an entry of its own is another one than
// the open flow f of the same key. Else f had no entry, or two CPUs have made two.
func (d *KernelDriver) replaces(p *KernelPacket, f *tracked[flow.Key]) bool {
	if p.Start.HasReplaced && f.State.owns(p.Start.Replaces) {
		return true
	}
	if f.State.spilled {
		return p.Seg != nil && p.Seg.Flags&flow.SYN != 0 && f.ReusedBy(p.Dir, p.Seg)
	}
	var c KernelCount
	return !d.kernel.Read(f.State.handle, &c) || c.Dead
}

// place notes an entry of f.
func (d *KernelDriver) place(f *tracked[flow.Key], h Handle) {
	if s := f.State; s.spilled {
		s.handle, s.spilled = h, false
	} else {
		b := s.apart()
		b.entries = append(b.entries, h)
	}
	for int(h.Slot) >= len(d.flows) {
		d.flows = append(d.flows, make([]*tracked[flow.Key], max(1024, len(d.flows)))...)
		d.over = append(d.over, make([]uint32, len(d.flows)-len(d.over))...)
	}
	d.flows[h.Slot] = f
}

// refresh brings a flow's counters and times up to date from the kernel's memory.
func (d *KernelDriver) refresh(f *tracked[flow.Key]) {
	var c KernelCount
	if f.State.known && d.count(f.State, &c) {
		setCounters(f, &c)
	}
}

// read returns what the kernel counted of a flow, valid until the next call; nil if that
// is nothing.
func (d *KernelDriver) read(f *tracked[flow.Key]) *KernelCount {
	if !d.count(f.State, &d.total) {
		return nil
	}
	return &d.total
}

// catchUp brings a flow whose segments do not all come up to where it stood before the one
// in hand, as far as the kernel's table tells.
func (d *KernelDriver) catchUp(f *tracked[flow.Key], p *KernelPacket) {
	if !p.Unseen || p.Seg == nil {
		return
	}
	c := d.read(f)
	if c == nil {
		return
	}
	q, s, resent := &c.Quality[p.Dir], p.Seg, &f.State.resent[p.Dir]
	next, zero, again := q.NextSeq, uint32(q.ZeroPackets), uint32(q.Retransmissions)
	if again != *resent {
		*resent = again
		again--
	} else if next == s.Seq+flow.Seq(s.SeqLen()) {
		next = s.Seq // the one in hand moved it
	}
	if s.Window == 0 && s.Flags&flow.RST == 0 && zero > 0 {
		zero--
	}
	f.SetProgress(p.Dir, tracker.Progress{Max: next, Last: next, Window: unknownWindow})
	f.SetRepeats(p.Dir, zero, again)
}

// unknownWindow stands for the last window of a side whose segments do not come up.
const unknownWindow = 0xffff

// RTT takes a sample of a flow's direction that is too long for the kernel's table.
func (d *KernelDriver) RTT(h Handle, dir flow.Direction, sample time.Duration) {
	f := d.find(h)
	if f == nil {
		return
	}
	if f.State.longRTT == nil {
		f.State.longRTT = new([2]flow.RTT)
	}
	f.State.longRTT[dir].Take(sample)
}

// begin tells a stream where it begins, in case its SYN is among what found the ring full.
func (d *KernelDriver) begin(f *tracked[flow.Key], p *KernelPacket) {
	if p.Seg == nil || f.State.closed || !d.kernel.Read(p.Handle, &d.total) {
		return
	}
	if q := &d.total.Quality[p.Dir]; q.HasSYN {
		d.w.streams().asm.Began(f.Side(p.Dir), q.ISN+1)
	}
}

// tellLost tells the streams of the flow in hand, which are about to close, what found
// the ring full and no record told of.
func (d *KernelDriver) tellLost(f *tracked[flow.Key]) {
	s := f.State
	if s.proto != flow.ProtoTCP || !s.known || s.spilled || !d.kernel.Read(s.handle, &d.total) {
		return
	}
	for dir := range flow.Direction(2) {
		q := &d.total.Quality[dir]
		n := q.LostBytes + s.lostBytes[dir]
		if n == 0 {
			continue
		}
		asm, side := &d.w.streams().asm, f.Side(dir)
		if q.HasSYN {
			asm.Began(side, q.ISN+1)
		}
		asm.Unseen(d.w.shared, side, q.NextSeq, n)
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
	if f.State.spilled {
		r := d.w.record(f)
		r.Reason = reason
		d.w.hand(f.Key, &r)
		return
	}
	f.State.handles(func(h Handle) {
		d.kernel.Kill(h)
		d.flows[h.Slot], d.over[h.Slot] = nil, h.Generation
	})
	e := ending{key: f.Key, session: f.State}
	e.counted, e.known = d.w.halves(f)
	e.known.Reason = reason
	d.ending = append(d.ending, e)
	if d.immediate || len(d.ending) >= d.settleAt {
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
		if d.count(e.session, &d.total) {
			e.counted.Kernel = &d.total
		}
		r := Merge(&e.counted, &e.known)
		d.w.hand(e.key, &r)
	}
	for i := range d.ending {
		d.ending[i].session.handles(d.kernel.Free)
	}
	clear(d.ending)
	d.ending = d.ending[:0]
	d.w.levels()
}

// Sweep ends what is due by now, and hands out the records of what has ended.
func (d *KernelDriver) Sweep(now flow.Timestamp) {
	d.w.advance(now)
	d.settle()
}

// Found begins a flow that is in the table though no record told of it: the ring was
// full, or an earlier run has read it. What its first packet said is not known. A flow of
// a killed entry ends at once.
func (d *KernelDriver) Found(h Handle, key flow.Key, c KernelCount) {
	start := KernelStart{Key: key, Late: true}
	p := KernelPacket{Handle: h, HasFlow: true, Time: c.First, Start: &start, Lost: true, Dir: c.Initiator}
	same := d.w.table.Lookup(key)
	d.Packet(&p)
	f := d.find(h)
	if f == nil || f == same {
		return
	}
	d.w.table.Adopt(f, c.Orientation, c.State)
	if c.Dead {
		d.w.table.EndFlow(f, foundReason(c.State))
	}
}

// foundReason is why a flow ended whose entry was found killed.
func foundReason(s flow.State) flow.EndReason {
	switch s {
	case flow.StateClosed:
		return flow.EndFIN
	case flow.StateReset:
		return flow.EndRST
	}
	return flow.EndIdle
}

// Spilled takes the account of packets of a flow that found no place in the table: of an
// open flow, or of a new one of which nothing but the counters is known.
func (d *KernelDriver) Spilled(key flow.Key, c KernelCount) {
	f := d.w.table.Lookup(key)
	if f == nil {
		d.openSpilled(key, &c)
		return
	}
	f.State.apart().accounts.add(&c)
	f.State.lost |= flow.LostSpill
	d.refresh(f)
}

// MakeRoom sees to it that a flow without a place finds one with its next packet: of the
// flows in the places it may have, the one that is longest silent is evicted.
func (d *KernelDriver) MakeRoom(key flow.Key) {
	f := d.w.table.Lookup(key)
	if f == nil || !f.State.spilled {
		return
	}
	if h, ok := d.kernel.Oldest(key); ok {
		if old := d.find(h); old != nil {
			d.w.table.Evict(old)
		}
	}
}

// EndSpilled ends the open flow of an account, so that what it says is in a record when the
// account is forgotten: for a run that another one may have to go on after.
func (d *KernelDriver) EndSpilled(key flow.Key) {
	if f := d.w.table.Lookup(key); f != nil {
		d.w.table.Evict(f)
	}
}

func (d *KernelDriver) openSpilled(key flow.Key, c *KernelCount) {
	w := d.w
	in := &w.in
	*in = tracker.Input[flow.Key]{Key: key, Proto: key.Proto, Time: c.First, Ports: [2]uint16{key.LoPort, key.HiPort}}
	if c.Dir[flow.Forward].Packets == 0 {
		in.Dir = flow.Reverse
	}
	f := w.table.Open(in, nil)
	*f.State = session{
		known: true, tuple: key, proto: key.Proto, fiveTuple: true, first: in.Dir,
		lost: flow.LostSpill, spilled: true, beside: &beside{accounts: *c},
	}
	setCounters(f, c)
	w.table.Finish(f, in)
}

// Snapshot returns key and counters of every open flow as [SessionDriver.Snapshot] does.
func (d *KernelDriver) Snapshot() iter.Seq2[flow.Key, flow.Stats] { return d.w.snapshot() }

// EmitsAnomalies reports whether Anomaly events are handed out.
func (d *KernelDriver) EmitsAnomalies() bool { return d.w.opt.Anomalies }

// Has reports whether the flow of an entry is known. One that has ended is, too, as long as
// it has its place.
func (d *KernelDriver) Has(h Handle) bool { return d.find(h) != nil || d.ended(h) }

// ended reports whether the flow of an entry has ended. Counters read for it once more
// would be counted twice.
func (d *KernelDriver) ended(h Handle) bool {
	return int(h.Slot) < len(d.over) && d.over[h.Slot] == h.Generation
}

// Finish ends all flows: the input is over.
func (d *KernelDriver) Finish() {
	d.w.frags.defrag.Expire(flow.MaxTimestamp)
	d.w.table.EndAll(flow.EndOfInput)
	d.settle()
}

// Summary returns the counters so far, other than those that the kernel keeps.
func (d *KernelDriver) Summary() *flow.Summary { return &d.w.sum }
