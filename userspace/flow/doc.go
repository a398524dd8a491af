// Package flow holds the words the rest of the project speaks: tuples and keys,
// sides, TCP states, end reasons, counters, anomalies, events and the record a
// flow leaves behind.
//
// It computes almost nothing, imports nothing of ours, and is safe to use from
// any goroutine. Enumerations grow: handle values you do not know; String never
// returns an empty text.
package flow
