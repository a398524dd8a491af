package packet

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Limits of following fragments.
const (
	defaultFragSize = 4096
	fragLifetime    = 30 * time.Second
)

// A FragKey names the datagram that a fragment is part of (RFC 791, RFC 8200 §4.5).
// Proto is 0 for IPv6, where it may differ between fragments. Context hashes kind and
// id of the tunnels around it.
type FragKey struct {
	Src, Dst  [16]byte
	ID        uint32
	Context   uint32
	Proto     flow.Proto
	IPVersion uint8
}

// FragKey returns the key of the datagram that the fragment p is part of.
func (p *Packet) FragKey() FragKey {
	k := FragKey{Src: p.Src, Dst: p.Dst, ID: p.Frag.ID, IPVersion: p.IPVersion, Context: p.context(false, true)}
	if p.IPVersion == 4 {
		k.Proto = p.Frag.Proto
	}
	return k
}

// Addrs returns the two addresses.
func (k *FragKey) Addrs() (src, dst netip.Addr) {
	return addr(k.IPVersion, &k.Src), addr(k.IPVersion, &k.Dst)
}

// An Account is what waiting fragments add to their flow.
type Account struct {
	Packets, Bytes, IPBytes, PayloadBytes uint64
	First, Last                           flow.Timestamp // smallest and largest packet time
	TTLMin, TTLMax                        uint8
}

// Add counts p.
func (a *Account) Add(p *Packet) {
	if a.Packets == 0 {
		a.First, a.Last, a.TTLMin, a.TTLMax = p.Time, p.Time, p.TTL, p.TTL
	}
	a.Packets++
	a.Bytes += uint64(p.WireLen)
	a.IPBytes += uint64(p.IPLen)
	a.PayloadBytes += uint64(p.PayloadLen)
	a.First, a.Last = min(a.First, p.Time), max(a.Last, p.Time)
	a.TTLMin, a.TTLMax = min(a.TTLMin, p.TTL), max(a.TTLMax, p.TTL)
}

// A FragVerdict says what becomes of a fragment.
type FragVerdict uint8

// The verdicts.
const (
	FragTracked FragVerdict = iota // part of a known flow: count it
	FragWaiting                    // its first is not here yet: it comes back in an Account, or in Expire
	FragOrphan                     // of no flow: flow.CauseFragmentOrphan
)

// Fragments lets later fragments follow the first of their datagram, which alone has
// ports. It holds Size datagrams, each for 30 s of packet time from its first
// fragment seen; a datagram that finds it full is not followed. A second first
// fragment replaces what the earlier one said. The zero value is ready; it is for one
// goroutine.
type Fragments struct {
	// Size is how many datagrams are held; 0 means 4096. It counts when the
	// first fragment comes.
	Size int

	entries []fragEntry // a ring: they age in the order they came
	head, n int
	index   table[FragKey]
	seed    maphash.Seed
	clock   flow.Timestamp
	full    uint64

	orphanPackets, orphanBytes uint64
}

// A fragEntry is one datagram.
type fragEntry struct {
	key       FragKey
	start     flow.Timestamp
	waiting   Account
	proto     flow.Proto
	sport     uint16
	dport     uint16
	icmpType  uint8
	icmpCode  uint8
	haveFirst bool
}

// Follow takes the fragment p. A later one of a datagram whose first was seen gets
// the protocol, ports and ICMP fields of that, so that it has the same key. The
// Account, which comes with a first fragment, is what waited for it and is to be added
// to the flow too.
func (f *Fragments) Follow(p *Packet) (Account, FragVerdict) {
	if f.entries == nil {
		f.entries = make([]fragEntry, cmp.Or(f.Size, defaultFragSize))
		f.index, f.seed = newTable[FragKey](len(f.entries)), maphash.MakeSeed()
	}
	f.clock = max(f.clock, p.Time)
	f.age()
	e := f.entry(p)
	switch first := p.Frag.Offset == 0; {
	case e == nil && first:
		return Account{}, FragTracked
	case e == nil:
		return Account{}, FragOrphan
	case first:
		e.haveFirst = true
		e.proto, e.sport, e.dport, e.icmpType, e.icmpCode = p.Proto, p.SrcPort, p.DstPort, p.ICMPType, p.ICMPCode
		waited := e.waiting
		e.waiting = Account{}
		return waited, FragTracked
	case !e.haveFirst:
		e.waiting.Add(p)
		return Account{}, FragWaiting
	}
	p.Proto, p.SrcPort, p.DstPort, p.ICMPType, p.ICMPCode = e.proto, e.sport, e.dport, e.icmpType, e.icmpCode
	return Account{}, FragTracked
}

// entry returns the entry of p's datagram, a new one if there is none, or nil when
// there is no room for that.
func (f *Fragments) entry(p *Packet) *fragEntry {
	key := p.FragKey()
	hash := maphash.Comparable(f.seed, key)
	place, i := f.index.find(hash, &key)
	if i >= 0 {
		return &f.entries[i]
	}
	if f.n == len(f.entries) {
		f.full++
		return nil
	}
	i = int32((f.head + f.n) % len(f.entries))
	f.n++
	f.entries[i] = fragEntry{key: key, start: f.clock}
	f.index.put(place, hash, &key, i)
	return &f.entries[i]
}

// age removes the datagrams that have had their time.
func (f *Fragments) age() {
	for f.n > 0 {
		e := &f.entries[f.head]
		if f.clock.SaturatingSub(e.start) < fragLifetime {
			return
		}
		f.orphanPackets += e.waiting.Packets
		f.orphanBytes += e.waiting.Bytes
		place, _ := f.index.find(maphash.Comparable(f.seed, e.key), &e.key)
		f.index.remove(place)
		f.head = (f.head + 1) % len(f.entries)
		f.n--
	}
}

// Expire moves the clock to now, which is flow.MaxTimestamp at the end of the input,
// and returns how many packets and bytes became orphans since it was last called:
// later fragments whose first never came. Those that Follow refused are not in it.
func (f *Fragments) Expire(now flow.Timestamp) (packets, bytes uint64) {
	f.clock = max(f.clock, now)
	f.age()
	packets, bytes = f.orphanPackets, f.orphanBytes
	f.orphanPackets, f.orphanBytes = 0, 0
	return packets, bytes
}

// Len returns how many datagrams are followed.
func (f *Fragments) Len() int { return f.n }

// Full returns how many fragments came when there was no room for their datagram.
func (f *Fragments) Full() uint64 { return f.full }
