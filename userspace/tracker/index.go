package tracker

// An index finds flows by the hash of their key: open addressing with linear
// probing, at most three quarters full. An entry holds 32 bits of the hash and the
// flow's slot + 1, so that a probe rarely has to look at the flow itself.
type index struct {
	entries []uint64 // a power of two of them; 0 is free
	used    int
}

const (
	minIndex = 64
	maxSlots = 1 << 30
)

// tag is the part of a hash that the index keeps and places by.
func tag(hash uint64) uint32 { return uint32(hash ^ hash>>32) }

// insert adds slot under hash. The same hash may be there more than once.
func (x *index) insert(hash uint64, slot uint32) {
	if x.used >= len(x.entries)/4*3 {
		x.grow()
	}
	x.used++
	x.put(uint64(tag(hash))<<32 | uint64(slot+1))
}

func (x *index) put(e uint64) {
	mask := uint32(len(x.entries) - 1)
	i := uint32(e>>32) & mask
	for x.entries[i] != 0 {
		i = (i + 1) & mask
	}
	x.entries[i] = e
}

func (x *index) grow() {
	old := x.entries
	x.entries = make([]uint64, max(minIndex, 2*len(old)))
	for _, e := range old {
		if e != 0 {
			x.put(e)
		}
	}
}

// remove takes slot out. Entries behind it move up, so that no probe ends early
// and none is ever longer than it has to be.
func (x *index) remove(hash uint64, slot uint32) {
	mask := uint32(len(x.entries) - 1)
	want := uint64(tag(hash))<<32 | uint64(slot+1)
	i := tag(hash) & mask
	for x.entries[i] != want {
		i = (i + 1) & mask
	}
	x.used--
	for j := i; ; {
		j = (j + 1) & mask
		e := x.entries[j]
		if e == 0 {
			break
		}
		if home := uint32(e>>32) & mask; (j-home)&mask >= (j-i)&mask {
			x.entries[i] = e
			i = j
		}
	}
	x.entries[i] = 0
}
