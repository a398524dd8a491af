// Package pipeline joins decoding, tracking, reassembly and parsing into drivers:
// frames (or what the kernel says of them) go in, events come out.
//
// A [SessionDriver] takes frames and does everything in user space. A
// [KernelDriver] takes the records of an XDP program that has decoded and counted
// already; what it does with them is the same code, so both say the same.
//
// One worker owns a flow, and everything happens on the caller's goroutine: no
// locks, no channels, no allocation per packet. Packet time is the only clock.
package pipeline
