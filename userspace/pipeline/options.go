package pipeline

import (
	"log/slog"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

// Options configures a driver. The zero value of every field but Extractor is its
// default.
type Options[K comparable] struct {
	// Handler takes the events, synchronously. It must not call into the driver.
	Handler func(e *SessionEvent[K])

	// Extractor makes the keys; packet.FiveTuple for most. Not for KernelDriver.
	Extractor packet.Extractor[K]
	Decap     packet.Decap  // DecapAuto
	Dedup     *packet.Dedup // none
	// Checksums verified, a packet with a bad one is counted and no more: its receiver
	// throws it away. Not for KernelDriver. Hosts see their own packets before the
	// card fills checksums in, so it is off by default.
	VerifyChecksums bool

	IdleTCP, IdleUDP, IdleOther time.Duration            // 300 s, 60 s, 30 s
	IdleHandshake               time.Duration            // IdleTCP
	IdlePorts                   map[uint16]time.Duration // none; the responder's port first
	IdleFunc                    tracker.IdleFunc[K]      // none
	ClosedLinger                time.Duration            // 5 s; negative: off
	ActiveTimeout               time.Duration            // 0: no Update events
	MaxFlows                    int                      // 100 000; negative: 1
	Monotonic                   bool                     // clamp packet times to their maximum
	Seed                        uint64                   // of flow ids

	Reassembly reassembly.Options
	Protocols  []parsers.Protocol // parsers to choose among; at most 64

	Anomalies      bool // hand out Anomaly events; they are counted in any case
	Gaps           bool // hand out Gap events
	PoisonEndsFlow bool // a parse error ends the flow, not only its parsing
	StreamHash     bool // SHA-256 of each stream; no payload is skipped then

	Metrics       metrics.Recorder // takes measurements; none
	Logger        *slog.Logger     // takes a line for each flow's start and end, and each anomaly; none
	TraceMessages bool             // a line for each message too, at LevelMessage
}

// trackerOptions are o's for a table with S as state.
func trackerOptions[K comparable, S any](o *Options[K], handler func(*tracker.Flow[K, S], *flow.Event[K])) tracker.Options[K, S] {
	return tracker.Options[K, S]{
		IdleTCP: o.IdleTCP, IdleUDP: o.IdleUDP, IdleOther: o.IdleOther, IdleHandshake: o.IdleHandshake,
		IdlePorts: o.IdlePorts, IdleFunc: o.IdleFunc, ClosedLinger: o.ClosedLinger,
		ActiveTimeout: o.ActiveTimeout, MaxFlows: o.MaxFlows, Monotonic: o.Monotonic, Seed: o.Seed,
		Handler: handler,
		Events: tracker.MaskOf(flow.EventStarted, flow.EventEstablished, flow.EventStateChange,
			flow.EventAnomaly, flow.EventEnded, flow.EventUpdate),
	}
}

// Reads reports whether anything wants the payload of TCP flows, and of datagrams.
func (o *Options[K]) Reads() (streams, datagrams bool) {
	streams = o.StreamHash
	for i := range o.Protocols[:min(len(o.Protocols), maxProtocols)] {
		streams = streams || o.Protocols[i].NewSession != nil
		datagrams = datagrams || o.Protocols[i].NewDatagram != nil
	}
	return streams, datagrams
}
