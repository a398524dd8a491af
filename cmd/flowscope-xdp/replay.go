package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

func replayCommand() *cobra.Command {
	var f flags
	var prof profiles
	var engineName string
	c := &cobra.Command{
		Use:   "replay FILE…",
		Short: "track the flows of capture files (pcap, pcapng, gzip; - is standard input)",
		Long: `replay reads capture files and writes what a live run would have said. Several
files are one input, in the order given.

Link types: Ethernet, raw IP, Linux cooked v1 and v2, BSD null and loop.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("replay: no FILE given (- is standard input)")
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error {
			return prof.around(func() error { return replay(c.Context(), &f, engineName, files) })
		},
	}
	f.register(c.Flags())
	prof.register(c.Flags())
	c.Flags().StringVar(&engineName, "engine", "userspace", "who decodes and counts: userspace, or kernel (the XDP program by BPF_PROG_TEST_RUN; root)")
	return c
}

// A replayer takes the frames of a file, some at a time.
type replayer interface {
	Frames(v []packet.View) error
	Finish() error
	Summary() flow.Summary
}

func replay(ctx context.Context, f *flags, engineName string, files []string) error {
	opt, err := f.pipeline()
	if err != nil {
		return err
	}
	// A wrong format is found before anything is read.
	out, err := openOutput(f.format, f.output, f.events)
	if err != nil {
		return err
	}
	opt.Handler = out.event
	mon, err := f.monitor.open(&opt)
	if err != nil {
		return err
	}
	r, err := f.replayer(engineName, opt)
	if err != nil {
		return mon.close(err)
	}
	mon.watch(r)
	p := &replaying{r: r, out: out, bar: newProgress(files, out)}
	return mon.close(p.files(ctx, files))
}

// A replaying is a replay under way.
type replaying struct {
	r       replayer
	out     *output
	bar     *progress
	packets uint64
	clamped uint64 // packet times
}

// files takes the files one after the other, and ends the replay.
func (p *replaying) files(ctx context.Context, names []string) (err error) {
	for _, name := range names {
		if err = source.Guard(func() error { return p.file(ctx, name) }); err != nil {
			break
		}
	}
	err = errors.Join(err, p.r.Finish())
	p.bar.finish()
	s := p.r.Summary()
	s.ClockClamped = p.clamped
	if err != nil {
		s.Interrupted = oneLine(err.Error())
	}
	return errors.Join(err, p.out.finish(&s))
}

func (f *flags) replayer(engineName string, opt pipeline.Options[flow.Key]) (replayer, error) {
	switch engineName {
	case "userspace":
		return userspaceReplayer{pipeline.NewSessionDriver(opt)}, nil
	case "kernel":
		return newKernelReplayer(f, opt)
	}
	return nil, usagef("--engine %s is unknown: use userspace or kernel", engineName)
}

// A userspaceReplayer is the engine in pure Go, which cannot fail.
type userspaceReplayer struct {
	d *pipeline.SessionDriver[flow.Key]
}

func (r userspaceReplayer) Frames(v []packet.View) error { r.d.TrackBatch(v); return nil }
func (r userspaceReplayer) Finish() error                { r.d.Finish(); return nil }
func (r userspaceReplayer) Summary() flow.Summary        { return r.d.Summary() }

// checkEvery is how many batches pass between looks at the context and the output.
const checkEvery = 64

func (p *replaying) file(ctx context.Context, name string) error {
	src, err := source.Map(name)
	if err != nil {
		return fmt.Errorf("open capture: %w", named(name, err))
	}
	defer src.Close()
	defer func() { p.clamped += src.ClockClamped() }()
	views := make([]packet.View, pipeline.BatchMax)
	if !src.Stable() {
		views = views[:1] // a frame is gone with the next one
	}
	for n := 1; ; n++ {
		if n%checkEvery == 0 {
			if err := errors.Join(ctxError(ctx), p.out.err); err != nil {
				return err
			}
			p.bar.at(src.Offset(), p.counts)
		}
		got, end := readBatch(src, views)
		p.packets += uint64(got)
		if err := p.r.Frames(views[:got]); err != nil {
			return fmt.Errorf("replay %s: %w", name, err)
		}
		switch {
		case errors.Is(end, io.EOF):
			p.bar.fileDone(src.Offset())
			return nil
		case end != nil:
			return fmt.Errorf("read capture: %w", named(name, end))
		}
	}
}

func (p *replaying) counts() (packets, flows uint64) {
	return p.packets, p.r.Summary().FlowsStarted
}

// readBatch fills views with the next frames and returns how many there are, and why
// there are no more.
func readBatch(src *source.Reader, views []packet.View) (int, error) {
	var fr source.Frame
	for i := range views {
		if err := src.Next(&fr); err != nil {
			return i, err
		}
		views[i] = packet.View{Frame: fr.Data, Time: fr.Time, OrigLen: fr.OrigLen, LinkType: packet.LinkType(fr.LinkType), Dir: packet.CaptureDir(fr.Dir)}
	}
	return len(views), nil
}

// named puts a file's name before an error that does not have it.
func named(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// ctxError says that a signal ended the run.
func ctxError(ctx context.Context) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

var errInterrupted = errors.New("interrupted by a signal")
