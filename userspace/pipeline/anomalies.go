package pipeline

import (
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An oddities value collects what is odd about the packet in hand, in the order of the
// kinds. Who reports has joined what belongs to one side and kind already.
type oddities []flow.Anomaly

// add puts a behind those of its kind and the kinds before it.
func (l *oddities) add(a *flow.Anomaly) {
	i := len(*l)
	for i > 0 && (*l)[i-1].Kind > a.Kind {
		i--
	}
	*l = slices.Insert(*l, i, *a)
}
