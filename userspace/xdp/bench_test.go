package xdp_test

import (
	"fmt"
	"testing"
	"time"

	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// BenchmarkRun is what the kernel engine of a replay costs a frame: the system call with
// the program in it, and reading the record.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{0, 1400} {
		b.Run(fmt.Sprintf("payload=%d", n), func(b *testing.B) {
			e := load(b, xdp.Options{Replay: true, RingSize: 8 << 20})
			f := pt.TCP("192.0.2.1:1000", "192.0.2.2:80").Flags("PA").PayloadBytes(make([]byte, n)).View()
			m := xdp.Meta{Time: 1, WireLen: f.WireLen(), LinkType: 1}
			b.SetBytes(int64(len(f.Frame)))
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Run(f.Frame, m); err != nil {
					b.Fatal(err)
				}
				if k, err := e.Ring(0).Read(0, func(*xdp.Record) {}); k != 1 || err != nil {
					b.Fatal(k, err)
				}
				m.Time++
			}
		})
	}
}

// BenchmarkRing is what reading costs a record when a thousand wait; ns/op is mostly that
// of making them.
func BenchmarkRing(b *testing.B) {
	for _, n := range []int{0, 100, 1400} {
		b.Run(fmt.Sprintf("payload=%d", n), func(b *testing.B) {
			e := load(b, xdp.Options{Replay: true, RingSize: 64 << 20})
			f := pt.TCP("192.0.2.1:1000", "192.0.2.2:80").Flags("PA").PayloadBytes(make([]byte, n)).View()
			m := xdp.Meta{Time: 1, WireLen: f.WireLen(), LinkType: 1}
			read, sum, took := 0, 0, time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				for range 1000 {
					if err := e.Run(f.Frame, m); err != nil {
						b.Fatal(err)
					}
				}
				start := time.Now()
				k, err := e.Ring(0).Read(0, func(r *xdp.Record) { sum += len(r.Segment.Data) })
				if took += time.Since(start); err != nil {
					b.Fatal(err)
				}
				read += k
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(read), "ns/record")
			b.ReportMetric(float64(read)/took.Seconds(), "records/s")
		})
	}
}

// BenchmarkScan is what ageing costs a place, free or taken.
func BenchmarkScan(b *testing.B) {
	e := load(b, xdp.Options{Replay: true, MaxFlows: 1 << 20})
	places, last := e.Table().Places(), 0
	b.ReportAllocs()
	for b.Loop() {
		e.Table().Scan(0, places, func(p xdp.Place) { last += int(p.Last() & 1) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(places), "ns/place")
}
