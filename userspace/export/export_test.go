package export_test

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/export"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A note is a message with a text of its own.
type note string

func (note) Parser() string               { return "note" }
func (note) Kind() string                 { return "text" }
func (n note) LogValue() slog.Value       { return slog.GroupValue(slog.String("text", string(n))) }
func (n note) AppendJSON(b []byte) []byte { return append(b, `{"text":1}`...) }

var start = flow.At(time.Date(2024, 1, 1, 0, 0, 0, 5, time.UTC))

func record() *flow.Record {
	r := &flow.Record{
		ID: 0x1f, FiveTuple: true, IPVersion: 4, Proto: flow.ProtoTCP,
		Key: flow.Key{
			Lo: flow.MapV4([4]byte{1, 2, 3, 4}), Hi: flow.MapV4([4]byte{5, 6, 7, 8}),
			LoPort: 1122, HiPort: 3344, Proto: flow.ProtoTCP, IPVersion: 4,
		},
		Endpoint: [2]flow.Endpoint{
			{IP: netip.MustParseAddr("1.2.3.4"), Port: 1122, HasMAC: true, MAC: flow.MAC{2, 0, 0, 0, 0, 1}},
			{IP: netip.MustParseAddr("5.6.7.8"), Port: 3344},
		},
		VLANs:     []uint16{7, 8},
		Tunnels:   []flow.Tunnel{{Kind: flow.TunnelVXLAN, HasID: true, ID: 42, Src: netip.MustParseAddr("9.9.9.9"), Dst: netip.MustParseAddr("8.8.8.8")}, {Kind: flow.TunnelMPLS}},
		State:     flow.StateClosed,
		Reason:    flow.EndFIN,
		Handshake: [2]time.Duration{-1, 0}, Service: "http", Incomplete: flow.LostMissed | flow.LostRing,
	}
	r.Stats.Start, r.Stats.End = start, start.Add(time.Second)
	r.Stats.Side[0] = flow.SideStats{Packets: 3, Bytes: 200, TTLMin: 63, TTLMax: 64, TCPFlags: flow.SYN | flow.ACK}
	return r
}

// decode returns the one JSON object that write wrote.
func decode(t *testing.T, write func(*export.JSONL) error) map[string]any {
	t.Helper()
	var b strings.Builder
	if err := write(export.NewJSONL(&b)); err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal([]byte(b.String()), &o); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	if !strings.HasPrefix(b.String(), `{"type":`) || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("want one line with the type first: %s", b.String())
	}
	return o
}

func TestJSONLFlow(t *testing.T) {
	o := decode(t, func(j *export.JSONL) error { return j.Flow(record()) })
	want := map[string]any{
		"type": "flow", "id": "000000000000001f", "community_id": "1:wCb3OG7yAFWelaUydu0D+125CLM=",
		"start": "2024-01-01T00:00:00.000000005Z", "duration_ns": 1e9, "ip_version": 4.0, "proto": "tcp",
		"state": "closed", "end_reason": "fin", "service": "http", "complete": false,
	}
	for k, v := range want {
		if o[k] != v {
			t.Errorf("%s = %v, want %v", k, o[k], v)
		}
	}
	side := o["initiator"].(map[string]any)
	for k, v := range map[string]any{"ip": "1.2.3.4", "port": 1122.0, "mac": "02:00:00:00:00:01", "tcp_flags": "SA", "packets": 3.0, "missed_bytes": 0.0, "ttl_min": 63.0} {
		if side[k] != v {
			t.Errorf("initiator %s = %v, want %v", k, side[k], v)
		}
	}
	got, _ := json.Marshal([]any{o["vlans"], o["tunnels"], o["handshake_ns"], o["incomplete"]})
	wantLists := `[[7,8],[{"dst":"8.8.8.8","id":42,"kind":"vxlan","src":"9.9.9.9"},{"kind":"mpls"}],{"responder":0},["missed","ring"]]`
	if string(got) != wantLists {
		t.Errorf("lists %s, want %s", got, wantLists)
	}
}

