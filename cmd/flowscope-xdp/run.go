package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

func runCommand() *cobra.Command {
	var f flags
	var ifaces []string
	var mode string
	var duration time.Duration
	c := &cobra.Command{
		Use:   "run -i IFACE[,IFACE…]",
		Short: "track the flows of network interfaces, live, by XDP",
		Long: `run attaches an XDP program to the interfaces, counts every packet that comes in on
them, and writes flows and messages until SIGINT, SIGTERM or --duration ends it.
Packets that go out are not seen.

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
			ctx, cancel := withDuration(c.Context(), duration)
			defer cancel()
			return run(ctx, &f, ifaces, m)
		},
	}
	f.register(c.Flags())
	c.Flags().StringSliceVarP(&ifaces, "interface", "i", nil, "interfaces to attach to")
	c.Flags().StringVar(&mode, "mode", "auto", "how to attach: auto, native or generic")
	c.Flags().DurationVar(&duration, "duration", 0, "end after this long (0: at SIGINT or SIGTERM)")
	return c
}

func withDuration(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

func run(ctx context.Context, f *flags, ifaces []string, mode xdp.Mode) error {
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
	return mon.close(f.runLive(ctx, opt, out, mon, ifaces, mode))
}

// runLive attaches and runs until ctx is done.
func (f *flags) runLive(ctx context.Context, opt pipeline.Options[flow.Key], out *output, mon *monitor, ifaces []string, mode xdp.Mode) error {
	live, err := engine.NewLive(engine.LiveOptions{Pipeline: opt, Load: f.loadOptions(opt.Decap), Interfaces: ifaces, Mode: mode})
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
