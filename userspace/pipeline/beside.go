package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Beside is what was counted of a flow elsewhere than in its entry: in further entries of
// its key, which two CPUs may claim at once while a place is freed, and in accounts of
// packets that found no place.
type beside struct {
	entries  []Handle
	accounts KernelCount
}

// handles calls fn for each entry of a flow.
func (s *session) handles(fn func(Handle)) {
	if !s.spilled {
		fn(s.handle)
	}
	if s.beside != nil {
		for _, h := range s.beside.entries {
			fn(h)
		}
	}
}

// owns reports whether h is an entry of the flow.
func (s *session) owns(h Handle) bool {
	if s.handle == h && !s.spilled {
		return true
	}
	found := false
	if s.beside != nil {
		s.handles(func(o Handle) { found = found || o == h })
	}
	return found
}

// apart returns what is beside the flow's entry, which it makes if need be.
func (s *session) apart() *beside {
	if s.beside == nil {
		s.beside = &beside{}
	}
	return s.beside
}

// count adds up all that was counted of a flow. It reports false if that is nothing.
func (d *KernelDriver) count(s *session, c *KernelCount) bool {
	if s.spilled || !d.kernel.Read(s.handle, c) {
		*c = KernelCount{}
	}
	if b := s.beside; b != nil {
		c.add(&b.accounts)
		var more KernelCount
		for _, h := range b.entries {
			if d.kernel.Read(h, &more) {
				c.add(&more)
			}
		}
	}
	return !c.empty()
}

func (c *KernelCount) empty() bool {
	return c.Dir[flow.Forward].Packets == 0 && c.Dir[flow.Reverse].Packets == 0
}

// add adds what was counted of the same flow in another place.
func (c *KernelCount) add(o *KernelCount) {
	switch {
	case o.empty():
		return
	case c.empty():
		*c = *o
		return
	}
	c.First, c.Last = min(c.First, o.First), max(c.Last, o.Last)
	c.Lost = c.Lost || o.Lost
	for dir := range c.Dir {
		c.Dir[dir].Add(&o.Dir[dir])
		c.Quality[dir].add(&o.Quality[dir])
	}
}

// add adds what was measured in another place; how far the direction has got stays.
func (q *DirQuality) add(o *DirQuality) {
	q.ZeroWindows += o.ZeroWindows
	q.DuplicateACKs += o.DuplicateACKs
	q.RTT.Add(o.RTT)
}
