package parsertest

import (
	"fmt"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An Op is what one step of a script does.
type Op uint8

// The operations.
const (
	OpFeed Op = iota // Data is delivered
	OpFin            // the side's stream ends in order
	OpRst            // the flow is aborted
	OpGap            // N bytes of the side never come
	OpTick           // N nanoseconds pass, then a Ticker is called
	OpEnd            // the flow is over: Tick, and End of a datagram parser
)

// A Step is one thing that happens on a flow.
type Step struct {
	Op    Op
	Side  flow.Side
	Data  string
	N     int64
	Cause flow.GapCause
}

// A Script is what happens on one flow, in order. Each step has a packet of its
// own: the first at one second, each of the others a millisecond after the one
// before, later where a [Tick] lies between.
type Script []Step

// Initiator is a step in which the initiator sends data.
func Initiator(data string) Step { return Step{Op: OpFeed, Side: flow.Initiator, Data: data} }

// Responder is a step in which the responder sends data.
func Responder(data string) Step { return Step{Op: OpFeed, Side: flow.Responder, Data: data} }

// Fin is a step that ends a side's stream in order.
func Fin(side flow.Side) Step { return Step{Op: OpFin, Side: side} }

// Rst is a step that aborts the flow.
func Rst() Step { return Step{Op: OpRst} }

// Gap is a step that says that n bytes of a side never come.
func Gap(side flow.Side, n int64, cause flow.GapCause) Step {
	return Step{Op: OpGap, Side: side, N: n, Cause: cause}
}

// Tick is a step in which d passes before a parsers.Ticker is called.
func Tick(d time.Duration) Step { return Step{Op: OpTick, N: int64(d)} }

// End is a step that ends the flow: a parsers.Ticker gets its last call, a
// parsers.Ender its only one.
func End() Step { return Step{Op: OpEnd} }

// String shows a step in failure messages; long data is cut.
func (s Step) String() string {
	switch s.Op {
	case OpFeed:
		return fmt.Sprintf("%v:%.40q", s.Side, s.Data)
	case OpFin:
		return fmt.Sprintf("%v:fin", s.Side)
	case OpRst:
		return "rst"
	case OpGap:
		return fmt.Sprintf("%v:gap(%d, %v)", s.Side, s.N, s.Cause)
	case OpTick:
		return fmt.Sprintf("tick(%v)", time.Duration(s.N))
	}
	return "end"
}

// timed is a step with its packet time; pieces of one step share it.
type timed struct {
	Step
	at flow.Timestamp
}

// clock gives every step its time.
func (s Script) clock() []timed {
	steps := make([]timed, len(s))
	at := flow.Timestamp(time.Second)
	for i, st := range s {
		if st.Op == OpTick {
			at += flow.Timestamp(st.N)
		}
		steps[i] = timed{st, at}
		at += flow.Timestamp(time.Millisecond)
	}
	return steps
}

// fed returns how many bytes the script feeds.
func fed(steps []timed) (n int) {
	for _, st := range steps {
		n += len(st.Data)
	}
	return n
}
