// Package metrics names what flowscope measures, and says what takes the measurements.
//
// Drivers (package pipeline) record under these names, through a [Recorder] that the
// caller gives them; without one they record nothing. [All] lists every metric with
// its type, labels and buckets, for whoever exports them; package prom does.
//
// No label ever carries an address, a port or a key: the number of series is bounded,
// and metrics may be shown to anybody.
package metrics
