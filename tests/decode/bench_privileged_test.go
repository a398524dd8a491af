package decode

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// BenchmarkParse reports what the parser costs a packet, as the kernel measures it: the
// time of a program that parses and keeps the packet, less that of an empty one. The
// cost of a test run itself is in neither.
func BenchmarkParse(b *testing.B) {
	const rounds = 1_000_000
	k := load(b, nil)
	for _, s := range []sample{
		{"tcp4", tcp4()},
		{"tcp6", tcp6()},
		{"udp4", udp4()},
		{"vlan", tcp4().VLAN(7)},
		{"qinq", tcp4().VLAN(7).QinQ(8)},
		{"fragment", udp4().Payload("12345678").Edit(fragment(0, true))},
		{"vxlan", tcp4().VXLAN(1)},
		{"gtpu", tcp4().GTPU(1)},
	} {
		b.Run(s.name, func(b *testing.B) { k.bench(b, s.packet, rounds) })
	}
}

func (k *kernel) bench(b *testing.B, p packettest.Packet, rounds int) {
	frame := p.Bytes()
	var parse, empty time.Duration
	for b.Loop() {
		parse += measure(b, k.objects.ParseXdp, frame, rounds)
		empty += measure(b, k.objects.EmptyXdp, frame, rounds)
	}
	n := float64(b.N)
	b.ReportMetric(float64((parse-empty).Nanoseconds())/n, "ns/packet")
	b.ReportMetric(float64(empty.Nanoseconds())/n, "ns/empty")
}

// measure returns the time of one run, averaged by the kernel.
func measure(b *testing.B, p *ebpf.Program, frame []byte, rounds int) time.Duration {
	_, d, err := p.Benchmark(frame, rounds, b.ResetTimer)
	if err != nil {
		b.Fatal(err)
	}
	return d
}
