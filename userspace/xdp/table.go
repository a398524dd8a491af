package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Handle names a flow in the table: its place, and which of the flows that had the
// place. Slots count from 0: those of IPv4, then those of IPv6.
type Handle struct{ Slot, Generation uint32 }

// Control bits tell the program what to do with the packets of one direction of a flow.
type Control uint8

// The control bits. Each is set by user space and obeyed from the next packet on.
const (
	// NoPayload leaves the payload out of records.
	NoPayload = Control(gen.BPFFsControlFS_CTL_NO_PAYLOAD)
	// Quiet leaves out records other than those about opening, closing, and what
	// a history notes.
	Quiet = Control(gen.BPFFsControlFS_CTL_QUIET)
	// Closed says that the session is over: every packet gives a record, and a SYN
	// with another sequence number than the first begins a new flow.
	Closed = Control(gen.BPFFsControlFS_CTL_CLOSED)
)

const dead = 1 << 63 // FS_DEAD of bpf/abi.h

// A Table is the kernel's flow table, in this process's memory.
type Table struct {
	p4       []gen.BPFFsPlace4
	p6       []gen.BPFFsPlace6
	c4, c6   []gen.BPFFsCold
	mappings [][]byte
	clock    *clock
	spread   spread
	readOnly bool
}

func newTable(maps map[string]*ebpf.Map, c *clock, s spread, readOnly bool) (*Table, error) {
	t := &Table{clock: c, spread: s, readOnly: readOnly}
	var err error
	if t.p4, err = mapArray[gen.BPFFsPlace4](t, maps["flows4"], bucketPlaces); err != nil {
		return nil, errors.Join(err, t.unmap())
	}
	if t.p6, err = mapArray[gen.BPFFsPlace6](t, maps["flows6"], bucketPlaces); err != nil {
		return nil, errors.Join(err, t.unmap())
	}
	if t.c4, err = mapArray[gen.BPFFsCold](t, maps["cold4"], 1); err != nil {
		return nil, errors.Join(err, t.unmap())
	}
	if t.c6, err = mapArray[gen.BPFFsCold](t, maps["cold6"], 1); err != nil {
		return nil, errors.Join(err, t.unmap())
	}
	return t, nil
}

// mapArray maps an array map whose values hold each elements of type E.
func mapArray[E any](t *Table, m *ebpf.Map, each int) ([]E, error) {
	n := int(m.MaxEntries()) * each
	size := n * int(unsafe.Sizeof(*new(E)))
	page, access := os.Getpagesize(), unix.PROT_READ
	if !t.readOnly {
		access |= unix.PROT_WRITE
	}
	b, err := unix.Mmap(m.FD(), 0, (size+page-1)/page*page, access, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of the flow table: %w", size, err)
	}
	t.mappings = append(t.mappings, b)
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}

func (t *Table) unmap() error {
	var errs []error
	for _, b := range t.mappings {
		errs = append(errs, unix.Munmap(b))
	}
	*t = Table{}
	return errors.Join(errs...)
}

// Places returns how many places there are: Handle.Slot is always less.
func (t *Table) Places() int { return len(t.p4) + len(t.p6) }

// slot turns the kernel's name of a place into ours.
func (t *Table) slot(s uint32) uint32 {
	if s&uint32(gen.BPFFsSlotFS_SLOT_IPV6) != 0 {
		return uint32(len(t.p4)) + s&^uint32(gen.BPFFsSlotFS_SLOT_IPV6)
	}
	return s
}

// kernelSlot turns our name of a place into the kernel's.
func (t *Table) kernelSlot(s uint32) uint32 {
	if i := int(s) - len(t.p4); i >= 0 {
		return uint32(i) | uint32(gen.BPFFsSlotFS_SLOT_IPV6)
	}
	return s
}

// A place is one slot's memory.
type place struct {
	id     [2]*uint64
	counts [2]*gen.BPFFsCounts
	cold   *gen.BPFFsCold
}

func (t *Table) at(slot uint32) place {
	if i := int(slot); i < len(t.p4) {
		d := &t.p4[i].Dir
		return place{[2]*uint64{&d[0].Id, &d[1].Id}, [2]*gen.BPFFsCounts{&d[0].Counts, &d[1].Counts}, &t.c4[i]}
	}
	i := int(slot) - len(t.p4)
	d := &t.p6[i].Dir
	return place{[2]*uint64{&d[0].Id, &d[1].Id}, [2]*gen.BPFFsCounts{&d[0].Counts, &d[1].Counts}, &t.c6[i]}
}

