//go:build linux

package tests

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// withoutBPF is the environment variable that makes the test binary become the program
// it names, in a world where bpf(2) does not exist.
const withoutBPF = "FLOWSCOPE_TEST_WITHOUT_BPF"

// becomeProgram runs the program named by withoutBPF in place of the tests, with a
// seccomp filter that answers bpf(2) as a kernel without CONFIG_BPF_SYSCALL does.
func becomeProgram() {
	path := os.Getenv(withoutBPF)
	if path == "" {
		return
	}
	runtime.LockOSThread()
	err := filterBPF()
	if err == nil {
		err = syscall.Exec(path, append([]string{path}, os.Args[1:]...), nil)
	}
	fmt.Fprintln(os.Stderr, "become the program:", err)
	os.Exit(125)
}

// filterBPF makes bpf(2) fail with ENOSYS for this thread and what it becomes. The system
// call number is the first word of struct seccomp_data.
func filterBPF() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_BPF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}

// TestKernelWithoutBPF wants one line that says what the kernel lacks.
func TestKernelWithoutBPF(t *testing.T) {
	needs.Root(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "run", "-i", "lo")
	cmd.Env = append(os.Environ(), withoutBPF+"="+binary)
	checkRefusal(t, finish(t, cmd), 1, "CONFIG_BPF_SYSCALL")
}
