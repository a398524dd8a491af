package flow

// TCPFlags are the eight flag bits of a TCP header, or a union of several
// packets' flags (RFC 9293 §3.1).
type TCPFlags uint8

// The flags, as on the wire.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// String lists the set flags in the order FSRPAUEC; empty when none is set.
func (f TCPFlags) String() string {
	const letters = "FSRPAUEC"
	var b [8]byte
	n := 0
	for i := range letters {
		if f&(1<<i) != 0 {
			b[n] = letters[i]
			n++
		}
	}
	return string(b[:n])
}

// Has reports whether all flags of m are set in f.
func (f TCPFlags) Has(m TCPFlags) bool { return f&m == m }

// A Seq is a TCP sequence number. It wraps: never compare two with <.
type Seq uint32

// Less reports whether s comes before t.
func (s Seq) Less(t Seq) bool { return int32(s-t) < 0 }

// LessEq reports whether s does not come after t.
func (s Seq) LessEq(t Seq) bool { return int32(s-t) <= 0 }

// Diff returns how far s lies after t, negative when before.
func (s Seq) Diff(t Seq) int32 { return int32(s - t) }

// TCPOptions says which options a header carried.
type TCPOptions uint8

// The options the project reads.
const (
	OptMSS TCPOptions = 1 << iota
	OptWScale
	OptSACKPermitted
	OptTimestamps
	OptSignature // MD5 (RFC 2385) or TCP-AO (RFC 5925)
)

// A TCPHeader holds the fields of one TCP header, in host order.
type TCPHeader struct {
	Seq, Ack Seq
	Window   uint16 // as sent, not scaled
	Urgent   uint16
	Flags    TCPFlags
	Options  TCPOptions
	WScale   uint8  // valid with OptWScale; as sent, may exceed 14
	MSS      uint16 // valid with OptMSS
	TSVal    uint32 // valid with OptTimestamps
	TSEcr    uint32 // valid with OptTimestamps
}

// A Segment is one TCP packet as the tracker and the reassembler see it.
type Segment struct {
	TCPHeader
	Time Timestamp
	// Len is the payload length by the headers. Data holds the part that was
	// captured, which may be shorter (snaplen, ring full) or nil; it is only
	// valid during the call it is passed to.
	Len  int
	Data []byte
	// Capture is true when payload missing from Data was on the wire but lost
	// on the way up, and so is a capture gap rather than one of the network.
	Capture bool
	// Lost is how much payload of this side was on the wire since its segment
	// before but lost on the way up, segment and all.
	Lost uint32
	// Unwanted is true when the payload was left out on purpose: a verdict
	// or a spent budget.
	Unwanted bool
}

// SeqLen returns the sequence space the segment takes: payload, SYN and FIN.
func (s *Segment) SeqLen() uint32 {
	n := uint32(s.Len)
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}
