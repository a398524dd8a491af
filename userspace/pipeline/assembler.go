package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// An Assembler puts in order what one side of a TCP flow sends. [reassembly.Buffer]
// is one; a [FlowDriver] takes any.
//
// It may have more methods, and a driver uses those it has: Peer(*flow.Segment) to
// hear of the other side's packets, whose acknowledgments say what will not come any
// more; Take() []byte to be drained; Poisoned() bool to end the flow with
// flow.EndBufferOverflow; Release() to give memory back after the flow's end.
type Assembler interface {
	// Segment takes a packet that the side sent, payload or not. The first one
	// with payload brings the assembler about; SYN and FIN of before are shown
	// first. S is valid during the call.
	Segment(s *flow.Segment)
	// Fin says that the flow ended in order, Rst that it was cut off. One of
	// the two is called, once, and no segment after it.
	Fin()
	Rst()
	// Diagnostics returns the counters of the stream: those of flow.SideStats
	// that reassembly fills in. What grows of ReassemblyDroppedOversizeBytes and
	// OutOfOrderSegments is reported as an anomaly, unless the assembler is a
	// Buffer, which reports itself.
	Diagnostics() flow.SideStats
}

// What an Assembler may have besides.
type (
	peerTaker interface{ Peer(s *flow.Segment) }
	taker     interface{ Take() []byte }
	poisoner  interface{ Poisoned() bool }
	releaser  interface{ Release() }
)

// An assembly is the assembler of one side.
type assembly struct {
	Assembler // nil: none
	peer      peerTaker
	poison    poisoner
	custom    bool // not a reassembly.Buffer
}

func newAssembly(a Assembler, report func(*flow.Anomaly)) assembly {
	y := assembly{Assembler: a}
	y.peer, _ = a.(peerTaker)
	y.poison, _ = a.(poisoner)
	if b, ok := a.(*reassembly.Buffer); ok {
		b.OnAnomaly = joined(b.OnAnomaly, report)
	} else {
		y.custom = true
	}
	return y
}

// joined returns what calls both functions; the first may be nil.
func joined(f, g func(*flow.Anomaly)) func(*flow.Anomaly) {
	if f == nil {
		return g
	}
	return func(a *flow.Anomaly) { f(a); g(a) }
}

// poisoned reports whether the assembler gave the side up.
func (a *assembly) poisoned() bool { return a.poison != nil && a.poison.Poisoned() }

// take returns the bytes that wait, which are the caller's from then on.
func (a *assembly) take() []byte {
	if t, ok := a.Assembler.(taker); ok {
		return t.Take()
	}
	return nil
}

func (a *assembly) release() {
	if r, ok := a.Assembler.(releaser); ok {
		r.Release()
	}
}

// An earlyHeader is a SYN or FIN that came before the payload of its side.
type earlyHeader struct {
	flow.TCPHeader
	time flow.Timestamp
	dir  flow.Direction
}

// maxEarly is how many of them are kept: four initial sequence numbers a side, as
// many as reassembly tells apart.
const maxEarly = 8
