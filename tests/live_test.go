//go:build linux

package tests

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

func network(t *testing.T) *testnet.Network {
	t.Helper()
	n, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// settle is how long the last packets of closing connections may take.
const settle = 500 * time.Millisecond

// TestLiveCountsEqualTheSenders runs the program on a router between real HTTP, TLS
// and DNS peers and compares every flow with what its senders counted.
func TestLiveCountsEqualTheSenders(t *testing.T) {
	needs.Root(t)
	n := network(t)
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	counters, err := n.CountBoth()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p, err := n.Router.Start(&out, binary, "run", "-i", "r0,r1", "--format", "jsonl", "--max-flows", "4096")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Browse(context.Background()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle)
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	sent, err := counters.Stop()
	if err != nil {
		t.Fatal(err)
	}
	lines := result{stdout: out.String()}.lines(t)
	checkConservation(t, lines)
	checkMessages(t, lines)
	flows, err := testnet.ReadFlows(strings.NewReader(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	compareCounts(t, testnet.BySender(flows), sent)
}

func compareCounts(t *testing.T, got, sent map[testnet.Tuple]testnet.Count) {
	t.Helper()
	if len(sent) == 0 {
		t.Fatal("the senders counted nothing")
	}
	for k, want := range sent {
		if got[k] != want {
			t.Errorf("%d %s → %s: %+v, want what was sent: %+v", k.Proto, k.Src, k.Dst, got[k], want)
		}
	}
	for k, n := range got {
		if _, ok := sent[k]; !ok {
			t.Errorf("%d %s → %s: %+v, which nobody sent", k.Proto, k.Src, k.Dst, n)
		}
	}
}

// checkMessages wants what the demo's traffic is known to hold, on IPv4 and IPv6.
func checkMessages(t *testing.T, lines []line) {
	t.Helper()
	got := map[string]int{}
	for _, m := range ofType(lines, "message") {
		got[m["parser"].(string)+" "+m["kind"].(string)]++
	}
	want := map[string]int{
		"http request": 4, "http response": 4,
		"tls client_hello": 2, "tls server_hello": 2,
		"dns query": 4, "dns response": 4,
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s messages: %d, want %d (all: %v)", k, got[k], n, got)
		}
	}
	for _, m := range ofType(lines, "message") {
		if m["kind"] != "client_hello" {
			continue
		}
		hello := m["tls"].(map[string]any)
		if hello["sni"] != testnet.ServerName || hello["ja3"] == nil {
			t.Errorf("client hello: sni %v, ja3 %v", hello["sni"], hello["ja3"])
		}
	}
}

// TestRunRefuses holds the messages and exit codes of what cannot start.
func TestRunRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		exit int
		says string
	}{
		{"no interface", []string{"run"}, 2, "-i"},
		{"unknown flag", []string{"run", "-i", "lo", "--no-such-flag"}, 2, "no-such-flag"},
		{"unknown command", []string{"walk"}, 2, "walk"},
		{"format of later", []string{"replay", "--format", "zeek", "x.pcap"}, 2, "zeek"},
		{"unknown format", []string{"replay", "--format", "xml", "x.pcap"}, 2, "xml"},
		{"unknown event", []string{"replay", "--events", "flows", "x.pcap"}, 2, "flows"},
		{"unknown parser", []string{"replay", "--parsers", "gopher", "x.pcap"}, 2, "gopher"},
		{"no file", []string{"replay"}, 2, "FILE"},
		{"missing file", []string{"replay", "no/such.pcap"}, 1, "no/such.pcap"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := program(t, tt.args...)
			checkRefusal(t, r, tt.exit, tt.says)
		})
	}
}

func TestRunRefusesInterface(t *testing.T) {
	needs.Root(t)
	checkRefusal(t, program(t, "run", "-i", "nosuch0"), 1, "nosuch0")
}

// TestRunRefusesOtherProgram wants the program that is already there to be named,
// and left where it is.
func TestRunRefusesOtherProgram(t *testing.T) {
	needs.Root(t)
	n := network(t)
	first, err := n.Router.Start(os.Stderr, binary, "run", "-i", "r0", "--max-flows", "64", "--events", "flow")
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Router.Start(os.Stderr, binary, "run", "-i", "r0", "--max-flows", "64")
	if err == nil || !strings.Contains(err.Error(), "flowscope_xdp") || !strings.Contains(err.Error(), "r0") {
		t.Errorf("second run on r0: %v, want an error that names the program that is there", err)
	}
	if stderr, err := first.Stop(); err != nil {
		t.Errorf("first run: %v: %s", err, stderr)
	}
}

// TestRunRefusesWithoutRoot wants the missing capability and exit code 3.
func TestRunRefusesWithoutRoot(t *testing.T) {
	needs.Root(t)
	r := unprivileged(t, "run", "-i", "lo")
	checkRefusal(t, r, 3, "CAP_BPF")
}

func checkRefusal(t *testing.T, r result, exit int, says string) {
	t.Helper()
	if r.exit != exit {
		t.Errorf("exit %d, want %d (stderr %q)", r.exit, exit, r.stderr)
	}
	if n := strings.Count(r.stderr, "\n"); n != 1 || !strings.Contains(r.stderr, says) {
		t.Errorf("stderr %q, want one line with %q", r.stderr, says)
	}
}