// live reports whether the place holds the flow of h.
func (p *place) live(h Handle) bool {
	return atomic.LoadUint64(p.id[0])&uint64(gen.BPFFsIdFS_ID_STATE) == uint64(gen.BPFFsIdFS_ID_LIVE) &&
		atomic.LoadUint32(&p.cold.Generation) == h.Generation
}

// word is the 32-bit word that flags, control, TTL and pace share.
func word(c *gen.BPFFsCounts) *uint32 { return (*uint32)(unsafe.Pointer(&c.TcpFlags)) }

const controlShift = 8

// SetControl sets bits for one direction of a flow. It reports false for a flow that is
// gone.
func (t *Table) SetControl(h Handle, dir flow.Direction, bits Control) bool {
	p := t.at(h.Slot)
	if !p.live(h) {
		return false
	}
	atomic.OrUint32(word(p.counts[dir&1]), uint32(bits)<<controlShift)
	return true
}

// ClearControl takes bits away.
func (t *Table) ClearControl(h Handle, dir flow.Direction, bits Control) bool {
	p := t.at(h.Slot)
	if !p.live(h) {
		return false
	}
	atomic.AndUint32(word(p.counts[dir&1]), ^(uint32(bits) << controlShift))
	return true
}

// Close says that a flow's session is over (see [Closed]).
func (t *Table) Close(h Handle) bool {
	return t.SetControl(h, flow.Forward, Closed) && t.SetControl(h, flow.Reverse, Closed)
}

// Kill ends a flow: the next packet of its key begins another one. It reports false for
// a flow that is gone.
func (t *Table) Kill(h Handle) bool {
	p := t.at(h.Slot)
	if !p.live(h) {
		return false
	}
	for _, c := range p.counts {
		atomic.OrUint64(&c.Packets, dead)
	}
	return true
}

// Free gives the place of a killed flow back, after [Engine.Grace]. It reports false for a flow
// that is gone or not killed.
func (t *Table) Free(h Handle) bool {
	p := t.at(h.Slot)
	if !p.live(h) || atomic.LoadUint64(&p.counts[0].Packets)&dead == 0 {
		return false
	}
	for _, id := range p.id {
		atomic.StoreUint64(id, uint64(gen.BPFFsIdFS_ID_LEFT)) // nobody finds the flow any more
	}
	p.clear()
	return true
}

// clear empties a place that was left, and frees it.
func (p *place) clear() {
	for _, c := range p.counts {
		*c = gen.BPFFsCounts{}
	}
	*p.cold = gen.BPFFsCold{Generation: p.cold.Generation}
	atomic.StoreUint64(p.id[1], uint64(gen.BPFFsIdFS_ID_FREE)) // the order in which claims publish
	atomic.StoreUint64(p.id[0], uint64(gen.BPFFsIdFS_ID_FREE))
}

// clearLeft frees the places whose freeing was cut short.
func (t *Table) clearLeft() {
	for i := range t.Places() {
		if atomic.LoadUint64(t.idOf(i)) == uint64(gen.BPFFsIdFS_ID_LEFT) {
			p := t.at(uint32(i))
			p.clear()
		}
	}
}

// A Place is a flow seen by [Table.Scan], valid during the call.
type Place struct {
	t    *Table
	slot uint32
	p    place
}

// Scan calls fn for the flows in n places from the given one on, those that were killed
// too, and returns where to go on: 0 after the last place. It allocates nothing.
func (t *Table) Scan(from, n int, fn func(Place)) int {
	end := min(from+n, t.Places())
	for i := from; i < end; i++ {
		if atomic.LoadUint64(t.idOf(i))&uint64(gen.BPFFsIdFS_ID_STATE) == uint64(gen.BPFFsIdFS_ID_LIVE) {
			fn(Place{t, uint32(i), t.at(uint32(i))})
		}
	}
	if end == t.Places() {
		return 0
	}
	return end
}

func (t *Table) idOf(i int) *uint64 {
	if i < len(t.p4) {
		return &t.p4[i].Dir[0].Id
	}
	return &t.p6[i-len(t.p4)].Dir[0].Id
}

