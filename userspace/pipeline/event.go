package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A SessionEventKind says what a SessionEvent is about.
type SessionEventKind uint8

// The kinds.
const (
	Started SessionEventKind = iota
	Established
	StateChange
	Message
	Anomaly
	Gap
	Update // a snapshot of a live flow
	Closed
)

var sessionEventNames = [...]string{"started", "established", "state_change", "message", "anomaly", "gap", "update", "closed"}

// String returns the name of k.
func (k SessionEventKind) String() string {
	if int(k) < len(sessionEventNames) {
		return sessionEventNames[k]
	}
	return "unknown"
}

// A SessionEvent is something that happened to a flow or in its session. Fields
// beyond Kind, Time, Key and ID mean something for the kinds in their comments.
//
// For one flow there is exactly one Started and one Closed, nothing before the one
// and nothing after the other. What a pointer leads to is valid during the call.
type SessionEvent[K comparable] struct {
	Kind SessionEventKind
	Time flow.Timestamp
	Key  K
	ID   uint64 // the flow's; 0 for an anomaly of the whole table

	Side     flow.Side       // Message, Gap
	From, To flow.State      // Established, StateChange
	Message  parsers.Message // Message
	Anomaly  *flow.Anomaly   // Anomaly
	Bytes    int64           // Gap
	Cause    flow.GapCause   // Gap
	Record   *flow.Record    // Update, Closed
}

// Clone returns a copy of e that stays valid: what drivers reuse is copied, a Message,
// which is the receiver's anyway, is shared.
func (e *SessionEvent[K]) Clone() *SessionEvent[K] {
	c := *e
	if e.Anomaly != nil {
		a := *e.Anomaly
		c.Anomaly = &a
	}
	if e.Record != nil {
		r := *e.Record
		c.Record = &r
	}
	return &c
}
