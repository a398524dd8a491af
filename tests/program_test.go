package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	becomeProgram()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flowscope-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "flowscope-xdp")
	build := exec.Command("go", "build", "-o", binary, "../cmd/flowscope-xdp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	out, err := build.CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A result is what one run of the program left.
type result struct {
	stdout, stderr string
	exit           int
}

func program(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, exec.Command(binary, args...))
}

// finish runs a command to its end.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A line is one JSON line of the output.
type line map[string]any

func (r result) lines(t *testing.T) []line {
	t.Helper()
	var l []line
	for text := range strings.Lines(r.stdout) {
		var o line
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("output line %q: %v", text, err)
		}
		l = append(l, o)
	}
	return l
}

func ofType(l []line, typ string) []line {
	var out []line
	for _, o := range l {
		if o["type"] == typ {
			out = append(out, o)
		}
	}
	return out
}

func (o line) num(path ...string) uint64 {
	var v any = map[string]any(o)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return 0
		}
		v = m[p]
	}
	f, _ := v.(float64)
	return uint64(f)
}

func (o line) sum(name string) (n uint64) {
	m, _ := o[name].(map[string]any)
	for _, v := range m {
		f, _ := v.(float64)
		n += uint64(f)
	}
	return n
}

// checkConservation holds the law of CONTRACT.md on one run's lines, of which the
// summary must be the last.
func checkConservation(t *testing.T, l []line) {
	t.Helper()
	if len(l) == 0 || l[len(l)-1]["type"] != "summary" {
		t.Fatalf("the last of %d lines is no summary", len(l))
	}
	s := l[len(l)-1]
	for _, unit := range []string{"packets", "bytes"} {
		var inFlows uint64
		for _, f := range ofType(l, "flow") {
			inFlows += f.num("initiator", unit) + f.num("responder", unit)
		}
		seen, tracked := s.num(unit+"_seen"), s.num(unit+"_tracked")
		if want := tracked + s.sum(unit+"_unparsed") + s.num(unit+"_duplicate"); seen != want {
			t.Errorf("%s seen = %d, want tracked + unparsed + duplicate = %d", unit, seen, want)
		}
		if tracked != inFlows {
			t.Errorf("%s tracked = %d, want the sum of the flow lines %d", unit, tracked, inFlows)
		}
	}
	if started, ended := s.num("flows_started"), s.sum("flows_ended"); started != ended || ended != uint64(len(ofType(l, "flow"))) {
		t.Errorf("flows: %d started, %d ended, %d lines", started, ended, len(ofType(l, "flow")))
	}
}

// corpus returns the folder of real captures and the captures in it.
func corpus(t *testing.T) (root string, captures []string) {
	t.Helper()
	root = needs.Corpus(t)
	for _, pattern := range []string{"*/*.pcap", "*/*.pcapng"} {
		l, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, l...)
	}
	if len(captures) == 0 {
		t.Fatalf("no captures below %s", root)
	}
	return root, captures
}

// unprivileged runs the program as nobody.
func unprivileged(t *testing.T, args ...string) result {
	t.Helper()
	if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return finish(t, cmd)
}
