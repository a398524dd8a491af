package flow

// A Summary counts what a run saw and did. Conservation, on every run:
// PacketsSeen = PacketsTracked + the sum of Unparsed + PacketsDuplicate, the same for
// bytes, and FlowsStarted = the sum of FlowsEnded.
type Summary struct {
	Engine                           string // "kernel" or "userspace"
	PacketsSeen, BytesSeen           uint64
	PacketsTracked, BytesTracked     uint64
	Unparsed, UnparsedBytes          [Causes]uint64
	PacketsDuplicate, BytesDuplicate uint64
	PacketsSpilled                   uint64

	FlowsStarted uint64
	FlowsEnded   [EndReasons]uint64
	Messages     map[string]uint64 // by parser
	Anomalies    [AnomalyKinds]uint64

	RingRecords, RingDroppedRecords, RingDroppedBytes uint64
	RingPayloadBytes                                  uint64 // that came up with the records

	FragmentTableFull uint64
	DecapDepth        uint64
	ClockClamped      uint64

	// Interrupted says why the run ended when it did not end by itself.
	Interrupted string
}

// Unaccounted returns packets and bytes that conservation cannot explain; both are
// zero on a correct run.
func (s *Summary) Unaccounted() (packets, bytes int64) {
	packets = int64(s.PacketsSeen - s.PacketsTracked - s.PacketsDuplicate)
	bytes = int64(s.BytesSeen - s.BytesTracked - s.BytesDuplicate)
	for c := range s.Unparsed {
		packets -= int64(s.Unparsed[c])
		bytes -= int64(s.UnparsedBytes[c])
	}
	return packets, bytes
}
