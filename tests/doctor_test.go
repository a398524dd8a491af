//go:build linux

package tests

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

// A finding is one line of doctor --json.
type finding struct{ Level, What, Text, Mend string }

// examined runs doctor on a host.
func examined(t *testing.T, h *testnet.Host, args ...string) (l []finding, exit int) {
	t.Helper()
	var r result
	err := h.Do(func() error {
		r = finish(t, exec.Command(binary, append([]string{"doctor", "--json"}, args...)...))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings(t, r), r.exit
}

func findings(t *testing.T, r result) (l []finding) {
	t.Helper()
	for text := range strings.Lines(r.stdout) {
		var f finding
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if f.Level != "ok" && f.Mend == "" {
			t.Errorf("%+v: nothing is said to mend it", f)
		}
		l = append(l, f)
	}
	return l
}

// about returns whether l has a finding of a level about what, that says text.
func about(l []finding, level, what, text string) bool {
	for _, f := range l {
		if f.Level == level && f.What == what && strings.Contains(f.Text+" → "+f.Mend, text) {
			return true
		}
	}
	return false
}

// TestDoctor provokes findings on a router of namespaces.
func TestDoctor(t *testing.T) {
	needs.Root(t)
	router := network(t).Router
	do := func(f func() error) func() error { return func() error { return router.Do(f) } }
	link := func(name string, f func(netlink.Link) error) func() error {
		return do(func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return f(l)
		})
	}
	tests := []struct {
		name    string
		provoke func() error
		args    []string
		level   string
		what    string
		text    string
	}{
		{"well", nil, []string{"-i", "r0"}, "ok", "r0", "XDP: native"},
		{"loopback", nil, []string{"-i", "lo"}, "warn", "lo", "generic only"},
		{"missing interface", nil, []string{"-i", "nosuch0"}, "fail", "nosuch0", "no such interface → choose one of: "},
		{"VLAN tags beside the frame", nil, []string{"-i", "r0"}, "warn", "r0", "ethtool -K r0 rxvlan off"},
		{"no offload", do(withoutVLANOffload), []string{"-i", "r0"}, "ok", "r0", "offloads: none"},
		{"MTU 9000", link("r0", func(l netlink.Link) error { return netlink.LinkSetMTU(l, 9000) }), []string{"-i", "r0"}, "ok", "r0", "native, MTU 9000 in several buffers"},
		{"down", link("r1", netlink.LinkSetDown), []string{"-i", "r1"}, "warn", "r1", "ip link set r1 up"},
		{"table too large", nil, []string{"--max-flows", "200000000"}, "fail", "memory", "choose a smaller --max-flows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.provoke != nil {
				if err := tt.provoke(); err != nil {
					t.Fatal(err)
				}
			}
			l, exit := examined(t, router, tt.args...)
			if !about(l, tt.level, tt.what, tt.text) {
				t.Errorf("no %s of %s that says %q in %+v", tt.level, tt.what, tt.text, l)
			}
			if want := map[bool]int{true: 1, false: 0}[tt.level == "fail"]; exit != want {
				t.Errorf("exit %d, want %d: %+v", exit, want, l)
			}
		})
	}
}

func withoutVLANOffload() error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Change("r0", map[string]bool{"rx-vlan-hw-parse": false})
}

// TestDoctorFindsOtherProgram wants the program that is there to be named, with a way out.
func TestDoctorFindsOtherProgram(t *testing.T) {
	needs.Root(t)
	n := network(t)
	p, err := n.Router.Start(io.Discard, binary, "run", "-i", "r0", "--max-flows", "64")
	if err != nil {
		t.Fatal(err)
	}
	if l, exit := examined(t, n.Router, "-i", "r0", "--max-flows", "64"); exit != 1 || !about(l, "fail", "r0", "flowscope_xdp") || !about(l, "fail", "r0", "xdp off") {
		t.Errorf("exit %d, %+v", exit, l)
	}
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if l, exit := examined(t, n.Router, "-i", "r0", "--max-flows", "64"); exit != 0 {
		t.Errorf("exit %d after its end: %+v", exit, l)
	}
}

// TestDoctorWithoutCapabilities wants what is missing and how to get it.
func TestDoctorWithoutCapabilities(t *testing.T) {
	needs.Root(t)
	r := unprivileged(t, "doctor", "--json")
	l := findings(t, r)
	for _, want := range []string{"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "setcap cap_bpf,cap_net_admin,cap_perfmon+ep"} {
		if !about(l, "fail", "capabilities", want) {
			t.Errorf("no %q in %+v", want, l)
		}
	}
	if r.exit != 1 || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("exit %d, %q", r.exit, r.stderr)
	}
}

// TestRunOnLargeFrames holds what doctor says of MTU 9000: the program runs natively.
func TestRunOnLargeFrames(t *testing.T) {
	needs.Root(t)
	n := network(t)
	for h, name := range map[*testnet.Host]string{n.Router: "r0", n.Initiator: "a0"} {
		err := h.Do(func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(l, 9000)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := n.Router.Start(io.Discard, binary, "run", "-i", "r0", "--mode", "native", "--max-flows", "64")
	if err != nil {
		t.Fatal(err)
	}
	if stderr, err := p.Stop(); err != nil || !strings.Contains(stderr, "mode=native") {
		t.Errorf("%v: %s", err, stderr)
	}
}
