// Package source gives frames from capture files.
//
// [Open] takes a pcap or pcapng file, plain or compressed by gzip, and [Reader.Next]
// returns one frame after the other with the time, the wire length and the link
// type the file gives it. What is in a frame is package packet's business.
//
// What bites: the bytes of a [Frame] are only valid until the following call. A
// file that ends in the middle of a packet is a [CutError], which comes after every
// whole packet before the cut. A Reader belongs to one goroutine at a time.
//
// [Map] is for large files: it maps what it can instead of reading it. A mapped file that
// someone cuts short meanwhile faults, which [Guard] turns into an error.
//
// Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
package source
