// Package tcp holds the TCP state machine in the kernel (bpf/tcp.h) and the one in user
// space (userspace/tracker) together.
package tcp

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/tcp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// allFacts is above every combination of tracker.Facts.
const allFacts = tracker.ValidRST << 1

// TestTransition compares every state, side, set of flags and set of facts.
func TestTransition(t *testing.T) {
	objs := load(t)
	for state := flow.StateActive; state <= flow.StateReset; state++ {
		for side := flow.Initiator; side <= flow.Responder; side++ {
			for facts := tracker.Facts(0); facts < allFacts; facts++ {
				compare(t, objs, state, side, facts)
			}
		}
	}
}

// load loads the twin of the state machine.
func load(t *testing.T) *gen.TCPObjects {
	t.Helper()
	needs.Root(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	var objs gen.TCPObjects
	if err := gen.LoadTCPObjects(&objs, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objs.Close() })
	return &objs
}

func compare(t *testing.T, objs *gen.TCPObjects, state flow.State, side flow.Side, facts tracker.Facts) {
	t.Helper()
	q := gen.TCPQuestion{State: uint32(state), Facts: uint32(facts), Responder: uint32(side)}
	frame, err := binary.Append(nil, binary.NativeEndian, &q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objs.Transitions.Run(&ebpf.RunOptions{Data: frame}); err != nil {
		t.Fatal(err)
	}
	var got gen.TCPAnswer
	if err := objs.Answers.Lookup(uint32(0), &got); err != nil {
		t.Fatal(err)
	}
	for f, next := range got.Next {
		want := tracker.Transition(state, side, flow.TCPFlags(f), facts)
		if flow.State(next) != want {
			t.Errorf("%s, %s sends %s, facts %05b: kernel %s, user space %s",
				state, side, flow.TCPFlags(f), facts, flow.State(next), want)
		}
	}
}
