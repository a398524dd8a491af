package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A LinkType says what a frame begins with. The values are the LINKTYPE_ numbers of
// capture files (https://www.tcpdump.org/linktypes.html).
type LinkType uint16

// The link types that are decoded.
const (
	LinkNull     LinkType = 0
	LinkEthernet LinkType = 1
	LinkRawBSD   LinkType = 12
	LinkRawBSDOS LinkType = 14
	LinkRaw      LinkType = 101
	LinkLoop     LinkType = 108
	LinkSLL      LinkType = 113
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276
)

// Known reports whether frames of type t can be decoded.
func (t LinkType) Known() bool {
	switch t {
	case LinkNull, LinkEthernet, LinkRawBSD, LinkRawBSDOS, LinkRaw, LinkLoop, LinkSLL, LinkIPv4, LinkIPv6, LinkSLL2:
		return true
	}
	return false
}

// A CaptureDir says which way a frame went through the interface it was captured on.
type CaptureDir uint8

// The directions.
const (
	DirUnknown CaptureDir = iota
	DirIn
	DirOut
)

// String returns "unknown", "in" or "out".
func (d CaptureDir) String() string {
	switch d {
	case DirIn:
		return "in"
	case DirOut:
		return "out"
	}
	return "unknown"
}

// A View is a captured frame and what is known about it. It does not own Frame.
type View struct {
	Frame    []byte // captured bytes, without FCS
	Time     flow.Timestamp
	OrigLen  int // length on the wire, without FCS; less than len(Frame) counts as len(Frame)
	LinkType LinkType
	Dir      CaptureDir
	// VLAN is the id of a tag the hardware took off, the outermost one; it
	// means something with HasVLAN.
	VLAN    uint16
	HasVLAN bool
}

// WithFrame returns v with another frame, of which all bytes were captured. Time and
// the rest stay.
func (v View) WithFrame(frame []byte) View {
	v.Frame, v.OrigLen = frame, len(frame)
	return v
}

// WireLen returns the length of the frame on the wire, without FCS.
func (v *View) WireLen() int { return max(v.OrigLen, len(v.Frame)) }

// Direction returns Dir, or what a Linux cooked header says when Dir is unknown.
func (v *View) Direction() CaptureDir {
	if v.Dir != DirUnknown {
		return v.Dir
	}
	switch {
	case v.LinkType == LinkSLL && len(v.Frame) >= sllLen:
		return cookedDir(binary.BigEndian.Uint16(v.Frame))
	case v.LinkType == LinkSLL2 && len(v.Frame) >= sll2Len:
		return cookedDir(uint16(v.Frame[10]))
	}
	return DirUnknown
}

// cookedDir maps the packet type of a cooked header (PACKET_HOST and so on).
func cookedDir(typ uint16) CaptureDir {
	switch typ {
	case 0, 1, 2: // to us, broadcast, multicast
		return DirIn
	case 4:
		return DirOut
	}
	return DirUnknown
}
