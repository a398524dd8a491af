package source

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// A Dir says which way a frame passed the interface it was captured on.
type Dir uint8

// The directions. Most files tell none; the one in a Linux cooked header is for the
// decoder to read.
const (
	DirUnknown Dir = iota
	DirIn
	DirOut
)

// String returns "unknown", "in" or "out".
func (d Dir) String() string {
	switch d {
	case DirIn:
		return "in"
	case DirOut:
		return "out"
	}
	return "unknown"
}

// A Frame is one captured frame.
type Frame struct {
	// Data is what was captured, without the frame check sequence where the
	// file says there is one. It is valid until the next call of the Reader.
	Data []byte
	// Time is when. A pcapng simple packet has no time of its own and gets
	// that of the packet before it.
	Time flow.Timestamp
	// OrigLen is the length on the wire in bytes, without the frame check
	// sequence, never less than len(Data).
	OrigLen int
	// LinkType is the LINKTYPE_ number that says what Data begins with.
	LinkType uint16
	Dir      Dir
}

// set fills in what was captured. wire is the length the file claims, fcs the bytes
// of frame check sequence at the end of the frame as it was on the wire.
func (f *Frame) set(data []byte, wire, fcs int) {
	wire = max(max(wire, len(data))-fcs, 0)
	f.Data, f.OrigLen = data[:min(len(data), wire)], wire
}
