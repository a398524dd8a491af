package export

import (
	"encoding/hex"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// JSONL writes JSON lines, one object each, "type" first. It does not buffer:
// give it a bufio.Writer, and flush that.
type JSONL struct {
	w   io.Writer
	buf []byte
}

// NewJSONL returns a writer of JSON lines to w.
func NewJSONL(w io.Writer) *JSONL { return &JSONL{w: w} }

// Start writes a flow_start line.
func (j *JSONL) Start(m Mark) error { return j.mark("flow_start", m) }

// Established writes a flow_established line.
func (j *JSONL) Established(m Mark) error { return j.mark("flow_established", m) }

// State writes a flow_state line.
func (j *JSONL) State(m Mark) error { return j.mark("flow_state", m) }

// Flow writes the record of a flow that ended.
func (j *JSONL) Flow(r *flow.Record) error { return j.record("flow", r, 0) }

// Update writes a snapshot of a live flow.
func (j *JSONL) Update(r *flow.Record, ts flow.Timestamp) error {
	return j.record("flow_update", r, ts)
}

// Message writes one application message.
func (j *JSONL) Message(m Message) error {
	o := j.open("message")
	o.id("id", m.ID)
	o.time("ts", m.Time)
	o.str("side", m.Side.String())
	o.str("parser", m.Body.Parser())
	o.str("kind", m.Body.Kind())
	o.name(m.Body.Parser())
	o.b = m.Body.AppendJSON(o.b)
	return j.close(o)
}

// Anomaly writes one anomaly.
func (j *JSONL) Anomaly(a Anomaly) error {
	o := j.open("anomaly")
	o.time("ts", a.Time)
	o.str("kind", a.Kind.String())
	if !a.Kind.TableWide() {
		o.id("id", a.ID)
	}
	if a.Kind.HasSide() {
		o.str("side", a.Side.String())
	}
	appendAnomaly(&o, a.Anomaly)
	return j.close(o)
}

// Summary writes the last line of a run.
func (j *JSONL) Summary(s *flow.Summary) error {
	o := j.open("summary")
	o.str("engine", s.Engine)
	o.uint("packets_seen", s.PacketsSeen)
	o.uint("bytes_seen", s.BytesSeen)
	o.uint("packets_tracked", s.PacketsTracked)
	o.uint("bytes_tracked", s.BytesTracked)
	o.counts("packets_unparsed", s.Unparsed[1:], func(i int) string { return flow.Cause(i + 1).String() })
	o.counts("bytes_unparsed", s.UnparsedBytes[1:], func(i int) string { return flow.Cause(i + 1).String() })
	o.uint("packets_duplicate", s.PacketsDuplicate)
	o.uint("bytes_duplicate", s.BytesDuplicate)
	o.uint("packets_spilled", s.PacketsSpilled)
	o.uint("flows_started", s.FlowsStarted)
	o.counts("flows_ended", s.FlowsEnded[1:], func(i int) string { return flow.EndReason(i + 1).String() })
	o.named("messages", s.Messages)
	o.counts("anomalies", s.Anomalies[:], func(i int) string { return flow.AnomalyKind(i).String() })
	o.uint("ring_records", s.RingRecords)
	o.uint("ring_payload_bytes", s.RingPayloadBytes)
	o.uint("ring_dropped_records", s.RingDroppedRecords)
	o.uint("ring_dropped_bytes", s.RingDroppedBytes)
	o.uint("fragment_table_full", s.FragmentTableFull)
	o.uint("decap_depth", s.DecapDepth)
	o.uint("clock_clamped", s.ClockClamped)
	if s.Interrupted != "" {
		o.str("interrupted", s.Interrupted)
	}
	return j.close(o)
}

func (j *JSONL) mark(typ string, m Mark) error {
	o := j.open(typ)
	o.id("id", m.ID)
	o.time("ts", m.Time)
	if typ == "flow_state" {
		o.str("from", m.From.String())
		o.str("to", m.To.String())
	}
	return j.close(o)
}

func (j *JSONL) record(typ string, r *flow.Record, ts flow.Timestamp) error {
	o := j.open(typ)
	if !r.CountersOnly {
		o.id("id", r.ID)
	}
	if typ == "flow_update" {
		o.time("ts", ts)
	}
	appendRecord(&o, r)
	return j.close(o)
}

func (j *JSONL) open(typ string) object {
	return object{b: append(append(append(j.buf[:0], `{"type":"`...), typ...), '"')}
}

// close ends the line, writes it and keeps its memory for the next.
func (j *JSONL) close(o object) error {
	j.buf = append(o.b, '}', '\n')
	_, err := j.w.Write(j.buf)
	return err
}

func appendRecord(o *object, r *flow.Record) {
	if r.FiveTuple {
		o.str("community_id", r.Key.CommunityID(0))
	}
	o.time("start", r.Stats.Start)
	o.time("end", r.Stats.End)
	o.dur("duration_ns", r.Duration())
	if r.IPVersion != 0 {
		o.uint("ip_version", uint64(r.IPVersion))
		o.str("proto", r.Proto.String())
	}
	for side := range r.Endpoint {
		o.name(flow.Side(side).String())
		s := object{b: append(o.b, '{')}
		appendSide(&s, r, flow.Side(side))
		o.b = append(s.b, '}')
	}
	o.str("orientation", r.Orientation.String())
	o.vlans(r.VLANs)
	o.tunnels(r.Tunnels)
	o.str("state", r.State.String())
	if r.Reason != flow.EndNone {
		o.str("end_reason", r.Reason.String())
	}
	o.opt("conn_state", r.ConnState)
	o.opt("history", r.History)
	o.handshake(r.Handshake)
	o.opt("service", r.Service)
	if r.HasICMP {
		o.uint("icmp_type", uint64(r.ICMPType))
		o.uint("icmp_code", uint64(r.ICMPCode))
	}
	if r.CountersOnly {
		return
	}
	if r.IPVersion == 6 {
		o.uint("flow_label", uint64(r.FlowLabel))
	}
	if r.PacketsAfterClose > 0 {
		o.uint("packets_after_close", r.PacketsAfterClose)
	}
	o.bool("complete", r.Incomplete == 0)
	if r.Incomplete != 0 {
		o.list("incomplete", r.Incomplete.Names())
	}
}

func appendSide(o *object, r *flow.Record, side flow.Side) {
	e, s := &r.Endpoint[side], &r.Stats.Side[side]
	if e.IP.IsValid() {
		o.addr("ip", e.IP)
	}
	if r.FiveTuple && r.Proto.HasPorts() {
		o.uint("port", uint64(e.Port))
	}
	if e.HasMAC {
		o.mac("mac", e.MAC)
	}
	o.uint("packets", s.Packets)
	o.uint("bytes", s.Bytes)
	o.uint("ip_bytes", s.IPBytes)
	o.uint("payload_bytes", s.PayloadBytes)
	if r.FiveTuple && r.Proto == flow.ProtoTCP {
		o.str("tcp_flags", s.TCPFlags.String())
		if !r.SegmentsUnseen {
			appendStream(o, s)
		}
		appendQuality(o, s)
		o.hash(r, side)
	}
	if s.Packets > 0 && r.IPVersion != 0 {
		o.uint("ttl_min", uint64(s.TTLMin))
		o.uint("ttl_max", uint64(s.TTLMax))
	}
}

func appendStream(o *object, s *flow.SideStats) {
	o.uint("stream_bytes", s.StreamBytes)
	o.uint("missed_bytes", s.MissedBytes)
	o.uint("capture_missed_bytes", s.CaptureMissedBytes)
	o.uint("skipped_bytes", s.SkippedBytes)
	o.uint("urgent_bytes", s.UrgentBytes)
	o.uint("retransmitted_segments", s.RetransmittedSegments)
	o.uint("retransmitted_bytes", s.RetransmittedBytes)
	o.uint("spurious_retransmissions", s.SpuriousRetransmissions)
	o.uint("out_of_order_segments", s.OutOfOrderSegments)
	o.uint("out_of_window_segments", s.OutOfWindowSegments)
	o.uint("reassembly_dropped_segments", s.ReassemblyDroppedSegments)
	o.uint("reassembly_dropped_oversize_bytes", s.ReassemblyDroppedOversizeBytes)
	o.uint("reassembly_high_watermark", s.ReassemblyHighWatermark)
	o.uint("overlap_conflict_bytes", s.OverlapConflictBytes)
	o.uint("zero_window_probes", s.ZeroWindowProbes)
	o.uint("keepalives", s.Keepalives)
}

// appendQuality is of what headers tell, which the kernel measures too.
func appendQuality(o *object, s *flow.SideStats) {
	o.uint("zero_windows", s.ZeroWindows)
	o.uint("duplicate_acks", s.DuplicateACKs)
	if s.RTT.Samples > 0 {
		o.dur("rtt_min_ns", s.RTT.Min)
		o.dur("rtt_avg_ns", s.RTT.Avg())
		o.dur("rtt_max_ns", s.RTT.Max)
	}
	o.uint("rtt_samples", s.RTT.Samples)
}

func appendAnomaly(o *object, a *flow.Anomaly) {
	switch a.Kind {
	case flow.AnomalyBufferOverflow:
		o.int("bytes", a.Bytes)
		o.str("policy", a.Policy.String())
	case flow.AnomalyOutOfOrder, flow.AnomalyOutOfWindow:
		o.int("count", a.Count)
	case flow.AnomalyRetransmission:
		o.int("count", a.Count)
		o.int("bytes", a.Bytes)
	case flow.AnomalyStreamGap:
		o.int("offset", a.Offset)
		o.int("bytes", a.Bytes)
		o.str("cause", a.Cause.String())
	case flow.AnomalyOverlapConflict:
		o.int("offset", a.Offset)
		o.int("bytes", a.Bytes)
		o.str("kept", a.Kept.String())
	case flow.AnomalyRSTSuspect:
		o.uint("seq", uint64(a.Seq))
		o.uint("expected", uint64(a.Expected))
		o.bool("revoked", a.Revoked)
	case flow.AnomalyFINConflict, flow.AnomalySYNInEstablished:
		o.uint("seq", uint64(a.Seq))
	case flow.AnomalyFragmentOverlap:
		o.addr("src", a.Src)
		o.addr("dst", a.Dst)
		o.uint("ip_id", uint64(a.IPID))
		o.int("bytes", a.Bytes)
	case flow.AnomalyWatermark:
		o.int("bytes", a.Bytes)
		o.int("cap", a.Limit)
	case flow.AnomalyParseError:
		o.str("reason", a.Reason)
		o.str("parser", a.Parser)
	case flow.AnomalyTableEviction:
		o.int("evicted_in_tick", a.Count)
		o.int("evicted_total", a.Total)
	case flow.AnomalyMemcap:
		o.int("bytes", a.Bytes)
		o.int("limit", a.Limit)
	case flow.AnomalyCaptureLoss:
		o.int("records", a.Count)
		o.int("bytes", a.Bytes)
		o.str("cause", a.Reason)
	}
}

// An object is a JSON object being written.
type object struct{ b []byte }

// name starts the next field. A comma goes before every field but the first.
func (o *object) name(s string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), s...), '"', ':')
}

