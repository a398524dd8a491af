package pipeline

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Counted is what was counted of the packets that user space saw.
type Counted struct {
	Stats     flow.Stats
	Handshake [2]time.Duration // negative when not known
	// Kernel is what the XDP program counted, nil where none runs. It saw every packet,
	// and rules for packets, bytes, IP and payload bytes, TTLs and times. TCP flags
	// are united: user space puts together what came in fragments.
	//
	// Zero windows, duplicate ACKs, round trips and handshake times are those of user
	// space as long as every segment came up, since it does the same sums for both
	// engines. They are the kernel's once some did not ([Known].Partial), other than a
	// handshake that was seen.
	Kernel *KernelCount
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
	Partial                    bool              // some segment did not come up from the kernel
	Unseen                     bool              // ... as was asked for
	LongRTT                    [2]flow.RTT       // samples the kernel's table has no room for, by direction
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
		PacketsAfterClose: k.PacketsAfterClose, Incomplete: k.Lost, SegmentsUnseen: k.Unseen,
		StreamHash: k.Hash, StreamHashed: k.Hashed, HasHash: k.HasHash,
	}
	if c.Kernel != nil {
		takeKernel(&r, c.Kernel, k)
	}
	for side := range r.Stats.Side {
		r.Stats.Side[side].Add(&k.Streams[side])
		r.Endpoint[side] = endpoint(k, flow.Side(side))
		if r.Stats.Side[side].MissedBytes > 0 && !k.Unseen {
			r.Incomplete |= flow.LostMissed
		}
	}
	return r
}

// takeKernel puts what the kernel counted in the place of what user space saw.
func takeKernel(r *flow.Record, c *KernelCount, k *Known) {
	s := &r.Stats
	partial := k.Partial || c.Lost
	if c.Lost {
		r.Incomplete |= flow.LostRing
	}
	for dir := range flow.Direction(2) {
		side, n := &s.Side[dir^k.InitiatorDir], &c.Dir[dir]
		side.Packets, side.Bytes, side.IPBytes, side.PayloadBytes = n.Packets, n.Bytes, n.IPBytes, n.PayloadBytes
		side.TTLMin, side.TTLMax = n.TTLMin, n.TTLMax
		side.TCPFlags |= n.TCPFlags
		if q := &c.Quality[dir]; partial && k.Proto == flow.ProtoTCP {
			side.ZeroWindows, side.DuplicateACKs, side.RTT = q.ZeroWindows, q.DuplicateACKs, q.RTT
			side.RTT.Add(k.LongRTT[dir])
		}
	}
	s.Start, s.End = min(s.Start, c.First), max(s.End, c.Last)
	if !partial || c.Initiator != k.InitiatorDir {
		return
	}
	for side, t := range c.Handshake {
		if r.Handshake[side] < 0 {
			r.Handshake[side] = t
		}
	}
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
