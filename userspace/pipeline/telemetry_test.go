package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// A measured recorder keeps counters, gauges and how often a histogram was observed,
// by name and labels.
type measured map[string]float64

func (m measured) key(name string, l metrics.Labels) string {
	labels := slices.DeleteFunc(l[:], func(s string) bool { return s == "" })
	return strings.TrimPrefix(name, "flowscope_") + fmt.Sprint(labels)
}

func (m measured) Add(name string, n uint64, l metrics.Labels) { m[m.key(name, l)] += float64(n) }
func (m measured) Set(name string, v float64)                  { m[m.key(name, metrics.Labels{})] = v }
func (m measured) Observe(name string, _ float64, l metrics.Labels) {
	m[m.key(name, l)+"#"]++
}

// check holds the measurements that are named, and those not named to be those of
// allowed names.
func (m measured) check(t *testing.T, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got := m[name]; got != v {
			t.Errorf("%s = %v, want %v", name, got, v)
		}
	}
}

// TestMetricsAfterOverflow is the case of SEMANTICS.md §10: a handshake, then 200 bytes
// into a buffer of 64 that drops the flow.
func TestMetricsAfterOverflow(t *testing.T) {
	m := measured{}
	var log bytes.Buffer
	opt := flowOpts(&flowRecorder{})
	opt.Anomalies = false
	opt.Metrics = m
	opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
	opt.Reassembly = reassembly.Options{Cap: 64, Overflow: flow.DropFlow}
	finish(t, track(opt, open().a("PA", 1001, 5001, strings.Repeat("x", 200)).list...))
	m.check(t, map[string]float64{
		"flows_created_total[tcp]":                           1,
		"flows_ended_total[buffer_overflow]":                 1,
		"flows_active[]":                                     0,
		"packets_total[]":                                    4,
		"packets_unmatched_total[]":                          0,
		"anomalies_total[buffer_overflow]":                   1,
		"reassembly_bytes_dropped_oversize_total[initiator]": 200,
		"reassembler_high_watermark_bytes[initiator]#":       1,
		"reassembler_high_watermark_bytes[responder]#":       0,
		"flow_duration_seconds[]#":                           1,
		"flow_packets[]#":                                    1,
		"flow_bytes[]#":                                      1,
	})
	if got := m["bytes_total[initiator]"]; got < 200 {
		t.Errorf("%v bytes of the initiator, want at least 200", got)
	}
	for _, want := range []string{
		"level=INFO msg=\"flow started\" target=flowscope.flow l4=tcp",
		"level=WARN msg=anomaly target=flowscope.anomaly kind=buffer_overflow",
		"level=INFO msg=\"flow ended\" target=flowscope.flow reason=buffer_overflow packets=4 bytes=",
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("log does not have once\n%s\nbut is\n%s", want, log.String())
		}
	}
}

// busy is traffic with something of everything: messages, losses, a poisoned parser,
// frames of no flow, a datagram.
func busy() []packettest.Packet {
	late := open().a("PA", 1001, 5001, "one\n").a("PA", 1013, 5001, "three\n").a("PA", 1005, 5001, "two_two\n").a("PA", 1005, 5001, "two_two\n")
	bad := packettest.NewConversation("10.7.7.7:7777", "10.8.8.8:8888").Handshake().Request("bad\n").Close().Packets()
	cut := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Edit(func(b []byte) { b[14] = 0x44 })
	return append(append(late.list, bad...), packettest.UDP("10.5.5.5:5555", "10.6.6.6:6666").Payload("datagram"), cut)
}

