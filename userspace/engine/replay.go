package engine

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A Replay pushes frames through the XDP program. It belongs to one goroutine.
type Replay struct {
	kernel *xdp.Engine
	table  kernelTable
	driver *pipeline.KernelDriver
	carry  carrier
	spill  func(*xdp.Spilled)
	sum    flow.Summary
	ended  bool // sum is all there is
	measurer
}

// replayRing is large enough for the records of any one frame.
const replayRing = 1 << 20

// NewReplay loads the program for replay, with room for opt.MaxFlows flows in its
// table, 0 being 100 000 as in the userspace engine.
func NewReplay(opt pipeline.Options[flow.Key], load xdp.Options) (*Replay, error) {
	load.Replay, load.RingSize = true, replayRing
	opt.MaxFlows = cmp.Or(opt.MaxFlows, defaultMaxFlows)
	load.MaxFlows = placesFor(opt.MaxFlows)
	load.MaxIPv6Flows = load.MaxFlows
	firstControl(&load, &opt)
	k, err := xdp.Load(load)
	if err != nil {
		return nil, err
	}
	r := &Replay{kernel: k, table: kernelTable{e: k}, measurer: measurer{kernel: k}}
	r.driver = pipeline.NewKernelDriver(opt, &r.table, true)
	r.carry.d, r.carry.quiet = r.driver, load.TCP&xdp.Quiet != 0
	r.spill = func(s *xdp.Spilled) { spilled(r.driver, s) }
	return r, nil
}

// placesFor is for how many flows the table is made so that maxFlows of them find a place, and
// the one more that is there until the oldest is evicted. A flow has two buckets to go to;
// while the table is no more than half full one of them has room.
func placesFor(maxFlows int) int {
	return max(minPlaces, maxFlows+min(maxFlows, maxSparePlaces))
}

const (
	defaultMaxFlows = 100_000 // of package tracker
	minPlaces       = 64
	maxSparePlaces  = 1 << 16
)

// Frames takes some frames.
func (r *Replay) Frames(v []packet.View) error {
	for i := range v {
		if err := r.Frame(&v[i]); err != nil {
			return err
		}
	}
	return nil
}

// Frame takes one frame, and reads what the program says of it.
func (r *Replay) Frame(v *packet.View) error {
	r.driver.Sweep(v.Time)
	meta := xdp.Meta{Time: v.Time, WireLen: v.WireLen(), LinkType: int(v.LinkType)}
	if err := r.kernel.Run(v.Frame, meta); err != nil {
		return err
	}
	if _, err := r.kernel.Ring(0).Read(0, r.carry.record); err != nil {
		return err
	}
	return r.table.err
}

// Finish ends all flows and unloads the program.
func (r *Replay) Finish() error {
	err := errors.Join(r.kernel.AgeFragments(flow.MaxTimestamp), r.kernel.DrainSpill(r.spill))
	r.driver.Finish()
	c, cerr := r.kernel.Counters()
	r.sum, r.ended = *r.driver.Summary(), true
	addCounters(&r.sum, &c)
	r.stop()
	if err := errors.Join(err, cerr, r.table.err, r.kernel.Close()); err != nil {
		return fmt.Errorf("end the replay: %w", err)
	}
	return nil
}

// Summary returns the counters: before Finish only those that user space has.
func (r *Replay) Summary() flow.Summary {
	if !r.ended {
		return *r.driver.Summary()
	}
	return r.sum
}
