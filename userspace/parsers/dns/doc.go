// Package dns reads DNS messages in UDP datagrams and TCP streams, multicast DNS and
// LLMNR among them, and matches responses with their queries.
//
// Datagrams go into a [UDP] parser and streams into a [TCP] parser; [Message] values
// of kind query, response and unanswered come out. [Parse] reads a single message. A
// [Correlator] measures response times and finds queries without a response.
//
// What bites: a message that is cut, or malformed somewhere in the middle, still
// gives everything before that point, and is marked TruncatedParse. Names and record
// data are text with escapes, not bytes; the bytes are in Wire and Raw.
//
// The decoder is our own. The Go libraries for the format refuse a message as a whole
// where we want what was readable, resolve names without the bounds listed below, or
// allocate for every name; this one makes three allocations for a message.
//
// Formats: RFC 1035, 2136 (update), 2782 (SRV), 3596 (AAAA), 3597 (unknown types),
// 4034 (DS, DNSKEY), 4795 (LLMNR), 6762 (mDNS), 6891 (EDNS), 7766 (TCP), 8659 (CAA),
// 9460 (SVCB, HTTPS).
package dns
