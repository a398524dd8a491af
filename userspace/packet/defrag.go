package packet

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Limits of putting datagrams together.
const (
	maxPieces      = 64       // fragments of a datagram that bring something
	defragMemory   = 16 << 20 // buffers of all datagrams
	minDefragClass = 11       // the smallest buffer has 2 KiB
	recentWholes   = 256      // datagrams remembered after they were complete
	defragClasses  = 16 - minDefragClass + 1
)

// A Fragment is one IP fragment as plain values, as either engine has it.
type Fragment struct {
	Key    FragKey
	Proto  flow.Proto // what the datagram begins with; that of the first fragment counts
	Offset int        // of the data in the datagram
	More   bool
	Len    int    // length of the data by the headers
	Data   []byte // the captured part, not kept
	Time   flow.Timestamp
}

// Fragment returns p, which is a fragment of frame, as Defrag wants it.
func (p *Packet) Fragment(frame []byte) Fragment {
	start, end := min(p.Frag.Start, len(frame)), p.IPOff+p.IPLen
	return Fragment{
		Key: p.FragKey(), Proto: p.Frag.Proto, Offset: int(p.Frag.Offset), More: p.Frag.More,
		Len: end - p.Frag.Start, Data: frame[start:min(end, len(frame))], Time: p.Time,
	}
}

// A DefragVerdict says what a fragment did to its datagram.
type DefragVerdict uint8

// The verdicts.
const (
	DefragWaiting  DefragVerdict = iota // more is needed
	DefragComplete                      // the datagram is whole
	DefragOverlap                       // fragments contradict each other: report it, once
	DefragLost                          // given up: a limit, a fragment cut by the snaplen, or an earlier overlap
)

// A Datagram is what fragments made up.
type Datagram struct {
	Key   FragKey
	Proto flow.Proto // what Data begins with: L4, or for IPv6 perhaps extension headers
	Data  []byte     // valid until the next call
	Time  flow.Timestamp
	// Conflict is how many bytes fragments disagree about, or for IPv6 overlap;
	// with DefragOverlap.
	Conflict int
	// Copy is set for a lost datagram of which nothing came but copies of fragments
	// of one that was complete: nothing is missing.
	Copy bool
}

// Defrag puts the payload of fragmented datagrams together. Where fragments overlap
// with equal bytes that is fine for IPv4; different bytes, and for IPv6 any overlap
// but an exact copy (RFC 5722, RFC 8200 §4.5), drop the datagram, and so does data behind
// its end. It holds Size datagrams of up to 64 fragments, each for 30 s from its
// first fragment seen, and 16 MiB of buffers in all. The zero value is ready; it is
// for one goroutine.
type Defrag struct {
	// Size is how many datagrams are held; 0 means 4096. It counts when the
	// first fragment comes.
	Size int
	// OnLost, if not nil, is called for every datagram that a limit, a cut
	// fragment or its age made impossible to complete. Data is what is there
	// from its beginning, valid during the call.
	OnLost func(Datagram)

	entries  []datagram
	free     []int32
	old, new int32 // list by age; -1 ends it
	index    table[FragKey]
	seed     maphash.Seed
	clock    flow.Timestamp
	pool     [defragClasses][][]byte
	held     int // bytes of buffers in use
	pooled   int // bytes of buffers in pool
	lost     uint64
	done     []byte // buffer of the datagram handed out last
	recent   [recentWholes]whole
}

// A whole is what is remembered of a datagram that was complete: what its fragments
// were, in hashes.
type whole struct {
	key       FragKey
	at        flow.Timestamp // when it was complete
	fragments int
	sums      [maxPieces]uint32
}

// A datagram is one being put together.
type datagram struct {
	key        FragKey
	start      flow.Timestamp
	prev, next int32
	buf        []byte
	size       int              // where it ends; -1 before the last fragment came
	have       int              // bytes in buf that are there
	top        int              // end of the last byte that is there
	pieces     [maxPieces]piece // disjoint, unordered; n of them
	n          int
	fragments  int               // that brought something
	sums       [maxPieces]uint32 // of them
	proto      flow.Proto
	dead       bool
	copy       bool // all of them are copies of those of an earlier datagram
}

// A piece is a range of bytes that is there: what one fragment brought, or several
// that overlap.
type piece struct{ off, end uint16 }

