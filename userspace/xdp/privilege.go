package xdp

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// DropCapabilities gives up every capability of the process, on all threads and for good: an
// attached engine runs, and ends, without any. What is loaded, attached or pinned must be so
// before. The bounding set is emptied too where CAP_SETPCAP is there to do so. It wants a
// program built without cgo.
func (e *Engine) DropCapabilities() error {
	// Running a program for the first time probes the kernel by loading one.
	if err := e.AgeFragments(flow.At(time.Now())); err != nil {
		return err
	}
	return dropCapabilities()
}

func dropCapabilities() error {
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("drop capabilities: set no_new_privs: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := prctl(unix.PR_CAPBSET_DROP, c); err == unix.EPERM || err == unix.EINVAL {
			break // not ours to drop, or none of this kernel's
		} else if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	if err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}

// ErrCgo is what keeps a program with cgo from changing all of its threads.
var ErrCgo = errors.New("the program was built with cgo: build it with CGO_ENABLED=0")

// prctl calls prctl(2) on every thread.
func prctl(option int, arg uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return ErrCgo
	}
	return errno
}
