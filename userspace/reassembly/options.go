package reassembly

import (
	"math"
	"net/netip"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// The defaults, used where an option is zero.
const (
	DefaultCap     = 1 << 20
	DefaultMaxRuns = 256
	DefaultMemory  = 256 << 20
	DefaultGrace   = 50 * time.Millisecond
)

// SlidingWindow and DropFlow are the two overflow policies, named here too since
// they are this package's options.
const (
	SlidingWindow = flow.SlidingWindow
	DropFlow      = flow.DropFlow
)

// An UrgentMode says what becomes of urgent data.
type UrgentMode uint8

// The modes. UrgentOOB takes the one urgent byte out of the stream, as a program
// on Linux reads it; UrgentInline leaves it in; UrgentDrop takes the whole payload
// of the segment out; UrgentGap makes a gap of it.
const (
	UrgentOOB UrgentMode = iota
	UrgentInline
	UrgentDrop
	UrgentGap
)

// A PAWSMode says when a segment is dropped for its old timestamp (RFC 7323 §5).
type PAWSMode uint8

// The modes: old and outside the window; old; never.
const (
	PAWSWindow PAWSMode = iota
	PAWSStrict
	PAWSOff
)

// A PrefixPolicy gives a destination network its overlap policy.
type PrefixPolicy struct {
	Prefix netip.Prefix
	Policy Policy
}

// Options says how streams are put together. Zero fields mean the default.
type Options struct {
	// Cap is the most bytes held for one side, 1 MiB; negative for no limit.
	// For a Buffer it counts waiting bytes too.
	Cap int
	// MaxRuns is the most separate runs of held bytes of one side, 256;
	// negative for no limit. A side also holds at most 16 segments per run
	// allowed, so that tiny segments cost no more than their share.
	MaxRuns int
	// Overflow is what happens at Cap or MaxRuns: SlidingWindow.
	Overflow flow.Overflow
	// Overlap says whose bytes stay where held segments overlap: BSD.
	Overlap Policy
	// OverlapByPrefix overrides Overlap for destination networks; the longest
	// matching prefix counts (see [Shared.PolicyFor]).
	OverlapByPrefix []PrefixPolicy
	// Urgent says what becomes of urgent data: UrgentOOB.
	Urgent UrgentMode
	// PAWS says when an old timestamp drops a segment: PAWSWindow.
	PAWS PAWSMode
	// Grace is how long after the peer's ACK a hole may still fill, 50 ms and
	// three packets of the flow; negative for none of both.
	Grace time.Duration
	// KeepDelivered is how many delivered bytes of a side are kept to compare
	// retransmissions with, rounded up to a power of two; 0 for none, at most
	// 1 MiB.
	KeepDelivered int
	// Memory is the account that bounds all held bytes; a new one of 256 MiB
	// when nil. Give the same one to the workers of a process.
	Memory *Memory
}

// withDefaults returns o with every zero replaced.
func (o Options) withDefaults() Options {
	o.Cap = limit(o.Cap, DefaultCap)
	o.MaxRuns = limit(o.MaxRuns, DefaultMaxRuns)
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Memory == nil {
		o.Memory = NewMemory(DefaultMemory)
	}
	o.KeepDelivered = min(o.KeepDelivered, maxBlock)
	return o
}

func limit(n, def int) int {
	switch {
	case n == 0:
		return def
	case n < 0:
		return math.MaxInt / 32
	}
	return n
}
