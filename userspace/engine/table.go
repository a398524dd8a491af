package engine

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A kernelTable is the XDP program's table as a pipeline.KernelDriver wants it.
type kernelTable struct {
	e       *xdp.Engine
	flow    xdp.Flow
	err     error // of waiting for programs to end
	copyAll bool  // verdicts are not carried out
	// flush, if set, writes out what was handed out; then places are given back only
	// when the records of their flows are written.
	flush  func() error
	handed []xdp.Handle // flows whose records were handed out but perhaps not written yet
}

// maxHanded is how many flows may wait for their records to be written.
const maxHanded = 1 << 12

func xdpHandle(h pipeline.Handle) xdp.Handle { return xdp.Handle(h) }

// Read implements pipeline.KernelTable.
func (t *kernelTable) Read(h pipeline.Handle, c *pipeline.KernelCount) bool {
	if !t.e.Table().Read(xdpHandle(h), &t.flow) {
		return false
	}
	*c = countOf(&t.flow)
	c.Dead = t.flow.Dead
	return true
}

func countOf(f *xdp.Flow) (c pipeline.KernelCount) {
	c.Handshake, c.Initiator, c.Orientation, c.State = f.Handshake, f.Initiator, f.Orientation, f.State
	seen := false
	for d := range f.Dir {
		n := &f.Dir[d]
		c.Dir[d] = pipeline.DirCount{
			Packets: n.Packets, Bytes: n.Bytes, IPBytes: n.IPBytes, PayloadBytes: n.PayloadBytes,
			TCPFlags: n.Flags, TTLMin: n.TTLMin, TTLMax: n.TTLMax,
		}
		c.Quality[d] = pipeline.DirQuality{
			ZeroWindows: n.ZeroWindows, DuplicateACKs: n.DuplicateACKs, RTT: n.RTT,
			NextSeq: n.NextSeq, LostBytes: n.LostBytes, ISN: n.ISN, HasSYN: n.HasSYN, ZeroPackets: n.ZeroPackets, Retransmissions: n.Retransmissions,
		}
		c.Lost = c.Lost || n.Lost
		if n.Packets == 0 {
			continue
		}
		if !seen {
			seen, c.First, c.Last = true, n.First, n.Last
		}
		c.First, c.Last = min(c.First, n.First), max(c.Last, n.Last)
	}
	return c
}

// Close implements pipeline.KernelTable.
func (t *kernelTable) Close(h pipeline.Handle) { t.e.Table().Close(xdpHandle(h)) }

// Verdict implements pipeline.KernelTable.
func (t *kernelTable) Verdict(h pipeline.Handle, dir flow.Direction, v pipeline.Verdict) {
	if !t.copyAll {
		t.e.Table().SetControl(xdpHandle(h), dir, controlOf(v))
	}
}

// controlOf are the control bits that carry out a verdict.
func controlOf(v pipeline.Verdict) (c xdp.Control) {
	if v&pipeline.NoPayload != 0 {
		c |= xdp.NoPayload
	}
	if v&pipeline.Quiet != 0 {
		c |= xdp.Quiet
	}
	return c
}

// firstControl makes flows begin with the verdicts that no session would change: payload
// that nothing reads is never copied.
func firstControl(load *xdp.Options, opt *pipeline.Options[flow.Key]) {
	streams, datagrams := opt.Reads()
	if !streams {
		load.TCP |= xdp.NoPayload
	}
	if !datagrams {
		load.UDP |= xdp.NoPayload | xdp.Quiet
	}
}

// Kill implements pipeline.KernelTable.
func (t *kernelTable) Kill(h pipeline.Handle) { t.e.Table().Kill(xdpHandle(h)) }

// Settle implements pipeline.KernelTable.
func (t *kernelTable) Settle() {
	if err := t.e.Grace(); err != nil && t.err == nil {
		t.err = err
	}
}

