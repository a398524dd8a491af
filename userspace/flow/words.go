package flow

import (
	"net/netip"
	"strings"
)

// A Side is one end of a flow by role.
type Side uint8

// The sides. The initiator opened the flow (SEMANTICS: Orientation says how that is known).
const (
	Initiator Side = iota
	Responder
)

// Other returns the peer.
func (s Side) Other() Side { return s ^ 1 }

// String returns "initiator" or "responder".
func (s Side) String() string { return [2]string{"initiator", "responder"}[s&1] }

// A State is the state of a flow. TCP moves through it; anything else stays Active.
type State uint8

// The states.
const (
	StateActive State = iota
	StateSYNSent
	StateSYNReceived
	StateEstablished
	StateFINWait
	StateClosing
	StateClosed
	StateReset
)

var stateNames = [...]string{"active", "syn_sent", "syn_received", "established", "fin_wait", "closing", "closed", "reset"}

// String returns the name used in output.
func (s State) String() string { return name(stateNames[:], uint8(s)) }

// Terminal reports whether s is closed or reset.
func (s State) Terminal() bool { return s == StateClosed || s == StateReset }

// An EndReason says why a flow ended.
type EndReason uint8

// The reasons. EndNone belongs to a flow that has not ended.
const (
	EndNone EndReason = iota
	EndFIN
	EndRST
	EndIdle
	EndEvicted
	EndBufferOverflow
	EndParseError
	EndOfInput
)

var endNames = [...]string{"none", "fin", "rst", "idle", "evicted", "buffer_overflow", "parse_error", "end_of_input"}

// EndReasons is the number of end reasons, EndNone among them.
const EndReasons = len(endNames)

// String returns the name used in output.
func (r EndReason) String() string { return name(endNames[:], uint8(r)) }

// An Orientation says how the initiator of a flow was known.
type Orientation uint8

// The orientations, weakest first.
const (
	FirstSeen Orientation = iota
	BySYNACK
	BySYN
)

var orientationNames = [...]string{"first_seen", "syn_ack", "syn"}

// String returns the name used in output.
func (o Orientation) String() string { return name(orientationNames[:], uint8(o)) }

// A GapCause says why bytes of a stream are missing.
type GapCause uint8

// The causes: never seen on the wire, or seen but lost on the way up (ring full,
// snaplen, memory cap, fragment that did not complete).
const (
	GapNetwork GapCause = iota
	GapCapture
)

// String returns "network" or "capture".
func (c GapCause) String() string { return name([]string{"network", "capture"}, uint8(c)) }

// An Overflow is what happens when a side's reassembly buffer is full.
type Overflow uint8

// The policies: give up the oldest hole and go on, or give up the flow.
const (
	SlidingWindow Overflow = iota
	DropFlow
)

// String returns "sliding_window" or "drop_flow".
func (o Overflow) String() string { return name([]string{"sliding_window", "drop_flow"}, uint8(o)) }

// A Cause says why a frame is not part of any flow. Every frame is tracked, a
// duplicate, or counted under exactly one of them.
type Cause uint8

// The causes. Decoded is not one: the frame was understood.
const (
	Decoded Cause = iota
	CauseLinkType
	CauseNotIP
	CauseTruncated
	CauseMalformed
	CauseFragmentOrphan
	CauseExtractor
	CauseTableFull
)

var causeNames = [...]string{"decoded", "link_type", "not_ip", "truncated", "malformed", "fragment_orphan", "extractor", "table_full"}

// Causes is the number of causes, Decoded among them.
const Causes = len(causeNames)

// String returns the name used in output.
func (c Cause) String() string { return name(causeNames[:], uint8(c)) }

// Incomplete is the set of reasons why a record does not tell everything.
type Incomplete uint8

// The reasons, in the order they are listed in output.
const (
	LostMissed Incomplete = 1 << iota
	LostSnaplen
	LostRing
	LostMemory
	LostFragment
	LostSpill
	LostTable
)

var incompleteNames = [...]string{"missed", "snaplen", "ring", "memory", "fragment", "spill", "table"}

// Names lists the reasons in s; nil when there are none.
func (s Incomplete) Names() []string {
	var l []string
	for i, n := range incompleteNames {
		if s&(1<<i) != 0 {
			l = append(l, n)
		}
	}
	return l
}

// String joins the names with commas, "none" when there are none.
func (s Incomplete) String() string {
	if s == 0 {
		return "none"
	}
	return strings.Join(s.Names(), ",")
}

// A TunnelKind is an encapsulation that a flow was found in.
type TunnelKind uint8

// The kinds.
const (
	TunnelNone TunnelKind = iota
	TunnelMPLS
	TunnelPPPoE
	TunnelVXLAN
	TunnelGeneve
	TunnelGTPU
	TunnelGRE
	TunnelERSPAN
	TunnelPPTP
	TunnelIPIP
	TunnelTeredo
	TunnelAYIYA
)

var tunnelNames = [...]string{"none", "mpls", "pppoe", "vxlan", "geneve", "gtpu", "gre", "erspan", "pptp", "ipip", "teredo", "ayiya"}

// String returns the name used in output.
func (k TunnelKind) String() string { return name(tunnelNames[:], uint8(k)) }

// TunnelKinds is the number of tunnel kinds, TunnelNone among them.
const TunnelKinds = len(tunnelNames)

// A Tunnel is one layer of encapsulation. Src and Dst are the addresses of the IP
// header that carried it, invalid for layers without one (MPLS or PPPoE over Ethernet).
type Tunnel struct {
	Kind     TunnelKind
	HasID    bool
	ID       uint32
	Src, Dst netip.Addr
}

// name returns l[i], or a text with the number for a value from the future.
func name(l []string, i uint8) string {
	if int(i) < len(l) {
		return l[i]
	}
	return "unknown_" + string('0'+i/100) + string('0'+i/10%10) + string('0'+i%10)
}
