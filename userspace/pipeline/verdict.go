package pipeline

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// A Verdict says what of one direction of a flow the session wants no more. It is
// obeyed from the next packet on, and only ever grows.
type Verdict uint8

const (
	// NoPayload: records come without payload.
	NoPayload Verdict = 1 << iota
	// Quiet: records come only for what opens or closes the flow, changes its state or
	// belongs into its history.
	Quiet
)

// verdict returns what is wanted no more of what a side sends.
func (s *session) verdict(side flow.Side) Verdict {
	switch {
	case s.tcp != nil && s.tcp.hash == nil && (s.closed || s.tcp.asm.Skipping(side)):
		return NoPayload
	case s.udp != nil && s.udp.off:
		return NoPayload | Quiet
	}
	return 0
}

// decide tells the kernel what is new in the verdicts on a flow.
func (d *KernelDriver) decide(f *tracked[flow.Key]) {
	s := f.State
	for dir := range flow.Direction(2) {
		if v := s.verdict(f.Side(dir)); v&^s.verdicts[dir] != 0 {
			s.verdicts[dir] |= v
			s.handles(func(h Handle) { d.kernel.Verdict(h, dir, v) })
		}
	}
}
