// Flowscope-xdp tracks flows and sessions: live, with an XDP program that counts
// every packet, or from capture files. docs/architecture.md says how.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// Exit codes of the contract.
const (
	exitDone         = 0
	exitFailed       = 1 // part-way: what was read before is written
	exitUsage        = 2
	exitNotPermitted = 3
)

// A usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flowscope-xdp: "+oneLine(err.Error()))
	}
	os.Exit(exitCode(err))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "flowscope-xdp",
		Short: "track flows and sessions, live by XDP or from capture files",
		Long: `flowscope-xdp counts every packet of every flow in an XDP program, reassembles TCP,
parses HTTP/1, TLS and DNS, and writes one complete record per flow.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (see `%s --help`)", err, c.CommandPath())
	})
	root.AddCommand(runCommand(), replayCommand(), flowsCommand(), doctorCommand(), versionCommand())
	addConfig(root)
	return root
}

// noArgs refuses arguments, as a wrong usage.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown argument %q (see `%s --help`)", args[0], c.CommandPath())
	}
	return nil
}

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, xdp.ErrNotPermitted):
		return exitNotPermitted
	}
	return exitFailed
}

// oneLine keeps an error message on one line, as scripts expect.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
