package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Kind says what a record is about.
type Kind uint8

// The kinds.
const (
	Other    = Kind(gen.BPFFsKindFS_RECORD_OTHER) // the first packet of a flow of another protocol
	TCP      = Kind(gen.BPFFsKindFS_RECORD_TCP)
	Datagram = Kind(gen.BPFFsKindFS_RECORD_DATAGRAM) // UDP or UDP-Lite
	Fragment = Kind(gen.BPFFsKindFS_RECORD_FRAGMENT)
	RTT      = Kind(gen.BPFFsKindFS_RECORD_RTT)
)

var kindNames = [...]string{"other", "tcp", "datagram", "fragment", "rtt"}

// String returns the name of k, or its number.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Record is one packet as the program tells of it. It is valid during the call that it
// was passed to, and so is all it refers to.
type Record struct {
	Handle Handle // of the packet's flow; mind HasFlow
	Kind   Kind
	Dir    flow.Direction
	Time   flow.Timestamp
	// Start is set for the packet that gave the flow its place, or the first one
	// whose record found room in the ring.
	Start *Start
	// Segment is set for TCP. Its Data is nil when the payload was left out.
	Segment *flow.Segment
	// Payload is the captured part of PayloadLen bytes of a datagram, or of the IP
	// payload of a fragment; nil when Unwanted.
	Payload    []byte
	PayloadLen int
	Unwanted   bool // left out on purpose
	// LostBytes of this direction's payload were lost, the ring being full, since
	// its last record; Lost says that at least one record was.
	LostBytes uint32
	Lost      bool
	Fragment  *FragmentInfo // set for Fragment
	// RTT is a round-trip time of Dir that the table has no room for (4.29 s or more).
	RTT time.Duration
	// HasFlow is false for a fragment whose flow is not known.
	HasFlow bool
}

// A Start is what the first packet of a flow says for all of it.
type Start struct {
	Key        flow.Key
	Attributes flow.Attributes
	// Replaces is the flow whose addresses and ports this one took over.
	Replaces    Handle
	HasReplaced bool
	Late        bool // of a later packet: the records of those before were lost
}

// A FragmentInfo says which part of which datagram a fragment is.
type FragmentInfo struct {
	Src, Dst netip.Addr
	Proto    flow.Proto // as the fragments say it
	ID       uint32
	Off      int // in bytes
	More     bool
}

var errRecord = errors.New("malformed record in the ring")

const (
	recordSize   = int(unsafe.Sizeof(gen.BPFFsRecord{}))
	startSize    = int(unsafe.Sizeof(gen.BPFFsStart{}))
	fragmentSize = int(unsafe.Sizeof(gen.BPFFsFragment{}))
)

// A decoder turns the bytes of records into one Record, over and over.
type decoder struct {
	table    *Table
	clock    *clock
	rec      Record
	seg      flow.Segment
	start    Start
	fragment FragmentInfo
	vlans    [len(gen.BPFFsStart{}.Vlans)]uint16
	tunnels  [len(gen.BPFFsStart{}.Tunnels)]flow.Tunnel
}

// decode reads one record. b is aligned like the ring.
func (d *decoder) decode(b []byte) (*Record, error) {
	if len(b) < recordSize {
		return nil, errRecord
	}
	h := (*gen.BPFFsRecord)(unsafe.Pointer(unsafe.SliceData(b)))
	r := &d.rec
	*r = Record{
		Handle:     Handle{d.table.slot(h.Slot), h.Generation},
		HasFlow:    h.Slot != uint32(gen.BPFFsSlotFS_SLOT_NONE),
		Kind:       Kind(h.Kind),
		Dir:        flow.Direction(h.Dir & 1),
		Time:       d.clock.wall(h.Time),
		PayloadLen: int(h.PayloadLen),
		Unwanted:   h.Bits&uint8(gen.BPFFsRecordBitsFS_RECORD_UNWANTED) != 0,
	}
	r.LostBytes, r.Lost = lost(h.Lost)
	b, err := d.between(h, b[recordSize:])
	if err != nil {
		return nil, err
	}
	if uint64(h.CapLen) > uint64(len(b)) {
		return nil, errRecord
	}
	if h.CapLen > 0 {
		r.Payload = b[:h.CapLen:h.CapLen]
	}
	switch r.Kind {
	case TCP:
		d.segment(h)
	case RTT:
		r.RTT = time.Duration(uint64(h.Seq)<<32 | uint64(h.Ack))
	}
	return r, nil
}

