//go:build linux

package tests

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

// TestRunDropsCapabilities holds that a live run has no capability once it is attached, on any
// of its threads, and that it still counts everything, drains what was spilled, and
// ends in order: as root, and as another user with the capabilities it asks for.
func TestRunDropsCapabilities(t *testing.T) {
	needs.Root(t)
	if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	n := network(t)
	servers, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	tests := []struct {
		name string
		attr *syscall.SysProcAttr
		none []string // sets that must be empty
	}{
		{"root", nil, []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}},
		{"nobody", &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_PERFMON},
		}, []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := exec.Command(binary, "run", "-i", "r0,r1", "--format", "jsonl", "--max-flows", "1", "--metrics", "127.0.0.1:9190")
			cmd.Stdout, cmd.SysProcAttr = &out, tt.attr
			p, err := n.Router.StartCmd(cmd)
			if err != nil {
				t.Fatal(err)
			}
			checkCapabilities(t, p.PID(), tt.none)
			for range 2 { // each of the two spill maps
				if err := n.Browse(context.Background()); err != nil {
					t.Fatal(err)
				}
				burst(t, n)
				time.Sleep(1500 * time.Millisecond)
			}
			s := scrape(t, clientOf(n.Router), "http://127.0.0.1:9190/metrics")
			if s["flowscope_xdp_packets_total{hook=\"xdp\",verdict=\"tracked\"}"] == 0 {
				t.Error("the scrape has no packets of the kernel")
			}
			checkActive(t, s)
			if stderr, err := p.Stop(); err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			l := result{stdout: out.String()}.lines(t)
			checkConservation(t, l)
			if n := l[len(l)-1].num("packets_spilled"); n == 0 {
				t.Error("nothing was spilled")
			}
		})
	}
}

// burst sends a datagram each from 200 ports, to one that nobody listens on.
func burst(t *testing.T, n *testnet.Network) {
	t.Helper()
	err := n.Initiator.Do(func() error {
		for range 200 {
			c, err := net.Dial("udp", testnet.ResponderIP+":9")
			if err != nil {
				return err
			}
			if _, err := c.Write([]byte("x")); err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkCapabilities wants sets of capabilities to be empty, and no way to new ones.
func checkCapabilities(t *testing.T, pid int, none []string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range none {
			if want := set + ":\t0000000000000000\n"; !strings.Contains(string(b), want) {
				t.Errorf("%s: no %q in\n%s", path, want, b)
			}
		}
		if !strings.Contains(string(b), "NoNewPrivs:\t1\n") {
			t.Errorf("%s: new privileges may be had", path)
		}
	}
}
