package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/metrics/prom"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// monitorFlags say what the outside learns of a run.
type monitorFlags struct {
	addr string
	log  logFlags
}

func (f *monitorFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.addr, "metrics", "", "serve Prometheus metrics and /healthz over HTTP on this `ADDR`, such as 127.0.0.1:9190")
	f.log.register(s)
}

// maxSilence is how long a run may go on without a sign of life before it counts as stuck.
const maxSilence = 10 * time.Second

// A monitor tells how a run goes: in log lines, and with --metrics to Prometheus.
type monitor struct {
	log      *slog.Logger
	notifier *notifier
	exporter *prom.Exporter // nil: off
	server   *prom.Server
	stop     func()
	begun    time.Time
	alive    atomic.Int64 // last sign of life, in ns since begun; 0: none yet
}

// open starts to log and to serve, as far as is asked for, and has the driver do so.
func (f *monitorFlags) open(opt *pipeline.Options[flow.Key]) (*monitor, error) {
	log, err := f.log.open(os.Stderr, opt)
	if err != nil {
		return nil, err
	}
	m := &monitor{log: log, notifier: newNotifier(log), begun: time.Now(), stop: refuseReload(log)}
	if f.addr == "" {
		return m, nil
	}
	if err := m.serve(f.addr, opt); err != nil {
		return nil, m.close(err)
	}
	return m, nil
}

// serve starts to serve metrics, and gives the driver a recorder.
func (m *monitor) serve(addr string, opt *pipeline.Options[flow.Key]) (err error) {
	m.exporter = prom.New()
	m.exporter.AddSource(buildInfo)
	rec := m.exporter.Recorder()
	for i := range opt.Protocols {
		rec.Add(metrics.ParserPoisoned, 0, metrics.Labels{opt.Protocols[i].Name})
	}
	opt.Metrics = rec
	if m.server, err = prom.Listen(addr, m.exporter, m.healthy); err != nil {
		return fmt.Errorf("--metrics %s: %w: choose another address", addr, err)
	}
	m.log.Info("metrics are served", slog.String("url", "http://"+m.server.Addr().String()+"/metrics"))
	return nil
}

func buildInfo(set prom.Setter) error {
	set(metrics.BuildInfo, 1, version, runtime.Version(), strconv.Itoa(xdp.ABIVersion))
	return nil
}

// A measurer is what the kernel's half of an engine says.
type measurer interface {
	Measure(set func(name string, v float64, labels ...string)) error
}

// watch adds what an engine, if it has a half in the kernel, says of it.
func (m *monitor) watch(e any) {
	if s, ok := e.(measurer); ok && m.exporter != nil {
		m.exporter.AddSource(s.Measure)
	}
}

// attached logs where the program is.
func (m *monitor) attached(l []*xdp.Attachment) {
	for _, a := range l {
		attrs := []any{slog.String("interface", a.Interface), slog.String("mode", a.Mode.String())}
		if a.Why != "" {
			attrs = append(attrs, slog.String("why", a.Why))
		}
		m.log.Info("attached", attrs...)
	}
}

// dropCapabilities gives up what attaching took. A program built with cgo keeps it, and
// says so.
func (m *monitor) dropCapabilities(live *engine.Live) error {
	err := live.DropCapabilities()
	if errors.Is(err, xdp.ErrCgo) {
		m.log.Warn("capabilities are kept", slog.String("why", err.Error()))
		return nil
	}
	return err
}

// live is a sign of life: the run has come round once more.
func (m *monitor) live() {
	m.alive.Store(int64(time.Since(m.begun)))
	m.notifier.alive()
}

// healthy returns nil while the run is alive: always, before its first sign of life and
// in a replay, which may wait for its input.
func (m *monitor) healthy() error {
	alive := time.Duration(m.alive.Load())
	if silence := time.Since(m.begun) - alive; alive > 0 && silence > maxSilence {
		return fmt.Errorf("no progress for %s", silence.Round(time.Second))
	}
	return nil
}

// close stops to serve. It returns err with what went wrong.
func (m *monitor) close(err error) error {
	m.stop()
	if m.server == nil {
		return err
	}
	return errors.Join(err, m.server.Close())
}
