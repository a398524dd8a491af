package engine

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// NewReplayRing is NewReplay with a ring of the given size.
func NewReplayRing(opt pipeline.Options[flow.Key], size int) (*Replay, error) {
	k, err := xdp.Load(xdp.Options{Replay: true, RingSize: size, MaxFlows: opt.MaxFlows})
	if err != nil {
		return nil, err
	}
	r := &Replay{kernel: k, table: kernelTable{e: k}, measurer: measurer{kernel: k}}
	r.driver = pipeline.NewKernelDriver(opt, &r.table, true)
	r.carry.d = r.driver
	r.spill = func(*xdp.Spilled) {}
	return r, nil
}

// Unread is Frame with a reader that is late: what the program says stays in the ring.
func (r *Replay) Unread(v *packet.View) error {
	return r.kernel.Run(v.Frame, xdp.Meta{Time: v.Time, WireLen: v.WireLen(), LinkType: int(v.LinkType)})
}

// FindLost gives a session to flows that no record told of, as a live run does.
func (r *Replay) FindLost() {
	r.kernel.Table().Scan(0, r.kernel.Table().Places(), func(p xdp.Place) {
		if h := pipeline.Handle(p.Handle()); !r.driver.Has(h) {
			p.Read(&r.table.flow)
			r.driver.Found(h, r.table.flow.Key, countOf(&r.table.flow))
		}
	})
}
