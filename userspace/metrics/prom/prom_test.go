package prom_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/metrics/prom"
)

var _ metrics.Recorder = (*prom.Recorder)(nil)

// gathered returns every series of e as name{label=value,…}, histograms by their count.
func gathered(t *testing.T, e *prom.Exporter) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(e); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[strings.TrimPrefix(f.GetName(), "flowscope_")+"{"+strings.Join(labels, ",")+"}"] =
				m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func check(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s = %v (there: %t), want %v", name, g, ok, v)
		}
	}
}

func TestExporterAddsUp(t *testing.T) {
	e := prom.New()
	a, b := e.Recorder(), e.Recorder()
	a.Add(metrics.FlowsCreated, 2, metrics.Labels{"tcp"})
	b.Add(metrics.FlowsCreated, 3, metrics.Labels{"tcp"})
	a.Add(metrics.Messages, 1, metrics.Labels{"http", "request"})
	a.Set(metrics.FlowsActive, 5)
	b.Set(metrics.FlowsActive, 7)
	a.Set(metrics.TableFill, 0.5)
	b.Set(metrics.TableFill, 0.25)
	a.Observe(metrics.FlowPackets, 10, metrics.Labels{})
	b.Observe(metrics.FlowPackets, 11, metrics.Labels{})
	a.Add("flowscope_no_such_total", 1, metrics.Labels{})
	a.Add(metrics.FlowsActive, 9, metrics.Labels{}) // neither is what it says
	a.Set(metrics.Packets, 9)
	a.Observe(metrics.Packets, 9, metrics.Labels{})
	e.AddSource(func(set prom.Setter) error {
		set(metrics.Packets, 40)
		set(metrics.FlowsCreated, 1, "udp")
		return nil
	})
	a.Add(metrics.Packets, 2, metrics.Labels{})
	got := gathered(t, e)
	check(t, got, map[string]float64{
		"flows_created_total{l4=tcp}":                      5,
		"flows_created_total{l4=udp}":                      1,
		"flows_created_total{l4=other}":                    0,
		"messages_total{kind=request,parser=http}":         1,
		"flows_active{}":                                   12,
		"table_fill_ratio{}":                               0.375,
		"flow_packets{}":                                   2,
		"packets_total{}":                                  42,
		"anomalies_total{kind=memcap}":                     0,
		"packets_unparsed_total{cause=table_full}":         0,
		"stream_missed_bytes_total{cause=skipped}":         0,
		"xdp_table_spills_total{cause=race}":               0,
		"reassembler_high_watermark_bytes{side=initiator}": 0,
	})
	if _, ok := got["ring_fill_ratio{}"]; ok {
		t.Error("a fill of rings that nobody measured")
	}
}

