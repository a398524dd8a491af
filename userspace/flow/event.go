package flow

// An EventKind says what happened to a flow.
type EventKind uint8

// The kinds, in the order they come for one flow.
const (
	EventStarted EventKind = iota
	EventEstablished
	EventStateChange
	EventPacket
	EventAnomaly
	EventEnded
	EventUpdate // a snapshot of a live flow (active timeout)
)

// String returns the name of k.
func (k EventKind) String() string {
	return name([]string{"started", "established", "state_change", "packet", "anomaly", "ended", "update"}, uint8(k))
}

// An Event is something that happened to a flow with a key of type K. Fields
// beyond Kind, Time and ID mean something for the kinds named in their comments.
type Event[K comparable] struct {
	Kind     EventKind
	Time     Timestamp
	ID       uint64
	FlowKey  K
	L4       L4        // Started, Ended
	Side     Side      // Started, Packet
	Len      int       // Packet: payload length
	From, To State     // StateChange, Established
	Reason   EndReason // Ended
	Stats    *Stats    // Ended, Update; valid until the next call into the table
	History  string    // Ended
	Anomaly  *Anomaly  // Anomaly; valid until the next call into the table
}

// Clone returns a copy of e that stays valid.
func (e *Event[K]) Clone() *Event[K] {
	c := *e
	if e.Stats != nil {
		s := *e.Stats
		c.Stats = &s
	}
	if e.Anomaly != nil {
		a := *e.Anomaly
		c.Anomaly = &a
	}
	return &c
}

// Key returns the flow's key. It reports false for an anomaly of the whole table.
func (e *Event[K]) Key() (K, bool) {
	if e.Kind == EventAnomaly && e.Anomaly != nil && e.Anomaly.Kind.TableWide() {
		var zero K
		return zero, false
	}
	return e.FlowKey, true
}