// Free implements pipeline.KernelTable.
func (t *kernelTable) Free(h pipeline.Handle) {
	if t.flush == nil {
		t.e.Table().Free(xdpHandle(h))
		return
	}
	if t.handed = append(t.handed, xdpHandle(h)); len(t.handed) >= maxHanded {
		t.fail(t.commit())
	}
}

// fail keeps the first error.
func (t *kernelTable) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Oldest implements pipeline.KernelTable.
func (t *kernelTable) Oldest(k flow.Key) (pipeline.Handle, bool) {
	h, ok := t.e.Table().Oldest(k)
	return pipeline.Handle(h), ok
}

// commit writes out what was handed out, and only then gives the places of these flows
// back: a reader that goes on after this one was killed finds those that are not written.
func (t *kernelTable) commit() error {
	if t.flush == nil {
		return t.e.ClearSpill()
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, h := range t.handed {
		t.e.HandOver(h)
	}
	t.handed = t.handed[:0]
	return t.e.ClearSpill()
}

// A carrier takes records to the driver.
type carrier struct {
	d     *pipeline.KernelDriver
	quiet bool // TCP segments without news are left out
	p     pipeline.KernelPacket
	start pipeline.KernelStart
	frag  pipeline.KernelFragment
}

// record carries one record.
func (c *carrier) record(r *xdp.Record) {
	if r.Kind == xdp.RTT {
		c.d.RTT(pipeline.Handle(r.Handle), r.Dir, r.RTT)
		return
	}
	c.p = pipeline.KernelPacket{
		Handle: pipeline.Handle(r.Handle), HasFlow: r.HasFlow, Dir: r.Dir, Time: r.Time,
		Seg: r.Segment, PayloadLen: r.PayloadLen, Lost: r.Lost, LostBytes: r.LostBytes,
		Unseen: c.quiet,
	}
	switch r.Kind {
	case xdp.Datagram:
		c.p.Datagram, c.p.HasDatagram = r.Payload, !r.Unwanted && len(r.Payload) == r.PayloadLen
		c.p.Cut = !r.Unwanted && len(r.Payload) < r.PayloadLen
	case xdp.Fragment:
		c.fragment(r)
	}
	if r.Start != nil {
		c.begin(r.Start)
	}
	c.d.Packet(&c.p)
}

// begin copies what the first packet of a flow says: the record is gone after the call.
func (c *carrier) begin(s *xdp.Start) {
	c.start = pipeline.KernelStart{
		Key: s.Key, Attributes: s.Attributes, Late: s.Late,
		Replaces: pipeline.Handle(s.Replaces), HasReplaced: s.HasReplaced,
	}
	a := &c.start.Attributes
	a.VLANs = append([]uint16(nil), s.Attributes.VLANs...)
	a.Tunnels = append([]flow.Tunnel(nil), s.Attributes.Tunnels...)
	c.p.Start = &c.start
}

func (c *carrier) fragment(r *xdp.Record) {
	f := r.Fragment
	c.frag = pipeline.KernelFragment{
		Src: f.Src, Dst: f.Dst, ID: f.ID, Proto: f.Proto, Offset: f.Off, More: f.More,
		Len: r.PayloadLen, Data: r.Payload,
	}
	c.p.Fragment = &c.frag
}

// addCounters puts the kernel's counters into a summary.
func addCounters(s *flow.Summary, c *xdp.Counters) {
	s.PacketsSeen, s.BytesSeen = c.Seen.Packets, c.Seen.Bytes
	s.PacketsSpilled = c.Spilled.Packets
	s.RingRecords, s.RingPayloadBytes = c.RingRecords.Packets, c.RingPayload.Bytes
	s.RingDroppedRecords, s.RingDroppedBytes = c.RingDropped.Packets, c.RingDropped.Bytes
	s.FragmentTableFull, s.DecapDepth = c.FragmentsFull.Packets, c.DecapDepth.Packets
	for cause := range c.Unparsed {
		s.Unparsed[cause] += c.Unparsed[cause].Packets
		s.UnparsedBytes[cause] += c.Unparsed[cause].Bytes
	}
}
