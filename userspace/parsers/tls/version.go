package tls

import "strconv"

// A Version is a protocol version as it stands on the wire.
type Version uint16

// The versions.
const (
	SSL20 Version = 0x0002
	SSL30 Version = 0x0300
	TLS10 Version = 0x0301
	TLS11 Version = 0x0302
	TLS12 Version = 0x0303
	TLS13 Version = 0x0304
)

const (
	draftMajor    = 0x7f // TLS 1.3 drafts, as RFC 8446's drafts numbered them
	testMajor     = 0xfb // the same drafts as deployed by Facebook
	firstNewHello = 22   // the draft that gave ServerHello its old form back
)

// Name returns the version's name, such as "TLS 1.2", "" for one without a name.
func (v Version) Name() string {
	switch v {
	case SSL20:
		return "SSL 2.0"
	case SSL30:
		return "SSL 3.0"
	case TLS10:
		return "TLS 1.0"
	case TLS11:
		return "TLS 1.1"
	case TLS12:
		return "TLS 1.2"
	case TLS13:
		return "TLS 1.3"
	}
	if v.major() == draftMajor {
		return "TLS 1.3 draft " + strconv.Itoa(int(v&0xff))
	}
	return ""
}

func (v Version) major() uint8 { return uint8(v >> 8) }

// modern reports whether v encrypts everything after ServerHello: TLS 1.3, its
// drafts, and what may come after it.
func (v Version) modern() bool {
	return v.major() == draftMajor || v.major() == testMajor || v.major() == 3 && v >= TLS13
}

// short reports whether the ServerHello of v has neither session id nor
// compression method: drafts 18 to 21 of TLS 1.3.
func (v Version) short() bool { return v.major() == draftMajor && v&0xff < firstNewHello }

// isGREASE reports whether v is one of the values that stand for nothing (RFC 8701).
func isGREASE(v uint16) bool { return v>>8 == v&0xff && v&0xf == 0xa }
