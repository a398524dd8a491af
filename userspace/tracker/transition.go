package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// Facts are what the sequence numbers of a segment, and of those before it, say
// about it.
type Facts uint8

// The facts.
const (
	// BothSpoke: each side has sent an ACK or payload, this segment included.
	BothSpoke Facts = 1 << iota
	// AcksSYN: the segment acknowledges a SYN its receiver sent.
	AcksSYN
	// FirstFIN: the segment carries the first FIN of its sender.
	FirstFIN
	// LastFINAcked: both sides sent a FIN, and the side that did not send the
	// later one has acknowledged it, with this segment or before.
	LastFINAcked
	// ValidRST: the reset is acceptable (SEMANTICS.md §3.5).
	ValidRST
)

// Transition returns the state that follows s when side sends a segment with flags
// f (SEMANTICS.md §3.4). It is total: any arguments give a state. bpf/tcp.h holds its
// twin in C.
//
// A segment with RST does nothing else. A FIN beside a SYN does not count, as no
// stack takes it.
func Transition(s flow.State, side flow.Side, f flow.TCPFlags, k Facts) flow.State {
	if s.Terminal() {
		return s
	}
	if f&flow.RST != 0 {
		if k&ValidRST != 0 {
			return flow.StateReset
		}
		return s
	}
	s = opening(s, side, f, k)
	if f&(flow.FIN|flow.SYN) == flow.FIN && k&FirstFIN != 0 {
		if s == flow.StateFINWait {
			s = flow.StateClosing
		} else if s < flow.StateFINWait {
			s = flow.StateFINWait
		}
	}
	if s == flow.StateClosing && k&LastFINAcked != 0 {
		s = flow.StateClosed
	}
	return s
}

// opening is the part of [Transition] that leads up to established.
func opening(s flow.State, side flow.Side, f flow.TCPFlags, k Facts) flow.State {
	syn, ack := f&flow.SYN != 0, f&flow.ACK != 0
	switch s {
	case flow.StateActive:
		switch {
		case syn && !ack && side == flow.Initiator:
			return flow.StateSYNSent
		case syn && ack && side == flow.Responder:
			return flow.StateSYNReceived
		case k&BothSpoke != 0:
			return flow.StateEstablished
		}
	case flow.StateSYNSent:
		switch {
		case syn && side == flow.Responder && (!ack || k&AcksSYN != 0):
			return flow.StateSYNReceived
		case !syn && k&BothSpoke != 0: // the SYN+ACK was never seen
			return flow.StateEstablished
		}
	case flow.StateSYNReceived:
		if ack && side == flow.Initiator && k&AcksSYN != 0 {
			return flow.StateEstablished
		}
	}
	return s
}
