package xdp

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A spread says where the program looks for the place of a key: see bpf/table.h.
type spread struct {
	seed    uint64
	workers uint32
}

func mix(a, b uint64) uint64 {
	h := (a ^ 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	h ^= h >> 32
	h = (h ^ b) * 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

// idOf is the identity word of k's lines, without the state.
func idOf(k *flow.Key) uint64 {
	return uint64(k.HiPort)<<gen.BPFFsIdFS_ID_HI_PORT_SHIFT | uint64(k.LoPort)<<gen.BPFFsIdFS_ID_LO_PORT_SHIFT |
		uint64(k.Proto)<<gen.BPFFsIdFS_ID_PROTO_SHIFT | uint64(k.Context)<<gen.BPFFsIdFS_ID_CONTEXT_SHIFT
}

func (s *spread) hash(k *flow.Key) uint64 {
	native := binary.NativeEndian
	if k.IPVersion == 4 {
		addrs := uint64(native.Uint32(k.Hi[12:]))<<32 | uint64(native.Uint32(k.Lo[12:]))
		return mix(addrs^s.seed, idOf(k))
	}
	return mix(mix(native.Uint64(k.Lo[:])^s.seed, native.Uint64(k.Lo[8:])),
		mix(native.Uint64(k.Hi[:]), native.Uint64(k.Hi[8:]))^idOf(k))
}

// buckets returns the two buckets of k, of a table with each for each worker.
func (s *spread) buckets(k *flow.Key, each uint32) [2]uint32 {
	h, workers := s.hash(k), uint64(s.workers)
	base := uint32(h>>32*workers>>32) * each
	in := func(rest uint32) uint32 { return base + uint32(uint64(rest)*uint64(each)>>32) }
	return [2]uint32{in(uint32(h >> 32 * workers)), in(uint32(h))}
}

// Oldest returns the flow that is longest silent of those in the places that k may have. It
// reports false if one of these is free, or will be once a killed flow is freed.
func (t *Table) Oldest(k flow.Key) (Handle, bool) {
	first, n := 0, len(t.p4)
	if k.IPVersion != 4 {
		first, n = len(t.p4), len(t.p6)
	}
	each := uint32(n / bucketPlaces / int(t.spread.workers))
	var oldest Handle
	last := flow.Timestamp(math.MaxInt64)
	for _, b := range t.spread.buckets(&k, each) {
		for i := range bucketPlaces {
			slot := uint32(first + int(b)*bucketPlaces + i)
			p := Place{t, slot, t.at(slot)}
			if atomic.LoadUint64(p.p.id[0])&uint64(gen.BPFFsIdFS_ID_STATE) != uint64(gen.BPFFsIdFS_ID_LIVE) || p.Dead() {
				return Handle{}, false
			}
			if at := p.Last(); at < last {
				oldest, last = p.Handle(), at
			}
		}
	}
	return oldest, true
}
