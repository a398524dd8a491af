package metrics

// The names. Those about flows, streams and messages are recorded by the drivers of
// package pipeline, those about the XDP program and its rings by whoever runs it.
const (
	FlowsCreated     = "flowscope_flows_created_total"
	FlowsEnded       = "flowscope_flows_ended_total"
	FlowsActive      = "flowscope_flows_active" // created - ended - forgotten
	PacketsUnmatched = "flowscope_packets_unmatched_total"
	PacketsUnparsed  = "flowscope_packets_unparsed_total" // the same by cause
	Packets          = "flowscope_packets_total"
	PacketsDuplicate = "flowscope_packets_duplicate_total"
	Bytes            = "flowscope_bytes_total" // added when a flow ends
	FlowDuration     = "flowscope_flow_duration_seconds"
	FlowPackets      = "flowscope_flow_packets"
	FlowBytes        = "flowscope_flow_bytes"
	Anomalies        = "flowscope_anomalies_total"

	ReassemblyDroppedOOO      = "flowscope_reassembly_dropped_ooo_total"
	ReassemblyDroppedOversize = "flowscope_reassembly_bytes_dropped_oversize_total"
	ReassemblerHighWatermark  = "flowscope_reassembler_high_watermark_bytes"
	OutOfOrderSegments        = "flowscope_out_of_order_segments_total"
	RetransmittedSegments     = "flowscope_retransmitted_segments_total"
	RetransmittedBytes        = "flowscope_retransmitted_bytes_total"
	StreamMissedBytes         = "flowscope_stream_missed_bytes_total"
	OverlapConflictBytes      = "flowscope_overlap_conflict_bytes_total"
	ReassemblyMemory          = "flowscope_reassembly_memory_bytes"
	TableFill                 = "flowscope_table_fill_ratio"

	Messages       = "flowscope_messages_total"
	ParserPoisoned = "flowscope_parser_poisoned_total"
	DNSUnanswered  = "flowscope_dns_unanswered_total"

	XDPPackets         = "flowscope_xdp_packets_total"
	XDPBytes           = "flowscope_xdp_bytes_total"
	XDPTableSpills     = "flowscope_xdp_table_spills_total"
	XDPLostPackets     = "flowscope_xdp_lost_packets_total"
	XDPPayloadLost     = "flowscope_xdp_payload_lost_packets_total"
	XDPFlowsClaimed    = "flowscope_xdp_flows_claimed_total"
	XDPDecapDepth      = "flowscope_xdp_decap_depth_total"
	XDPMemory          = "flowscope_xdp_memory_bytes"
	XDPRuns            = "flowscope_xdp_runs_total" // only while the kernel keeps statistics
	XDPRunTime         = "flowscope_xdp_run_seconds_total"
	InterfacePackets   = "flowscope_interface_packets_total" // as the interface counts them
	InterfaceBytes     = "flowscope_interface_bytes_total"
	InterfaceDropped   = "flowscope_interface_dropped_packets_total"
	RingRecords        = "flowscope_ring_records_total"
	RingDroppedRecords = "flowscope_ring_dropped_records_total"
	RingDroppedBytes   = "flowscope_ring_dropped_bytes_total"
	RingFill           = "flowscope_ring_fill_ratio"
	TableSweep         = "flowscope_table_sweep_seconds"
	BuildInfo          = "flowscope_build_info"
)

var (
	byL4     = []string{"l4"}
	byReason = []string{"reason"}
	byCause  = []string{"cause"}
	bySide   = []string{"side"}
	byKind   = []string{"kind"}
	byParser = []string{"parser"}
	byHook   = []string{"verdict", "hook"}
	byWay    = []string{"interface", "direction"}
)

