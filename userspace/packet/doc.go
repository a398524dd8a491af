// Package packet turns frames into packets and packets into flow keys, without
// allocating.
//
// A [View] (frame, time, lengths, link type) goes into a [Decoder]; a [Packet]
// comes out, or the [flow.Cause] why there is none. An [Extractor] makes the
// flow's key from it. [Fragments] lets later IP fragments follow the first,
// [Defrag] puts their payload together, [Dedup] drops the second copy of a frame.
//
// A Packet holds offsets, never a reference to the frame: slice the frame that was
// decoded with them, also for a packet found inside tunnels.
//
// # Rules of decoding
//
// The kernel's decoder (bpf/parse.h) follows the same ones, in this order.
//
// Lengths. The wire length of a frame is the larger of View.OrigLen and the
// captured length. Every layer ends where the enclosing layer ends, by its headers;
// IP and UDP lengths may only make that shorter. The lengths of PPPoE, GTP-U and
// 802.3 headers are not read.
//
// Causes. A header that ends behind the captured bytes is [flow.CauseTruncated]; an
// extension or L4 header that ends behind its IP packet is [flow.CauseMalformed],
// and the latter is asked first. For the fixed 20 or 40 bytes of an IP header and
// everything before it only the captured bytes count.
//
// IPv4: 20 bytes captured, version, IHL at least 5, total length (0: up to the end
// of the enclosing layer) at least the header and at most the enclosing layer,
// options captured. IPv6: 40 bytes captured, version, payload length (0 with a
// next header other than 59: up to the end of the enclosing layer; a jumbo option
// says nothing else and is not read), then up to 8 extension headers. IPv4 never
// walks extension headers: AH over IPv4 is protocol 51.
//
// L4. TCP wants 20 bytes of IP payload and 4 captured; with fewer than 20 captured
// the header counts as 20 bytes and nothing but the ports is read. UDP and UDP-Lite
// want 8 and 4; the UDP length is read when 8 are captured and the packet is not
// a fragment, and may be 0 only where the IPv6 payload length was; the checksum
// coverage of UDP-Lite is not read. ICMP, ICMPv6 and SCTP want 4 and 4, and their
// headers count as 8, 8 and 12 bytes, or as all there is. Anything else has no
// header.
//
// Fragments. One whose data ends behind byte 65 535, or that is not the last and
// whose length is no multiple of 8, is malformed. A later one has no L4 header. A
// first one wants 4 bytes of data, for ports; TCP fields only when its whole TCP
// header lies in it. An IPv6 fragment header with offset 0 and no more fragments is
// skipped; a later fragment header in the chain replaces an earlier one. No
// fragment is searched for a tunnel.
//
// Tunnels. A UDP packet is searched for the kind that its destination port names,
// else the kind its source port names, never for both. What is inside must decode
// up to its L4 header; otherwise the packet stays what it was outside. VLAN tags
// inside tunnels follow those outside, and all count against the limit of three.
// MPLS, PPPoE, GRE and what GRE carries are one level each, save that ERSPAN and
// PPTP replace their GRE. A fifth level is not entered, and DecapDepth says so. GRE of
// version 0 may carry PPP (0x880b) too. GTP-U extension headers count only with the E flag,
// and are at most 8. What PPP, PPPoE or Ethernet carries besides IP, MPLS and VLAN
// tags is [flow.CauseNotIP].
//
// Fragment keys. Source, destination, identification and a hash of kind and id of the
// tunnels outside; the protocol for IPv4 only, as RFC 8200 §4.5 lets it differ between
// fragments. An entry of [Fragments] or [Defrag] ends when the packet clock is 30 s
// or more past the first fragment seen of it.
package packet
