package xdp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/gen"
)

// An Engine is the loaded program with its maps.
type Engine struct {
	opt      Options
	abi      gen.BPFFsAbi // what the maps are like
	pins     *folder      // nil: none
	ledger   ledger
	coll     *ebpf.Collection
	table    *Table
	rings    []*Ring
	spills   spills
	clock    *clock
	attached []*Attachment
	runner   runner
}

// Load loads the program. The error wraps ErrNotPermitted when a privilege is missing.
func Load(opt Options) (*Engine, error) {
	opt = opt.filled()
	if err := opt.check(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if missing := missingCapabilities(); len(missing) > 0 {
		return nil, fmt.Errorf("load the BPF program: %w: missing %s (run as root, or setcap cap_bpf,cap_net_admin,cap_perfmon+ep)",
			ErrNotPermitted, strings.Join(missing, ", "))
	}
	if !haveBPF() {
		return nil, errors.New("load the BPF program: this kernel has no bpf system call: run one with CONFIG_BPF_SYSCALL, Linux 6.1 or newer")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, loadError(fmt.Errorf("raise the limit of locked memory (RLIMIT_MEMLOCK): %w", err))
	}
	e := &Engine{opt: opt, clock: newClock(opt.Replay)}
	if err := e.openPins(); err != nil {
		return nil, err
	}
	if err := e.load(); err != nil {
		return nil, errors.Join(loadError(err), e.Close())
	}
	return e, nil
}

// haveBPF reports whether the kernel has bpf(2): it answers a command that does not
// exist with another error than that the system call does not.
func haveBPF() bool {
	_, _, errno := unix.Syscall(unix.SYS_BPF, 1<<31-1, 0, 0)
	return errno != unix.ENOSYS
}

// loadError says what a failed load means.
func loadError(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return fmt.Errorf("load the BPF program: the kernel's verifier refused it: %w", err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("load the BPF program: this kernel lacks what it needs: run Linux 6.1 or newer: %w", err)
	}
	return fmt.Errorf("load the BPF program: %w", err)
}

func (e *Engine) load() error {
	spec, err := gen.LoadBPF()
	if err != nil {
		return err
	}
	if !e.opt.Egress {
		delete(spec.Programs, "flowscope_tc")
	}
	if err := e.opt.configure(spec, &e.abi); err != nil {
		return err
	}
	if err := e.loadMaps(spec); err != nil {
		return err
	}
	if e.table, err = newTable(e.coll.Maps, e.clock, spread{e.opt.Seed, uint32(e.opt.Rings)}, false); err != nil {
		return err
	}
	if err := e.makeRings(); err != nil {
		return err
	}
	return e.openLedger()
}

// openPins opens the folder, and takes the shape of the maps from those that are there.
func (e *Engine) openPins() (err error) {
	e.abi = e.opt.abi()
	if e.opt.Pin == "" {
		return nil
	}
	if e.pins, err = openFolder(e.opt.Pin, e.opt.Reuse); err != nil {
		return fmt.Errorf("pin to %s: %w", e.opt.Pin, err)
	}
	if e.pins.old {
		e.abi = e.pins.abi
		e.opt.Rings, e.opt.Seed = int(e.abi.Workers), e.abi.Seed
	}
	return nil
}

// loadMaps loads the programs, with the maps that are pinned in place of new ones.
func (e *Engine) loadMaps(spec *ebpf.CollectionSpec) error {
	pinned, err := e.pins.openAll()
	if err != nil {
		return err
	}
	defer closeMaps(pinned)
	accounts := spec.Maps["spill_accounts"].Copy()
	if m := pinned["spill_0"]; m != nil {
		pinned["spill_accounts"] = m
		spec.Maps["spill_accounts"].MaxEntries = m.MaxEntries()
		spec.Maps["spill"].Contents = nil // what is in there counts
	}
	replace := map[string]*ebpf.Map{}
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		if spec.Maps[name] == nil {
			continue
		}
		if err := fits(spec, name, pinned[name]); err != nil {
			return e.pins.mend(err)
		}
		replace[name] = pinned[name]
	}
	e.coll, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replace})
	if err != nil {
		return err
	}
	return e.openSpills(accounts, pinned["spill_1"])
}