func (o *object) uint(name string, v uint64) { o.name(name); o.b = strconv.AppendUint(o.b, v, 10) }
func (o *object) int(name string, v int64)   { o.name(name); o.b = strconv.AppendInt(o.b, v, 10) }
func (o *object) bool(name string, v bool)   { o.name(name); o.b = strconv.AppendBool(o.b, v) }
func (o *object) str(name, v string)         { o.name(name); o.b = parsers.AppendJSONString(o.b, v) }

func (o *object) dur(name string, d time.Duration) { o.int(name, int64(d)) }

// opt writes a string that is absent when empty.
func (o *object) opt(name, v string) {
	if v != "" {
		o.str(name, v)
	}
}

func (o *object) id(name string, v uint64) {
	o.name(name)
	o.b = append(o.b, '"')
	for shift := 60; shift >= 0; shift -= 4 {
		o.b = append(o.b, "0123456789abcdef"[v>>shift&15])
	}
	o.b = append(o.b, '"')
}

func (o *object) time(name string, t flow.Timestamp) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b = t.Time().AppendFormat(o.b, "2006-01-02T15:04:05.000000000Z")
	o.b = append(o.b, '"')
}

func (o *object) addr(name string, a netip.Addr) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b = a.AppendTo(o.b)
	o.b = append(o.b, '"')
}

