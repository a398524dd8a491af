package pipeline

import (
	"context"
	"log/slog"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// LevelMessage is the level of a log line about a message, below slog.LevelDebug.
const LevelMessage = slog.Level(-8)

// The values of a log line's attribute "target", to filter by.
const (
	targetFlow    = "flowscope.flow"
	targetAnomaly = "flowscope.anomaly"
	targetMessage = "flowscope.message"
)

// A telemetry value records metrics and writes logs for one driver. What is off costs
// one branch. Neither ever carries an address, a port or a key.
type telemetry struct {
	rec                        metrics.Recorder // nil: off
	flows, anomalies, messages *slog.Logger     // nil: off
}

func newTelemetry(rec metrics.Recorder, log *slog.Logger, messages bool) telemetry {
	t := telemetry{rec: rec}
	if log == nil {
		return t
	}
	t.flows = log.With(slog.String("target", targetFlow))
	t.anomalies = log.With(slog.String("target", targetAnomaly))
	if messages {
		t.messages = log.With(slog.String("target", targetMessage))
	}
	return t
}

// frame takes a frame that was seen. It wants a recorder.
func (t *telemetry) frame(duplicate bool) {
	t.rec.Add(metrics.Packets, 1, metrics.Labels{})
	if duplicate {
		t.rec.Add(metrics.PacketsDuplicate, 1, metrics.Labels{})
	}
}

// unparsed takes n frames that are of no flow.
func (t *telemetry) unparsed(cause flow.Cause, n uint64) {
	if t.rec == nil || n == 0 {
		return
	}
	t.rec.Add(metrics.PacketsUnmatched, n, metrics.Labels{})
	t.rec.Add(metrics.PacketsUnparsed, n, metrics.Labels{cause.String()})
}

// started takes a flow that began.
func (t *telemetry) started(l4 flow.L4) {
	if t.rec != nil {
		t.rec.Add(metrics.FlowsCreated, 1, metrics.Labels{l4.String()})
	}
	if t.flows != nil {
		t.flows.LogAttrs(context.Background(), slog.LevelInfo, "flow started", slog.String("l4", l4.String()))
	}
}

// levels takes how much there is of what grows: open flows, the part of the table
// that they fill, and the bytes that held segments take. It wants a recorder.
func (t *telemetry) levels(flows int, full float64, memory int64) {
	t.rec.Set(metrics.FlowsActive, float64(flows))
	t.rec.Set(metrics.TableFill, full)
	t.rec.Set(metrics.ReassemblyMemory, float64(memory))
}

// ended takes the final counters of a flow.
func (t *telemetry) ended(reason flow.EndReason, st *flow.Stats) {
	if t.flows != nil {
		t.flows.LogAttrs(context.Background(), slog.LevelInfo, "flow ended",
			slog.String("reason", reason.String()), slog.Uint64("packets", st.Packets()), slog.Uint64("bytes", st.Bytes()))
	}
	if t.rec == nil {
		return
	}
	t.rec.Add(metrics.FlowsEnded, 1, metrics.Labels{reason.String()})
	t.rec.Observe(metrics.FlowDuration, st.End.SaturatingSub(st.Start).Seconds(), metrics.Labels{})
	t.rec.Observe(metrics.FlowPackets, float64(st.Packets()), metrics.Labels{})
	t.rec.Observe(metrics.FlowBytes, float64(st.Bytes()), metrics.Labels{})
	for side := range st.Side {
		t.side(flow.Side(side), &st.Side[side])
	}
}

// side takes the final counters of one side.
func (t *telemetry) side(side flow.Side, s *flow.SideStats) {
	l := metrics.Labels{side.String()}
	t.add(metrics.Bytes, s.Bytes, l)
	t.add(metrics.ReassemblyDroppedOOO, s.ReassemblyDroppedSegments, l)
	t.add(metrics.ReassemblyDroppedOversize, s.ReassemblyDroppedOversizeBytes, l)
	t.add(metrics.OutOfOrderSegments, s.OutOfOrderSegments, l)
	t.add(metrics.RetransmittedSegments, s.RetransmittedSegments, l)
	t.add(metrics.RetransmittedBytes, s.RetransmittedBytes, l)
	t.add(metrics.OverlapConflictBytes, s.OverlapConflictBytes, l)
	t.add(metrics.StreamMissedBytes, s.MissedBytes, metrics.Labels{flow.GapNetwork.String()})
	t.add(metrics.StreamMissedBytes, s.CaptureMissedBytes, metrics.Labels{flow.GapCapture.String()})
	t.add(metrics.StreamMissedBytes, s.SkippedBytes, metrics.Labels{"skipped"})
	if s.PayloadBytes > 0 {
		t.rec.Observe(metrics.ReassemblerHighWatermark, float64(s.ReassemblyHighWatermark), l)
	}
}

func (t *telemetry) add(name string, n uint64, l metrics.Labels) {
	if n > 0 {
		t.rec.Add(name, n, l)
	}
}

// anomaly takes something odd, whether or not anybody wants to hear of it.
func (t *telemetry) anomaly(kind flow.AnomalyKind) {
	if t.rec != nil {
		t.rec.Add(metrics.Anomalies, 1, metrics.Labels{kind.String()})
	}
	if t.anomalies != nil {
		t.anomalies.LogAttrs(context.Background(), slog.LevelWarn, "anomaly", slog.String("kind", kind.String()))
	}
}

// poisoned takes a parser that gave up.
func (t *telemetry) poisoned(parser string) {
	if t.rec != nil {
		t.rec.Add(metrics.ParserPoisoned, 1, metrics.Labels{parser})
	}
}

// message takes what a parser emitted.
func (t *telemetry) message(side flow.Side, m parsers.Message) {
	if t.rec != nil {
		t.rec.Add(metrics.Messages, 1, metrics.Labels{m.Parser(), m.Kind()})
		if m.Parser() == "dns" && m.Kind() == "unanswered" {
			t.rec.Add(metrics.DNSUnanswered, 1, metrics.Labels{})
		}
	}
	if t.messages != nil {
		t.messages.LogAttrs(context.Background(), LevelMessage, "message",
			slog.String("side", side.String()), slog.String("parser", m.Parser()), slog.String("kind", m.Kind()))
	}
}
