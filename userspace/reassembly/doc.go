// Package reassembly puts the segments of a TCP flow back in order.
//
// Every TCP packet of a flow goes into its [Assembler], payload or not, since
// SYNs, ACKs, windows, FINs and the clock all matter; bytes come out through a
// [Sink], once each and in order. In-order payload is handed on from the packet's
// own memory; only what came ahead of a hole is copied, into blocks that a
// [Shared] pools and accounts for. Bytes that never come are reported as a gap.
// [Buffer] is the same thing to pull from, one side at a time.
//
// Where two held segments overlap, a [Policy] says whose bytes stay, as operating
// systems differ; bytes already handed on never change (SEMANTICS.md §5).
//
// Without a SYN a stream starts at its first payload byte, which goes to the sink
// at once; what lies before it and comes later is a retransmission. A segment that
// leaves no hole is never out of window, as the ACKs before it may not have been
// seen. Give the assembler the peer's bare ACKs too: without them a hole waits for
// 30 seconds, the cap or the end.
//
// What bites: rules that depend on time are looked at only when a packet of the
// flow comes, by packet time, or when it closes. So nothing depends on how often a
// caller looks, and a silent flow keeps what it holds until it is closed. An
// assembler belongs to one goroutine, and so does a Shared; only [Memory] may be
// shared between goroutines.
package reassembly
