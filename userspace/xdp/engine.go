package xdp

import (
	"errors"
	"fmt"
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
	if err := e.opt.configure(spec); err != nil {
		return err
	}
	if e.coll, err = ebpf.NewCollection(spec); err != nil {
		return err
	}
	if e.table, err = newTable(e.coll.Maps, e.clock, spread{e.opt.Seed, uint32(e.opt.Rings)}); err != nil {
		return err
	}
	if e.spills, err = newSpills(e.coll, spec.Maps["spill_accounts"].Copy()); err != nil {
		return err
	}
	return e.makeRings()
}

// configure sets sizes and knobs.
func (o *Options) configure(spec *ebpf.CollectionSpec) error {
	b4, b6 := buckets(o.MaxFlows, o.Rings), buckets(o.MaxIPv6Flows, o.Rings)
	for name, n := range map[string]int{
		"flows4": b4 * o.Rings, "cold4": b4 * o.Rings * bucketPlaces,
		"flows6": b6 * o.Rings, "cold6": b6 * o.Rings * bucketPlaces,
		"rings": o.Rings, "spill_accounts": o.SpillFlows,
	} {
		spec.Maps[name].MaxEntries = uint32(n)
	}
	spec.Maps["spill"].InnerMap.MaxEntries = uint32(o.SpillFlows)
	for name, v := range o.knobs(uint32(b4), uint32(b6)) {
		if err := spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
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
		m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(e.opt.RingSize)})
		if err != nil {
			return fmt.Errorf("make ring %d of %d bytes: %w", i, e.opt.RingSize, err)
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

// Table returns the flow table.
func (e *Engine) Table() *Table { return e.table }

// Ring returns ring i of Rings.
func (e *Engine) Ring(i int) *Ring { return e.rings[i] }

// Rings returns how many rings there are.
func (e *Engine) Rings() int { return len(e.rings) }

// Memory returns the bytes of kernel memory that table and rings take.
func (e *Engine) Memory() int64 {
	return e.opt.tableMemory() + int64(len(e.rings)*e.opt.RingSize)
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
// not be used any more. It may be called once.
func (e *Engine) Close() error {
	var errs []error
	for _, a := range slices.Clone(e.attached) {
		errs = append(errs, a.Detach())
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
	return errors.Join(errs...)
}
