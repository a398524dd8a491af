//go:build linux

package tests

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// A supervisor hears what a service tells it.
type supervisor struct {
	path string
	said chan string
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	s := &supervisor{path: filepath.Join(t.TempDir(), "notify"), said: make(chan string, 1000)}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1000)
		for {
			n, err := c.Read(b)
			if err != nil {
				close(s.said)
				return
			}
			s.said <- string(b[:n])
		}
	}()
	return s
}

// want waits for a message, and fails when another one than may come before it does.
func (s *supervisor) want(t *testing.T, want string, before ...string) {
	t.Helper()
	for late := time.After(10 * time.Second); ; {
		select {
		case said := <-s.said:
			if said == want {
				return
			}
			if !slices.Contains(before, said) {
				t.Fatalf("%q, want %q", said, want)
			}
		case <-late:
			t.Fatalf("no %q", want)
		}
	}
}

// TestNotify holds what a live run tells systemd: that it is ready once it is attached, that
// it is alive, and that it is stopping.
func TestNotify(t *testing.T) {
	needs.Root(t)
	n, s := network(t), newSupervisor(t)
	cmd := exec.Command(binary, "run", "-i", "r0", "--max-flows", "64")
	cmd.Stdout = io.Discard
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path, "WATCHDOG_USEC=200000")
	p, err := n.Router.StartCmd(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, "READY=1")
	for range 3 {
		s.want(t, "WATCHDOG=1")
	}
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	s.want(t, "STOPPING=1", "WATCHDOG=1")
}

// TestUnit holds the unit to what TestRunDropsCapabilities shows to be enough, and to
// flags that there are.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("../packaging/flowscope-xdp.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nType=notify\n",
		"\nAmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n",
		"\nCapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the unit", want)
		}
	}
	commands := regexp.MustCompile(`(?m)^Exec\w+=/usr/local/bin/flowscope-xdp (.*)$`).FindAllStringSubmatch(string(b), -1)
	if len(commands) != 2 {
		t.Errorf("%d commands, want 2", len(commands))
	}
	for _, c := range commands {
		if r := program(t, append(strings.Fields(c[1]), "--help")...); r.exit != 0 {
			t.Errorf("%s: exit %d: %s", c[1], r.exit, r.stderr)
		}
	}
}
