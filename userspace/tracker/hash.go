package tracker

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// secrets key the hash of a [flow.Key], so that nobody outside can aim at one
// place of the index.
type secrets [6]uint64

// fixedSecrets make the part of a flow's ID that comes from its key. They are
// the same in every run, so that IDs are.
var fixedSecrets = secrets{
	0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
	0xd6e8feb86659fd93, 0xa0761d6478bd642f, 0xe7037ed1a0b428db,
}

// newSecrets draws random ones.
func newSecrets() (s secrets) {
	seed := maphash.MakeSeed()
	for i := range s {
		s[i] = maphash.Comparable(seed, i)
	}
	return s
}

// hashKey hashes k under s. A key is the same for both directions of a flow, so
// the hash is too.
func hashKey(k *flow.Key, s *secrets) uint64 {
	ports := uint64(k.LoPort) | uint64(k.HiPort)<<16 | uint64(k.Proto)<<32 | uint64(k.IPVersion)<<40
	if k.Directional {
		ports |= 1 << 48
	}
	ids := uint64(k.FlowLabel) | uint64(k.Context)<<32
	h := fold(binary.LittleEndian.Uint64(k.Lo[:8])^s[0], binary.LittleEndian.Uint64(k.Lo[8:])^s[1])
	h ^= bits.RotateLeft64(fold(binary.LittleEndian.Uint64(k.Hi[:8])^s[2], binary.LittleEndian.Uint64(k.Hi[8:])^s[3]), 21)
	return h ^ fold(ports^s[4], ids^s[5])
}

// fold multiplies and joins the halves of the product.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix spreads every bit of x over the result, one to one (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unmix is the inverse of mix.
func unmix(x uint64) uint64 {
	x = (x ^ x>>31 ^ x>>62) * 0x319642b2d24d8ec3
	x = (x ^ x>>27 ^ x>>54) * 0x96de1b173f119089
	return (x ^ x>>30 ^ x>>60) - 0x9e3779b97f4a7c15
}

// hashers returns the hash for the index and the one for IDs. The latter is nil
// when nothing gives the same value in every run.
func hashers[K comparable](own func(K) uint64) (index, id func(*K) uint64) {
	if own != nil {
		h := func(k *K) uint64 { return own(*k) }
		return h, h
	}
	s := newSecrets()
	if h, ok := any(func(k *flow.Key) uint64 { return hashKey(k, &s) }).(func(*K) uint64); ok {
		id, _ := any(func(k *flow.Key) uint64 { return hashKey(k, &fixedSecrets) }).(func(*K) uint64)
		return h, id
	}
	seed := maphash.MakeSeed()
	return func(k *K) uint64 { return maphash.Comparable(seed, *k) }, nil
}
