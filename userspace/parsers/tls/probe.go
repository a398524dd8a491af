package tls

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

const (
	// minHello is the length of the shortest hello: a ServerHello of draft 18
	// without extensions.
	minHello = 2 + randomLen + 2

	probedHello = messageHeaderLen + 1 // type, length, major version
	plainAlert  = 2
)

// probe knows a side by its first record: one that begins with a ClientHello or
// ServerHello, an SSLv2 ClientHello, or an alert in the clear. Later parts of a
// handshake are not taken up: hardly anything of value follows them.
func probe(_ flow.Side, b []byte) parsers.Result {
	if len(b) == 0 {
		return parsers.More
	}
	var need int
	var ok bool
	switch {
	case b[0] == recordHandshake:
		need, ok = probeHandshake(b)
	case b[0] == recordAlert:
		need, ok = headerLen+plainAlert, probeAlert(b)
	case b[0]&v2HeaderBit != 0:
		need, ok = v2HeaderLen+v2FixedLen, probeV2(b)
	}
	switch {
	case !ok:
		return parsers.No
	case len(b) < need:
		return parsers.More
	}
	return parsers.Yes
}

// probeHandshake reports whether b can be the start of a record that starts with a
// hello, and how many bytes it takes to be sure.
func probeHandshake(b []byte) (need int, ok bool) {
	if !probeVersion(b) {
		return 0, false
	}
	if len(b) < headerLen {
		return headerLen + 1, true
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	hello := b[headerLen:]
	ok = size > 0 && size <= maxRecordLen && probeHello(hello[:min(len(hello), size)])
	return headerLen + min(size, probedHello), ok
}

// probeHello checks as much of a hello's start as there is.
func probeHello(b []byte) bool {
	if len(b) > 0 && b[0] != typeClientHello && b[0] != typeServerHello {
		return false
	}
	if len(b) >= messageHeaderLen {
		if size := messageLen(b); size < minHello || size > DefaultMaxMessage {
			return false
		}
	}
	return len(b) < probedHello || b[4] == 3 || b[4] == draftMajor
}

// probeVersion checks the version of a record header, as far as it is there.
func probeVersion(b []byte) bool {
	return (len(b) < 2 || b[1] == 3) && (len(b) < 3 || Version(3)<<8|Version(b[2]) <= TLS13)
}

// probeAlert reports whether b can be the start of an alert in the clear.
func probeAlert(b []byte) bool {
	if !probeVersion(b) || len(b) >= headerLen && binary.BigEndian.Uint16(b[3:]) != plainAlert {
		return false
	}
	var a Alert
	if len(b) > headerLen {
		a.Level = b[headerLen]
	}
	if len(b) > headerLen+1 {
		a.Description = b[headerLen+1]
	}
	return (a.LevelName() != "" || len(b) <= headerLen) && a.DescriptionName() != ""
}

// probeV2 reports whether b can be the start of an SSLv2 ClientHello.
func probeV2(b []byte) bool {
	if len(b) > v2HeaderLen && b[v2HeaderLen] != v2ClientHello {
		return false
	}
	if len(b) < v2HeaderLen+v2FixedLen {
		return true
	}
	_, ok := readV2Lengths(b)
	return ok
}
