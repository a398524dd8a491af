package xdp

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// A Level says how bad a finding is.
type Level uint8

// The levels. Fail means that a live run would fail.
const (
	OK Level = iota
	Warn
	Fail
)

// String returns "ok", "warn" or "FAIL".
func (l Level) String() string { return [...]string{"ok", "warn", "FAIL"}[min(l, Fail)] }

// MarshalText implements encoding.TextMarshaler: "ok", "warn" or "fail".
func (l Level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(l.String())), nil }

// A Finding is one thing about the host, and how to mend it when it is not right.
type Finding struct {
	Level Level  `json:"level"`
	What  string `json:"what"` // an interface, or a part of the host
	Text  string `json:"text"`
	Mend  string `json:"mend,omitempty"` // a command or a sentence; empty when nothing is wrong
}

// oldestKernel is the first release the program is meant to load on.
var oldestKernel = [2]int{6, 1}

// Diagnose looks at what a live run with maxFlows flows on the given interfaces
// needs. It changes nothing; without root it sees less.
func Diagnose(maxFlows int, ifaces []string) []Finding {
	l := []Finding{
		kernelFinding(), privilegeFinding(), bpfFinding(), btfFinding(), jitFinding(),
		memoryFinding(maxFlows), cgroupFinding(maxFlows), memlockFinding(),
	}
	for _, name := range ifaces {
		l = append(l, interfaceFindings(name)...)
	}
	return l
}

func kernelFinding() Finding {
	f := Finding{What: "kernel"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Level, f.Text = Warn, "uname: "+err.Error()
		return f
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		f.Level, f.Text = Warn, "Linux "+release+", a release that cannot be read"
		return f
	}
	f.Text = "Linux " + release
	if major < oldestKernel[0] || major == oldestKernel[0] && minor < oldestKernel[1] {
		f.Level, f.Mend = Fail, fmt.Sprintf("run Linux %d.%d or newer", oldestKernel[0], oldestKernel[1])
	}
	return f
}

func privilegeFinding() Finding {
	f := Finding{What: "capabilities", Text: "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there"}
	if missing := missingCapabilities(); len(missing) > 0 {
		f.Level = Fail
		f.Text = "missing " + strings.Join(missing, ", ")
		f.Mend = "run as root, or: setcap cap_bpf,cap_net_admin,cap_perfmon+ep on the program"
	}
	return f
}

// missingCapabilities names what this process lacks for a live run. CAP_SYS_ADMIN
// holds the others.
func missingCapabilities() []string {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return []string{"capabilities that can be read: " + err.Error()}
	}
	has := func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	var missing []string
	if !has(unix.CAP_BPF) && !has(unix.CAP_SYS_ADMIN) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_NET_ADMIN) {
		missing = append(missing, "CAP_NET_ADMIN")
	}
	if !has(unix.CAP_PERFMON) && !has(unix.CAP_SYS_ADMIN) { // for arithmetic on pointers
		missing = append(missing, "CAP_PERFMON")
	}
	return missing
}

func bpfFinding() Finding {
	f := Finding{What: "eBPF", Text: "XDP programs, array maps and ring buffers can be made"}
	err := errors.Join(
		features.HaveProgramType(ebpf.XDP),
		features.HaveMapType(ebpf.RingBuf),
		features.HaveMapType(ebpf.ArrayOfMaps),
	)
	switch {
	case err == nil:
	case errors.Is(err, ebpf.ErrNotSupported):
		f.Level, f.Text = Fail, "the kernel lacks what the program needs: "+firstLine(err)
		f.Mend = "run a kernel with CONFIG_BPF_SYSCALL, 6.1 or newer"
	default:
		f.Level, f.Text = Warn, "cannot be probed: "+firstLine(err)
		f.Mend = "run doctor as root"
	}
	return f
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

// btfFinding is about the types that the kernel tells of itself: tools that look at our maps
// want them, the program itself does not.
func btfFinding() Finding {
	f := Finding{What: "BTF", Text: "the kernel tells its types"}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		f.Level, f.Text = Warn, "the kernel does not tell its types; run works, tools that look into maps see less"
		f.Mend = "run a kernel with CONFIG_DEBUG_INFO_BTF"
	}
	return f
}

func jitFinding() Finding {
	f := Finding{What: "JIT", Text: "eBPF programs are compiled"}
	b, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	switch {
	case err != nil: // built in for good: no switch
	case strings.TrimSpace(string(b)) == "0":
		f.Level, f.Text = Warn, "eBPF programs are interpreted, several times slower"
		f.Mend = "sysctl -w net.core.bpf_jit_enable=1"
	}
	return f
}
