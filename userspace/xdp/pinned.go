package xdp

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/gen"
)

// Pinned is a flow table that another process has pinned and goes on counting in. It is
// read only: the kernel refuses everything else.
type Pinned struct {
	abi   gen.BPFFsAbi
	maps  map[string]*ebpf.Map
	table *Table
}

// OpenPinned opens the maps that are pinned in a folder. The error wraps ErrNotPermitted
// when they may not be read.
func OpenPinned(path string) (*Pinned, error) {
	p := &Pinned{maps: map[string]*ebpf.Map{}}
	if err := p.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("read the pinned maps of %s: %w", path, err), p.Close())
	}
	return p, nil
}

func (p *Pinned) open(path string) error {
	if err := p.openMap(path, "abi"); err != nil {
		return err
	}
	var err error
	if p.abi, err = readABI(p.maps["abi"]); err != nil {
		return err
	}
	if err := checkABI(&p.abi); err != nil {
		return fmt.Errorf("%w: read them with the program that made them", err)
	}
	for _, name := range sharedMaps {
		if err := p.openMap(path, name); err != nil {
			return err
		}
	}
	if err := p.checkSizes(); err != nil {
		return fmt.Errorf("%w: read them with the program that made them", err)
	}
	return p.mapTable()
}

// mapTable maps the table for reading, and gives its descriptors up: the kernel maps memory
// through none that may only read. What was mapped without PROT_WRITE stays so.
func (p *Pinned) mapTable() (err error) {
	if p.table, err = newTable(p.maps, newClock(false), spread{}, true); err != nil {
		return err
	}
	var errs []error
	for _, name := range tableMaps {
		errs = append(errs, p.maps[name].Close())
		delete(p.maps, name)
	}
	return errors.Join(errs...)
}

func (p *Pinned) openMap(path, name string) error {
	if p.maps[name] != nil {
		return nil
	}
	readOnly := !slices.Contains(tableMaps, name)
	m, err := ebpf.LoadPinnedMap(filepath.Join(path, name), &ebpf.LoadPinOptions{ReadOnly: readOnly})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no map %s: is run --pin %s going on?", name, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s may not be read: run as root, or have CAP_BPF and be the owner of %s", ErrNotPermitted, name, path)
	case err != nil:
		return fmt.Errorf("open %s: %w", name, err)
	}
	p.maps[name] = m
	return nil
}

// checkSizes compares the maps with what the abi map says of them: they are read in place.
func (p *Pinned) checkSizes() error {
	spec, err := gen.LoadBPF()
	if err != nil {
		return err
	}
	setSizes(spec, &p.abi)
	for _, name := range tableMaps {
		if err := fits(spec, name, p.maps[name]); err != nil {
			return err
		}
	}
	return nil
}

// fits compares a map with what its spec says. The error is one line.
func fits(spec *ebpf.CollectionSpec, name string, m *ebpf.Map) error {
	if err := spec.Maps[name].Compatible(m); err != nil {
		return fmt.Errorf("%s is not what the abi map says: %w", name, err)
	}
	return nil
}

// Loader returns who made the maps.
func (p *Pinned) Loader() string { return loader(&p.abi) }

// Flows calls fn with the flows of the table until it returns false. What it is given is
// valid during the call. Flows that have ended are left out.
func (p *Pinned) Flows(fn func(*Flow) bool) {
	var f Flow
	p.table.clock.refresh()
	for at, ok := p.table.Next(0, &f); ok && fn(&f); at, ok = p.table.Next(at, &f) {
	}
}

// Spilled calls fn with the account of each flow that found no place in the table, as far as
// the run has not taken it yet.
func (p *Pinned) Spilled(fn func(*Spilled)) error {
	return errors.Join(readSpill(p.maps["spill_0"], p.table.clock, fn), readSpill(p.maps["spill_1"], p.table.clock, fn))
}

// Counters reads the counters, since the maps were made.
func (p *Pinned) Counters() (Counters, error) { return readCounters(p.maps["counters"]) }

// Close closes the maps.
func (p *Pinned) Close() error {
	var unmap error
	if p.table != nil {
		unmap = p.table.unmap()
	}
	return errors.Join(unmap, closeMaps(p.maps))
}
