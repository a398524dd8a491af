package xdp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/gen"
)

// sharedMaps are what a loader pins for others to read or to go on with; abi comes last,
// so that who finds it finds all. docs/abi.md describes them.
var sharedMaps = []string{"flows4", "flows6", "cold4", "cold6", "spill", "spill_0", "spill_1", "counters", "ledger", "abi"}

// tableMaps are those that are memory of whoever reads them.
var tableMaps = []string{"flows4", "flows6", "cold4", "cold6"}

// privateMaps are pinned besides, so that nothing is lost when another process goes on: made
// anew when they are not there. Rings and links come on top.
var privateMaps = []string{"fragments", "rings"}

// A folder is a folder on a BPF file system with the pinned maps and links of an engine.
// While it is open no other engine may use it.
type folder struct {
	path string
	lock *os.File
	abi  gen.BPFFsAbi // of the maps that were there
	old  bool         // there were maps
	made bool         // the folder, by us
	kept bool         // what is pinned outlives the engine
}

// openFolder opens the folder for an engine: an empty one, or with reuse one with maps.
func openFolder(path string, reuse bool) (*folder, error) {
	f := &folder{path: path}
	if err := f.make(); err != nil {
		return nil, err
	}
	var err error
	if f.lock, err = os.Open(path); err != nil {
		return nil, permitted(err)
	}
	if err := f.enter(reuse); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

// make makes the folder if need be, for root alone.
func (f *folder) make() error {
	where := f.path
	if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
		where, f.made = filepath.Dir(where), true
	}
	if err := onBPF(where); err != nil {
		return err
	}
	if !f.made {
		return nil
	}
	return permitted(os.Mkdir(f.path, 0o700))
}

// onBPF says what is wrong when path is on no BPF file system.
func onBPF(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return permitted(&fs.PathError{Op: "look at", Path: path, Err: err})
	}
	if uint32(st.Type) != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is on no BPF file system: choose a folder in one, such as /sys/fs/bpf/flowscope, after mount -t bpf bpf /sys/fs/bpf if there is none", path)
	}
	return nil
}

// permitted marks an error that root would not have.
func permitted(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	return err
}

// enter takes the lock and looks at what is there.
func (f *folder) enter(reuse bool) error {
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another run uses it: stop that one, or choose another folder")
	} else if err != nil {
		return err
	}
	names, err := f.lock.Readdirnames(-1)
	if err != nil {
		return err
	}
	switch {
	case len(names) == 0:
		return nil
	case !reuse:
		return fmt.Errorf("it holds pinned maps (%s): go on with them by --reuse, or remove them: rm -r %s", some(names), f.path)
	case !slices.Contains(names, "abi"):
		return fmt.Errorf("it holds %s but no abi map, so there is nothing to go on with: remove it: rm -r %s", some(names), f.path)
	}
	return f.readABI()
}

// some names a few of many.
func some(names []string) string {
	slices.Sort(names)
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func (f *folder) readABI() error {
	m, err := f.open("abi")
	if err != nil {
		return err
	}
	defer m.Close()
	if f.abi, err = readABI(m); err != nil {
		return err
	}
	if err := checkABI(&f.abi); err != nil {
		return f.mend(err)
	}
	f.old, f.kept = true, true
	return nil
}

// mend adds the way out to what is wrong with the maps that are there.
func (f *folder) mend(err error) error {
	return fmt.Errorf("%w: go on with the program that made them, or remove them: rm -r %s", err, f.path)
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

func (f *folder) has(name string) bool {
	_, err := os.Lstat(f.file(name))
	return err == nil
}

func (f *folder) open(name string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(f.file(name), nil)
	if err != nil {
		return nil, permitted(fmt.Errorf("open the pinned map %s: %w", name, err))
	}
	return m, nil
}

// openAll opens the maps that are there, those of sharedMaps all.
func (f *folder) openAll() (map[string]*ebpf.Map, error) {
	l := map[string]*ebpf.Map{}
	if f == nil || !f.old {
		return l, nil
	}
	for _, name := range slices.Concat(sharedMaps, privateMaps) {
		if slices.Contains(privateMaps, name) && !f.has(name) {
			continue
		}
		m, err := f.open(name)
		if err != nil {
			return nil, errors.Join(err, closeMaps(l))
		}
		l[name] = m
	}
	return l, nil
}

func closeMaps(l map[string]*ebpf.Map) error {
	var errs []error
	for _, m := range l {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// pin pins a map that is not pinned yet.
func (f *folder) pin(name string, m *ebpf.Map) error {
	if f.has(name) {
		return nil
	}
	if err := m.Pin(f.file(name)); err != nil {
		return permitted(fmt.Errorf("pin %s: %w", name, err))
	}
	return nil
}

// ours reports whether what is pinned goes with the engine, and not only its links: the
// maps were not made by another loader.
func (f *folder) ours() bool { return !f.old || loader(&f.abi) == loaderName }

// remove unpins what goes with the engine, abi first.
func (f *folder) remove() error {
	l, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range l {
		name := n.Name()
		if isLink(name) || f.ours() && (isMap(name) || isRing(name)) {
			errs = append(errs, os.Remove(f.file(name)))
		}
	}
	if f.made {
		errs = append(errs, os.Remove(f.path))
	}
	return errors.Join(errs...)
}

func isMap(name string) bool {
	return slices.Contains(sharedMaps, name) || slices.Contains(privateMaps, name)
}

func ringName(i int) string { return fmt.Sprintf("ring_%d", i) }

func isRing(name string) bool { return strings.HasPrefix(name, "ring_") }

// linkName is that of the link on an interface: the kernel allows no dots in names of
// pinned objects, as those of interfaces may have.
func linkName(m Mode, ifindex int) string {
	if m == Egress {
		return fmt.Sprintf("tcx_%d", ifindex)
	}
	return fmt.Sprintf("xdp_%d", ifindex)
}

func isLink(name string) bool {
	return strings.HasPrefix(name, "xdp_") || strings.HasPrefix(name, "tcx_")
}

// close gives the folder free. What is pinned in it stays only if it is to be kept.
func (f *folder) close() error {
	if f == nil {
		return nil
	}
	var err error
	if !f.kept {
		err = f.remove()
	}
	return errors.Join(err, f.lock.Close())
}
