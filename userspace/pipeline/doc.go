// Package pipeline joins decoding, tracking, reassembly and parsing into drivers:
// frames (or what the kernel says of them) go in, events come out.
//
// A [FlowDriver] gives the events of flows, and their ordered bytes to those who ask
// for them. A [SessionDriver] parses too, and gives messages and records; a
// [DatagramDriver] does so for UDP alone. A [KernelDriver] takes the records of an XDP
// program that has decoded and counted already; what it does with them is the
// session driver's own code, so both say the same. docs/guide.md leads to the
// right one.
//
// One worker owns a flow, and everything happens on the caller's goroutine: no
// locks, no channels, no allocation per packet. Packet time is the only clock.
// [Conversations], which give each flow a reader on a goroutine of its own, and
// [Broadcast], which hands events to other goroutines, are built on top.
package pipeline
