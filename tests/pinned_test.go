//go:build linux

package tests

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

// bpfFolder mounts a BPF file system of the test's own.
func bpfFolder(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("bpf", root, "bpf", 0, ""); err != nil {
		t.Fatalf("mount a BPF file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(root, "flowscope")
}

// busyNetwork is one with servers, whose senders are counted.
func busyNetwork(t *testing.T) (*testnet.Network, *testnet.Counters) {
	t.Helper()
	n := network(t)
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := n.CountBoth()
	if err != nil {
		t.Fatal(err)
	}
	return n, c
}

func browse(t *testing.T, n *testnet.Network) {
	t.Helper()
	if err := n.Browse(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// whole drops the last line if it was cut.
func whole(b []byte) string { return string(b[:bytes.LastIndexByte(b, '\n')+1]) }

// TestKilledRunGoesOn kills the reader twice while traffic runs, lets traffic run without
// any, and wants the lines of all three runs to add up to what was sent.
func TestKilledRunGoesOn(t *testing.T) {
	needs.Root(t)
	n, sent := busyNetwork(t)
	dir := bpfFolder(t)
	args := []string{"run", "-i", "r0,r1", "--pin", dir, "--format", "jsonl", "--max-flows", "4096", "--idle-udp", "500ms"}
	var all strings.Builder
	for round := range 2 {
		var out bytes.Buffer
		p, err := n.Router.Start(&out, binary, args...)
		if err != nil {
			t.Fatal(err)
		}
		browse(t, n)
		time.Sleep(2 * time.Second) // some flows are written by now
		browse(t, n)
		if err := p.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		browse(t, n)
		_, _ = p.Stop() // its error is that it was killed
		if !strings.Contains(out.String(), `"type":"flow"`) {
			t.Fatalf("round %d wrote no flow before it was killed", round)
		}
		all.WriteString(whole(out.Bytes()))
		args = append(args[:len(args):len(args)], "--reuse")
	}
	browse(t, n)
	var out bytes.Buffer
	p, err := n.Router.Start(&out, binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	browse(t, n)
	time.Sleep(settle)
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	count, err := sent.Stop()
	if err != nil {
		t.Fatal(err)
	}
	all.WriteString(out.String())
	lines := result{stdout: out.String()}.lines(t)
	checkConservation(t, lines)
	checkResumed(t, lines)
	flows, err := testnet.ReadFlows(strings.NewReader(all.String()))
	if err != nil {
		t.Fatal(err)
	}
	compareCounts(t, testnet.BySender(flows), count)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		l, _ := os.ReadDir(dir)
		if len(l) > 0 {
			t.Errorf("pinned after the end of the run: %v", l)
		}
	}
}

// checkResumed wants flows without a session to say so, and to know their initiator.
func checkResumed(t *testing.T, lines []line) {
	t.Helper()
	resumed := 0
	for _, f := range ofType(lines, "flow") {
		if f["complete"] == true || f["proto"] != "tcp" {
			continue
		}
		resumed++
		if port := f.num("responder", "port"); port != 80 && port != 443 {
			t.Errorf("flow %v: its responder is on port %d, want 80 or 443", f["id"], port)
		}
		if f["orientation"] != "syn" {
			t.Errorf("flow %v: orientation %v, want syn", f["id"], f["orientation"])
		}
	}
	if resumed == 0 {
		t.Error("no flow is marked incomplete though the reader was killed")
	}
}

// TestKilledRunWithAFullTable does the same where most flows find no place: what waits in
// the spill maps is nobody's session's, and must be in some record too.
func TestKilledRunWithAFullTable(t *testing.T) {
	needs.Root(t)
	n := network(t)
	sent, err := n.CountBoth()
	if err != nil {
		t.Fatal(err)
	}
	dir := bpfFolder(t)
	args := []string{"run", "-i", "r0,r1", "--pin", dir, "--reuse", "--format", "jsonl", "--max-flows", "16"}
	const sockets, each = 300, 3
	var all strings.Builder
	for round := range 2 {
		var out bytes.Buffer
		p, err := n.Router.Start(&out, binary, args...)
		if err != nil {
			t.Fatal(err)
		}
		datagrams(t, n, sockets, each)
		time.Sleep(1500 * time.Millisecond) // accounts are taken by now, and none comes after
		if round > 0 {
			datagrams(t, n, sockets, each)
		}
		if err := p.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		_, _ = p.Stop() // its error is that it was killed
		datagrams(t, n, sockets, each)
		all.WriteString(whole(out.Bytes()))
	}
	var out bytes.Buffer
	p, err := n.Router.Start(&out, binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle)
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	count, err := sent.Stop()
	if err != nil {
		t.Fatal(err)
	}
	lines := result{stdout: out.String()}.lines(t)
	checkConservation(t, lines)
	if lines[len(lines)-1].num("packets_spilled") == 0 {
		t.Error("no packet was in the spill maps")
	}
	flows, err := testnet.ReadFlows(strings.NewReader(all.String() + out.String()))
	if err != nil {
		t.Fatal(err)
	}
	compareCounts(t, testnet.BySender(flows), count)
}