// Handle returns the flow's name.
func (p Place) Handle() Handle {
	return Handle{p.slot, atomic.LoadUint32(&p.p.cold.Generation)}
}

// Dead reports whether the flow was killed, by user space or by the program, which does
// so when a new connection takes over a closed one's addresses and ports.
func (p Place) Dead() bool { return atomic.LoadUint64(&p.p.counts[0].Packets)&dead != 0 }

// Last returns the time of the flow's last packet.
func (p Place) Last() flow.Timestamp {
	a, b := p.p.counts[0], p.p.counts[1]
	last := p.t.clock.wall(atomic.LoadUint64(&a.Last))
	if atomic.LoadUint64(&b.Packets)&^dead == 0 {
		return last
	}
	if other := p.t.clock.wall(atomic.LoadUint64(&b.Last)); other > last || atomic.LoadUint64(&a.Packets)&^dead == 0 {
		return other
	}
	return last
}

// First returns the time of the flow's first packet.
func (p Place) First() flow.Timestamp {
	first := flow.MaxTimestamp
	for d, c := range p.p.counts {
		if atomic.LoadUint64(&c.Packets)&^dead != 0 {
			first = min(first, p.t.clock.wall(atomic.LoadUint64(&p.p.cold.Dir[d].First)))
		}
	}
	return first
}

// Key returns the flow's key.
func (p Place) Key() flow.Key { return p.t.key(p.slot) }

// Read fills f with all that is known of the flow.
func (p Place) Read(f *Flow) { p.t.fill(p.slot, p.p, f) }

func (t *Table) key(slot uint32) (k flow.Key) {
	i := int(slot)
	var id uint64
	if i < len(t.p4) {
		l := &t.p4[i].Dir[0]
		id, k.IPVersion = atomic.LoadUint64(&l.Id), 4
		k.Lo, k.Hi = mapIPv4(l.Lo), mapIPv4(l.Hi)
	} else {
		l := &t.p6[i-len(t.p4)].Dir[0]
		id, k.IPVersion = atomic.LoadUint64(&l.Id), 6
		for j := range 2 {
			binary.NativeEndian.PutUint64(k.Lo[8*j:], l.Lo[j])
			binary.NativeEndian.PutUint64(k.Hi[8*j:], l.Hi[j])
		}
	}
	k.Proto = flow.Proto(id >> gen.BPFFsIdFS_ID_PROTO_SHIFT)
	k.Context = uint32(id>>gen.BPFFsIdFS_ID_CONTEXT_SHIFT) & uint32(gen.BPFFsIdFS_ID_CONTEXT_MASK)
	k.LoPort = uint16(id >> gen.BPFFsIdFS_ID_LO_PORT_SHIFT)
	k.HiPort = uint16(id >> gen.BPFFsIdFS_ID_HI_PORT_SHIFT)
	return k
}

// mapIPv4 takes an address as it lies in memory, in network order.
func mapIPv4(a uint32) [16]byte {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], a)
	return flow.MapV4(b)
}

// Read fills f with all that is known of a flow. It reports false for one that is gone.
func (t *Table) Read(h Handle, f *Flow) bool {
	p := t.at(h.Slot)
	if !p.live(h) {
		return false
	}
	t.fill(h.Slot, p, f)
	return true
}

// A Flow is a copy of what the table knows of a flow.
type Flow struct {
	Handle      Handle
	Key         flow.Key
	Dir         [2]Counts // by direction
	State       flow.State
	Orientation flow.Orientation
	Initiator   flow.Direction // that of the initiator's packets
	// Handshake holds SYN-ACK to ACK (initiator) and SYN to SYN-ACK (responder),
	// by side; negative when not known.
	Handshake [2]time.Duration
	Dead      bool
}

// Counts are those of one direction. First and Last mean something with Packets.
type Counts struct {
	Packets, Bytes, IPBytes, PayloadBytes uint64
	First, Last                           flow.Timestamp
	Flags                                 flow.TCPFlags
	TTLMin, TTLMax                        uint8
	// NextSeq is the end of the highest TCP segment; it stands still after a FIN.
	NextSeq flow.Seq
	// ZeroWindows were announced after another window; ZeroPackets are all those
	// with window 0 but resets. Retransmissions are segments that end at NextSeq
	// or before. Each stays at 65 535 once there; DuplicateACKs does not.
	ZeroWindows, ZeroPackets, Retransmissions, DuplicateACKs uint64
	RTT                                                      flow.RTT // without samples of 4.29 s or more, which records bring
	// ISN is the sequence number of the first SYN, if there was one.
	ISN    flow.Seq
	HasSYN bool
	// LostBytes of payload, and Lost records, found the ring full since the last
	// record of the direction.
	LostBytes uint32
	Lost      bool
}

