package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// Fragments are counted one by one like any packet, but their payload goes to the
// session when the datagram is whole, at the time of the fragment that completed it;
// so does the TCP step, as no fragment alone has all of the segment.

// A fragmentOwner is the flow that a datagram still in pieces belongs to.
type fragmentOwner[K comparable] struct {
	flow *tracked[K]
	id   uint64 // the flow's, as its memory may serve another one by then
	dir  flow.Direction
}

// A defragmenter puts the datagrams of a worker together.
type defragmenter[K comparable] struct {
	defrag packet.Defrag
	owners map[packet.FragKey]fragmentOwner[K] // of what defrag holds
	whole  packet.Packet
	seg    flow.Segment
}

// fragment takes the payload of a fragment. F is the flow in hand, or nil while the
// first fragment has not come.
func (w *worker[K]) fragment(fr *packet.Fragment, f *tracked[K], dir flow.Direction) {
	d := &w.frags
	if d.owners == nil {
		d.owners = map[packet.FragKey]fragmentOwner[K]{}
		d.defrag.OnLost = w.fragmentsLost
	}
	if f != nil {
		d.owners[fr.Key] = fragmentOwner[K]{f, f.ID(), dir}
	}
	g, verdict := d.defrag.Insert(fr)
	switch verdict {
	case packet.DefragWaiting:
		return
	case packet.DefragComplete:
		w.datagramWhole(&g, f, dir)
	case packet.DefragOverlap:
		w.fragmentsOverlap(&g)
	case packet.DefragLost:
		if f != nil {
			f.State.lost |= flow.LostFragment
		}
	}
	delete(d.owners, fr.Key)
}

// datagramWhole carries a datagram that is complete to the session of its flow. The
// fragment that completed it is always of a known flow: either it is the first one or the
// first one came before.
func (w *worker[K]) datagramWhole(g *packet.Datagram, f *tracked[K], dir flow.Direction) {
	p := &w.frags.whole
	*p = packet.Packet{}
	if f == nil || p.DecodeL4(g) != flow.Decoded {
		return
	}
	switch {
	case p.HasTCP:
		w.frags.seg = p.Segment(g.Data)
		in := w.in
		in.Dir, in.Seg, in.PayloadLen = dir, &w.frags.seg, p.PayloadLen
		w.table.Step(f, &in)
		w.segment(f.Side(dir), &w.frags.seg)
	case p.Proto.L4() == flow.L4UDP:
		w.datagram(f.Side(dir), p.Payload(g.Data))
	}
}

// owner returns the flow that a datagram in pieces belongs to, if it is still open.
func (w *worker[K]) owner(k packet.FragKey) (fragmentOwner[K], bool) {
	o, ok := w.frags.owners[k]
	return o, ok && o.flow.ID() == o.id
}

// fragmentsOverlap tells of fragments that contradict each other.
func (w *worker[K]) fragmentsOverlap(g *packet.Datagram) {
	a := flow.Anomaly{Kind: flow.AnomalyFragmentOverlap, IPID: g.Key.ID, Bytes: int64(g.Conflict)}
	a.Src, a.Dst = g.Key.Addrs()
	o, ok := w.owner(g.Key)
	if !ok {
		w.anomaly(&a)
		return
	}
	w.aside(o.flow, g.Time, func() {
		w.sess.lost |= flow.LostFragment
		w.odd.add(&a)
	})
}

// fragmentsLost takes a datagram that will never be whole: its payload was on the wire
// and is missing, as far as can be told from its beginning.
func (w *worker[K]) fragmentsLost(g packet.Datagram) {
	o, ok := w.owner(g.Key)
	delete(w.frags.owners, g.Key)
	if ok {
		o.flow.State.lost |= flow.LostFragment
	}
}
