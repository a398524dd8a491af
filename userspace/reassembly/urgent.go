package reassembly

import (
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// noteUrgent remembers where the urgent byte that s announces lies, which may be
// in a later segment. Pointers 0 and 1 both mean the first byte, as on Linux. At
// most four are pending at a time; one more stays in the stream.
func (o *op) noteUrgent(x *stream, s *flow.Segment, off int64) {
	at := off + max(int64(s.Urgent), 1) - 1
	m := o.more(x)
	if at < x.next || int(m.urgents) == len(m.urgentAt) || x.has(skipping) {
		return
	}
	i, dup := slices.BinarySearch(m.urgentAt[:m.urgents], at)
	if !dup {
		copy(m.urgentAt[i+1:], m.urgentAt[i:m.urgents])
		m.urgentAt[i] = at
		m.urgents++
	}
}

// takeUrgent takes the whole payload of an urgent segment out, if mode says so.
func (in *incoming) takeUrgent(mode UrgentMode) {
	switch mode {
	case UrgentDrop:
		in.kind, in.data = pieceUrgent, nil
	case UrgentGap:
		in.kind, in.data = pieceLost, nil
	}
}

// dataUrgent delivers b up to the last urgent byte in it, without those, and
// returns the rest.
func (o *op) dataUrgent(side flow.Side, b []byte) []byte {
	x := o.stream(side)
	m := x.more
	for m.urgents > 0 {
		k := m.urgentAt[0] - x.next
		if k >= int64(len(b)) {
			break
		}
		if k >= 0 {
			o.bytes(side, b[:k])
			o.takeOut(x, 1)
			b = b[k+1:]
		}
		m.urgents--
		copy(m.urgentAt[:], m.urgentAt[1:])
	}
	return b
}

// takeOut passes over n urgent bytes.
func (o *op) takeOut(x *stream, n int64) {
	m := o.more(x)
	m.urgent += n
	x.pass(n)
	m.keptFrom = x.next
}