// TestMetricsOfEveryDriver holds that each counter moves once per event in each driver.
func TestMetricsOfEveryDriver(t *testing.T) {
	opt := lineOptions(nil)
	opt.Anomalies = false
	common := map[string]float64{
		"flows_created_total[tcp]": 2, "flows_created_total[udp]": 1,
		"flows_ended_total[fin]": 1, "flows_ended_total[end_of_input]": 2,
		"flows_active[]": 0, "table_fill_ratio[]": 0,
		"packets_total[]": 18, "packets_duplicate_total[]": 1,
		"packets_unmatched_total[]": 1, "packets_unparsed_total[malformed]": 1,
		"flow_duration_seconds[]#": 3, "flow_packets[]#": 3, "flow_bytes[]#": 3,
	}
	streams := map[string]float64{
		"out_of_order_segments_total[initiator]": 1, "retransmitted_segments_total[initiator]": 1,
		"retransmitted_bytes_total[initiator]": 8, "anomalies_total[ooo_segment]": 1, "anomalies_total[retransmission]": 1,
	}
	tests := map[string]struct {
		run  func(opt pipeline.Options[flow.Key]) pipeline.Driver
		want map[string]float64
	}{
		"flow": {func(opt pipeline.Options[flow.Key]) pipeline.Driver {
			return pipeline.NewFlowDriver(flowOptions{Options: opt})
		}, streams},
		"session": {func(opt pipeline.Options[flow.Key]) pipeline.Driver { return pipeline.NewSessionDriver(opt) }, func() map[string]float64 {
			want := maps.Clone(streams)
			maps.Copy(want, map[string]float64{"messages_total[test line]": 4, "parser_poisoned_total[test]": 1, "anomalies_total[parse_error]": 1})
			return want
		}()},
		"datagram": {func(opt pipeline.Options[flow.Key]) pipeline.Driver { return pipeline.NewDatagramDriver(opt) }, map[string]float64{
			"messages_total[test line]": 1, "stream_missed_bytes_total[skipped]": 22,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := measured{}
			opt := opt
			opt.Metrics, opt.Dedup = m, packet.NewDedup(0, 4)
			d := tt.run(opt)
			frames := packettest.Trace(busy()...)
			d.Track(&frames[0])
			for i := range frames {
				d.Track(&frames[i])
			}
			d.Finish()
			m.check(t, common)
			m.check(t, tt.want)
		})
	}
}

// TestLogsCarryNoEndpoint holds that no address, port, name or payload is in a log line,
// at the lowest level and for every kind of line.
func TestLogsCarryNoEndpoint(t *testing.T) {
	var log bytes.Buffer
	opt := lineOptions(nil)
	opt.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: pipeline.LevelMessage}))
	opt.TraceMessages = true
	replay(t, opt, busy()...)
	for _, word := range []string{"10.", "7777", "8888", "5555", "54321", "datagram", "two_two", "bad"} {
		for l := range strings.Lines(log.String()) {
			_, l, _ = strings.Cut(l, `"level"`) // after the time
			if strings.Contains(l, word) {
				t.Errorf("%q is in the log line %s", word, l)
			}
		}
	}
	for target, want := range map[string]int{"flow": 6, "anomaly": 3, "message": 4} {
		if n := strings.Count(log.String(), `"target":"flowscope.`+target+`"`); n != want {
			t.Errorf("%d lines of flowscope.%s, want %d", n, target, want)
		}
	}
}

// TestTraceMessages holds that messages are logged only when asked for, those that a FIN
// brings about too, and below debug level.
func TestTraceMessages(t *testing.T) {
	packets := open().a("PA", 1001, 5001, "one\nrest").a("FA", 1009, 5001, "").list
	for _, trace := range []bool{false, true} {
		var levels []slog.Level
		opt := lineOptions(nil)
		opt.Logger, opt.TraceMessages = slog.New(levelHandler{&levels}), trace
		replay(t, opt, packets...)
		want := 0
		if trace {
			want = 2
		}
		if n := len(slices.DeleteFunc(levels, func(l slog.Level) bool { return l != slog.Level(-8) })); n != want {
			t.Errorf("tracing %v: %d lines at level -8, want %d", trace, n, want)
		}
	}
}

// A levelHandler keeps the levels of what is logged.
type levelHandler struct{ levels *[]slog.Level }

func (levelHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h levelHandler) Handle(_ context.Context, r slog.Record) error {
	*h.levels = append(*h.levels, r.Level)
	return nil
}
func (h levelHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h levelHandler) WithGroup(string) slog.Handler      { return h }

// TestRecordingAllocatesNothing holds that a packet costs no allocation with a recorder
// and a logger either.
func TestRecordingAllocatesNothing(t *testing.T) {
	opt := lineOptions(nil)
	opt.Metrics, opt.Logger = discard{}, slog.New(slog.DiscardHandler)
	d := pipeline.NewSessionDriver(opt)
	frames := packettest.Trace(open().a("PA", 1001, 5001, "data\n").b("A", 5001, 1006, "").list...)
	for i := range frames {
		d.Track(&frames[i])
	}
	if n := testing.AllocsPerRun(100, func() { d.Track(&frames[len(frames)-1]) }); n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}
