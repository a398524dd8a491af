package flow

import (
	"net/netip"
	"time"
)

// MAC is a link address.
type MAC [6]byte

// An Endpoint is one end of a flow.
type Endpoint struct {
	IP     netip.Addr // invalid for a key of MACs
	Port   uint16     // meaningful if the protocol has ports
	MAC    MAC        // first seen; meaningful with HasMAC
	HasMAC bool
}

// Attributes are what the first packet of a flow says once for the whole flow.
type Attributes struct {
	VLANs     []uint16 // outermost first
	Tunnels   []Tunnel // outermost first
	MAC       [2]MAC   // source and destination of the first packet
	HasMAC    bool
	HasICMP   bool
	ICMPType  uint8
	ICMPCode  uint8
	FlowLabel uint32 // of the initiator's first packet; 0 for IPv4
}

// A Record is what a flow leaves when it ends, and what a snapshot of a live flow
// says. It holds no reference to anything that changes.
type Record struct {
	ID          uint64 // unique within a run
	Key         Key
	FiveTuple   bool        // the key is a five-tuple, and so has a Community ID
	IPVersion   uint8       // 0 for a key of MACs
	Proto       Proto       // of the first packet where the key has none
	Endpoint    [2]Endpoint // indexed by Side
	Stats       Stats
	Orientation Orientation
	VLANs       []uint16
	Tunnels     []Tunnel

	State     State
	Reason    EndReason // EndNone in a snapshot
	ConnState string    // Zeek's conn_state
	History   string    // Zeek's history
	Events    string    // flowscope's history, at most 16 letters

	// Handshake holds SYN-ACK to ACK (initiator) and SYN to SYN-ACK
	// (responder); negative when not known.
	Handshake [2]time.Duration

	Service            string // the parser that recognised it, or empty
	HasICMP            bool
	ICMPType, ICMPCode uint8
	FlowLabel          uint32
	FlowLabelChanges   uint64
	PacketsAfterClose  uint64
	// SegmentsUnseen says that the kernel was told to keep TCP segments without news to
	// itself. Counters of streams and of classes of segments lack them, and mean nothing.
	SegmentsUnseen bool
	Incomplete     Incomplete

	// CountersOnly marks a snapshot by another process, which sees the kernel's
	// counters and nothing of streams and sessions: those fields mean nothing, nor do
	// ID and Incomplete.
	CountersOnly bool

	// StreamHash holds the SHA-256 of each side's delivered bytes up to its
	// first gap, with StreamHashed bytes in it; only when asked for.
	StreamHash   [2][32]byte
	StreamHashed [2]int64
	HasHash      bool
}

// Duration is the time from the first packet to the last.
func (r *Record) Duration() time.Duration { return r.Stats.End.SaturatingSub(r.Stats.Start) }

// L4 returns the protocol class of the flow.
func (r *Record) L4() L4 { return r.Proto.L4() }
