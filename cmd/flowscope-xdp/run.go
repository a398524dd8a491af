package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

func runCommand() *cobra.Command {
	var f flags
	var ifaces []string
	var mode string
	var duration time.Duration
	var pin pinFlags
	c := &cobra.Command{
		Use:   "run -i IFACE[,IFACE…]",
		Short: "track the flows of network interfaces, live, by XDP",
		Long: `run attaches an XDP program to the interfaces, counts every packet that comes in on
them, and writes flows and messages until SIGINT, SIGTERM or --duration ends it.
Packets that go out are not seen.

With --pin the flow table can be read by other processes, such as the command flows, and
outlives a run that is killed: counting goes on without it, and run --pin DIR --reuse
goes on with the counts. At its end a run takes away what is pinned.

It needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root, to begin; once attached it drops
every capability.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(ifaces) == 0 {
				return usagef("run: no interface given: name one with -i")
			}
			if duration < 0 {
				return usagef("--duration must not be negative")
			}
			m, err := xdp.ParseMode(mode)
			if err != nil {
				return usagef("--mode: %w", err)
			}
			if err := pin.check(); err != nil {
				return err
			}
			ctx, cancel := withDuration(c.Context(), duration)
			defer cancel()
			return run(ctx, &f, ifaces, m, pin)
		},
	}
	f.register(c.Flags())
	c.Flags().StringSliceVarP(&ifaces, "interface", "i", nil, "interfaces to attach to")
	c.Flags().StringVar(&mode, "mode", "auto", "how to attach: auto, native or generic")
	c.Flags().StringVar(&pin.dir, "pin", "", "pin the flow table in `DIR` on a BPF file system, such as /sys/fs/bpf/flowscope")
	c.Flags().BoolVar(&pin.reuse, "reuse", false, "go on with what is pinned in DIR, if anything is")
	c.Flags().DurationVar(&duration, "duration", 0, "end after this long (0: at SIGINT or SIGTERM)")
	return c
}

// pinFlags say where maps are pinned.
type pinFlags struct {
	dir   string
	reuse bool
}

func (p pinFlags) check() error {
	if p.reuse && p.dir == "" {
		return usagef("--reuse goes with --pin DIR")
	}
	return nil
}

func withDuration(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

func run(ctx context.Context, f *flags, ifaces []string, mode xdp.Mode, pin pinFlags) error {
	opt, err := f.pipeline()
	if err != nil {
		return err
	}
	if err := f.checkKernel(); err != nil {
		return err
	}
	out, err := openOutput(f.format, f.output, f.events)
	if err != nil {
		return err
	}
	opt.Handler = out.event
	mon, err := f.monitor.open(&opt)
	if err != nil {
		return err
	}
	load := f.loadOptions(opt.Decap)
	load.Pin, load.Reuse = pin.dir, pin.reuse
	watch := engine.LiveOptions{Pipeline: opt, Load: load, Interfaces: ifaces, Mode: mode}
	return mon.close(f.runLive(ctx, watch, out, mon))
}

// runLive attaches and runs until ctx is done.
func (f *flags) runLive(ctx context.Context, watch engine.LiveOptions, out *output, mon *monitor) error {
	live, err := engine.NewLive(watch)
	if err != nil {
		return err
	}
	defer live.Close()
	mon.watch(live)
	mon.attached(live.Attached())
	if err := mon.dropCapabilities(live); err != nil {
		return err
	}
	mon.log.Info("running", slog.Int("max_flows", f.maxFlows), slog.Int64("memory_bytes", live.Memory()))
	mon.notifier.ready()
	defer context.AfterFunc(ctx, mon.notifier.stopping)()
	runErr := live.Run(ctx, func() error { mon.live(); out.flush(); return out.err })
	s := live.Summary()
	if runErr != nil {
		s.Interrupted = oneLine(runErr.Error())
	}
	return errors.Join(runErr, out.finish(&s))
}
