package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/flowscope/flowscope-xdp/tests/bench/gen"
	"github.com/flowscope/flowscope-xdp/tests/wire"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A program is one of those measured in turn.
type program struct {
	name   string
	six    bool
	attach func() (detach func() error, err error)
	stats  func() (runs uint64, total time.Duration, err error)
	note   func() string
}

// measure attaches the program, sends packets from the CPUs, and returns the run time of
// one.
func (p *program) measure(w *wire.Wire, t wire.Traffic, packets int, cpus ...int) (ns float64, err error) {
	t.IPv6 = p.six
	err = w.Do(func() error {
		detach, err := p.attach()
		if err != nil {
			return err
		}
		n0, t0, err := p.stats()
		if err == nil {
			err = w.Send(t, packets, cpus...)
		}
		n1, t1, statsErr := p.stats()
		if n1 == n0 && err == nil && statsErr == nil {
			err = errors.New("no packet arrived")
		}
		ns = float64(t1-t0) / float64(n1-n0)
		return errors.Join(err, statsErr, detach())
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", p.name, err)
	}
	return ns, nil
}

// load loads the programs: the empty one first.
func (o *options) load(w *wire.Wire) (l []*program, done func() error, err error) {
	var closers []func() error
	done = func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	for _, one := range []func(*wire.Wire) ([]*program, func() error, error){loadEmpty, o.loadOurs, o.loadHash} {
		p, c, err := one(w)
		if err != nil {
			return nil, nil, errors.Join(err, done())
		}
		closers = append(closers, c)
		for _, p := range p {
			if o.only == "" || p.name == o.only || p.name == "empty" {
				l = append(l, p)
			}
		}
	}
	return l, done, nil
}

// plain is a program without a loader of its own.
func plain(w *wire.Wire, name string, p *ebpf.Program) *program {
	return &program{
		name: name,
		note: func() string { return "" },
		attach: func() (func() error, error) {
			l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: w.Index(), Flags: link.XDPDriverMode})
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		},
		stats: func() (uint64, time.Duration, error) {
			s, err := p.Stats()
			if err != nil {
				return 0, 0, err
			}
			return s.RunCount, s.Runtime, nil
		},
	}
}

func loadEmpty(w *wire.Wire) ([]*program, func() error, error) {
	var objs gen.BenchObjects
	if err := gen.LoadBenchObjects(&objs, nil); err != nil {
		return nil, nil, err
	}
	return []*program{plain(w, "empty", objs.Empty)}, objs.Close, nil
}

// loadHash loads the program over plain hash maps.
func (o *options) loadHash(w *wire.Wire) ([]*program, func() error, error) {
	spec, err := gen.LoadHash()
	if err != nil {
		return nil, nil, err
	}
	for name := range spec.Programs {
		if name != "flowscope_xdp" {
			delete(spec.Programs, name)
		}
	}
	spec.Maps["hash4"].MaxEntries = uint32(o.max)
	if err := spec.Variables["fs_control_tcp"].Set(uint8(xdp.Quiet | xdp.NoPayload)); err != nil {
		return nil, nil, err
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("load the hash variant: %w", err)
	}
	return []*program{plain(w, "hash", c.Programs["flowscope_xdp"])}, func() error { c.Close(); return nil }, nil
}

// loadOurs loads the program itself, once for both versions of IP.
func (o *options) loadOurs(*wire.Wire) ([]*program, func() error, error) {
	e, err := xdp.Load(xdp.Options{MaxFlows: o.max, MaxIPv6Flows: o.max, TCP: xdp.Quiet | xdp.NoPayload})
	if err != nil {
		return nil, nil, err
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() { done <- drain(e, stop) }()
	attach := func() (func() error, error) {
		a, err := e.Attach(wire.In, xdp.Native)
		if err != nil {
			return nil, err
		}
		return a.Detach, nil
	}
	v4 := &program{name: "ipv4", attach: attach, stats: e.RunTime, note: func() string { return "" }}
	v6 := *v4
	v6.name, v6.six = "ipv6", true
	v4.note = func() string { return spilled(e) }
	return []*program{v4, &v6}, func() error { close(stop); return errors.Join(<-done, e.Close()) }, nil
}

// spilled says how many packets were not counted in the table, if any.
func spilled(e *xdp.Engine) string {
	c, err := e.Counters()
	if err != nil || c.Spilled.Packets == 0 {
		return ""
	}
	return fmt.Sprintf("  %.4f %% of all packets spilled", 100*float64(c.Spilled.Packets)/float64(c.Seen.Packets))
}

// drain reads the ring on a CPU of its own, until told to stop.
func drain(e *xdp.Engine, stop chan struct{}) error {
	runtime.LockOSThread()
	if err := wire.Pin(1); err != nil {
		return err
	}
	for {
		if _, err := e.Ring(0).Read(drainFor, func(*xdp.Record) {}); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}