func (t *Table) fill(slot uint32, p place, f *Flow) {
	tcp := atomic.LoadUint64(&p.cold.Tcp)
	*f = Flow{
		Handle:      Handle{slot, atomic.LoadUint32(&p.cold.Generation)},
		Key:         t.key(slot),
		State:       flow.State(tcp & uint64(gen.BPFFsTcpFS_TCP_STATE)),
		Orientation: flow.Orientation(tcp >> gen.BPFFsTcpFS_TCP_ORIENT_SHIFT & 3),
		Dead:        atomic.LoadUint64(&p.counts[0].Packets)&dead != 0,
	}
	if tcp&uint64(gen.BPFFsTcpFS_TCP_INITIATOR) != 0 {
		f.Initiator = flow.Reverse
	}
	for d := range f.Dir {
		t.counts(p, d, &f.Dir[d])
	}
	f.handshake(tcp)
}

func (t *Table) counts(p place, d int, c *Counts) {
	n, cold := p.counts[d], &p.cold.Dir[d]
	c.Packets = atomic.LoadUint64(&n.Packets) &^ dead
	c.Bytes = atomic.LoadUint64(&n.Bytes)
	c.IPBytes = atomic.LoadUint64(&n.IpBytes)
	c.PayloadBytes = atomic.LoadUint64(&n.PayloadBytes)
	c.Flags = flow.TCPFlags(atomic.LoadUint32(word(n)))
	if c.Packets == 0 {
		return
	}
	c.First, c.Last = t.clock.wall(atomic.LoadUint64(&cold.First)), t.clock.wall(atomic.LoadUint64(&n.Last))
	c.TTLMin, c.TTLMax = p.cold.TtlMin[d], p.cold.TtlMax[d]
	c.NextSeq = flow.Seq(atomic.LoadUint32(&n.NextSeq))
	c.ZeroWindows, c.ZeroPackets = uint64(cold.ZeroWindows), uint64(cold.ZeroPackets)
	c.Retransmissions, c.DuplicateACKs = uint64(cold.Retransmissions), uint64(atomic.LoadUint32(&cold.DuplicateAcks))
	c.ISN, c.HasSYN = flow.Seq(cold.Isn), atomic.LoadUint64(&p.cold.Tcp)>>d&uint64(gen.BPFFsTcpFS_TCP_SYN) != 0
	c.LostBytes, c.Lost = lost(atomic.LoadUint32(&cold.Lost))
	c.RTT = flow.RTT{
		Min: time.Duration(cold.RttMin), Max: time.Duration(cold.RttMax),
		Sum:     time.Duration(uint64(cold.RttSumHigh)<<32 | uint64(cold.RttSum)),
		Samples: uint64(cold.RttSamples),
	}
}

func lost(n uint32) (bytes uint32, any bool) {
	return n & uint32(gen.BPFFsLostFS_LOST_BYTES), n&uint32(gen.BPFFsLostFS_LOST_RECORDS) != 0
}

// handshake reads the times of a handshake whose SYNs were their directions' first
// packets.
func (f *Flow) handshake(tcp uint64) {
	f.Handshake = [2]time.Duration{-1, -1}
	if tcp&uint64(gen.BPFFsTcpFS_TCP_RESENT_SYN) != 0 {
		return
	}
	if tcp&uint64(gen.BPFFsTcpFS_TCP_SYN_ACK_TIMED) != 0 {
		f.Handshake[flow.Responder] = f.Dir[f.Initiator.Other()].First.SaturatingSub(f.Dir[f.Initiator].First)
	}
	if tcp&uint64(gen.BPFFsTcpFS_TCP_ACK_TIMED) != 0 {
		f.Handshake[flow.Initiator] = time.Duration(tcp >> gen.BPFFsTcpFS_TCP_DELAY_SHIFT)
	}
}
