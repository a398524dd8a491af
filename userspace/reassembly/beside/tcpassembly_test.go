// Package beside compares with gopacket's tcpassembly, which cannot share a binary
// with gopacket's reassembly.
package beside

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/tcpassembly"
)

const mss = 1500

// A counter is a stream that only counts.
type counter struct{ bytes int64 }

func (c *counter) New(gopacket.Flow, gopacket.Flow) tcpassembly.Stream { return c }

func (c *counter) ReassemblyComplete() {}

func (c *counter) Reassembled(rs []tcpassembly.Reassembly) {
	for _, r := range rs {
		c.bytes += int64(len(r.Bytes))
	}
}

// BenchmarkSegment is what the benchmark of that name in package reassembly does.
func BenchmarkSegment(b *testing.B) {
	for order, swap := range map[string]int{"inorder": 0, "swapped": 1} {
		for _, flows := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/flows=%d/impl=gopacket-tcpassembly", order, flows), func(b *testing.B) {
				feed := open(flows)
				f, i := 0, 0
				step := func() {
					feed(f, i^swap)
					if i++; i&1 == 0 {
						if f++; f == flows {
							f = 0
						} else {
							i -= 2
						}
					}
				}
				for range 4 * flows {
					step()
				}
				b.SetBytes(mss)
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
		}
	}
}

// open starts flows and returns what gives the i-th segment of one to the assembler.
func open(flows int) func(f, i int) {
	a := tcpassembly.NewAssembler(tcpassembly.NewStreamPool(&counter{}))
	t := &layers.TCP{SrcPort: 40000, DstPort: 80, SYN: true, Seq: 999}
	t.SetInternalPortsForTesting()
	now := time.Unix(0, 0)
	nets := make([]gopacket.Flow, flows)
	dst := layers.NewIPEndpoint(net.IPv4(192, 0, 2, 1).To4())
	for i := range nets {
		src := layers.NewIPEndpoint(net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).To4())
		nets[i], _ = gopacket.FlowFromEndpoints(src, dst)
		a.AssembleWithTimestamp(nets[i], t, now)
	}
	t.SYN = false
	t.Payload = make([]byte, mss)
	return func(f, i int) {
		t.Seq = 1000 + uint32(i)*mss
		now = now.Add(1)
		a.AssembleWithTimestamp(nets[f], t, now)
	}
}
