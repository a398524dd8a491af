package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// An enough parser has had enough after so many bytes of both sides, as many as the
// initiator's port says.
type enough struct{ left int }

func newEnough(k flow.Key) parsers.SessionParser {
	port := k.LoPort
	if port == serverPort {
		port = k.HiPort
	}
	return &enough{left: int(port) % 4000}
}

const serverPort = 80

func (e *enough) Feed(c *parsers.Context, _ flow.Side, b []byte) {
	if e.left -= len(b); e.left <= 0 {
		c.Done()
	}
}
func (*enough) Fin(*parsers.Context, flow.Side)                                        {}
func (*enough) Rst(*parsers.Context)                                                   {}
func (*enough) Gap(*parsers.Context, flow.Side, int64, flow.GapCause) (resumable bool) { return true }

// An outcome is what became of each flow, by its initiator's port.
type outcome struct {
	records map[uint16]flow.Record
	all     []flow.Record
	sum     flow.Summary
}

func (o *outcome) options(p ...parsers.Protocol) pipeline.Options[flow.Key] {
	o.records = map[uint16]flow.Record{}
	return pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{}, Protocols: p, Seed: 1,
		Handler: func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Closed {
				o.records[e.Record.Endpoint[flow.Initiator].Port] = *e.Record
				o.all = append(o.all, *e.Record)
			}
		},
	}
}

// inGo and inKernel replay frames in either engine.
func inGo(frames []packet.View, p ...parsers.Protocol) (o outcome) {
	d := pipeline.NewSessionDriver(o.options(p...))
	for i := range frames {
		d.Track(&frames[i])
	}
	d.Finish()
	o.sum = d.Summary()
	return o
}

func inKernel(t *testing.T, frames []packet.View, p ...parsers.Protocol) outcome {
	t.Helper()
	return inKernelWith(t, xdp.Options{}, frames, p...)
}

