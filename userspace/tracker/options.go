package tracker

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An IdleFunc chooses the idle timeout of a flow. It reports false to leave the
// choice to the ports, then to the protocol.
type IdleFunc[K comparable] func(key K, l4 flow.L4) (time.Duration, bool)

// Options configures a [Table]. The zero value of every field is its default.
type Options[K comparable, S any] struct {
	IdleTCP       time.Duration            // 300 s
	IdleUDP       time.Duration            // 60 s
	IdleOther     time.Duration            // 30 s
	IdleHandshake time.Duration            // TCP not yet established; default IdleTCP
	IdlePorts     map[uint16]time.Duration // the responder's port first, then the initiator's; not copied
	IdleFunc      IdleFunc[K]              // asked at creation and when options change
	ClosedLinger  time.Duration            // how long a closed flow still counts packets; 5 s; negative: not at all
	MaxFlows      int                      // hard limit; 100 000; negative: 1
	SweepInterval time.Duration            // 1 s; the tick that evictions are reported by
	ActiveTimeout time.Duration            // period of Update events; off; at least a second
	Monotonic     bool                     // never let packet time go back
	SwapBudget    int                      // packets during which the initiator may be corrected; 8; negative: none

	// Handler takes the events. It must not call into the table, except
	// [Table.Report] and [Table.CloseFlow] for the flow of the event, and what
	// only reads. The event, with all it points to, is valid during the call.
	Handler func(f *Flow[K, S], e *flow.Event[K])
	// Events says which events the handler wants; all by default. Those left
	// out cost nothing.
	Events Mask
	// Refresh, if set, brings f's counters and times up to date (the Set
	// methods of [Flow]). It is called before anything is decided by them. It
	// is for engines where packets are counted outside the table.
	Refresh func(f *Flow[K, S])

	// Hash spreads keys over the index; by default a seeded hash of our own
	// for [flow.Key], hash/maphash for other types. It also goes into the ID
	// of flows, so it should give the same values in every run.
	Hash func(key K) uint64
	// Seed makes IDs of different runs differ.
	Seed uint64
}

// A Mask is a set of event kinds.
type Mask uint8

// MaskOf returns the set of kinds.
func MaskOf(kinds ...flow.EventKind) (m Mask) {
	for _, k := range kinds {
		m |= 1 << k
	}
	return m
}

// Has reports whether k is in m.
func (m Mask) Has(k flow.EventKind) bool { return m>>k&1 != 0 }

const (
	defaultMaxFlows   = 100_000
	defaultSwapBudget = 8
	minActiveTimeout  = time.Second

	// finWait is how long a flow seen in one direction only waits after that
	// side's FIN.
	finWait = 60 * time.Second
	// suspectWait is how long a reset inside the window, but not at its edge,
	// waits for a sign of life from its receiver.
	suspectWait = 10 * time.Second
)

// withDefaults returns o with its zero fields filled in.
func (o Options[K, S]) withDefaults() Options[K, S] {
	o.IdleTCP = orDuration(o.IdleTCP, 300*time.Second)
	o.IdleUDP = orDuration(o.IdleUDP, 60*time.Second)
	o.IdleOther = orDuration(o.IdleOther, 30*time.Second)
	o.IdleHandshake = orDuration(o.IdleHandshake, o.IdleTCP)
	o.ClosedLinger = orDuration(o.ClosedLinger, 5*time.Second)
	o.SweepInterval = max(orDuration(o.SweepInterval, time.Second), 1)
	if o.ActiveTimeout > 0 {
		o.ActiveTimeout = max(o.ActiveTimeout, minActiveTimeout)
	}
	switch {
	case o.MaxFlows == 0:
		o.MaxFlows = defaultMaxFlows
	case o.MaxFlows < 0:
		o.MaxFlows = 1
	}
	o.MaxFlows = min(o.MaxFlows, maxSlots)
	if o.SwapBudget == 0 {
		o.SwapBudget = defaultSwapBudget
	}
	if o.Events == 0 {
		o.Events = ^Mask(0)
	}
	if o.Handler == nil {
		o.Events = 0
	}
	return o
}

func orDuration(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