// openSpills takes both spill maps; other is nil when the second is still to be made.
func (e *Engine) openSpills(spec *ebpf.MapSpec, other *ebpf.Map) (err error) {
	s := &e.spills
	s.outer, s.maps[0] = e.coll.Maps["spill"], e.coll.DetachMap("spill_accounts")
	if other == nil {
		s.maps[1], err = ebpf.NewMap(spec)
		return err
	}
	if s.maps[1], err = other.Clone(); err != nil {
		return err
	}
	return s.resume()
}

// openLedger maps the ledger, and finishes what is half done in maps that were there.
func (e *Engine) openLedger() (err error) {
	if e.ledger, err = newLedger(e.table, e.coll.Maps["ledger"]); err != nil {
		return err
	}
	if e.pins == nil || e.pins.old {
		e.ledger.settle(e.table)
		return e.pinAll()
	}
	if err := writeABI(e.table, e.coll.Maps["abi"], e.abi); err != nil {
		return err
	}
	return e.pinAll()
}

// pinAll pins what is not pinned yet.
func (e *Engine) pinAll() error {
	if e.pins == nil {
		return nil
	}
	for i, r := range e.rings {
		if err := e.pins.pin(ringName(i), r.m); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(privateMaps, sharedMaps) {
		m := e.coll.Maps[name]
		switch name {
		case "spill_0":
			m = e.spills.maps[0]
		case "spill_1":
			m = e.spills.maps[1]
		}
		if err := e.pins.pin(name, m); err != nil {
			return err
		}
	}
	return nil
}

// Resumed reports whether the engine goes on with maps that were there.
func (e *Engine) Resumed() bool { return e.pins != nil && e.pins.old }

// Keep says that what is counted from now on must not be lost: Close leaves what is
// pinned, unless [Engine.Unpin] was called. It reports false if nothing is pinned.
func (e *Engine) Keep() bool {
	if e.pins != nil {
		e.pins.kept = true
	}
	return e.pins != nil
}

// Unpin says that all that was counted is written: Close takes away the maps that are
// pinned, unless another loader made them.
func (e *Engine) Unpin() error {
	if e.pins == nil {
		return nil
	}
	e.pins.kept = false
	c, err := readCounters(e.coll.Maps["counters"])
	if err != nil {
		return err
	}
	for cause, t := range c.Unparsed {
		e.ledger.m.Unparsed[cause] = gen.BPFFsTally{Packets: t.Packets, Bytes: t.Bytes}
	}
	return nil
}

// configure sets sizes and knobs.
func (o *Options) configure(spec *ebpf.CollectionSpec, a *gen.BPFFsAbi) error {
	setSizes(spec, a)
	spec.Maps["spill_accounts"].MaxEntries = uint32(o.SpillFlows)
	spec.Maps["spill"].InnerMap.MaxEntries = uint32(o.SpillFlows)
	for name, v := range o.knobs(a.Buckets4, a.Buckets6) {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// setSizes sets those that the abi map tells.
func setSizes(spec *ebpf.CollectionSpec, a *gen.BPFFsAbi) {
	buckets4, buckets6 := a.Buckets4*a.Workers, a.Buckets6*a.Workers
	for name, n := range map[string]uint32{
		"flows4": buckets4, "cold4": buckets4 * uint32(a.Bucket),
		"flows6": buckets6, "cold6": buckets6 * uint32(a.Bucket),
		"rings": a.Workers,
	} {
		spec.Maps[name].MaxEntries = n
	}
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// knobs are the values of bpf/config.h that differ from those written there.
func (o *Options) knobs(buckets4, buckets6 uint32) map[string]any {
	k := map[string]any{
		"fs_seed":         o.Seed,
		"fs_workers":      uint32(o.Rings),
		"fs_buckets4":     buckets4,
		"fs_buckets6":     buckets6,
		"fs_control_tcp":  uint8(o.TCP),
		"fs_control_udp":  uint8(o.UDP),
		"fs_key_vlan":     flag(o.KeyVLAN),
		"fs_key_tunnel":   flag(o.KeyTunnel),
		"fs_replay":       flag(o.Replay),
		"fs_wake_records": uint32(o.WakeRecords),
		"fs_wake_bytes":   uint64(o.WakeBytes),
	}
	if o.Decap != nil {
		k["fs_decap"] = o.decapMask()
	}
	if o.TunnelPorts != nil {
		k["fs_tunnel_ports"], k["fs_tunnel_port_mask"] = o.tunnelPorts()
	}
	return k
}

func (o *Options) decapMask() (mask uint32) {
	for _, kind := range o.Decap {
		mask |= 1 << kind
	}
	return mask
}

func (o *Options) tunnelPorts() (ports [maxTunnelPorts]gen.BPFFsTunnelPort, mask uint64) {
	for i, p := range o.TunnelPorts {
		ports[i] = gen.BPFFsTunnelPort{Port: p.Port, Kind: uint16(p.Kind)}
		mask |= 1 << (p.Port & 63)
	}
	return ports, mask
}

func (e *Engine) makeRings() error {
	for i := range e.opt.Rings {
		m, err := e.ringMap(i)
		if err != nil {
			return err
		}
		r, err := newRing(m, e.table, e.clock)
		if err != nil {
			return errors.Join(fmt.Errorf("map ring %d: %w", i, err), m.Close())
		}
		e.rings = append(e.rings, r)
		if err := e.coll.Maps["rings"].Put(uint32(i), m); err != nil {
			return fmt.Errorf("hand ring %d to the program: %w", i, err)
		}
	}
	return nil
}

// ringMap opens the ring that is pinned, with what waits in it, or makes one.
func (e *Engine) ringMap(i int) (*ebpf.Map, error) {
	if e.pins != nil && e.pins.has(ringName(i)) {
		return e.pins.open(ringName(i))
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(e.opt.RingSize)})
	if err != nil {
		return nil, fmt.Errorf("make ring %d of %d bytes: %w", i, e.opt.RingSize, err)
	}
	return m, nil
}

// Table returns the flow table.
func (e *Engine) Table() *Table { return e.table }

// Ring returns ring i of Rings.
func (e *Engine) Ring(i int) *Ring { return e.rings[i] }

// Rings returns how many rings there are.
func (e *Engine) Rings() int { return len(e.rings) }

// Memory returns the bytes of kernel memory that table and rings take.
func (e *Engine) Memory() int64 {
	n := tableMemory(&e.abi)
	for _, r := range e.rings {
		n += int64(r.mask + 1)
	}
	return n
}

// letGo detaches the program, unless it is to go on without us.
func (e *Engine) letGo(a *Attachment) error {
	if e.pins != nil && e.pins.kept {
		return a.link.Close()
	}
	return a.Detach()
}

// RunTime returns how often the program ran on ingress, and for how long in all. The kernel
// keeps both only while sysctl kernel.bpf_stats_enabled is 1, which costs some 45 ns a
// run.
func (e *Engine) RunTime() (runs uint64, total time.Duration, err error) {
	s, err := e.coll.Programs["flowscope_xdp"].Stats()
	if err != nil {
		return 0, 0, fmt.Errorf("read the program's statistics: %w", err)
	}
	return s.RunCount, s.Runtime, nil
}

// Close detaches the program and gives everything back. The table and the rings may
// not be used any more. It may be called once. Maps that were pinned when the engine was
// loaded, or since [Engine.Keep], stay so, with the programs that count in them, unless
// [Engine.Unpin] was called.
func (e *Engine) Close() error {
	var errs []error
	for _, a := range slices.Clone(e.attached) {
		errs = append(errs, e.letGo(a))
	}
	for _, r := range e.rings {
		errs = append(errs, r.close())
	}
	if e.table != nil {
		errs = append(errs, e.table.unmap())
	}
	errs = append(errs, e.spills.close())
	if e.coll != nil {
		e.coll.Close()
	}
	return errors.Join(append(errs, e.pins.close())...)
}
