package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/metrics/prom"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// A sink parser reads everything and says nothing.
type sink struct{}

func (*sink) Feed(*parsers.Context, flow.Side, []byte) {}
func (*sink) Fin(*parsers.Context, flow.Side)          {}
func (*sink) Rst(*parsers.Context)                     {}

// A stream gives the segments of one TCP flow, one after the other, without end: it
// rewrites sequence number and time of one frame.
type stream struct {
	view packet.View
	seq  uint32
	n    uint32
}

// seqOff is where the sequence number is in an Ethernet frame with IPv4.
const seqOff = 14 + 20 + 4

func newStream(payload int) (handshake []packettest.Frame, s *stream) {
	frames := packettest.Trace(open().a("PA", 1001, 5001, strings.Repeat("x", payload)).list...)
	return frames[:3], &stream{view: frames[3], seq: 1001, n: uint32(payload)}
}

func (s *stream) next() *packet.View {
	f := s.view.Frame[seqOff:]
	f[0], f[1], f[2], f[3] = byte(s.seq>>24), byte(s.seq>>16), byte(s.seq>>8), byte(s.seq)
	s.seq += s.n
	s.view.Time += 1000
	return &s.view
}

// BenchmarkSessionDriver is the whole way of a segment of 1400 bytes: decode, track,
// reassemble, parse.
func BenchmarkSessionDriver(b *testing.B) {
	run := func(name string, opt pipeline.Options[flow.Key]) {
		b.Run(name, func(b *testing.B) {
			opt.Extractor = packet.FiveTuple{}
			d := pipeline.NewSessionDriver(opt)
			handshake, s := newStream(1400)
			for i := range handshake {
				d.Track(&handshake[i])
			}
			b.SetBytes(1400)
			b.ReportAllocs()
			for b.Loop() {
				d.Track(s.next())
			}
		})
	}
	every := []parsers.Protocol{{Name: "sink", Probe: func(flow.Side, []byte) parsers.Result { return parsers.Yes }, NewSession: parsers.Of[sink]()}}
	run("parser=none", pipeline.Options[flow.Key]{})
	run("parser=sink", pipeline.Options[flow.Key]{Protocols: every})
	run("parser=sink/handler", pipeline.Options[flow.Key]{Protocols: every, Handler: func(*pipeline.SessionEvent[flow.Key]) {}})
	run("parser=sink/recorder", pipeline.Options[flow.Key]{Protocols: every, Metrics: discard{}})
	run("parser=sink/recorder=prometheus", pipeline.Options[flow.Key]{Protocols: every, Metrics: prom.New().Recorder()})
	run("parser=sink/dedup", pipeline.Options[flow.Key]{Protocols: every, Dedup: packet.LoopbackDedup()})
}

// A discard recorder measures what calling one costs.
type discard struct{}

func (discard) Add(string, uint64, metrics.Labels)      {}
func (discard) Set(string, float64)                     {}
func (discard) Observe(string, float64, metrics.Labels) {}

// BenchmarkTrack is the way of a bare ACK, decoding included, through a driver of flow
// events.
func BenchmarkTrack(b *testing.B) {
	for _, flows := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			d := pipeline.NewFlowDriver(flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}})
			frames := handshakes(flows, d.Track)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i == flows {
					i = 0
				}
				d.Track(&frames[i])
			}
		})
	}
}

// BenchmarkDrain is the way of a segment of 1400 bytes into a buffer that is drained
// every 64 segments.
func BenchmarkDrain(b *testing.B) {
	var key flow.Key
	opt := flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}}
	opt.OnEvent = func(e *flow.Event[flow.Key]) { key = e.FlowKey }
	d := pipeline.NewFlowDriver(opt)
	handshake, s := newStream(1400)
	for i := range handshake {
		d.Track(&handshake[i])
	}
	b.SetBytes(1400)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		d.Track(s.next())
		if n%64 == 0 {
			d.Drain(key, flow.Initiator)
		}
	}
}
