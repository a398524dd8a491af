package packet

import (
	"math/rand/v2"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// How LoopbackDedup is set.
const (
	loopbackWindow   = time.Millisecond
	loopbackCapacity = 256
)

// DefaultDedupCapacity is how many frames a Dedup with a window of its own usually
// remembers.
const DefaultDedupCapacity = 4096

// A Dedup finds frames that were captured twice. A frame is a duplicate if one of the
// last frames, as many as its capacity, had the same captured bytes and original
// length and is not more than the window older; an earlier time counts as inside. Every
// frame is remembered, duplicates too. It is for one goroutine.
//
// The one LoopbackDedup makes pairs frames instead where their direction is known: a
// frame going in is the copy of one that went out, each of one only, so that equal
// frames sent twice are two. The parts of a cooked header that say the direction are
// then not compared.
type Dedup struct {
	window  flow.Timestamp
	pairs   bool
	seed    uint64
	ring    []dedupFrame
	head, n int
	index   table[dedupKey]
	groups  []dedupGroup
	free    []int32
	dropped uint64
	bytes   uint64
}

// A dedupKey is what equal frames have in common.
type dedupKey struct {
	hash uint64
	size int
}

// A dedupFrame is one remembered frame.
type dedupFrame struct {
	group int32
	next  int32 // the next unpaired frame of its group and direction; -1: none
	time  flow.Timestamp
	dir   CaptureDir
	alone bool // waits for its copy
}

// A dedupGroup is all remembered frames of one key.
type dedupGroup struct {
	key         dedupKey
	newest      flow.Timestamp
	count       int
	first, last [2]int32 // unpaired frames, in and out
}

// NewDedup returns a Dedup with the given window that remembers capacity frames, at
// least one.
func NewDedup(window time.Duration, capacity int) *Dedup {
	capacity = max(1, capacity)
	d := &Dedup{
		window: flow.Timestamp(window), seed: rand.Uint64(), ring: make([]dedupFrame, capacity),
		// One more group than frames: a new frame has its group before the oldest goes.
		index: newTable[dedupKey](capacity + 1), groups: make([]dedupGroup, capacity+1), free: make([]int32, capacity+1),
	}
	for i := range d.free {
		d.free[i] = int32(capacity - i)
	}
	return d
}

// LoopbackDedup returns a Dedup for the two copies that an interface like lo shows of
// each frame: 1 ms, 256 frames, by direction where that is known.
func LoopbackDedup() *Dedup {
	d := NewDedup(loopbackWindow, loopbackCapacity)
	d.pairs = true
	return d
}

// Dropped returns how many frames were duplicates, DroppedBytes their wire lengths.
func (d *Dedup) Dropped() uint64 { return d.dropped }

// DroppedBytes returns the wire lengths of all duplicates.
func (d *Dedup) DroppedBytes() uint64 { return d.bytes }

// Buffered returns how many frames are remembered.
func (d *Dedup) Buffered() int { return d.n }

// Keep reports whether v is to be looked at; false means that it is a duplicate. It
// does not keep v.
func (d *Dedup) Keep(v *View) bool {
	dir := DirUnknown
	if d.pairs {
		dir = v.Direction()
	}
	key := dedupKey{hash: xxh3.HashSeed(sameBytes(v, dir), d.seed), size: v.WireLen()}
	g, i := d.group(&key)
	var copied bool
	if dir == DirUnknown {
		copied = g.count > 0 && v.Time.SaturatingSub(g.newest) <= time.Duration(d.window)
	} else {
		copied = d.pair(g, dir.other(), v.Time)
	}
	d.remember(g, dedupFrame{group: i, next: -1, time: v.Time, dir: dir, alone: dir != DirUnknown && !copied})
	if copied {
		d.dropped++
		d.bytes += uint64(key.size)
	}
	return !copied
}

// sameBytes returns what both copies of a frame have in common.
func sameBytes(v *View, dir CaptureDir) []byte {
	switch {
	case dir == DirUnknown:
	case v.LinkType == LinkSLL && len(v.Frame) >= sllLen:
		return v.Frame[2:]
	case v.LinkType == LinkSLL2 && len(v.Frame) >= sll2Len:
		return v.Frame[11:]
	}
	return v.Frame
}

// other returns the opposite of DirIn or DirOut.
func (d CaptureDir) other() CaptureDir { return DirIn + DirOut - d }

// group finds or makes the group of key.
func (d *Dedup) group(key *dedupKey) (*dedupGroup, int32) {
	place, i := d.index.find(key.hash, key)
	if i < 0 {
		i = d.free[len(d.free)-1]
		d.free = d.free[:len(d.free)-1]
		d.index.put(place, key.hash, key, i)
		d.groups[i] = dedupGroup{key: *key, first: [2]int32{-1, -1}, last: [2]int32{-1, -1}}
	}
	return &d.groups[i], i
}

// pair takes the oldest frame of g that goes in direction dir, waits for its copy and is
// inside the window. Older ones stop waiting.
func (d *Dedup) pair(g *dedupGroup, dir CaptureDir, now flow.Timestamp) bool {
	for {
		i := g.first[dir-DirIn]
		if i < 0 {
			return false
		}
		d.settle(g, i)
		if now.SaturatingSub(d.ring[i].time) <= time.Duration(d.window) {
			return true
		}
	}
}

// settle ends the wait of the frame at i, which is the first of its list.
func (d *Dedup) settle(g *dedupGroup, i int32) {
	f := &d.ring[i]
	f.alone = false
	list := f.dir - DirIn
	if g.first[list] = f.next; f.next < 0 {
		g.last[list] = -1
	}
}

// remember puts f into the ring, in the place of the oldest frame when that is full,
// and into its group.
func (d *Dedup) remember(g *dedupGroup, f dedupFrame) {
	g.count++ // before forget, which may not take g away
	if d.n == len(d.ring) {
		d.forget()
	}
	i := int32((d.head + d.n) % len(d.ring))
	d.n++
	d.ring[i] = f
	if g.count == 1 || f.time > g.newest {
		g.newest = f.time
	}
	if !f.alone {
		return
	}
	list := f.dir - DirIn
	if g.last[list] < 0 {
		g.first[list] = i
	} else {
		d.ring[g.last[list]].next = i
	}
	g.last[list] = i
}

// forget drops the oldest frame.
func (d *Dedup) forget() {
	f := &d.ring[d.head]
	g := &d.groups[f.group]
	if f.alone {
		d.settle(g, int32(d.head))
	}
	d.head = (d.head + 1) % len(d.ring)
	d.n--
	if g.count--; g.count == 0 {
		place, _ := d.index.find(g.key.hash, &g.key)
		d.index.remove(place)
		d.free = append(d.free, f.group)
	}
}
