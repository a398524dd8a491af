package pipeline

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Counted is what was counted packet by packet: by the kernel where an XDP program
// runs, else by the table. It is the source of packets, bytes, IP and payload bytes,
// TCP flags, TTLs, times, zero windows, duplicate ACKs, round trips and handshake times.
type Counted struct {
	Stats     flow.Stats
	Handshake [2]time.Duration // negative when not known
}

// Known is what the session in user space knows. It is the source of state,
// histories, conn_state, streams, classes of segments, service and identity.
type Known struct {
	ID                         uint64
	Key                        flow.Key // the tuple of the flow's first packet
	FiveTuple                  bool
	Proto                      flow.Proto
	InitiatorDir               flow.Direction // which end of Key the initiator is
	FirstDir                   flow.Direction // of the packet Attributes are of
	Orientation                flow.Orientation
	State                      flow.State
	Reason                     flow.EndReason
	ConnState, History, Events string
	Service                    string
	Attributes                 flow.Attributes
	FlowLabelChanges           uint64
	PacketsAfterClose          uint64
	Lost                       flow.Incomplete
	Streams                    [2]flow.SideStats // reassembly's counters only
	Hash                       [2][32]byte
	Hashed                     [2]int64
	HasHash                    bool
}

// Merge joins both halves of a flow into its record. It is a pure function: it
// keeps nothing and reads nothing else.
func Merge(c *Counted, k *Known) flow.Record {
	r := flow.Record{
		ID: k.ID, Key: k.Key, FiveTuple: k.FiveTuple, IPVersion: k.Key.IPVersion, Proto: k.Proto,
		Stats: c.Stats, Handshake: c.Handshake,
		Orientation: k.Orientation, State: k.State, Reason: k.Reason,
		ConnState: k.ConnState, History: k.History, Events: k.Events, Service: k.Service,
		VLANs: k.Attributes.VLANs, Tunnels: k.Attributes.Tunnels,
		HasICMP: k.Attributes.HasICMP, ICMPType: k.Attributes.ICMPType, ICMPCode: k.Attributes.ICMPCode,
		FlowLabel: k.Attributes.FlowLabel, FlowLabelChanges: k.FlowLabelChanges,
		PacketsAfterClose: k.PacketsAfterClose, Incomplete: k.Lost,
		StreamHash: k.Hash, StreamHashed: k.Hashed, HasHash: k.HasHash,
	}
	for side := range r.Stats.Side {
		r.Stats.Side[side].Add(&k.Streams[side])
		r.Endpoint[side] = endpoint(k, flow.Side(side))
		if r.Stats.Side[side].MissedBytes > 0 {
			r.Incomplete |= flow.LostMissed
		}
	}
	return r
}

func endpoint(k *Known, side flow.Side) flow.Endpoint {
	dir := k.InitiatorDir ^ flow.Direction(side)
	ip, port := k.Key.Source(dir)
	e := flow.Endpoint{IP: ip, Port: port, HasMAC: k.Attributes.HasMAC}
	if e.HasMAC {
		e.MAC = k.Attributes.MAC[dir^k.FirstDir]
	}
	return e
}