// TestJSONLAbsent wants what is not known, or does not apply, to be left out.
func TestJSONLAbsent(t *testing.T) {
	r := record()
	r.Proto, r.Key.Proto = flow.ProtoICMP, flow.ProtoICMP
	r.VLANs, r.Tunnels, r.Service, r.Handshake = nil, nil, "", [2]time.Duration{-1, -1}
	o := decode(t, func(j *export.JSONL) error { return j.Flow(r) })
	for _, k := range []string{"vlans", "tunnels", "service", "handshake_ns", "flow_label", "icmp_type", "packets_after_close"} {
		if v, ok := o[k]; ok {
			t.Errorf("%s is %v, want it absent", k, v)
		}
	}
	for _, k := range []string{"port", "tcp_flags", "stream_bytes", "rtt_samples"} {
		if v, ok := o["initiator"].(map[string]any)[k]; ok {
			t.Errorf("initiator %s is %v, want it absent", k, v)
		}
	}
}

func TestJSONLAnomalies(t *testing.T) {
	tests := []struct {
		a    flow.Anomaly
		want []string
	}{
		{flow.Anomaly{Kind: flow.AnomalyBufferOverflow, Bytes: 136}, []string{"id", "side", "bytes", "policy"}},
		{flow.Anomaly{Kind: flow.AnomalyStreamGap, Bytes: 5}, []string{"id", "side", "offset", "bytes", "cause"}},
		{flow.Anomaly{Kind: flow.AnomalyRSTSuspect}, []string{"id", "side", "seq", "expected", "revoked"}},
		{flow.Anomaly{Kind: flow.AnomalyParseError, Reason: "x\x00"}, []string{"id", "side", "reason", "parser"}},
		{flow.Anomaly{Kind: flow.AnomalyFragmentOverlap, Src: start4, Dst: start4}, []string{"id", "src", "dst", "ip_id", "bytes"}},
		{flow.Anomaly{Kind: flow.AnomalyTableEviction, Count: 1, Total: 1}, []string{"evicted_in_tick", "evicted_total"}},
		{flow.Anomaly{Kind: flow.AnomalyCaptureLoss}, []string{"records", "bytes", "cause"}},
	}
	for _, tt := range tests {
		t.Run(tt.a.Kind.String(), func(t *testing.T) {
			o := decode(t, func(j *export.JSONL) error { return j.Anomaly(export.Anomaly{ID: 1, Time: start, Anomaly: &tt.a}) })
			for _, k := range tt.want {
				if _, ok := o[k]; !ok {
					t.Errorf("%s is absent in %v", k, o)
				}
			}
			if want := len(tt.want) + 3; len(o) != want {
				t.Errorf("%d fields, want %d: %v", len(o), want, o)
			}
		})
	}
}

var start4 = netip.MustParseAddr("192.0.2.1")

func TestTable(t *testing.T) {
	var b strings.Builder
	w := export.NewTable(&b, 100)
	if err := w.Flow(record()); err != nil {
		t.Fatal(err)
	}
	if err := w.Message(export.Message{Time: start, Body: note("a\x1b[2Jb\nc" + strings.Repeat("x", 200))}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want a header, a flow and a message:\n%s", len(lines), b.String())
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > 100 {
			t.Errorf("a line of %d characters on a terminal of 100: %q", n, l)
		}
		if strings.ContainsAny(l, "\x1b\n\x00") {
			t.Errorf("control characters reach the terminal: %q", l)
		}
	}
	if !strings.Contains(lines[1], "1.2.3.4:1122") || !strings.Contains(lines[1], "fin") {
		t.Errorf("flow line %q", lines[1])
	}
}

func TestFlowLineAllocatesLittle(t *testing.T) {
	j := export.NewJSONL(discard{})
	r := record()
	// The Community ID's SHA-1 and text are what is left.
	if n := testing.AllocsPerRun(100, func() { _ = j.Flow(r) }); n > 4 {
		t.Errorf("%v allocations a flow line, want at most 4", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func BenchmarkFlowLine(b *testing.B) {
	j := export.NewJSONL(discard{})
	r := record()
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Flow(r); err != nil {
			b.Fatal(err)
		}
	}
}
