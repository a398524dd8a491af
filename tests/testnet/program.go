//go:build linux

package testnet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Program is a process that runs in a host's namespace.
type Program struct {
	cmd    *exec.Cmd
	ready  chan struct{}
	stderr strings.Builder
	done   chan error
	host   *Host
}

// readyWord is what `flowscope-xdp run` says on stderr once it counts.
const readyWord = "running"

// readyTimeout is how long a program may take to load and attach.
const readyTimeout = 30 * time.Second

// Start runs a command on h with its output going to stdout, and waits until it
// says that it is running.
func (h *Host) Start(stdout io.Writer, name string, args ...string) (*Program, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdout = stdout
	return h.StartCmd(cmd)
}

// StartCmd is Start with a command that has its output, and may have its environment and
// credentials.
func (h *Host) StartCmd(cmd *exec.Cmd) (*Program, error) {
	p := &Program{cmd: cmd, ready: make(chan struct{}), done: make(chan error, 1), host: h}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	errPipe, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go func() {
		// The thread that starts a process with Pdeathsig must outlive it.
		p.done <- h.Do(func() error {
			err := p.cmd.Start()
			started <- err
			if err != nil {
				return err
			}
			p.readStderr(errPipe)
			return p.cmd.Wait()
		})
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case <-p.ready:
		return p, nil
	case err := <-p.done:
		return nil, fmt.Errorf("%s ended before it ran: %w: %s", cmd.Path, err, p.stderr.String())
	case <-time.After(readyTimeout):
		return nil, errors.Join(fmt.Errorf("%s does not say that it is running", cmd.Path), p.cmd.Process.Kill())
	}
}

func (p *Program) readStderr(r io.Reader) {
	said := false
	for s := bufio.NewScanner(r); s.Scan(); {
		p.stderr.WriteString(s.Text() + "\n")
		if !said && strings.Contains(s.Text(), readyWord) {
			said = true
			close(p.ready)
		}
	}
}

// Stop sends an interrupt, as Ctrl-C does, and waits for the program's end. It
// returns what the program said on stderr.
func (p *Program) Stop() (stderr string, err error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	select {
	case err := <-p.done:
		p.done <- err
		return p.stderr.String(), err
	case <-time.After(readyTimeout):
		return "", errors.Join(errors.New("the program does not stop"), p.cmd.Process.Kill())
	}
}

// PID returns the process id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program.
func (p *Program) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }
