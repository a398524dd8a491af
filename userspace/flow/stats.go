package flow

import "time"

// SideStats counts what one side of a flow sent. Counts are packets, segments or
// bytes as named; CONTRACT.md ("flow" lines) defines each.
type SideStats struct {
	Packets, Bytes, IPBytes, PayloadBytes uint64

	TCPFlags       TCPFlags
	TTLMin, TTLMax uint8 // 0 and 0 before the first packet

	// Streams, from the reassembler.
	StreamBytes, MissedBytes, CaptureMissedBytes, SkippedBytes, UrgentBytes uint64
	RetransmittedSegments, RetransmittedBytes, SpuriousRetransmissions      uint64
	OutOfOrderSegments, OutOfWindowSegments                                 uint64
	ReassemblyDroppedSegments, ReassemblyDroppedOversizeBytes               uint64
	ReassemblyHighWatermark, OverlapConflictBytes                           uint64
	NullFlagSegments, OldTimestampSegments, RSTDataBytes                    uint64

	// Quality, from headers alone.
	ZeroWindows, ZeroWindowProbes, Keepalives, DuplicateACKs uint64
	RTT                                                      RTT
}

// Add adds o's counters to s; extremes and flags are united.
func (s *SideStats) Add(o *SideStats) {
	if o.TTLMax != 0 || o.TTLMin != 0 {
		if s.TTLMax == 0 && s.TTLMin == 0 || o.TTLMin < s.TTLMin {
			s.TTLMin = o.TTLMin
		}
		s.TTLMax = max(s.TTLMax, o.TTLMax)
	}
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.IPBytes += o.IPBytes
	s.PayloadBytes += o.PayloadBytes
	s.TCPFlags |= o.TCPFlags
	s.StreamBytes += o.StreamBytes
	s.MissedBytes += o.MissedBytes
	s.CaptureMissedBytes += o.CaptureMissedBytes
	s.SkippedBytes += o.SkippedBytes
	s.UrgentBytes += o.UrgentBytes
	s.RetransmittedSegments += o.RetransmittedSegments
	s.RetransmittedBytes += o.RetransmittedBytes
	s.SpuriousRetransmissions += o.SpuriousRetransmissions
	s.OutOfOrderSegments += o.OutOfOrderSegments
	s.OutOfWindowSegments += o.OutOfWindowSegments
	s.ReassemblyDroppedSegments += o.ReassemblyDroppedSegments
	s.ReassemblyDroppedOversizeBytes += o.ReassemblyDroppedOversizeBytes
	s.ReassemblyHighWatermark = max(s.ReassemblyHighWatermark, o.ReassemblyHighWatermark)
	s.OverlapConflictBytes += o.OverlapConflictBytes
	s.NullFlagSegments += o.NullFlagSegments
	s.OldTimestampSegments += o.OldTimestampSegments
	s.RSTDataBytes += o.RSTDataBytes
	s.ZeroWindows += o.ZeroWindows
	s.ZeroWindowProbes += o.ZeroWindowProbes
	s.Keepalives += o.Keepalives
	s.DuplicateACKs += o.DuplicateACKs
	s.RTT.Add(o.RTT)
}

// RTT summarises round-trip samples of one side: from its segment to the peer's
// ACK, at the capture point (RFC 6298, Karn's rule).
type RTT struct {
	Min, Max, Sum time.Duration
	Samples       uint64
}

// Take adds one sample.
func (r *RTT) Take(d time.Duration) {
	r.Add(RTT{Min: d, Max: d, Sum: d, Samples: 1})
}

// Add joins two summaries.
func (r *RTT) Add(o RTT) {
	if o.Samples == 0 {
		return
	}
	if r.Samples == 0 || o.Min < r.Min {
		r.Min = o.Min
	}
	r.Max = max(r.Max, o.Max)
	r.Sum += o.Sum
	r.Samples += o.Samples
}

// Avg returns the integer mean, 0 without samples.
func (r RTT) Avg() time.Duration {
	if r.Samples == 0 {
		return 0
	}
	return r.Sum / time.Duration(r.Samples)
}

// Stats are the counters of a flow.
type Stats struct {
	Side       [2]SideStats // indexed by Side
	Start, End Timestamp    // smallest and largest packet time
}

// Packets returns the packets of both sides.
func (s *Stats) Packets() uint64 { return s.Side[0].Packets + s.Side[1].Packets }

// Bytes returns the frame bytes of both sides.
func (s *Stats) Bytes() uint64 { return s.Side[0].Bytes + s.Side[1].Bytes }