func inKernelWith(t *testing.T, load xdp.Options, frames []packet.View, p ...parsers.Protocol) (o outcome) {
	t.Helper()
	opt := o.options(p...)
	opt.MaxFlows = 4096
	r, err := engine.NewReplay(opt, load)
	if err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		if err := r.Frame(&frames[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	o.sum = r.Summary()
	return o
}

// conversation makes one of some kilobytes whose segments are swapped, sent twice, or
// never seen. It ends in one of several ways.
// Without gaps it is seen whole.
func conversation(port int, r *rand.Rand, gaps bool) []pt.Packet {
	c := pt.NewConversation(fmt.Sprintf("192.0.2.1:%d", port), fmt.Sprintf("198.51.100.7:%d", serverPort)).
		ISN(r.Uint32(), r.Uint32()).Handshake()
	for range r.IntN(12) {
		side := flow.Side(r.IntN(2))
		c.MSS(1+r.IntN(1400)).Sends(side, string(make([]byte, 1+r.IntN(3000)))).Acks(side.Other())
	}
	switch r.IntN(3) {
	case 0:
		c.Close()
	case 1:
		c.Reset(flow.Side(r.IntN(2)))
	}
	l := slices.Clone(c.Packets())
	for range r.IntN(6) {
		if len(l) < 6 {
			break
		}
		i := 3 + r.IntN(len(l)-5)
		switch n := r.IntN(3); {
		case n == 0:
			l[i], l[i+1] = l[i+1], l[i]
		case n == 1:
			l = slices.Insert(l, i+1, l[i])
		case gaps:
			l = slices.Delete(l, i, i+1)
		}
	}
	return l
}

// TestVerdictsAgree gives both engines conversations whose parser is done at any byte:
// every record is the same, so skipped bytes are, and every byte is accounted for.
func TestVerdictsAgree(t *testing.T) {
	needs.Root(t)
	r := rand.New(rand.NewPCG(7, 7))
	var packets []pt.Packet
	span := map[uint16][2]uint64{}
	for port := 1000; port < 1400; port++ {
		l := conversation(port*7, r, true)
		span[uint16(port*7)] = spans(l)
		packets = append(packets, l...)
	}
	frames := pt.Trace(packets...)
	all := parsers.Every("enough", newEnough)
	kernel, goes := inKernel(t, frames, all), inGo(frames, all)
	var skipped, payload uint64
	for port, want := range goes.records {
		got := kernel.records[port]
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("port %d:\nkernel    %+v\nuserspace %+v", port, got, want)
		}
		for side, s := range got.Stats.Side {
			checkSpan(t, port, flow.Side(side), &s, span[port][side])
			skipped += s.SkippedBytes
			payload += s.PayloadBytes
		}
	}
	if len(kernel.records) != 400 || skipped < 100_000 {
		t.Errorf("%d records, %d bytes skipped: want 400, and 100 000 at least", len(kernel.records), skipped)
	}
	if n := kernel.sum.RingPayloadBytes; n == 0 || n > payload-skipped*9/10 {
		t.Errorf("%d bytes of %d came up, %d were skipped", n, payload, skipped)
	}
}

// checkSpan holds that every byte of a stream is accounted for once.
func checkSpan(t *testing.T, port uint16, side flow.Side, s *flow.SideStats, want uint64) {
	t.Helper()
	if got := s.StreamBytes + s.MissedBytes + s.CaptureMissedBytes + s.SkippedBytes + s.UrgentBytes; got != want {
		t.Errorf("port %d, %v: %d bytes accounted for, want %d: %+v", port, side, got, want, s)
	}
}

// spans returns how long the streams of a conversation are, by what was seen of them.
func spans(l []pt.Packet) (n [2]uint64) {
	var base [2]flow.Seq
	var d packet.Decoder
	for _, v := range pt.Trace(l...) {
		var p packet.Packet
		if d.Decode(&v, &p) != flow.Decoded {
			panic("a frame that does not decode")
		}
		side := flow.Initiator
		if p.SrcPort == serverPort {
			side = flow.Responder
		}
		if p.TCP.Flags.Has(flow.SYN) {
			base[side] = p.TCP.Seq + 1
		} else if p.PayloadLen > 0 || p.TCP.Flags.Has(flow.FIN) {
			n[side] = max(n[side], uint64(p.TCP.Seq-base[side])+uint64(p.PayloadLen))
		}
	}
	return n
}

// TestNothingReads holds that payload nobody reads is never copied, and is accounted for
// all the same.
func TestNothingReads(t *testing.T) {
	needs.Root(t)
	frames := pt.Trace(append(
		pt.NewConversation("192.0.2.1:1000", "198.51.100.7:80").Handshake().Request("question").Response("answer").Close().Packets(),
		pt.UDP("192.0.2.1:2000", "198.51.100.7:53").Payload("one"),
		pt.UDP("192.0.2.1:2000", "198.51.100.7:53").Payload("two"))...)
	kernel, goes := inKernel(t, frames), inGo(frames)
	if n := kernel.sum.RingPayloadBytes; n != 0 {
		t.Errorf("%d bytes of payload came up", n)
	}
	for port, want := range goes.records {
		if got := kernel.records[port]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("port %d:\nkernel    %+v\nuserspace %+v", port, got, want)
		}
	}
	if got := kernel.records[1000].Stats.Side[flow.Initiator].SkippedBytes; got != 8 {
		t.Errorf("initiator: %d bytes skipped, want 8", got)
	}
	if n := kernel.sum.RingRecords; n != uint64(len(frames))-1 {
		t.Errorf("%d records, want one of each packet but the second datagram (%d)", n, len(frames)-1)
	}
}

// TestUnknownDatagrams holds that datagrams of a protocol nobody knows stop after the
// second.
func TestUnknownDatagrams(t *testing.T) {
	needs.Root(t)
	var packets []pt.Packet
	for range 10 {
		packets = append(packets, pt.UDP("192.0.2.1:2000", "198.51.100.7:99").Payload("what?"),
			pt.UDP("198.51.100.7:99", "192.0.2.1:2000").Payload("that!"))
	}
	never := parsers.Protocol{Name: "never", ProbeDatagram: func([]byte, bool) bool { return false },
		NewDatagram: func(flow.Key) parsers.DatagramParser { panic("not probed") }}
	frames := pt.Trace(packets...)
	kernel, goes := inKernel(t, frames, never), inGo(frames, never)
	if got, want := kernel.records[2000], goes.records[2000]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("kernel    %+v\nuserspace %+v", got, want)
	}
	if n := kernel.sum.RingRecords; n != 3 {
		t.Errorf("%d records, want 3: the verdict comes with the second datagram of a side", n)
	}
}
