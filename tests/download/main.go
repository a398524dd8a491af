//go:build linux

// Download measures what verdicts are worth: a TLS download through a router on which
// the program runs, with verdicts, without them, and without the program, in turn in one
// run. It needs root.
//
//	go run ./tests/download
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/testnet"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/tls"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

func main() {
	size := flag.Int64("size", 256<<20, "bytes of a download")
	rounds := flag.Int("rounds", 7, "downloads of each kind")
	flag.Parse()
	if err := compare(*size, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "download:", err)
		os.Exit(1)
	}
}

// kinds are what is compared.
var kinds = []string{"no program", "verdicts", "all copied"}

// A round is one download.
type round struct {
	took     time.Duration
	cpu      time.Duration // of who reads the ring
	program  time.Duration // what the program takes a packet, by the kernel's clock
	up, lost uint64        // payload that came up, or found the ring full
}

func compare(size int64, rounds int) error {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return fmt.Errorf("have the kernel time programs: %w", err)
	}
	defer stats.Close()
	n, err := testnet.New()
	if err != nil {
		return err
	}
	defer n.Close()
	all := make([][]round, len(kinds))
	for range rounds {
		for k := range kinds {
			r, err := measure(n, size, k)
			if err != nil {
				return fmt.Errorf("%s: %w", kinds[k], err)
			}
			all[k] = append(all[k], r)
		}
	}
	fmt.Printf("%-12s %27s %18s %14s %16s %10s\n", "", "Gbit/s least, median, most", "program ns/packet", "reader CPU ms", "payload up, KiB", "lost, KiB")
	for k, l := range all {
		show(kinds[k], size, l)
	}
	return nil
}

// show prints what a kind took; but for throughput these are medians.
func show(kind string, size int64, l []round) {
	l = slices.Clone(l)
	slices.SortFunc(l, func(a, b round) int { return cmp.Compare(b.took, a.took) })
	rate := func(r round) float64 { return float64(size) * 8 / float64(r.took.Nanoseconds()) }
	median := func(of func(r round) int64) int64 {
		s := make([]int64, len(l))
		for i := range l {
			s[i] = of(l[i])
		}
		slices.Sort(s)
		return s[len(s)/2]
	}
	fmt.Printf("%-12s %9.2f%9.2f%9.2f %18d %14d %16d %10d\n", kind, rate(l[0]), rate(l[len(l)/2]), rate(l[len(l)-1]),
		median(func(r round) int64 { return r.program.Nanoseconds() }),
		median(func(r round) int64 { return r.cpu.Milliseconds() }),
		median(func(r round) int64 { return int64(r.up >> 10) }),
		median(func(r round) int64 { return int64(r.lost >> 10) }))
}

// measure makes one download, with the program unless kind is 0.
func measure(n *testnet.Network, size int64, kind int) (r round, err error) {
	if kind == 0 {
		d, err := n.Download(size)
		return round{took: d.Took}, err
	}
	var live *engine.Live
	err = n.Router.Do(func() error {
		live, err = engine.NewLive(engine.LiveOptions{
			Pipeline:   pipeline.Options[flow.Key]{MaxFlows: 4096, Protocols: []parsers.Protocol{tls.Protocol(tls.Options{})}},
			Interfaces: []string{"r0", "r1"}, CopyAll: kind == 2,
		})
		return err
	})
	if err != nil {
		return r, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.read(ctx, live) }()
	d, err := n.Download(size)
	runs, total, statErr := live.RunTime()
	r.program = total / time.Duration(max(runs, 1))
	stop()
	err = errors.Join(err, statErr)
	if err := errors.Join(err, <-ended, live.Close()); err != nil {
		return r, err
	}
	s := live.Summary()
	r.took, r.up, r.lost = d.Took, s.RingPayloadBytes, s.RingDroppedBytes
	return r, nil
}

// read runs the engine on a thread of its own, whose CPU time it takes.
func (r *round) read(ctx context.Context, live *engine.Live) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadTime()
	if err != nil {
		return err
	}
	runErr := live.Run(ctx, func() error { return nil })
	after, err := threadTime()
	r.cpu = after - before
	return errors.Join(runErr, err)
}

// threadTime is the CPU time that the thread has taken.
func threadTime() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
