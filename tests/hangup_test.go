//go:build linux

package tests

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// hearing returns the program, which hears SIGHUP also where this process was told to ignore
// it (nohup): a signal that is handled here has its default in a child. It is killed after
// a minute.
func hearing(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(c) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, binary, args...)
}

// TestHangupRefused sends SIGHUP to a program without a terminal: it says so and goes on.
func TestHangupRefused(t *testing.T) {
	cmd := hearing(t, "replay", "-", "--events", "summary", "--metrics", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	log.Scan() // of --metrics: SIGHUP is waited for before
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.Scan()
	if !strings.Contains(log.Text(), "reload refused") {
		t.Errorf("log line %q, want a refusal", log.Text())
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 { // no capture came
		t.Errorf("%v, want the end that the input's is", err)
	}
}

// TestHangupOfTerminal closes the terminal of a live run: it ends as by Ctrl-C.
func TestHangupOfTerminal(t *testing.T) {
	needs.Root(t)
	n := network(t)
	terminal, slave := pseudoTerminal(t)
	var out strings.Builder
	cmd := hearing(t, "run", "-i", "r0", "--max-flows", "64", "--format", "jsonl")
	cmd.Stdin, cmd.Stdout = slave, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Router.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	for log := bufio.NewScanner(stderr); log.Scan(); {
		if strings.Contains(log.Text(), "running") {
			terminal.Close()
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), `"type":"summary"`) {
		t.Errorf("%v, output %q; want a summary", err, out.String())
	}
}

func pseudoTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
