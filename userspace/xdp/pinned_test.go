package xdp

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// pinnedEngine loads an engine that pins its maps on a BPF file system of the test's own.
func pinnedEngine(t *testing.T) (dir string, e *Engine) {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("bpf", root, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	dir = filepath.Join(root, "flowscope")
	e, err := Load(Options{MaxFlows: 100, Pin: dir})
	if err != nil {
		t.Fatal(err)
	}
	return dir, e
}

// TestPinnedIsReadOnly tries to write what OpenPinned has opened, in each way there is.
func TestPinnedIsReadOnly(t *testing.T) {
	needs.Root(t)
	dir, e := pinnedEngine(t)
	defer e.Close()
	p, err := OpenPinned(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(p.table.mappings) != len(tableMaps) {
		t.Errorf("%d mappings, want %d", len(p.table.mappings), len(tableMaps))
	}
	for i, b := range p.table.mappings {
		if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); !errors.Is(err, unix.EACCES) {
			t.Errorf("mapping %d made writable: %v, want %v", i, err, unix.EACCES)
		}
	}
	for name, m := range p.maps {
		if slices.Contains(tableMaps, name) {
			t.Errorf("%s is still open", name)
		}
		// The kernel looks at the permission first, whatever the type of the map.
		if err := m.Delete(make([]byte, m.KeySize())); !errors.Is(err, unix.EPERM) {
			t.Errorf("delete from %s: %v, want %v", name, err, unix.EPERM)
		}
	}
}

// TestPinsGoWithTheirEngine wants one engine to a folder, and nothing left of one that has
// counted nothing.
func TestPinsGoWithTheirEngine(t *testing.T) {
	needs.Root(t)
	dir, e := pinnedEngine(t)
	if _, err := Load(Options{MaxFlows: 100, Pin: dir, Reuse: true}); err == nil || !strings.Contains(err.Error(), "another run uses it") {
		t.Errorf("a second engine: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder after the end: %v", err)
	}
}
