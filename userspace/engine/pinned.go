package engine

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// Snapshot returns what the kernel's counters alone tell of a flow.
func Snapshot(f *xdp.Flow) flow.Record {
	c := pipeline.Counted{Handshake: f.Handshake, Stats: statsOf(f)}
	r := pipeline.Merge(&c, &pipeline.Known{
		Key: f.Key, FiveTuple: true, Proto: f.Key.Proto, InitiatorDir: f.Initiator,
		Orientation: f.Orientation, State: f.State, Attributes: icmpOf(f),
	})
	r.CountersOnly, r.SegmentsUnseen = true, true
	return r
}

// icmpOf reads type and code from the ports of an ICMP key: a request's code is 0.
func icmpOf(f *xdp.Flow) (a flow.Attributes) {
	if f.Key.Proto != flow.ProtoICMP && f.Key.Proto != flow.ProtoICMP6 {
		return a
	}
	_, typ := f.Key.Source(f.Initiator)
	_, other := f.Key.Source(f.Initiator.Other())
	a.HasICMP, a.ICMPType = true, uint8(typ)
	if other >= icmpOneWay {
		a.ICMPCode = uint8(other - icmpOneWay)
	}
	return a
}

// icmpOneWay is added to the code of types that have no reply (flow.Key).
const icmpOneWay = 256
