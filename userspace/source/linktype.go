package source

import "fmt"

// The link types the project reads (SEMANTICS.md §1.2, tcpdump.org/linktypes.html).
const (
	LinkNull       uint16 = 0
	LinkEthernet   uint16 = 1
	LinkRawBSD     uint16 = 12 // raw IP by the number of most BSDs
	LinkRawOpenBSD uint16 = 14
	LinkRaw        uint16 = 101
	LinkLoop       uint16 = 108
	LinkLinuxSLL   uint16 = 113
	LinkIPv4       uint16 = 228
	LinkIPv6       uint16 = 229
	LinkLinuxSLL2  uint16 = 276
)

// KnownLink reports whether frames of link type t can be decoded.
func KnownLink(t uint16) bool {
	switch t {
	case LinkNull, LinkEthernet, LinkRawBSD, LinkRawOpenBSD, LinkRaw, LinkLoop,
		LinkLinuxSLL, LinkIPv4, LinkIPv6, LinkLinuxSLL2:
		return true
	}
	return false
}

// A LinkTypeError refuses a pcap file because nothing in it could be decoded.
type LinkTypeError struct{ LinkType uint16 }

// Error names the number.
func (e *LinkTypeError) Error() string {
	return fmt.Sprintf("link type %d is not supported (Ethernet, raw IP, Linux cooked and BSD null or loop are)", e.LinkType)
}
