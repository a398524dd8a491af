//go:build linux

// Package wire sends frames into a veth pair of its own as fast as a CPU can: live frames
// of BPF_PROG_TEST_RUN, made and redirected by a program of their own
// (bpf/tests/bench.bpf.c). It needs root.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/bench/gen"
)

// In is the name of the end where frames arrive.
const In = "in"

// A Traffic is TCP segments, one way, with 10 bytes of payload and one more for each CPU
// before the one they come from, so that bytes tell who sent them.
type Traffic struct {
	Flows  int
	IPv6   bool
	InTurn bool // one flow after the other; else each packet is of any flow
	Apart  bool // each CPU has Flows of its own
}

// A Wire is a veth pair in a network namespace, with what sends into one end. It belongs
// to one goroutine.
type Wire struct {
	ns      netns.NsHandle
	out, in int
	senders map[Traffic]*gen.BenchObjects
}

// queues of each end: a CPU's frames arrive on that CPU.
const queues = 2

// New makes the namespace and the pair. Close it.
func New() (*Wire, error) {
	w := &Wire{ns: -1, senders: map[Traffic]*gen.BenchObjects{}}
	err := onThread(func() (err error) {
		if w.ns, err = netns.New(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		return w.connect()
	})
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Wire) connect() error {
	// Else the ends would tell each other of themselves.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("turn IPv6 off: %w", err)
	}
	attrs := netlink.LinkAttrs{Name: "out", NumTxQueues: queues, NumRxQueues: queues}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: In, PeerNumTxQueues: queues, PeerNumRxQueues: queues}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	for name, index := range map[string]*int{"out": &w.out, In: &w.in} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		*index = l.Attrs().Index
	}
	return nil
}

// Do runs f in the namespace.
func (w *Wire) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(w.ns); err != nil {
			return fmt.Errorf("enter the namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		done <- f()
	}()
	return <-done
}

// Index returns the index of the end where frames arrive.
func (w *Wire) Index() int { return w.in }

// Close removes the namespace and with it the pair.
func (w *Wire) Close() error {
	var errs []error
	for _, s := range w.senders {
		errs = append(errs, s.Close())
	}
	if w.ns >= 0 {
		errs = append(errs, w.ns.Close())
	}
	return errors.Join(errs...)
}

// Send sends so many packets from each of the CPUs, all at once, and waits until they have
// arrived.
func (w *Wire) Send(t Traffic, packets int, cpus ...int) error {
	s, err := w.sender(t)
	if err != nil {
		return err
	}
	errs := make([]error, len(cpus))
	var wg sync.WaitGroup
	for i, cpu := range cpus {
		wg.Go(func() { errs[i] = w.Do(func() error { return w.send(s, t, packets, cpu) }) })
	}
	wg.Wait()
	time.Sleep(20 * time.Millisecond) // what is queued arrives
	return errors.Join(errs...)
}

func (w *Wire) send(s *gen.BenchObjects, t Traffic, packets, cpu int) error {
	if err := Pin(cpu); err != nil {
		return err
	}
	b := t.Frame(cpu)
	_, err := s.Generate.Run(&ebpf.RunOptions{
		Data: b, Repeat: uint32(packets), Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, BatchSize: 64,
		Context: struct{ Data, DataEnd, DataMeta, In, Queue, Out uint32 }{0, uint32(len(b)), 0, uint32(w.out), 0, 0},
	})
	if err != nil {
		return fmt.Errorf("send from CPU %d: %w", cpu, err)
	}
	return nil
}

// Pin keeps the thread on a CPU, if there is such a one.
func Pin(cpu int) error {
	var s unix.CPUSet
	s.Set(cpu % runtime.NumCPU())
	return unix.SchedSetaffinity(0, &s)
}

// sender returns the program that makes t's packets.
func (w *Wire) sender(t Traffic) (*gen.BenchObjects, error) {
	if s := w.senders[t]; s != nil {
		return s, nil
	}
	spec, err := gen.LoadBench()
	if err != nil {
		return nil, err
	}
	for name, v := range map[string]any{
		"flows": uint32(t.Flows), "oif": uint32(w.out), "in_turn": number(t.InTurn), "apart": number(t.Apart),
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	s := &gen.BenchObjects{}
	if err := spec.LoadAndAssign(s, nil); err != nil {
		return nil, err
	}
	w.senders[t] = s
	return s, nil
}

func number(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

const minPayload = 10

// Frame is a CPU's frame before it is made one of a flow: Ethernet, TCP, to nobody in the
// namespace.
func (t Traffic) Frame(cpu int) []byte {
	payload := minPayload + cpu
	eth := []byte{2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 8, 0}
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], uint16(40+payload))
	copy(ip[12:], []byte{10, 9, 0, 1, 10, 9, 0, 2})
	if t.IPv6 {
		binary.BigEndian.PutUint16(eth[12:], unix.ETH_P_IPV6)
		ip = make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, unix.IPPROTO_TCP, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(20+payload))
		copy(ip[8:], []byte{0x20, 0x01, 0x0d, 0xb8})
		copy(ip[24:], []byte{0x20, 0x01, 0x0d, 0xb8, 15: 2})
	}
	tcp := make([]byte, 20+payload)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 0x50, 0x18 // PSH, ACK
	binary.BigEndian.PutUint16(tcp[14:], 1000)
	return append(append(eth, ip...), tcp...)
}

// Arrived returns how many packets the device says have come in so far.
func (w *Wire) Arrived() (n uint64, err error) {
	err = w.Do(func() error {
		l, err := netlink.LinkByIndex(w.in)
		if err != nil {
			return err
		}
		n = l.Attrs().Statistics.RxPackets
		return nil
	})
	return n, err
}
