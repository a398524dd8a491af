package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// Fragments are counted one by one like any packet, but their payload goes to the
// session when the datagram is whole, at the time of the fragment that completed it;
// so does the TCP step, as no fragment alone has all of the segment. If what is whole is
// a tunnel, the packet in it goes to a flow of its own, where the frames are not counted
// again.

// A fragmentOwner is the flow that a datagram still in pieces belongs to.
type fragmentOwner[K comparable, S any] struct {
	flow *tracker.Flow[K, S]
	id   uint64 // the flow's, as its memory may serve another one by then
	dir  flow.Direction
}

// A datagramTaker takes what a defragmenter found out. F is an open flow.
type datagramTaker[K comparable, S any] interface {
	// whole takes a datagram that is complete: p is what it decodes to, seg its
	// segment if that is TCP, else data has its payload.
	whole(f *tracker.Flow[K, S], dir flow.Direction, p *packet.Packet, seg *flow.Segment, data []byte)
	// overlap takes fragments that contradict each other. F may be nil.
	overlap(f *tracker.Flow[K, S], ts flow.Timestamp, a *flow.Anomaly)
	// around sets the link and tunnel fields of p, a packet of f.
	around(f *tracker.Flow[K, S], dir flow.Direction, p *packet.Packet)
	// lost takes a datagram that will never be whole: its payload was on the
	// wire and is missing.
	lost(f *tracker.Flow[K, S])
}

// A defragmenter puts the datagrams of a driver together.
type defragmenter[K comparable, S any] struct {
	taker  datagramTaker[K, S]
	defrag packet.Defrag
	owners map[packet.FragKey]fragmentOwner[K, S] // of what defrag holds
	dec    packet.Decoder                         // of tunnels
	packet packet.Packet
	seg    flow.Segment
	inside []byte // a tunnel with a packet in it
}

func (d *defragmenter[K, S]) init(t datagramTaker[K, S], decap packet.Decap) {
	d.taker, d.dec.Decap = t, decap
	d.owners = map[packet.FragKey]fragmentOwner[K, S]{}
	d.defrag.OnLost = d.onLost
}

// insert takes the payload of a fragment. F is the flow in hand, or nil while the
// first fragment has not come.
func (d *defragmenter[K, S]) insert(fr *packet.Fragment, f *tracker.Flow[K, S], dir flow.Direction) {
	if f != nil {
		d.owners[fr.Key] = fragmentOwner[K, S]{f, f.ID(), dir}
	}
	g, verdict := d.defrag.Insert(fr)
	switch verdict {
	case packet.DefragWaiting:
		return
	case packet.DefragComplete:
		d.complete(&g, f, dir)
	case packet.DefragOverlap:
		d.overlap(&g)
	case packet.DefragLost:
		if f != nil {
			d.taker.lost(f)
		}
	}
	delete(d.owners, fr.Key)
}

// complete hands on a whole datagram. The fragment that completed it is always of a
// known flow: either it is the first one or the first one came before.
func (d *defragmenter[K, S]) complete(g *packet.Datagram, f *tracker.Flow[K, S], dir flow.Direction) {
	p := &d.packet
	*p = packet.Packet{}
	if f == nil || p.DecodeL4(g) != flow.Decoded {
		return
	}
	d.taker.around(f, dir, p)
	switch {
	case d.dec.Inside(g.Data, p):
		d.inside = g.Data
	case p.HasTCP:
		d.seg = p.Segment(g.Data)
		d.taker.whole(f, dir, p, &d.seg, nil)
	case p.Proto.L4() == flow.L4UDP:
		d.taker.whole(f, dir, p, nil, p.Payload(g.Data))
	}
}

// carried returns the packet that the fragment in hand completed inside a tunnel, once,
// and what its offsets are into; nil if there is none. Both are valid until the next
// fragment.
func (d *defragmenter[K, S]) carried() (*packet.Packet, []byte) {
	frame := d.inside
	if frame == nil {
		return nil, nil
	}
	d.inside = nil
	return &d.packet, frame
}

// owner returns the flow that a datagram in pieces belongs to, nil if none is open.
func (d *defragmenter[K, S]) owner(k packet.FragKey) *tracker.Flow[K, S] {
	if o, ok := d.owners[k]; ok && o.flow.ID() == o.id {
		return o.flow
	}
	return nil
}

func (d *defragmenter[K, S]) overlap(g *packet.Datagram) {
	a := flow.Anomaly{Kind: flow.AnomalyFragmentOverlap, IPID: g.Key.ID, Bytes: int64(g.Conflict)}
	a.Src, a.Dst = g.Key.Addrs()
	d.taker.overlap(d.owner(g.Key), g.Time, &a)
}

func (d *defragmenter[K, S]) onLost(g packet.Datagram) {
	if f := d.owner(g.Key); f != nil && !g.Copy {
		d.taker.lost(f)
	}
	delete(d.owners, g.Key)
}

// finish gives up what is not whole: the input is over.
func (d *defragmenter[K, S]) finish() { d.defrag.Expire(flow.MaxTimestamp) }

// fragment takes the payload of a fragment. F is the flow in hand, or nil while the
// first fragment has not come.
func (w *worker[K]) fragment(fr *packet.Fragment, f *tracked[K], dir flow.Direction) {
	w.frags.insert(fr, f, dir)
}

// whole implements datagramTaker.
func (w *worker[K]) whole(f *tracked[K], dir flow.Direction, p *packet.Packet, seg *flow.Segment, data []byte) {
	if seg == nil {
		w.datagram(f.Side(dir), data)
		return
	}
	in := w.in
	in.Dir, in.Seg, in.PayloadLen = dir, seg, p.PayloadLen
	w.table.Step(f, &in)
	w.segment(f.Side(dir), seg)
}

// around implements datagramTaker.
func (w *worker[K]) around(f *tracked[K], dir flow.Direction, p *packet.Packet) {
	p.Surround(&f.State.attrs, dir == f.State.first)
}

// overlap implements datagramTaker.
func (w *worker[K]) overlap(f *tracked[K], ts flow.Timestamp, a *flow.Anomaly) {
	if f == nil {
		w.anomaly(a)
		return
	}
	w.aside(f, ts, func() {
		w.sess.lost |= flow.LostFragment
		w.odd.add(a)
	})
}

// lost implements datagramTaker.
func (w *worker[K]) lost(f *tracked[K]) { f.State.lost |= flow.LostFragment }