// Insert takes one fragment. With DefragComplete the Datagram is whole; with
// DefragOverlap its Key and Conflict say what is wrong.
func (d *Defrag) Insert(f *Fragment) (Datagram, DefragVerdict) {
	d.prepare()
	d.clock = max(d.clock, f.Time)
	d.age()
	g, i := d.datagram(&f.Key)
	if g == nil || g.dead {
		return Datagram{}, DefragLost
	}
	if f.Offset == 0 {
		g.proto = f.Proto
	}
	conflict, fresh := g.check(f)
	switch {
	case conflict > 0:
		g.dead = true
		d.lost++
		d.drop(g)
		return Datagram{Key: f.Key, Time: f.Time, Conflict: conflict}, DefragOverlap
	case !fresh:
		return Datagram{}, DefragWaiting
	case len(f.Data) < f.Len || f.Offset+f.Len > maxDatagram || g.fragments == maxPieces || !d.room(g, f.Offset+f.Len):
		g.copy = false
		d.giveUp(g)
		return Datagram{}, DefragLost
	}
	sum := d.sum(f)
	g.copy = g.copy && d.whole(&g.key).has(sum)
	g.sums[g.fragments] = sum
	g.take(f)
	if g.have != g.size {
		return Datagram{}, DefragWaiting
	}
	*d.whole(&g.key) = whole{g.key, f.Time, g.fragments, g.sums}
	whole := Datagram{Key: g.key, Proto: g.proto, Data: g.buf[:g.size], Time: f.Time}
	d.done, g.buf = g.buf, nil
	d.remove(i)
	return whole, DefragComplete
}

// sum is a hash of what f says.
func (d *Defrag) sum(f *Fragment) uint32 {
	h := maphash.Bytes(d.seed, f.Data) ^ uint64(f.Offset)<<1
	if f.More {
		h ^= 1
	}
	return uint32(h ^ h>>32)
}

// whole returns where the datagram of k is remembered, which may be by another one's
// name.
func (d *Defrag) whole(k *FragKey) *whole {
	return &d.recent[maphash.Comparable(d.seed, *k)%recentWholes]
}

// has reports whether a fragment was part of w.
func (w *whole) has(sum uint32) bool { return slices.Contains(w.sums[:w.fragments], sum) }

// prepare makes the tables at first, and takes back the buffer handed out last.
func (d *Defrag) prepare() {
	if d.entries == nil {
		n := cmp.Or(d.Size, defaultFragSize)
		d.entries, d.free = make([]datagram, n), make([]int32, n)
		for i := range d.free {
			d.free[i] = int32(n - 1 - i)
		}
		d.old, d.new = -1, -1
		d.index, d.seed = newTable[FragKey](n), maphash.MakeSeed()
	}
	if d.done != nil {
		d.release(d.done)
		d.done = nil
	}
}

// datagram finds or makes the entry of k; it returns nil when there is no room.
func (d *Defrag) datagram(k *FragKey) (*datagram, int32) {
	hash := maphash.Comparable(d.seed, *k)
	place, i := d.index.find(hash, k)
	if i >= 0 {
		return &d.entries[i], i
	}
	if len(d.free) == 0 {
		d.lost++
		return nil, 0
	}
	i = d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	d.index.put(place, hash, k, i)
	g := &d.entries[i]
	g.key, g.start, g.prev, g.next = *k, d.clock, d.new, -1
	g.size, g.have, g.top, g.n, g.fragments, g.proto, g.dead = -1, 0, 0, 0, 0, k.Proto, false
	w := d.whole(k)
	g.copy = w.key == *k && d.clock.SaturatingSub(w.at) < fragLifetime
	if d.new >= 0 {
		d.entries[d.new].next = i
	} else {
		d.old = i
	}
	d.new = i
	return g, i
}

// remove forgets the datagram at i.
func (d *Defrag) remove(i int32) {
	g := &d.entries[i]
	if g.prev >= 0 {
		d.entries[g.prev].next = g.next
	} else {
		d.old = g.next
	}
	if g.next >= 0 {
		d.entries[g.next].prev = g.prev
	} else {
		d.new = g.prev
	}
	place, _ := d.index.find(maphash.Comparable(d.seed, g.key), &g.key)
	d.index.remove(place)
	d.drop(g)
	d.free = append(d.free, i)
}

// age removes what has had its time.
func (d *Defrag) age() {
	for d.old >= 0 && d.clock.SaturatingSub(d.entries[d.old].start) >= fragLifetime {
		if g := &d.entries[d.old]; !g.dead {
			d.giveUp(g)
		}
		d.remove(d.old)
	}
}

// giveUp ends g without its payload but remembers it, so that its other fragments
// change nothing.
func (d *Defrag) giveUp(g *datagram) {
	if !g.copy {
		d.lost++
	}
	g.dead = true
	if d.OnLost != nil {
		d.OnLost(Datagram{Key: g.key, Proto: g.proto, Data: g.prefix(), Time: d.clock, Copy: g.copy})
	}
	d.drop(g)
}

