package reassembly

import (
	"math/bits"
	"net/netip"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Sink takes what comes out of an assembler. Within a side, Data and Gap come in
// stream order and End comes last, once. Calls for one flow never overlap. A sink
// may call [Assembler.Skip] and [Assembler.SkipSide], nothing else of the assembler.
type Sink interface {
	// Data takes the next bytes: never empty, valid only during the call.
	Data(side flow.Side, b []byte)
	// Gap says that the next n bytes will never come.
	Gap(side flow.Side, n int64, cause flow.GapCause)
	// End says that the stream is over: EndFIN for one that ended in order,
	// else the reason given to Close, or EndBufferOverflow.
	End(side flow.Side, reason flow.EndReason)
	// Anomaly takes something odd; a is valid only during the call.
	Anomaly(a *flow.Anomaly)
}

// Shared holds what the assemblers of one worker have in common: options, pools
// and their account. It belongs to one goroutine.
type Shared struct {
	pools
	opt       Options
	maxPieces int
	keepMask  int64 // size of a delivered ring less one, or -1
	mores     []*more
	waiting   int  // bytes that wait in the Buffer being fed
	busy      bool // inside a call of an assembler
	report    report
	anomaly   flow.Anomaly
	weave     weave
}

// NewShared returns a Shared with the given options.
func NewShared(o Options) *Shared {
	o = o.withDefaults()
	sh := &Shared{pools: pools{mem: o.Memory}, opt: o, maxPieces: 16 * o.MaxRuns, keepMask: -1}
	if o.KeepDelivered > 0 {
		sh.keepMask = 1<<bits.Len(uint(o.KeepDelivered-1)) - 1
	}
	return sh
}

// Options returns the options in force, defaults filled in.
func (sh *Shared) Options() Options { return sh.opt }

// Memory returns the account that held bytes are charged to.
func (sh *Shared) Memory() *Memory { return sh.mem }

// PolicyFor returns the overlap policy for streams towards dst, to be given to
// [Assembler.SetPolicy] when it is not the default.
func (sh *Shared) PolicyFor(dst netip.Addr) Policy {
	best, policy := -1, sh.opt.Overlap
	for _, p := range sh.opt.OverlapByPrefix {
		if p.Prefix.Bits() > best && p.Prefix.Contains(dst.Unmap()) {
			best, policy = p.Prefix.Bits(), p.Policy
		}
	}
	return policy
}

// newMore returns empty counters. They are part of the flow, not of held memory.
func (sh *Shared) newMore() *more {
	if n := len(sh.mores); n > 0 {
		m := sh.mores[n-1]
		sh.mores = sh.mores[:n-1]
		return m
	}
	return &more{}
}

func (sh *Shared) freeMore(m *more) {
	sh.freeBlock(m.kept)
	*m = more{}
	if len(sh.mores) < maxIdleMores {
		sh.mores = append(sh.mores, m)
	}
}

const maxIdleMores = 4096
