package tracker

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// Adopt tells of a flow that was opened late where it stands: how its initiator, that
// of the packet it was opened with, is known, and its state. A driver calls it once
// [Table.Finish] is over.
func (t *Table[K, S]) Adopt(f *Flow[K, S], o flow.Orientation, s flow.State) {
	f.orientation = o
	if f.proto.L4() != flow.L4TCP || f.reason != flow.EndNone {
		return
	}
	f.conn.state = s
	f.flags |= tcpStepped
	if s >= flow.StateEstablished {
		f.conn.flags |= everEstablished
	}
	if s.Terminal() {
		t.close(f, endOf(s))
		return
	}
	t.retime(f)
}
