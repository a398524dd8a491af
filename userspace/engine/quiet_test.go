package engine_test

import (
	"math/rand/v2"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// TestQuiet keeps TCP segments that tell nothing new in the kernel: what records say of a
// flow, its state, histories and quality, is what the other engine says, and what is not
// known is marked so. A reset behind bytes that were lost before the capture point is not
// believed at once, as the kernel keeps no ACKs.
func TestQuiet(t *testing.T) {
	needs.Root(t)
	r := rand.New(rand.NewPCG(9, 9))
	var packets []packettest.Packet
	for port := 1000; port < 1200; port++ {
		packets = append(packets, conversation(port*7, r, true)...)
	}
	frames := packettest.Trace(packets...)
	goes, kernel := inGo(frames), inKernelWith(t, xdp.Options{TCP: xdp.Quiet | xdp.NoPayload}, frames)
	if len(kernel.records) != len(goes.records) || kernel.sum.RingRecords >= kernel.sum.PacketsSeen {
		t.Fatalf("%d flows, want %d; %d records of %d packets", len(kernel.records), len(goes.records),
			kernel.sum.RingRecords, kernel.sum.PacketsSeen)
	}
	samples, doubted := uint64(0), 0
	for port, want := range goes.records {
		got := kernel.records[port]
		if !got.SegmentsUnseen || want.SegmentsUnseen {
			t.Errorf("port %d: segments unseen: %v", port, got.SegmentsUnseen)
		}
		if want.State == flow.StateReset && got.State != want.State {
			doubted++
			got.State, got.Reason = want.State, want.Reason
		}
		if g, w := headersOnly(got), headersOnly(want); g != w {
			t.Errorf("port %d, %s:\nkernel    %+v\nuserspace %+v", port, want.History, g, w)
		}
		samples += got.Stats.Side[0].RTT.Samples
	}
	if samples == 0 || doubted > len(goes.records)/50 {
		t.Errorf("%d round trips, %d resets doubted", samples, doubted)
	}
}

// A headerRecord is what can be known of a flow without its segments.
type headerRecord struct {
	state              flow.State
	reason             flow.EndReason
	connState, history string
	handshake          [2]int64
	side               [2]flow.SideStats
}

func headersOnly(r flow.Record) headerRecord {
	h := headerRecord{state: r.State, reason: r.Reason, connState: r.ConnState, history: r.History}
	for i := range h.side {
		s := &r.Stats.Side[i]
		h.handshake[i] = int64(r.Handshake[i])
		h.side[i] = flow.SideStats{
			Packets: s.Packets, Bytes: s.Bytes, IPBytes: s.IPBytes, PayloadBytes: s.PayloadBytes,
			TCPFlags: s.TCPFlags, TTLMin: s.TTLMin, TTLMax: s.TTLMax,
			ZeroWindows: s.ZeroWindows, DuplicateACKs: s.DuplicateACKs, RTT: s.RTT,
		}
	}
	return h
}