// All returns every metric, in the order of the names above.
func All() []Metric {
	return []Metric{
		{FlowsCreated, Counter, byL4, nil, "Flows begun."},
		{FlowsEnded, Counter, byReason, nil, "Flows ended."},
		{FlowsActive, Gauge, nil, nil, "Flows open now, those that linger after their end included."},
		{PacketsUnmatched, Counter, nil, nil, "Frames that are of no flow."},
		{PacketsUnparsed, Counter, byCause, nil, "Frames that are of no flow, by cause."},
		{Packets, Counter, nil, nil, "Frames seen."},
		{PacketsDuplicate, Counter, nil, nil, "Frames seen a second time."},
		{Bytes, Counter, bySide, nil, "Frame bytes of flows that ended."},
		{FlowDuration, Histogram, nil, []float64{0.1, 1, 10, 60, 300, 3600}, "Time from a flow's first packet to its last."},
		{FlowPackets, Histogram, nil, []float64{1, 10, 100, 1e3, 1e4, 1e5}, "Packets of a flow."},
		{FlowBytes, Histogram, nil, []float64{1500, 64 << 10, 1 << 20, 10 << 20, 100 << 20}, "Frame bytes of a flow."},
		{Anomalies, Counter, byKind, nil, "Anomalies, also those nobody asked to hear of."},
		{ReassemblyDroppedOOO, Counter, bySide, nil, "Segments that reassembly refused."},
		{ReassemblyDroppedOversize, Counter, bySide, nil, "Bytes that the cap of a side's buffer cost."},
		{ReassemblerHighWatermark, Histogram, bySide, []float64{1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}, "Most bytes held for a side that carried payload."},
		{OutOfOrderSegments, Counter, bySide, nil, "Segments that came late."},
		{RetransmittedSegments, Counter, bySide, nil, "Segments sent again."},
		{RetransmittedBytes, Counter, bySide, nil, "Bytes sent again."},
		{StreamMissedBytes, Counter, byCause, nil, "Bytes of streams that were not delivered: network, capture or skipped."},
		{OverlapConflictBytes, Counter, bySide, nil, "Bytes that were sent twice with different values."},
		{ReassemblyMemory, Gauge, nil, nil, "Bytes that held segments take."},
		{TableFill, Gauge, nil, nil, "How full the flow table is, 1 at its limit."},
		{Messages, Counter, []string{"parser", "kind"}, nil, "Messages that parsers emitted."},
		{ParserPoisoned, Counter, byParser, nil, "Sessions whose parser gave up."},
		{DNSUnanswered, Counter, nil, nil, "DNS queries without an answer."},
		{XDPPackets, Counter, byHook, nil, "Packets the XDP program saw."},
		{XDPBytes, Counter, byHook, nil, "Bytes the XDP program saw."},
		{XDPTableSpills, Counter, byCause, nil, "Packets counted outside the table: it was full, or a race for a place was lost."},
		{XDPLostPackets, Counter, byCause, nil, "Packets the XDP program could not account."},
		{XDPPayloadLost, Counter, byCause, nil, "Packets that were counted but whose payload did not come up."},
		{XDPFlowsClaimed, Counter, nil, nil, "Flows that got a place in the XDP program's table."},
		{XDPDecapDepth, Counter, nil, nil, "Packets tracked outside a tunnel too many."},
		{XDPMemory, Gauge, nil, nil, "Bytes of kernel memory that table and rings take."},
		{XDPRuns, Counter, nil, nil, "Runs of the XDP program, while sysctl kernel.bpf_stats_enabled is 1."},
		{XDPRunTime, Counter, nil, nil, "Time the XDP program ran, while sysctl kernel.bpf_stats_enabled is 1."},
		{InterfacePackets, Counter, byWay, nil, "Packets of a watched interface, as the interface counts them."},
		{InterfaceBytes, Counter, byWay, nil, "Bytes of a watched interface, as the interface counts them."},
		{InterfaceDropped, Counter, []string{"interface", "cause"}, nil, "Packets a watched interface dropped before any program saw them, or while sending."},
		{RingRecords, Counter, nil, nil, "Records read from the rings."},
		{RingDroppedRecords, Counter, nil, nil, "Records that found a ring full."},
		{RingDroppedBytes, Counter, nil, nil, "Payload bytes that found a ring full."},
		{RingFill, Gauge, nil, nil, "How full the rings are."},
		{TableSweep, Histogram, nil, []float64{1e-4, 1e-3, 1e-2, 0.1, 1}, "Time of one pass over the table."},
		{BuildInfo, Gauge, []string{"version", "go", "abi"}, nil, "1, with the version as labels."},
	}
}
