package http1

import "strings"

// An Ambiguity is a set of marks for what endpoints are known to read in different
// ways, which is what request smuggling lives on (RFC 9112 §11.2).
type Ambiguity uint16

// The marks.
const (
	BareLF                   Ambiguity = 1 << iota // a line ended without CR
	BareCR                                         // a CR inside a line
	Folded                                         // a field was folded over lines (obs-fold)
	BadField                                       // no colon, or the name is not a token
	LeadingSpace                                   // white space before the first field; the line is left out
	SpaceBeforeColon                               // in a response: the field counts for nothing; a request is refused
	StartLineSpace                                 // white space in the target, or more of it than the grammar has
	RepeatedHost                                   // more than one Host field
	HostConflict                                   // Host differs from the authority of the target
	RepeatedLength                                 // Content-Length was given more than once, each time the same
	UnusualLength                                  // Content-Length with leading zeros
	UnusualTransferEncoding                        // not the one word "chunked"
	TransferEncodingInHTTP10                       // HTTP/1.0 does not have it
	UnusualChunkSize                               // white space after a chunk's size
)

var ambiguityNames = [...]string{
	"bare_lf", "bare_cr", "folded", "bad_field", "leading_space", "space_before_colon",
	"start_line_space", "repeated_host", "host_conflict", "repeated_length", "unusual_length",
	"unusual_transfer_encoding", "transfer_encoding_in_http10", "unusual_chunk_size",
}

// names returns the names of the marks in a.
func (a Ambiguity) names() []string {
	var names []string
	for i, n := range ambiguityNames {
		if a&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names of the marks with commas between, or "none".
func (a Ambiguity) String() string {
	if a == 0 {
		return "none"
	}
	return strings.Join(a.names(), ",")
}

// appendJSON appends the marks as a list of names.
func (a Ambiguity) appendJSON(b []byte) []byte {
	return append(append(append(b, `["`...), strings.Join(a.names(), `","`)...), `"]`...)
}
