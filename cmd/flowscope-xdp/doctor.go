package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

func doctorCommand() *cobra.Command {
	var ifaces []string
	var maxFlows int
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what this host can do, what it cannot, and how to mend that",
		Long: `doctor checks what run needs, on this host and on the interfaces of -i, and says
for each thing that is not right how to mend it. It exits with 1 when run would fail.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := xdp.Diagnose(maxFlows, ifaces)
			printFindings(c.OutOrStdout(), l)
			if n := failures(l); n > 0 {
				return fmt.Errorf("doctor: %d of %d checks say that run would fail here; see above", n, len(l))
			}
			return nil
		},
	}
	c.Flags().StringSliceVarP(&ifaces, "interface", "i", nil, "look at these interfaces too")
	c.Flags().IntVar(&maxFlows, "max-flows", defaultMaxFlows, "flows to reckon the table's memory for")
	return c
}

func failures(l []xdp.Finding) int {
	n := 0
	for _, f := range l {
		if f.Level == xdp.Fail {
			n++
		}
	}
	return n
}

func printFindings(w io.Writer, l []xdp.Finding) {
	for _, f := range l {
		fmt.Fprintf(w, "%-4s  %-14s %s\n", f.Level, f.What, f.Text)
		if f.Mend != "" {
			fmt.Fprintf(w, "      %-14s → %s\n", "", f.Mend)
		}
	}
}
