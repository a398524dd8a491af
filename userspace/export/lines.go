package export

import (
	"maps"
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A Mark is a moment in a flow's life: its start, its handshake, a change of state.
type Mark struct {
	ID       uint64
	Time     flow.Timestamp
	Key      flow.Key
	From, To flow.State // of a change of state
}

// A Message is an application message with the flow it belongs to.
type Message struct {
	ID   uint64
	Time flow.Timestamp
	Key  flow.Key
	Side flow.Side
	Body parsers.Message
}

// An Anomaly is something odd, with the flow it is about, if it is about one.
type Anomaly struct {
	ID   uint64
	Time flow.Timestamp
	*flow.Anomaly
}

func sortedKeys(m map[string]uint64) []string { return slices.Sorted(maps.Keys(m)) }
