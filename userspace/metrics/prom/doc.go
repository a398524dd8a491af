// Package prom exports what is measured under the names of package metrics to Prometheus.
//
// A driver records into a [Recorder] with atomic operations: a scrape never makes it
// wait, and only the first measurement of a new series allocates. What others count, such
// as the kernel, comes from a [Source] that is asked at each scrape. [Listen] serves
// both, with a look at the health of the run.
package prom
