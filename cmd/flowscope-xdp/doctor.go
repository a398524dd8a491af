package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

func doctorCommand() *cobra.Command {
	var ifaces []string
	var maxFlows int
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say what this host can do, what it cannot, and how to mend that",
		Long: `doctor checks what run needs, on this host and on the interfaces of -i, and says
for each thing that is not right how to mend it. It exits with 1 when run would fail.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := xdp.Diagnose(maxFlows, ifaces)
			if err := printFindings(c.OutOrStdout(), l, asJSON); err != nil {
				return err
			}
			if n := failures(l); n > 0 {
				return fmt.Errorf("doctor: %d of %d checks say that run would fail here; see above", n, len(l))
			}
			return nil
		},
	}
	c.Flags().StringSliceVarP(&ifaces, "interface", "i", nil, "look at these interfaces too")
	c.Flags().IntVar(&maxFlows, "max-flows", defaultMaxFlows, "flows to reckon the table's memory for")
	c.Flags().BoolVar(&asJSON, "json", false, "write each finding as a JSON object: level (ok, warn or fail), what, text, mend")
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

// printFindings writes what was found, a line of JSON each or for people.
func printFindings(w io.Writer, l []xdp.Finding, asJSON bool) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for _, f := range l {
		if asJSON {
			if err := enc.Encode(f); err != nil {
				return fmt.Errorf("write findings: %w", err)
			}
			continue
		}
		fmt.Fprintf(b, "%-4s  %-14s %s\n", f.Level, f.What, f.Text)
		if f.Mend != "" {
			fmt.Fprintf(b, "      %-14s → %s\n", "", f.Mend)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}