// prefix returns what is there from the beginning.
func (g *datagram) prefix() []byte {
	end := 0
	for i := 0; i < g.n; i++ {
		if p := g.pieces[i]; int(p.off) <= end && int(p.end) > end {
			end, i = int(p.end), -1
		}
	}
	return g.buf[:end]
}

// check compares f with what is there. It returns how many bytes contradict, and
// whether f brings any that are not there yet.
func (g *datagram) check(f *Fragment) (conflict int, fresh bool) {
	if n := g.beyond(f); n > 0 {
		return n, false
	}
	covered, exact := 0, false
	for _, p := range g.pieces[:g.n] {
		if off, end := max(int(p.off), f.Offset), min(int(p.end), f.Offset+f.Len); off < end {
			covered += end - off
			conflict += g.differ(f, off, end)
			exact = int(p.off) == f.Offset && int(p.end) == f.Offset+f.Len
		}
	}
	if conflict == 0 && covered > 0 && g.key.IPVersion == 6 && !exact {
		return covered, false
	}
	return conflict, covered < f.Len || !f.More && g.size < 0
}

// beyond returns how many bytes lie behind an end that f or an earlier fragment set.
func (g *datagram) beyond(f *Fragment) int {
	end := f.Offset + f.Len
	switch {
	case g.size >= 0 && end > g.size:
		return end - g.size
	case g.size >= 0 && !f.More:
		return g.size - end
	case g.size < 0 && !f.More:
		return g.top - end
	}
	return 0
}

// differ counts the bytes of f from off to stop that are not those that are there.
func (g *datagram) differ(f *Fragment, off, stop int) int {
	stop = min(stop, f.Offset+len(f.Data))
	if off >= stop || bytes.Equal(g.buf[off:stop], f.Data[off-f.Offset:stop-f.Offset]) {
		return 0
	}
	n := 0
	for i := off; i < stop; i++ {
		if g.buf[i] != f.Data[i-f.Offset] {
			n++
		}
	}
	return n
}

// take copies f, which does not contradict what is there.
func (g *datagram) take(f *Fragment) {
	end := f.Offset + f.Len
	mine := piece{uint16(f.Offset), uint16(end)}
	if !f.More {
		g.size = end
	}
	copy(g.buf[f.Offset:end], f.Data)
	g.top = max(g.top, end)
	g.fragments++
	n := 0
	for _, p := range g.pieces[:g.n] {
		if p.off < mine.end && mine.off < p.end {
			g.have -= int(p.end - p.off)
			mine = piece{min(p.off, mine.off), max(p.end, mine.end)}
			continue
		}
		g.pieces[n] = p
		n++
	}
	g.have += int(mine.end - mine.off)
	g.pieces[n] = mine
	g.n = n + 1
}

// room sees to it that g's buffer holds size bytes.
func (d *Defrag) room(g *datagram, size int) bool {
	if size <= len(g.buf) {
		return true
	}
	buf := d.buffer(size)
	if buf == nil {
		return false
	}
	copy(buf, g.buf[:g.top])
	d.drop(g)
	g.buf = buf
	return true
}

// class returns the pool that buffers for size bytes come from.
func class(size int) int { return max(0, bits.Len(uint(size-1))-minDefragClass) }

// buffer returns a buffer of at least size bytes, or nil when the memory is used up.
func (d *Defrag) buffer(size int) []byte {
	c := class(size)
	size = 1 << (c + minDefragClass)
	if d.held+size > defragMemory {
		return nil
	}
	d.held += size
	if n := len(d.pool[c]); n > 0 {
		buf := d.pool[c][n-1]
		d.pool[c] = d.pool[c][:n-1]
		d.pooled -= size
		return buf
	}
	if d.held+d.pooled > defragMemory {
		d.pool, d.pooled = [defragClasses][][]byte{}, 0
	}
	return make([]byte, size)
}

// drop gives g's buffer back.
func (d *Defrag) drop(g *datagram) {
	if g.buf != nil {
		d.release(g.buf)
		g.buf = nil
	}
}

// release puts a buffer into its pool.
func (d *Defrag) release(buf []byte) {
	c := class(len(buf))
	d.pool[c] = append(d.pool[c], buf)
	d.held -= len(buf)
	d.pooled += len(buf)
}

// Expire moves the clock to now and forgets what has had its time.
func (d *Defrag) Expire(now flow.Timestamp) {
	d.prepare()
	d.clock = max(d.clock, now)
	d.age()
}

// Len returns how many datagrams are not complete, those given up among them.
func (d *Defrag) Len() int { return len(d.entries) - len(d.free) }

// Held returns the bytes of memory that datagrams take.
func (d *Defrag) Held() int { return d.held }

// Lost returns how many datagrams were given up or never completed, and how many
// fragments found no place for theirs.
func (d *Defrag) Lost() uint64 { return d.lost }
