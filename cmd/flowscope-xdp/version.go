package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// Set by the linker (see the Makefile).
var (
	version = "unknown"
	commit  = "unknown"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print version, commit, Go and ABI version",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "flowscope-xdp %s\ncommit %s\n%s %s/%s\nabi %d\n",
				version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, xdp.ABIVersion)
			return err
		},
	}
}
