// Bench measures what the XDP program costs a packet: run time as the kernel reports
// it, of frames that come in on a veth pair in a network namespace of its own, less
// the run time of an empty program. It needs root.
//
//	go run ./tests/bench
//	go run ./tests/bench -flows 1000 -packets 2000000 -records
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/bench/gen"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

type options struct {
	flows   []int
	packets int
	runs    int
	max     int
	records bool
	length  int
}

func main() {
	var o options
	list := flag.String("flows", "1000,100000,1000000", "numbers of flows, each packet of any of them")
	flag.IntVar(&o.packets, "packets", 3_000_000, "packets a run")
	flag.IntVar(&o.runs, "runs", 5, "runs of each; the least, median and largest are shown")
	flag.IntVar(&o.max, "max-flows", 0, "size of the table (0: the default)")
	flag.BoolVar(&o.records, "records", false, "with a record of each packet, read by this process")
	flag.IntVar(&o.length, "payload", 10, "payload bytes of a packet")
	flag.Parse()
	if err := o.run(*list); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) run(list string) error {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		o.flows = append(o.flows, n)
	}
	runtime.LockOSThread() // the namespace is the thread's
	if err := pin(0); err != nil {
		return err
	}
	wire, err := newWire()
	if err != nil {
		return err
	}
	defer wire.close()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return fmt.Errorf("measure run time: %w", err)
	}
	defer stats.Close()
	floor, err := o.floor(wire)
	if err != nil {
		return err
	}
	fmt.Printf("empty program: %s ns a packet\n", spread(floor))
	for _, n := range o.flows {
		if err := o.measure(wire, n, median(floor)); err != nil {
			return err
		}
	}
	return nil
}

// floor measures the empty program.
func (o *options) floor(w *wire) ([]float64, error) {
	p := w.objs.Empty
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: w.in.Attrs().Index, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	stats := func() (uint64, time.Duration, error) {
		s, err := p.Stats()
		if err != nil {
			return 0, 0, err
		}
		return s.RunCount, s.Runtime, nil
	}
	return o.repeat(w, 1000, stats, nil)
}

// measure measures our program with so many flows.
func (o *options) measure(w *wire, flows int, floor float64) error {
	opt := xdp.Options{MaxFlows: o.max, TCP: xdp.Quiet | xdp.NoPayload}
	if o.records {
		opt.TCP = 0
	}
	e, err := xdp.Load(opt)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := e.Attach(w.in.Attrs().Name, xdp.Native); err != nil {
		return err
	}
	stop := make(chan struct{})
	done := make(chan error)
	read := 0
	go func() { done <- drain(e, stop, &read) }()
	// Every flow is opened before the clock starts.
	if err := w.send(flows, max(o.packets, 8*flows), o.length); err != nil {
		return err
	}
	gross, err := o.repeat(w, flows, e.RunTime, e)
	close(stop)
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	net := make([]float64, len(gross))
	for i := range gross {
		net[i] = gross[i] - floor
	}
	c, err := e.Counters()
	if err != nil {
		return err
	}
	fmt.Printf("%8d flows: %s ns a packet above it; %d claimed, %.3f %% spilled, %d records read, %d dropped\n",
		flows, spread(net), c.Claimed, 100*float64(c.Spilled.Packets)/float64(c.Seen.Packets), read, c.RingDropped.Packets)
	return nil
}

