package prom

import (
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowscope/flowscope-xdp/userspace/metrics"
)

// An Exporter is a prometheus.Collector of everything its recorders take and its sources
// say. Any goroutine may call its methods.
type Exporter struct {
	descs map[string]*prometheus.Desc

	mu        sync.Mutex // of what follows; no measurement takes it
	recorders []*Recorder
	sources   []Source
}

// A Source says what is counted elsewhere, each time somebody asks. Counters are added to
// those recorded under the same name and labels.
type Source func(set Setter) error

// A Setter takes one value, with the values of the metric's labels in their order.
type Setter = func(name string, v float64, labels ...string)

// New returns an exporter of the metrics of [metrics.All].
func New() *Exporter {
	e := &Exporter{descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics.All() {
		e.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return e
}

// Recorder returns a recorder for one driver. Counters, histograms and gauges of several
// are added up; of ratios it is the mean.
func (e *Exporter) Recorder() *Recorder {
	r := newRecorder()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recorders = append(e.recorders, r)
	return r
}

// AddSource adds what s says to each scrape from now on.
func (e *Exporter) AddSource(s Source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sources = append(e.sources, s)
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range e.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	e.mu.Lock()
	recorders, sources := e.recorders, e.sources
	e.mu.Unlock()
	s := scrape{}
	for _, r := range recorders {
		s.addRecorder(r)
	}
	for _, source := range sources {
		if err := source(s.set); err != nil {
			ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
	}
	for _, m := range metrics.All() {
		for labels, t := range s[m.Name] {
			ch <- e.metric(&m, labels, t)
		}
		delete(s, m.Name)
	}
	for name := range s {
		err := fmt.Errorf("%s: no metric of ours", name)
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
}

// metric returns one series.
func (e *Exporter) metric(m *metrics.Metric, labels metrics.Labels, t *total) prometheus.Metric {
	d, values := e.descs[m.Name], labels[:len(m.Labels)]
	switch m.Kind {
	case metrics.Counter:
		return must(d)(prometheus.NewConstMetric(d, prometheus.CounterValue, t.value, values...))
	case metrics.Gauge:
		if strings.HasSuffix(m.Name, "_ratio") {
			t.value /= float64(t.parts)
		}
		return must(d)(prometheus.NewConstMetric(d, prometheus.GaugeValue, t.value, values...))
	}
	cumulative, n := map[float64]uint64{}, uint64(0)
	for i, bound := range m.Buckets {
		n += t.buckets[i]
		cumulative[bound] = n
	}
	n += t.buckets[len(m.Buckets)]
	return must(d)(prometheus.NewConstHistogram(d, n, t.value, cumulative, values...))
}

// must turns an error, such as a label that is not UTF-8, into a metric that reports it.
func must(d *prometheus.Desc) func(prometheus.Metric, error) prometheus.Metric {
	return func(m prometheus.Metric, err error) prometheus.Metric {
		if err != nil {
			return prometheus.NewInvalidMetric(d, err)
		}
		return m
	}
}

// A scrape adds up series by name and labels.
type scrape map[string]map[metrics.Labels]*total

// A total is the sum of one series over recorders and sources.
type total struct {
	value   float64 // of a histogram: the sum of what was observed
	buckets []uint64
	parts   int
}

func (s scrape) total(name string, l metrics.Labels) *total {
	series := s[name]
	if series == nil {
		series = map[metrics.Labels]*total{}
		s[name] = series
	}
	t := series[l]
	if t == nil {
		t = &total{}
		series[l] = t
	}
	t.parts++
	return t
}

func (s scrape) set(name string, v float64, labels ...string) {
	var l metrics.Labels
	copy(l[:], labels)
	s.total(name, l).value += v
}

func (s scrape) addRecorder(r *Recorder) {
	for name, f := range r.families {
		for labels, c := range *f.cells.Load() {
			t := s.total(name, labels)
			t.value += c.read(f.kind)
			if f.kind == metrics.Histogram && t.buckets == nil {
				t.buckets = make([]uint64, len(c.buckets))
			}
			for i := range c.buckets {
				t.buckets[i] += c.buckets[i].Load()
			}
		}
	}
}
