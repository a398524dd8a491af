package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// BatchMax is how many frames TrackBatch brings close at a time.
const BatchMax = tracker.NearMax

// A nearness is what a driver needs to bring flows close.
type nearness[K comparable] struct {
	keys  [BatchMax]K
	flows [BatchMax]*tracked[K]
	warm  uint64 // so that loads are not left out
}

// TrackBatch is Track for each of the frames, whose bytes must all be valid. It is faster
// where there are many flows.
func (d *SessionDriver[K]) TrackBatch(views []packet.View) {
	for len(views) > 0 {
		n := min(len(views), BatchMax)
		d.bring(views[:n])
		for i := range views[:n] {
			d.Track(&views[i])
		}
		views = views[n:]
	}
}

// bring looks at the memory of the flows that the frames seem to belong to.
func (d *SessionDriver[K]) bring(views []packet.View) {
	b, ok := any(&d.near).(*nearness[flow.Key])
	if !ok {
		return
	}
	n := 0
	for i := range views {
		if packet.Peek(&views[i], &b.keys[n]) {
			n++
		}
	}
	d.w.table.Near(d.near.keys[:n], d.near.flows[:n])
	for _, f := range b.flows[:n] {
		if f != nil {
			b.warm += uint64(f.State.tuple.LoPort) + uint64(f.State.first) + uint64(f.State.tickAt)
		}
	}
	for _, f := range b.flows[:n] {
		if f != nil && f.State.tcp != nil {
			b.warm += f.State.tcp.look()
		}
	}
}

// look reads something of each cache line.
func (t *tcpSession) look() uint64 {
	n := uint64(t.initiator) + uint64(t.app.phase) + uint64(t.app.joins[0])
	if t.asm.FromStart(flow.Initiator) != t.asm.FromStart(flow.Responder) || t.asm.Overflowed() {
		n++
	}
	return n
}
