package engine

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/export"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// BenchmarkFlow is what a flow costs user space when nothing is parsed: its start is read
// from the ring, its counters from the table, it ends by time, and is exported. The metric
// is CPU time of the whole process, the collection of garbage included, but for giving
// frames to the program.
func BenchmarkFlow(b *testing.B) {
	exports := map[string]func(*flow.Record){
		"counted": func(r *flow.Record) { exported += r.Stats.Packets() },
	}
	lines := export.NewJSONL(io.Discard)
	exports["jsonl"] = func(r *flow.Record) {
		if err := lines.Flow(r); err != nil {
			b.Error(err)
		}
	}
	for _, name := range []string{"counted", "jsonl"} {
		b.Run(name, func(b *testing.B) { benchmarkFlows(b, exports[name]) })
	}
}

var exported uint64

// flowsOfRound is how many flows are open at a time.
const flowsOfRound = 20_000

func benchmarkFlows(b *testing.B, take func(*flow.Record)) {
	needs.Root(b)
	opt := pipeline.Options[flow.Key]{MaxFlows: 1 << 16, Handler: func(e *pipeline.SessionEvent[flow.Key]) {
		if e.Kind == pipeline.Closed {
			take(e.Record)
		}
	}}
	load := xdp.Options{Replay: true, MaxFlows: opt.MaxFlows, RingSize: 32 << 20, WakeRecords: -1}
	firstControl(&load, &opt)
	k, err := xdp.Load(load)
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	table := kernelTable{e: k}
	d := pipeline.NewKernelDriver(opt, &table, false)
	carry := carrier{d: d}
	frame := pt.UDP("10.0.0.1:1000", "10.1.0.0:53").Payload("0123456789abcdef").View().Frame
	now, used, flows := flow.Timestamp(time.Hour), time.Duration(0), 0
	for b.Loop() {
		now = now.Add(time.Hour)
		for n := range flowsOfRound {
			binary.BigEndian.PutUint32(frame[30:], 0x0a010000+uint32(n))
			if err := k.Run(frame, xdp.Meta{Time: now.Add(time.Duration(n) * time.Microsecond), WireLen: len(frame), LinkType: 1}); err != nil {
				b.Fatal(err)
			}
		}
		before := cpuTime()
		if _, err := k.Ring(0).Read(0, carry.record); err != nil {
			b.Fatal(err)
		}
		d.Sweep(now.Add(2 * time.Minute))
		used += cpuTime() - before
		flows += flowsOfRound
	}
	if got := d.Summary().FlowsEnded[flow.EndIdle]; got != uint64(flows) {
		b.Fatalf("%d flows ended, want %d", got, flows)
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(flows), "cpu-ns/flow")
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
