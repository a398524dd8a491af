// Package export writes what a run finds: as JSON lines for programs (CONTRACT.md
// has the fields) and as a table for people.
//
// A writer takes flow records, messages, anomalies and the summary, in the order
// they happen, and writes one line for each. It keeps nothing it was given. Writers are
// not safe for concurrent use.
package export
