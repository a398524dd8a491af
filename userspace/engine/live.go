package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// LiveOptions say what to watch.
type LiveOptions struct {
	Pipeline   pipeline.Options[flow.Key]
	Load       xdp.Options
	Interfaces []string
	Mode       xdp.Mode
	// CopyAll goes on copying payload that no session wants any more, to measure
	// what verdicts are worth.
	CopyAll bool
}

// A Live run watches interfaces. It belongs to one goroutine.
type Live struct {
	kernel *xdp.Engine
	table  kernelTable
	driver *pipeline.KernelDriver
	carry  carrier
	sum    flow.Summary
	rec    metrics.Recorder // nil: none
	measurer

	newest  flow.Timestamp // of the records so far
	sweepAt time.Time
	scanned int // places looked through for flows without a session
}

const (
	// readWait is how long records may wait for their reader when few come.
	readWait = 50 * time.Millisecond
	// sweepEvery is how often flows that are due end; never visible in what is
	// written, but in when.
	sweepEvery = time.Second
	// scanPlaces is how many places of the table are looked through at a time for
	// flows whose start was lost, the ring being full.
	scanPlaces = 1 << 14
)

// NewLive loads the program and attaches it to the interfaces, to all or none.
func NewLive(opt LiveOptions) (*Live, error) {
	opt.Load.MaxFlows = opt.Pipeline.MaxFlows
	firstControl(&opt.Load, &opt.Pipeline)
	k, err := xdp.Load(opt.Load)
	if err != nil {
		return nil, err
	}
	l := &Live{kernel: k, table: kernelTable{e: k, copyAll: opt.CopyAll}, rec: opt.Pipeline.Metrics}
	l.measurer.kernel, l.interfaces = k, opt.Interfaces
	l.driver = pipeline.NewKernelDriver(opt.Pipeline, &l.table, false)
	l.carry.d, l.carry.quiet = l.driver, opt.Load.TCP&xdp.Quiet != 0
	for _, name := range opt.Interfaces {
		if _, err := k.Attach(name, opt.Mode); err != nil {
			return nil, errors.Join(err, k.Close())
		}
	}
	if err := k.DropLinks(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return l, nil
}

// Attached says where the program is attached, and how.
func (l *Live) Attached() []*xdp.Attachment { return l.kernel.Attached() }

// DropCapabilities gives up every capability of the process: Run needs none.
func (l *Live) DropCapabilities() error { return l.kernel.DropCapabilities() }

// Memory returns the bytes of kernel memory that table and rings take.
func (l *Live) Memory() int64 { return l.kernel.Memory() }

// RunTime is that of [xdp.Engine].
func (l *Live) RunTime() (runs uint64, total time.Duration, err error) { return l.kernel.RunTime() }

// Run reads records and ends flows until ctx is done, then detaches the program, reads
// what is left, and ends all flows. Flush writes out what was handed out, at least once a
// round; its error ends the run. Pinned maps stay if all was not written.
func (l *Live) Run(ctx context.Context, flush func() error) error {
	stop := context.AfterFunc(ctx, l.kernel.Ring(0).Wake)
	defer stop()
	if l.kernel.Keep() {
		l.table.flush = flush
	}
	err := l.resume()
	for ctx.Err() == nil && err == nil {
		err = errors.Join(l.round(readWait), flush(), l.table.commit())
	}
	return errors.Join(err, l.finish())
}

// resume gives a session to the flows that another run has left in the table. Those that
// are too young for that have their start in the ring.
func (l *Live) resume() error {
	if !l.kernel.Resumed() {
		return nil
	}
	before := flow.At(time.Now()).Add(-readWait)
	if _, err := l.kernel.Ring(0).Read(0, l.record); err != nil {
		return fmt.Errorf("read the ring: %w", err)
	}
	l.driver.Sweep(l.newest)
	if err := l.table.commit(); err != nil {
		return err
	}
	for from, first := 0, true; first || from != 0; first = false {
		from = l.kernel.Table().Scan(from, scanPlaces, func(p xdp.Place) {
			if p.First() < before {
				l.found(p)
			}
		})
	}
	return l.takeSpill(l.newest)
}

// round reads what is there, and once in a while ends what is due.
func (l *Live) round(wait time.Duration) error {
	if _, err := l.kernel.Ring(0).Read(wait, l.record); err != nil {
		return fmt.Errorf("read the ring: %w", err)
	}
	if now := time.Now(); now.After(l.sweepAt) {
		l.sweepAt = now.Add(sweepEvery)
		if err := l.sweep(flow.At(now)); err != nil {
			return err
		}
		if l.rec != nil {
			l.rec.Observe(metrics.TableSweep, time.Since(now).Seconds(), metrics.Labels{})
		}
	}
	return l.table.err
}

func (l *Live) record(r *xdp.Record) {
	l.newest = l.newest.Max(r.Time)
	l.carry.record(r)
}

// sweep ends the flows that are due, finds those whose start was lost, and takes the
// accounts of those that found no place.
func (l *Live) sweep(now flow.Timestamp) error {
	l.driver.Sweep(now)
	if err := l.table.commit(); err != nil {
		return err
	}
	l.findLost()
	return errors.Join(l.kernel.AgeFragments(now), l.takeSpill(now))
}

// findLost gives a session to flows of the table that no record told of.
func (l *Live) findLost() {
	l.scanned = l.kernel.Table().Scan(l.scanned, scanPlaces, func(p xdp.Place) {
		if p.Last() < l.newest.Add(-readWait) {
			l.found(p)
		}
	})
}

// found gives a session to a flow if it has none.
func (l *Live) found(p xdp.Place) {
	h := pipeline.Handle(p.Handle())
	if l.driver.Has(h) {
		return
	}
	p.Read(&l.table.flow)
	l.driver.Found(h, l.table.flow.Key, countOf(&l.table.flow))
}

// takeSpill takes the accounts of flows that found no place. Where another process may have
// to go on, these flows end, so that no account is forgotten that no record tells of.
func (l *Live) takeSpill(now flow.Timestamp) error {
	if l.table.flush == nil {
		return errors.Join(l.readSpill(crowded), l.table.commit())
	}
	err := l.readSpill(func(d *pipeline.KernelDriver, s *xdp.Spilled) {
		crowded(d, s)
		d.EndSpilled(s.Key)
	})
	l.driver.Sweep(now)
	return errors.Join(err, l.table.commit())
}

func (l *Live) readSpill(take func(*pipeline.KernelDriver, *xdp.Spilled)) error {
	return l.kernel.ReadSpill(func(s *xdp.Spilled) { take(l.driver, s) })
}

// spilled hands the account of a flow without a place to the driver.
func spilled(d *pipeline.KernelDriver, s *xdp.Spilled) {
	f := xdp.Flow{Key: s.Key, Dir: s.Dir, Handshake: [2]time.Duration{-1, -1}}
	d.Spilled(s.Key, countOf(&f))
}

// crowded does the same, and makes room for the flow.
func crowded(d *pipeline.KernelDriver, s *xdp.Spilled) {
	spilled(d, s)
	d.MakeRoom(s.Key)
}

// finish detaches the program, reads the last records and ends all flows.
func (l *Live) finish() error {
	var errs []error
	for _, a := range l.kernel.Attached() {
		errs = append(errs, a.Detach())
	}
	errs = append(errs, l.kernel.Grace())
	if _, err := l.kernel.Ring(0).Read(0, l.record); err != nil {
		errs = append(errs, err)
	}
	l.driver.Sweep(l.newest)
	errs = append(errs, l.table.commit()) // places of flows that have ended are free from here on
	l.newest, l.scanned = flow.MaxTimestamp, 0
	for first := true; first || l.scanned != 0; first = false {
		l.findLost()
	}
	errs = append(errs, l.kernel.AgeFragments(flow.MaxTimestamp), l.readSpill(spilled))
	l.driver.Finish()
	errs = append(errs, l.table.err)
	c, err := l.kernel.Counters()
	l.sum = *l.driver.Summary()
	addCounters(&l.sum, &c)
	errs = append(errs, err, l.table.commit())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.kernel.Unpin()
}

// Summary returns the counters, after Run.
func (l *Live) Summary() flow.Summary { return l.sum }

// Close unloads the program.
func (l *Live) Close() error {
	l.stop()
	return l.kernel.Close()
}
