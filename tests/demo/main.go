//go:build linux

// Demo shows the main job live: three private network namespaces joined by veth, real
// HTTP/1.1, TLS and DNS servers and clients, and flowscope-xdp attached by native
// XDP on the router between them. It runs twice: once with the table as a person
// sees it, and once with JSON lines that are compared with what the senders counted.
// Everything it made is gone when it ends, also after Ctrl-C.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

func main() {
	bin := flag.String("bin", "bin/flowscope-xdp", "the program to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, *bin)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, bin string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("root is needed to make network namespaces and attach XDP: sudo make demo")
	}
	n, err := testnet.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	s, err := n.Serve()
	if err != nil {
		return err
	}
	defer s.Close()

	fmt.Printf("initiator %s ── r0 router r1 ── responder %s; %s run -i r0,r1\n\n", testnet.InitiatorIP, testnet.ResponderIP, bin)
	if err := watch(ctx, n, os.Stdout, bin, "run", "-i", "r0,r1", "--format", "table"); err != nil {
		return err
	}
	return verify(ctx, n, bin)
}

// settle is how long the last packets of closing connections may take.
const settle = 500 * time.Millisecond

// watch runs the program on the router while the initiator browses.
func watch(ctx context.Context, n *testnet.Network, out io.Writer, bin string, args ...string) error {
	p, err := n.Router.Start(out, bin, args...)
	if err != nil {
		return err
	}
	err = n.Browse(ctx)
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	stderr, stopErr := p.Stop()
	if stopErr != nil {
		err = errors.Join(err, fmt.Errorf("%w: %s", stopErr, stderr))
	}
	return err
}

// verify compares the flow records of a run with what each sender counted.
func verify(ctx context.Context, n *testnet.Network, bin string) error {
	fmt.Print("the same again as JSON lines, beside what each sender counted on its own interface\n\n")
	counters, err := n.CountBoth()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	runErr := watch(ctx, n, &out, bin, "run", "-i", "r0,r1", "--format", "jsonl")
	sent, err := counters.Stop()
	if err := errors.Join(runErr, err); err != nil {
		return err
	}
	flows, err := testnet.ReadFlows(&out)
	if err != nil {
		return err
	}
	return compare(flows, sent)
}

func compare(flows []testnet.Flow, sent map[testnet.Tuple]testnet.Count) error {
	fmt.Printf("%-5s %-26s %-26s %9s %9s %11s %11s\n", "proto", "from", "to", "packets", "sent", "bytes", "sent")
	got, wrong := testnet.BySender(flows), 0
	for _, t := range slices.SortedFunc(maps.Keys(sent), testnet.Tuple.Compare) {
		c, want, mark := got[t], sent[t], ""
		if c != want {
			wrong++
			mark = "  ← differs"
		}
		fmt.Printf("%-5d %-26s %-26s %9d %9d %11d %11d%s\n", t.Proto, t.Src, t.Dst, c.Packets, want.Packets, c.Bytes, want.Bytes, mark)
	}
	if len(sent) == 0 || wrong > 0 || len(got) != len(sent) {
		return fmt.Errorf("%d of %d directed flows differ from the senders' counts; %d were reported", wrong, len(sent), len(got))
	}
	fmt.Printf("\nall %d directed flows agree with their senders, packets and bytes\n", len(sent))
	return nil
}
