package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

func flowsCommand() *cobra.Command {
	var pin, format, output string
	c := &cobra.Command{
		Use:   "flows --pin DIR",
		Short: "list the live flows of a run with --pin, from its pinned maps",
		Long: `flows lists the flows that are open in the maps pinned in DIR, by run --pin DIR or by
another loader with the same ABI, as flow_update lines: what the kernel counts, and where
TCP stands. It only reads, and works while the run goes on; what only sessions know (streams,
messages, the id) is not there.

It needs read access to DIR.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if pin == "" {
				return usagef("flows: no folder given: name one with --pin")
			}
			return listFlows(pin, format, output)
		},
	}
	c.Flags().StringVar(&pin, "pin", "", "the `DIR` that run --pin was given")
	c.Flags().StringVar(&format, "format", "", "output format: table or jsonl (default: table on a terminal, else jsonl)")
	c.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}

func listFlows(dir, format, path string) error {
	p, err := xdp.OpenPinned(dir)
	if err != nil {
		return err
	}
	defer p.Close()
	out, err := openOutput(format, path, "flow_update")
	if err != nil {
		return err
	}
	now := flow.At(time.Now())
	p.Flows(func(f *xdp.Flow) bool {
		r := engine.Snapshot(f)
		out.do("flow_update", func() error { return out.w.Update(&r, now) })
		return out.err == nil
	})
	return out.close()
}