// TestLint holds names and help to the conventions of Prometheus.
func TestLint(t *testing.T) {
	e := prom.New()
	e.Recorder()
	problems, err := testutil.CollectAndLint(e)
	if err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestHistogram holds buckets to be cumulative with inclusive bounds.
func TestHistogram(t *testing.T) {
	e := prom.New()
	r := e.Recorder()
	for _, v := range []float64{0.5, 1, 1.5, 100, 1e9} {
		r.Observe(metrics.FlowPackets, v, metrics.Labels{})
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(e)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[float64]uint64{1: 2, 10: 3, 100: 4, 1e3: 4, 1e4: 4, 1e5: 4}
	for _, f := range families {
		if f.GetName() != metrics.FlowPackets {
			continue
		}
		h := f.Metric[0].GetHistogram()
		if h.GetSampleCount() != 5 || h.GetSampleSum() != 1e9+103 {
			t.Errorf("count %d, sum %v", h.GetSampleCount(), h.GetSampleSum())
		}
		for _, b := range h.Bucket {
			if b.GetCumulativeCount() != want[b.GetUpperBound()] {
				t.Errorf("up to %v: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want[b.GetUpperBound()])
			}
			delete(want, b.GetUpperBound())
		}
	}
	if len(want) != 0 {
		t.Errorf("missing buckets %v", want)
	}
}

// TestSourceErrors holds that a scrape says what a source could not tell, and of a metric
// that is not ours.
func TestSourceErrors(t *testing.T) {
	for name, s := range map[string]prom.Source{
		"read counter 3": func(prom.Setter) error { return errors.New("read counter 3: no") },
		"no metric":      func(set prom.Setter) error { set("flowscope_other_total", 1); return nil },
		"label values":   func(set prom.Setter) error { set(metrics.FlowsCreated, 1, "\xff"); return nil },
	} {
		e := prom.New()
		e.AddSource(s)
		reg := prometheus.NewRegistry()
		reg.MustRegister(e)
		if _, err := reg.Gather(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRecorderAllocates holds that measuring does not, once a series is there.
func TestRecorderAllocates(t *testing.T) {
	r := prom.New().Recorder()
	n := testing.AllocsPerRun(1000, func() {
		r.Add(metrics.Packets, 1, metrics.Labels{})
		r.Add(metrics.Messages, 1, metrics.Labels{"http", "request"})
		r.Set(metrics.FlowsActive, 3)
		r.Observe(metrics.FlowDuration, 0.2, metrics.Labels{})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestScrapeWhileRecording scrapes while several goroutines record, new series among it:
// nothing is lost.
func TestScrapeWhileRecording(t *testing.T) {
	e := prom.New()
	const each = 2000
	var wg sync.WaitGroup
	for i := range 4 {
		r := e.Recorder()
		wg.Go(func() {
			for n := range each {
				r.Add(metrics.Messages, 1, metrics.Labels{"p", string(rune('a' + n%20))})
				r.Observe(metrics.FlowBytes, float64(i), metrics.Labels{})
			}
		})
	}
	for range 20 {
		gathered(t, e)
	}
	wg.Wait()
	sum := 0.0
	got := gathered(t, e)
	for name, v := range got {
		if strings.HasPrefix(name, "messages_total") {
			sum += v
		}
	}
	if sum != 4*each || got["flow_bytes{}"] != 4*each {
		t.Errorf("%v messages, %v flows; want %d each", sum, got["flow_bytes{}"], 4*each)
	}
}

// TestScrapeKeepsNobodyWaiting holds a scrape up in a source: measuring goes on, new
// series and recorders among it.
func TestScrapeKeepsNobodyWaiting(t *testing.T) {
	e := prom.New()
	r := e.Recorder()
	asked, goOn := make(chan bool), make(chan bool)
	e.AddSource(func(prom.Setter) error {
		asked <- true
		<-goOn
		return nil
	})
	ch, done := make(chan prometheus.Metric, 1000), make(chan bool)
	go func() {
		e.Collect(ch)
		close(done)
	}()
	<-asked
	r.Add(metrics.Messages, 1, metrics.Labels{"http", "request"})
	r.Observe(metrics.FlowBytes, 1, metrics.Labels{})
	e.Recorder().Set(metrics.FlowsActive, 1)
	close(goOn)
	<-done
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	e := prom.New()
	e.Recorder().Add(metrics.FlowsEnded, 3, metrics.Labels{"fin"})
	var sick error
	s, err := prom.Listen("127.0.0.1:0", e, func() error { return sick })
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr().String()
	code, body := get(t, base+"/metrics")
	for _, want := range []string{`flowscope_flows_ended_total{reason="fin"} 3`, "go_goroutines ", "process_open_fds "} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("/metrics: %d without %q", code, want)
		}
	}
	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	sick = errors.New("no progress")
	if code, body := get(t, base+"/healthz"); code != 503 || body != "no progress\n" {
		t.Errorf("/healthz when sick: %d %q", code, body)
	}
	if code, _ := get(t, base+"/"); code != 404 {
		t.Errorf("/: %d", code)
	}
	if _, err := prom.Listen(s.Addr().String(), e, nil); err == nil {
		t.Error("listened twice on one address")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("answered after Close")
	}
}

func BenchmarkRecorder(b *testing.B) {
	r := prom.New().Recorder()
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Add(metrics.Packets, 1, metrics.Labels{})
		}
	})
	b.Run("add/labels=2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Add(metrics.Messages, 1, metrics.Labels{"http", "request"})
		}
	})
	b.Run("observe", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Observe(metrics.FlowBytes, 2000, metrics.Labels{})
		}
	})
}
