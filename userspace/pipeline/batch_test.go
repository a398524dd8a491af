package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// handshakes gives the handshakes of n flows to track, and returns a bare ACK of each.
func handshakes(n int, track func(*packet.View)) []packet.View {
	acks := make([]packet.View, n)
	for i := range acks {
		from, to := fmt.Sprintf("10.%d.%d.1:%d", i>>8&255, i&255, 1024+i>>16), "10.255.255.254:443"
		for _, p := range []packettest.Packet{
			packettest.TCP(from, to).Flags("S").Seq(1000),
			packettest.TCP(to, from).Flags("SA").Seq(5000).Ack(1001),
			packettest.TCP(from, to).Flags("A").Seq(1001).Ack(5001),
		} {
			acks[i] = packettest.Trace(p)[0]
			track(&acks[i])
		}
	}
	return acks
}

// manyFlows returns a driver with n open flows and a bare ACK of each.
func manyFlows(n int) (*pipeline.SessionDriver[flow.Key], []packet.View) {
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}})
	return d, handshakes(n, d.Track)
}

func TestBatchAllocatesNothing(t *testing.T) {
	d, acks := manyFlows(3 * pipeline.BatchMax / 2)
	if n := testing.AllocsPerRun(100, func() { d.TrackBatch(acks) }); n != 0 {
		t.Errorf("%v allocations in a batch", n)
	}
	d.Finish()
	if got, want := d.Summary().PacketsTracked, uint64(len(acks)*(3+101)); got != want {
		t.Errorf("%d packets tracked, want %d", got, want)
	}
}

// BenchmarkManyFlows is the way of a bare ACK when no flow is in the processor's cache,
// frame by frame and in batches.
func BenchmarkManyFlows(b *testing.B) {
	d, acks := manyFlows(100_000)
	b.Run("frame", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			d.Track(&acks[i*7919%len(acks)])
		}
	})
	b.Run("batch", func(b *testing.B) {
		var views [pipeline.BatchMax]packet.View
		for i := 0; b.Loop(); i++ {
			at := i % len(views)
			views[at] = acks[i*7919%len(acks)]
			if at == len(views)-1 {
				d.TrackBatch(views[:])
			}
		}
	})
}
