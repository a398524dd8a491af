package reassembly

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	gopacketreassembly "github.com/google/gopacket/reassembly"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const benchMSS = 1500

// A counter is a Sink that only counts.
type counter struct{ bytes, gaps int64 }

func (c *counter) Data(_ flow.Side, b []byte)                { c.bytes += int64(len(b)) }
func (c *counter) Gap(_ flow.Side, n int64, _ flow.GapCause) { c.gaps += n }
func (c *counter) End(side flow.Side, reason flow.EndReason) {}
func (c *counter) Anomaly(a *flow.Anomaly)                   {}

// order says which segment comes as the i-th.
type order func(i int) int

var orders = []struct {
	name string
	at   order
}{
	{"inorder", func(i int) int { return i }},
	{"swapped", func(i int) int { return i ^ 1 }},
}

// BenchmarkSegment is one segment of 1500 bytes, ours and gopacket's
// reassembly, in order and with each pair of segments swapped. Flows take turns by
// pairs. Package beside has gopacket's tcpassembly, which cannot be linked into the
// same binary: both define the same command line flags.
func BenchmarkSegment(b *testing.B) {
	impls := []struct {
		name string
		new  func(flows int) func(flow, i int)
	}{
		{"ours", benchOurs},
		{"gopacket-reassembly", benchReassembly},
	}
	for _, ord := range orders {
		for _, flows := range []int{1, 10_000} {
			for _, impl := range impls {
				b.Run(fmt.Sprintf("%s/flows=%d/impl=%s", ord.name, flows, impl.name), func(b *testing.B) {
					feed := impl.new(flows)
					f, i := 0, 0
					step := func() { // no division, which would cost as much as what is measured
						feed(f, ord.at(i))
						if i++; i&1 == 0 {
							if f++; f == flows {
								f = 0
							} else {
								i -= 2
							}
						}
					}
					for range 4 * flows { // streams open, pools filled
						step()
					}
					b.SetBytes(benchMSS)
					b.ReportAllocs()
					for b.Loop() {
						step()
					}
				})
			}
		}
	}
}

var benchPayload = make([]byte, benchMSS)

func benchOurs(flows int) func(f, i int) {
	return benchFlows(flows, func(*Assembler, *Shared, Sink) {})
}

// benchFlows returns what feeds the i-th segment to a flow, each of which was prepared.
func benchFlows(flows int, prepare func(*Assembler, *Shared, Sink)) func(f, i int) {
	sh, out := NewShared(Options{}), &counter{}
	fs := make([]Assembler, flows)
	syn := flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Seq: 999, Window: 65535}}
	for f := range fs {
		fs[f].Segment(sh, flow.Initiator, &syn, out)
		prepare(&fs[f], sh, out)
	}
	s := flow.Segment{Len: benchMSS, Data: benchPayload}
	s.Flags = flow.ACK | flow.PSH
	return func(f, i int) {
		s.Seq = flow.Seq(1000 + uint32(i)*benchMSS)
		s.Time++
		fs[f].Segment(sh, flow.Initiator, &s, out)
	}
}

// BenchmarkSkipped is one segment of 1500 bytes of a stream that nobody wants any more.
func BenchmarkSkipped(b *testing.B) {
	feed := benchFlows(1, func(a *Assembler, sh *Shared, out Sink) { a.Skip(sh, out) })
	b.SetBytes(benchMSS)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		feed(0, i)
	}
}

// gopacketFlow is the network flow that gopacket tells flows apart by.
func gopacketFlows(flows int) []gopacket.Flow {
	l := make([]gopacket.Flow, flows)
	for i := range l {
		src := net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).To4()
		l[i], _ = gopacket.FlowFromEndpoints(layers.NewIPEndpoint(src), layers.NewIPEndpoint(net.IPv4(192, 0, 2, 1).To4()))
	}
	return l
}

func gopacketTCP() *layers.TCP {
	t := &layers.TCP{SrcPort: 40000, DstPort: 80, ACK: true, PSH: true, Window: 65535}
	t.SetInternalPortsForTesting()
	return t
}

// A gpStream is what gopacket's reassembly wants for a flow.
type gpStream struct{ counter }

func (s *gpStream) New(a, b gopacket.Flow, tcp *layers.TCP, ac gopacketreassembly.AssemblerContext) gopacketreassembly.Stream {
	return s
}

func (s *gpStream) Accept(*layers.TCP, gopacket.CaptureInfo, gopacketreassembly.TCPFlowDirection, gopacketreassembly.Sequence, *bool, gopacketreassembly.AssemblerContext) bool {
	return true
}

func (s *gpStream) ReassembledSG(sg gopacketreassembly.ScatterGather, ac gopacketreassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	s.bytes += int64(n)
}

func (s *gpStream) ReassemblyComplete(gopacketreassembly.AssemblerContext) bool { return true }

type gpContext gopacket.CaptureInfo

func (c *gpContext) GetCaptureInfo() gopacket.CaptureInfo { return gopacket.CaptureInfo(*c) }

func benchReassembly(flows int) func(f, i int) {
	a := gopacketreassembly.NewAssembler(gopacketreassembly.NewStreamPool(&gpStream{}))
	nets := gopacketFlows(flows)
	t := gopacketTCP()
	t.SYN, t.Seq = true, 999
	ac := &gpContext{Timestamp: time.Unix(0, 0)}
	for _, n := range nets {
		a.AssembleWithContext(n, t, ac)
	}
	t.SYN = false
	t.Payload = benchPayload
	return func(f, i int) {
		t.Seq = 1000 + uint32(i)*benchMSS
		ac.Timestamp = ac.Timestamp.Add(1)
		a.AssembleWithContext(nets[f], t, ac)
	}
}
