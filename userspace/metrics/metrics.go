package metrics

// A Kind is the type of a metric.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota
	Gauge
	Histogram
)

// String returns "counter", "gauge" or "histogram".
func (k Kind) String() string {
	switch k {
	case Counter:
		return "counter"
	case Gauge:
		return "gauge"
	case Histogram:
		return "histogram"
	}
	return "unknown"
}

// A Metric describes what is recorded under a name.
type Metric struct {
	Name    string
	Kind    Kind
	Labels  []string  // their names; Labels of a measurement are in this order
	Buckets []float64 // upper bounds, of a histogram
	Help    string
}

// Labels are the values of a metric's labels; places it has no label for are empty.
type Labels [3]string

// A Recorder takes measurements. Drivers call it on their own goroutine, and with
// several drivers on several at once. It must not block.
type Recorder interface {
	// Add raises a counter.
	Add(name string, n uint64, l Labels)
	// Set sets a gauge.
	Set(name string, v float64)
	// Observe adds v to a histogram.
	Observe(name string, v float64, l Labels)
}
