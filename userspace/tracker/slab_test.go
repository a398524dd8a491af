package tracker

import (
	"testing"
	"unsafe"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestFlowSize holds what an open flow costs in the slab, the caller's state being a
// pointer.
func TestFlowSize(t *testing.T) {
	got := unsafe.Sizeof(Flow[flow.Key, *int]{})
	if got > 256 {
		t.Errorf("a flow takes %d bytes, want at most 256", got)
	}
	t.Logf("flow %d bytes, details %d, conn %d", got, unsafe.Sizeof(details{}), unsafe.Sizeof(Conn{}))
}
