package flow

import "net/netip"

// An AnomalyKind names something odd about a flow or the table.
type AnomalyKind uint8

// The kinds, in the order they are reported within one packet (SEMANTICS.md §8.1).
const (
	AnomalyBufferOverflow AnomalyKind = iota
	AnomalyOutOfOrder
	AnomalyRetransmission
	AnomalyStreamGap
	AnomalyOverlapConflict
	AnomalyOutOfWindow
	AnomalyRSTSuspect
	AnomalyFINConflict
	AnomalySYNInEstablished
	AnomalyFragmentOverlap
	AnomalyWatermark
	AnomalyParseError
	AnomalyTableEviction
	AnomalyMemcap
	AnomalyCaptureLoss
)

var anomalyNames = [...]string{
	"buffer_overflow", "ooo_segment", "retransmission", "stream_gap", "overlap_conflict",
	"out_of_window", "rst_suspect", "fin_conflict", "syn_in_established", "fragment_overlap",
	"watermark", "parse_error", "flow_table_eviction", "memcap", "capture_loss",
}

// AnomalyKinds is the number of kinds.
const AnomalyKinds = len(anomalyNames)

// String returns the name used in output and as metric label.
func (k AnomalyKind) String() string { return name(anomalyNames[:], uint8(k)) }

// TableWide reports whether k is about the table rather than one flow.
func (k AnomalyKind) TableWide() bool { return k >= AnomalyTableEviction }

// HasSide reports whether k names a side.
func (k AnomalyKind) HasSide() bool { return !k.TableWide() && k != AnomalyFragmentOverlap }

// Kept says which bytes an overlap conflict left in the stream.
type Kept uint8

// The outcomes.
const (
	KeptOld Kept = iota
	KeptNew
	KeptMixed
)

// String returns "old", "new" or "mixed".
func (k Kept) String() string { return name([]string{"old", "new", "mixed"}, uint8(k)) }

// An Anomaly is one line about something odd. Which fields mean something depends
// on Kind (SEMANTICS.md §8.1); numbers are the change since the last line.
type Anomaly struct {
	Kind     AnomalyKind
	Side     Side
	Bytes    int64
	Count    int64 // segments, records, or evictions in this tick
	Total    int64 // evictions so far
	Offset   int64 // in the stream
	Limit    int64 // cap or memory limit
	Seq      Seq
	Expected Seq
	Revoked  bool
	Policy   Overflow
	Cause    GapCause
	Kept     Kept
	Src, Dst netip.Addr // fragment_overlap
	IPID     uint32
	Reason   string // parse_error: at most 256 bytes; capture_loss: ring, table, spill
	Parser   string
}