func (o *object) mac(name string, m flow.MAC) {
	o.name(name)
	for i, c := range m {
		o.b = append(o.b, ":\""[b2i(i == 0)])
		o.b = hex.AppendEncode(o.b, []byte{c})
	}
	o.b = append(o.b, '"')
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (o *object) list(name string, l []string) {
	o.name(name)
	for i, s := range l {
		o.b = append(o.b, ",["[b2i(i == 0)])
		o.b = parsers.AppendJSONString(o.b, s)
	}
	o.b = append(o.b, ']')
}

func (o *object) vlans(l []uint16) {
	if len(l) == 0 {
		return
	}
	o.name("vlans")
	for i, v := range l {
		o.b = append(o.b, ",["[b2i(i == 0)])
		o.b = strconv.AppendUint(o.b, uint64(v), 10)
	}
	o.b = append(o.b, ']')
}

func (o *object) tunnels(l []flow.Tunnel) {
	if len(l) == 0 {
		return
	}
	o.name("tunnels")
	for i, t := range l {
		o.b = append(o.b, ",["[b2i(i == 0)])
		e := object{b: append(o.b, '{')}
		e.str("kind", t.Kind.String())
		if t.HasID {
			e.uint("id", uint64(t.ID))
		}
		if t.Src.IsValid() {
			e.addr("src", t.Src)
			e.addr("dst", t.Dst)
		}
		o.b = append(e.b, '}')
	}
	o.b = append(o.b, ']')
}

// handshake writes the two times that are known, nothing when neither is.
func (o *object) handshake(d [2]time.Duration) {
	if d[0] < 0 && d[1] < 0 {
		return
	}
	o.name("handshake_ns")
	h := object{b: append(o.b, '{')}
	for side, v := range d {
		if v >= 0 {
			h.dur(flow.Side(side).String(), v)
		}
	}
	o.b = append(h.b, '}')
}

func (o *object) hash(r *flow.Record, side flow.Side) {
	if !r.HasHash {
		return
	}
	o.name("stream_sha256")
	o.b = append(o.b, '"')
	o.b = hex.AppendEncode(o.b, r.StreamHash[side][:])
	o.b = append(o.b, '"')
	o.int("stream_hashed_bytes", r.StreamHashed[side])
}

// counts writes an object with every counter, zeros too: they are known.
func (o *object) counts(name string, l []uint64, label func(int) string) {
	o.name(name)
	c := object{b: append(o.b, '{')}
	for i, v := range l {
		c.uint(label(i), v)
	}
	o.b = append(c.b, '}')
}

// named writes a map of counters in the order of their names.
func (o *object) named(name string, m map[string]uint64) {
	o.name(name)
	c := object{b: append(o.b, '{')}
	for _, k := range sortedKeys(m) {
		c.uint(k, m[k])
	}
	o.b = append(c.b, '}')
}
