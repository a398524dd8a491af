package prom

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flowscope/flowscope-xdp/userspace/metrics"
)

// A Recorder is the metrics.Recorder of one driver. Any goroutine may call it; it is
// fastest when one does. What is not of [metrics.All], or of another kind there, is not
// recorded.
type Recorder struct {
	families map[string]*family
}

// A family is one metric of a recorder, by labels. The map of cells is never written:
// a new series takes the place of the whole map.
type family struct {
	kind    metrics.Kind
	bounds  []float64
	plain   *cell // the only one, of a counter or histogram without labels
	cells   atomic.Pointer[map[metrics.Labels]*cell]
	growing sync.Mutex
}

// A cell is one series of a recorder.
type cell struct {
	bits    atomic.Uint64 // a count, or the bits of a float: a gauge, or the sum of a histogram
	buckets []atomic.Uint64
}

func newRecorder() *Recorder {
	r := &Recorder{families: map[string]*family{}}
	for _, m := range metrics.All() {
		f := &family{kind: m.Kind, bounds: m.Buckets}
		f.cells.Store(&map[metrics.Labels]*cell{})
		r.families[m.Name] = f
		if m.Kind == metrics.Gauge {
			continue // a level that nobody took is not zero
		}
		for _, l := range known(&m) {
			c := f.cell(l)
			if len(m.Labels) == 0 {
				f.plain = c
			}
		}
	}
	for _, name := range []string{metrics.FlowsActive, metrics.TableFill, metrics.ReassemblyMemory} {
		r.Set(name, 0) // what a driver has before its first flow
	}
	return r
}

// known returns the series of m that are there from the start, at zero, so that a rate
// sees the first event: those with labels whose values are all known.
func known(m *metrics.Metric) []metrics.Labels {
	series := []metrics.Labels{{}}
	for i, label := range m.Labels {
		var next []metrics.Labels
		for _, l := range series {
			for _, v := range metrics.Values(m.Name, label) {
				l[i] = v
				next = append(next, l)
			}
		}
		series = next
	}
	return series
}

// Add implements metrics.Recorder.
func (r *Recorder) Add(name string, n uint64, l metrics.Labels) {
	if f := r.family(name, metrics.Counter); f != nil {
		f.cell(l).bits.Add(n)
	}
}

// Set implements metrics.Recorder.
func (r *Recorder) Set(name string, v float64) {
	if f := r.family(name, metrics.Gauge); f != nil {
		f.cell(metrics.Labels{}).bits.Store(math.Float64bits(v))
	}
}

// Observe implements metrics.Recorder.
func (r *Recorder) Observe(name string, v float64, l metrics.Labels) {
	f := r.family(name, metrics.Histogram)
	if f == nil {
		return
	}
	c := f.cell(l)
	i, _ := slices.BinarySearch(f.bounds, v) // bounds are inclusive
	c.buckets[i].Add(1)
	for {
		old := c.bits.Load()
		if c.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// family returns a metric of a kind, or nil.
func (r *Recorder) family(name string, k metrics.Kind) *family {
	if f := r.families[name]; f != nil && f.kind == k {
		return f
	}
	return nil
}

// cell returns the series with labels l.
func (f *family) cell(l metrics.Labels) *cell {
	if f.plain != nil {
		return f.plain
	}
	if c := (*f.cells.Load())[l]; c != nil {
		return c
	}
	return f.grow(l)
}

func (f *family) grow(l metrics.Labels) *cell {
	f.growing.Lock()
	defer f.growing.Unlock()
	old := *f.cells.Load()
	if c := old[l]; c != nil {
		return c
	}
	c := &cell{}
	if f.kind == metrics.Histogram {
		c.buckets = make([]atomic.Uint64, len(f.bounds)+1)
	}
	cells := maps.Clone(old)
	cells[l] = c
	f.cells.Store(&cells)
	return c
}

func (c *cell) read(k metrics.Kind) float64 {
	if k == metrics.Counter {
		return float64(c.bits.Load())
	}
	return math.Float64frombits(c.bits.Load())
}
