package packet

// A table maps keys to small numbers without allocating after it was made: open
// addressing, linear probing, deletion by shifting back. It must be made for twice as
// many entries as it will hold.
type table[K comparable] struct {
	slots []slot[K]
}

// A slot is empty when ref is 0; otherwise it holds the number ref-1.
type slot[K comparable] struct {
	key  K
	home uint32 // where the key's hash points
	ref  int32
}

// newTable makes a table for n entries.
func newTable[K comparable](n int) table[K] {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return table[K]{slots: make([]slot[K], size)}
}

// home returns where hash points.
func (t *table[K]) home(hash uint64) uint32 {
	return uint32(hash) & uint32(len(t.slots)-1)
}

// find returns the number of k, or the place where put may store it and -1.
func (t *table[K]) find(hash uint64, k *K) (place uint32, n int32) {
	mask := uint32(len(t.slots) - 1)
	for place = t.home(hash); ; place = (place + 1) & mask {
		s := &t.slots[place]
		if s.ref == 0 || s.key == *k {
			return place, s.ref - 1
		}
	}
}

// put stores n for k at the place that find just returned.
func (t *table[K]) put(place uint32, hash uint64, k *K, n int32) {
	t.slots[place] = slot[K]{key: *k, home: t.home(hash), ref: n + 1}
}

// remove empties the place of a key that find returned, and closes the gap.
func (t *table[K]) remove(place uint32) {
	mask := uint32(len(t.slots) - 1)
	hole := place
	for i := (hole + 1) & mask; t.slots[i].ref != 0; i = (i + 1) & mask {
		// The entry at i may move back to hole unless its home lies behind hole.
		if (i-t.slots[i].home)&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole].ref = 0
}
