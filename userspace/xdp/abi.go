package xdp

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/gen"
)

// ABIVersion is the version of the structures shared with the kernel and with readers
// of pinned maps.
const ABIVersion = int(gen.BPFFsAbiVersionFS_ABI_VERSION)

// loaderName is how we sign the maps that we make.
const loaderName = "flowscope-xdp"

// abi is what the abi map says of the maps that filled options ask for.
func (o *Options) abi() gen.BPFFsAbi {
	a := gen.BPFFsAbi{
		Version: uint32(ABIVersion), Clock: unix.CLOCK_MONOTONIC, Seed: o.Seed,
		Workers:  uint32(o.Rings),
		Buckets4: uint32(buckets(o.MaxFlows, o.Rings)), Buckets6: uint32(buckets(o.MaxIPv6Flows, o.Rings)),
		Bucket: uint16(bucketPlaces), Counters: uint16(gen.BPFFsCounterFS_COUNTERS),
		Place4: sizeOf[gen.BPFFsPlace4](), Place6: sizeOf[gen.BPFFsPlace6](), Cold: sizeOf[gen.BPFFsCold](),
		FlowKey: sizeOf[gen.BPFFsFlowKey](), Spill: sizeOf[gen.BPFFsSpill](), Tally: sizeOf[gen.BPFFsTally](),
		Ledger: sizeOf[gen.BPFFsLedger](), Record: sizeOf[gen.BPFFsRecord](),
		Start: sizeOf[gen.BPFFsStart](), Fragment: sizeOf[gen.BPFFsFragment](),
	}
	copy(a.Loader[:], loaderName)
	return a
}

func sizeOf[T any]() uint16 { return uint16(unsafe.Sizeof(*new(T))) }

// loader returns who made the maps.
func loader(a *gen.BPFFsAbi) string {
	name, _, _ := bytes.Cut(a.Loader[:], []byte{0})
	return strings.ToValidUTF8(string(name), "?")
}

// checkABI compares what maps say of themselves with what this program has. The error
// names the first difference.
func checkABI(a *gen.BPFFsAbi) error {
	ours := (&Options{Rings: 1, MaxFlows: 1, MaxIPv6Flows: 1}).abi()
	switch {
	case a.Version == 0:
		return fmt.Errorf("the maps of %q are not complete yet", loader(a))
	case a.Version != ours.Version:
		return fmt.Errorf("the maps of %q have ABI version %d, this program has %d", loader(a), a.Version, ours.Version)
	case a.Clock != ours.Clock:
		return fmt.Errorf("the maps of %q have times of clock %d, this program reads those of %d (CLOCK_MONOTONIC)", loader(a), a.Clock, ours.Clock)
	case a.Workers == 0 || a.Workers > maxRings || a.Buckets4 == 0 || a.Buckets6 == 0:
		return fmt.Errorf("the maps of %q have %d regions of %d and %d buckets: need some", loader(a), a.Workers, a.Buckets4, a.Buckets6)
	}
	theirs, mine := reflect.ValueOf(*a), reflect.ValueOf(ours)
	for i := range theirs.NumField() {
		f := theirs.Type().Field(i)
		if f.Type.Kind() == reflect.Uint16 && theirs.Field(i).Uint() != mine.Field(i).Uint() {
			return fmt.Errorf("the maps of %q have another layout: %s is %d there, %d in this program",
				loader(a), strings.ToLower(f.Name), theirs.Field(i).Uint(), mine.Field(i).Uint())
		}
	}
	return nil
}

// tableMemory returns the bytes that the flow table takes.
func tableMemory(a *gen.BPFFsAbi) int64 {
	places := int64(a.Workers) * int64(a.Bucket)
	return places * (int64(a.Buckets4)*ipv4PlaceBytes + int64(a.Buckets6)*ipv6PlaceBytes)
}

// readABI reads the abi map, whoever made it.
func readABI(m *ebpf.Map) (a gen.BPFFsAbi, err error) {
	b, err := m.LookupBytes(uint32(0))
	if err != nil {
		return a, fmt.Errorf("read the abi map: %w", err)
	}
	// A longer one is of another version: what comes first says which.
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&a)), unsafe.Sizeof(a)), b)
	return a, nil
}

// writeABI fills the abi map: last of all the version, which makes it valid.
func writeABI(t *Table, m *ebpf.Map, a gen.BPFFsAbi) error {
	l, err := mapArray[gen.BPFFsAbi](t, m, 1)
	if err != nil {
		return err
	}
	version := a.Version
	a.Version = 0
	l[0] = a
	atomic.StoreUint32(&l[0].Version, version)
	return nil
}