// drain reads the ring on a CPU of its own, until told to stop.
func drain(e *xdp.Engine, stop chan struct{}, n *int) error {
	runtime.LockOSThread()
	if err := pin(1); err != nil {
		return err
	}
	for {
		k, err := e.Ring(0).Read(5*time.Millisecond, func(*xdp.Record) {})
		if err != nil {
			return err
		}
		*n += k
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// repeat sends packets, several times, and returns the run time of one each time.
func (o *options) repeat(w *wire, flows int, stats func() (uint64, time.Duration, error), e *xdp.Engine) ([]float64, error) {
	var l []float64
	for range o.runs {
		n0, t0, err := stats()
		if err != nil {
			return nil, err
		}
		if err := w.send(flows, o.packets, o.length); err != nil {
			return nil, err
		}
		n1, t1, err := stats()
		if err != nil {
			return nil, err
		}
		if n1 == n0 {
			return nil, errors.New("no packet arrived")
		}
		l = append(l, float64(t1-t0)/float64(n1-n0))
	}
	return l, nil
}

func median(l []float64) float64 {
	s := slices.Sorted(slices.Values(l))
	return s[len(s)/2]
}

func spread(l []float64) string {
	return fmt.Sprintf("%.1f/%.1f/%.1f", slices.Min(l), median(l), slices.Max(l))
}

// pin keeps the thread on a CPU, if there is such a one.
func pin(cpu int) error {
	var s unix.CPUSet
	s.Set(cpu % runtime.NumCPU())
	return unix.SchedSetaffinity(0, &s)
}

// A wire is a veth pair in a namespace, with what sends into one end.
type wire struct {
	home, ns netns.NsHandle
	out, in  netlink.Link
	objs     gen.BenchObjects
	sender   *gen.BenchObjects
	flows    int
}

func newWire() (*wire, error) {
	w := &wire{home: -1, ns: -1}
	if err := w.open(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *wire) open() (err error) {
	if w.home, err = netns.Get(); err != nil {
		return err
	}
	if w.ns, err = netns.New(); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out"}, PeerName: "in"}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	for name, l := range map[string]*netlink.Link{"out": &w.out, "in": &w.in} {
		if *l, err = netlink.LinkByName(name); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(*l); err != nil {
			return err
		}
	}
	return gen.LoadBenchObjects(&w.objs, nil)
}

func (w *wire) close() error {
	err := w.objs.Close()
	if w.sender != nil {
		err = errors.Join(err, w.sender.Close())
	}
	if w.ns >= 0 {
		err = errors.Join(err, netns.Set(w.home), w.ns.Close())
	}
	return err
}

// send sends packets of so many flows into the wire.
func (w *wire) send(flows, packets, payload int) error {
	if err := w.makeSender(flows); err != nil {
		return err
	}
	b := frame(payload)
	const liveFrames = unix.BPF_F_TEST_XDP_LIVE_FRAMES
	_, err := w.sender.Generate.Run(&ebpf.RunOptions{
		Data: b, Repeat: uint32(packets), Flags: liveFrames, BatchSize: 64,
		Context: struct{ Data, DataEnd, DataMeta, In, Queue, Out uint32 }{0, uint32(len(b)), 0, uint32(w.out.Attrs().Index), 0, 0},
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	time.Sleep(20 * time.Millisecond) // what is queued arrives
	return nil
}

func (w *wire) makeSender(flows int) error {
	if w.sender != nil && w.flows == flows {
		return nil
	}
	if w.sender != nil {
		if err := w.sender.Close(); err != nil {
			return err
		}
	}
	spec, err := gen.LoadBench()
	if err != nil {
		return err
	}
	if err := errors.Join(
		spec.Variables["flows"].Set(uint32(flows)),
		spec.Variables["oif"].Set(uint32(w.out.Attrs().Index)),
	); err != nil {
		return err
	}
	w.sender, w.flows = &gen.BenchObjects{}, flows
	return spec.LoadAndAssign(w.sender, nil)
}

// frame is an Ethernet frame with a TCP segment, to nobody in the namespace.
func frame(payload int) []byte {
	b := make([]byte, 54+payload)
	copy(b, []byte{2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 8, 0})
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+payload))
	copy(ip[12:], []byte{10, 9, 0, 1, 10, 9, 0, 2})
	tcp := ip[20:]
	binary.BigEndian.PutUint16(tcp, 1)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 0x50, 0x18
	binary.BigEndian.PutUint16(tcp[14:], 1000)
	return b
}
