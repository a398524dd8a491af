package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryNeed is the kernel memory of a run with maxFlows flows, and what it is made of.
func memoryNeed(maxFlows int) (bytes int64, text string) {
	o := Options{MaxFlows: maxFlows, Seed: 1}.filled()
	table, rings := o.tableMemory(), int64(o.Rings*o.RingSize)
	return table + rings, fmt.Sprintf("the table of %d flows takes %d MiB, the rings %d MiB", maxFlows, table>>20, rings>>20)
}

func memoryFinding(maxFlows int) Finding {
	need, text := memoryNeed(maxFlows)
	f := Finding{What: "memory", Text: text}
	avail, err := availableMemory()
	switch {
	case err != nil:
		f.Level, f.Text = Warn, f.Text+"; what is available cannot be read: "+err.Error()
	case need > avail:
		f.Level = Fail
		f.Text += fmt.Sprintf(", and only %d MiB are available", avail>>20)
		f.Mend = "choose a smaller --max-flows"
	}
	return f
}

// cgroupFinding is about the limit of this process's control group, to which the kernel
// charges maps.
func cgroupFinding(maxFlows int) Finding {
	f := Finding{What: "cgroup", Text: "no limit of memory"}
	limit, group, err := cgroupLimit("/sys/fs/cgroup", "/proc/self/cgroup")
	need, text := memoryNeed(maxFlows)
	switch {
	case err != nil:
		f.Level, f.Text = Warn, "the limit of memory cannot be read: "+err.Error()
		f.Mend = "look at MemoryMax of the service"
	case limit < 0:
	case need > limit:
		f.Level = Fail
		f.Text = fmt.Sprintf("%s, and %s is limited to %d MiB", text, group, limit>>20)
		f.Mend = fmt.Sprintf("allow it %d MiB more (MemoryMax=), or choose a smaller --max-flows", (need-limit)>>20+64)
	default:
		f.Text = fmt.Sprintf("%s may have %d MiB", group, limit>>20)
	}
	return f
}

// cgroupLimit returns the least memory.max from the group that the file self names up to
// root, and whose it is; negative when there is none. Version 1 has none that counts here.
func cgroupLimit(root, self string) (limit int64, group string, err error) {
	b, err := os.ReadFile(self)
	if err != nil {
		return -1, "", err
	}
	path := ""
	for line := range strings.Lines(string(b)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = p
		}
	}
	limit = -1
	for dir := path; dir != "" && dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(root, dir, "memory.max"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return -1, "", err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && (limit < 0 || n < limit) { // else: max
			limit, group = n, dir
		}
	}
	return limit, group, nil
}

// memlockFinding is about RLIMIT_MEMLOCK, which held for maps until Linux 5.11.
func memlockFinding() Finding {
	f := Finding{What: "memlock", Text: "unlimited"}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r); err != nil {
		f.Level, f.Text = Warn, "cannot be read: "+err.Error()
	} else if r.Cur != unix.RLIM_INFINITY {
		f.Text = fmt.Sprintf("%d KiB; this kernel does not count maps against it", r.Cur>>10)
	}
	return f
}

func availableMemory() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("no MemAvailable in /proc/meminfo")
}