// between reads what lies between header and payload, and returns the payload.
func (d *decoder) between(h *gen.BPFFsRecord, b []byte) ([]byte, error) {
	start := h.Bits&uint8(gen.BPFFsRecordBitsFS_RECORD_START) != 0
	if start {
		if len(b) < startSize {
			return nil, errRecord
		}
		d.readStart((*gen.BPFFsStart)(unsafe.Pointer(unsafe.SliceData(b))))
		b = b[startSize:]
	}
	if !start && Kind(h.Kind) != Fragment {
		return b, nil
	}
	if len(b) < fragmentSize {
		return nil, errRecord
	}
	if Kind(h.Kind) == Fragment {
		d.readFragment((*gen.BPFFsFragment)(unsafe.Pointer(unsafe.SliceData(b))))
	}
	return b[fragmentSize:], nil
}

func (d *decoder) segment(h *gen.BPFFsRecord) {
	r := &d.rec
	d.seg = flow.Segment{
		TCPHeader: flow.TCPHeader{
			Seq: flow.Seq(h.Seq), Ack: flow.Seq(h.Ack),
			Window: h.Window, Urgent: h.Urgent,
			Flags: flow.TCPFlags(h.TcpFlags), Options: flow.TCPOptions(h.Options),
			WScale: h.Wscale, MSS: h.Mss, TSVal: h.Tsval, TSEcr: h.Tsecr,
		},
		Time: r.Time, Len: r.PayloadLen, Data: r.Payload,
		Capture:  !r.Unwanted && len(r.Payload) < r.PayloadLen,
		Unwanted: r.Unwanted,
	}
	r.Segment = &d.seg
}

func (d *decoder) readStart(s *gen.BPFFsStart) {
	d.start = Start{
		Key:         exportedKey(&s.Key),
		HasReplaced: s.Replaces != uint32(gen.BPFFsSlotFS_SLOT_NONE),
		Late:        s.Late != 0,
	}
	if d.start.HasReplaced {
		d.start.Replaces = Handle{d.table.slot(s.Replaces), s.ReplacesGeneration}
	}
	a := &d.start.Attributes
	a.MAC = [2]flow.MAC{s.SrcMac, s.DstMac}
	a.HasMAC = s.HasMac != 0
	a.HasICMP = d.start.Key.Proto == flow.ProtoICMP || d.start.Key.Proto == flow.ProtoICMP6
	a.ICMPType, a.ICMPCode, a.FlowLabel = s.IcmpType, s.IcmpCode, s.FlowLabel
	a.VLANs = d.vlans[:copy(d.vlans[:], s.Vlans[:min(int(s.N_vlans), len(s.Vlans))])]
	n := min(int(s.N_tunnels), len(d.tunnels))
	for i := range n {
		d.tunnels[i] = tunnel(&s.Tunnels[i])
	}
	a.Tunnels = d.tunnels[:n]
	d.rec.Start = &d.start
}

func tunnel(t *gen.BPFFsTunnel) flow.Tunnel {
	l := flow.Tunnel{Kind: flow.TunnelKind(t.Kind), HasID: t.HasId != 0, ID: t.Id}
	if t.IpVersion != 0 {
		l.Src, l.Dst = addr(t.Src, t.IpVersion), addr(t.Dst, t.IpVersion)
	}
	return l
}

func addr(a [16]byte, version uint8) netip.Addr {
	if version == 4 {
		return netip.AddrFrom4([4]byte(a[12:]))
	}
	return netip.AddrFrom16(a)
}

func (d *decoder) readFragment(f *gen.BPFFsFragment) {
	d.fragment = FragmentInfo{
		Src: addr(f.Src, f.IpVersion), Dst: addr(f.Dst, f.IpVersion),
		Proto: flow.Proto(f.Proto), ID: f.Id, Off: int(f.Off), More: f.More != 0,
	}
	d.rec.Fragment = &d.fragment
}
