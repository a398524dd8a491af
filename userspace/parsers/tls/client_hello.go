package tls

import (
	"errors"
	"log/slog"
	"slices"
	"unicode/utf8"
)

// hostNameType is the only type of name there is (RFC 6066 §3).
const hostNameType = 0

var errShortClientHello = errors.New("ClientHello too short")

// A ClientHello is the first message of a TLS client (RFC 8446 §4.1.2). Lists are as
// sent, in order, with their GREASE values; nil when the client sent none.
type ClientHello struct {
	// RecordVersion is that of the record the message began in, SSL20 for one in
	// SSLv2 framing, 0 for a message that came without record.
	RecordVersion Version
	Version       Version // the legacy field: TLS12 also for TLS 1.3
	Random        [randomLen]byte
	SessionIDLen  int
	Ciphers       []Suite
	// V2Ciphers are the cipher kinds of an SSLv2 hello that TLS does not know.
	V2Ciphers   []uint32
	Compression []uint8
	Extensions  []uint16

	// SNI is the first host name asked for, with A-Z in lower case; SNIRaw is the
	// same as sent, set only when it is not all ASCII.
	SNI, SNIRaw         string
	ALPN                []string
	SupportedGroups     []uint16
	SupportedVersions   []Version
	SignatureAlgorithms []uint16
	PointFormats        []uint8
	KeyShareGroups      []uint16
	// ECH is true when the hello has an encrypted_client_hello extension, real or
	// for show.
	ECH bool
	// Truncated is true when an extension, or the list of them, ran past its end:
	// the fields hold what was whole.
	Truncated bool

	// Fingerprints, as the functions of the same name give them.
	JA3, JA3Raw, JA4 string
}

// Parser returns "tls".
func (*ClientHello) Parser() string { return "tls" }

// Kind returns "client_hello".
func (*ClientHello) Kind() string { return "client_hello" }

// LogValue implements slog.LogValuer.
func (h *ClientHello) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("version", h.Version.Name()),
		slog.String("sni", h.SNI),
		slog.String("ja3", h.JA3),
		slog.String("ja4", h.JA4),
	)
}

// ParseClientHello parses the body of a ClientHello message: what follows the four
// bytes of type and length, whatever carried it (TLS records, QUIC). It returns an
// error when the message ends before the list of extensions. What is wrong in or
// after that list sets Truncated, or is left out. It keeps nothing of body.
func ParseClientHello(body []byte) (*ClientHello, error) {
	h := new(ClientHello)
	rest, ok := h.fixed(body)
	if !ok {
		return nil, errShortClientHello
	}
	var whole bool
	h.Extensions, whole = readExtensions(rest, h.extension)
	h.Truncated = !whole
	h.fingerprint()
	return h, nil
}

// fixed parses the part that every hello has and returns what follows it.
func (h *ClientHello) fixed(body []byte) (rest reader, ok bool) {
	r := reader(body)
	version, ok1 := r.uint16()
	random, ok2 := r.take(randomLen)
	id, ok3 := r.vec8()
	ciphers, ok4 := r.vec16()
	compression, ok5 := r.vec8()
	if !(ok1 && ok2 && ok3 && ok4 && ok5) {
		return nil, false
	}
	h.Version = Version(version)
	copy(h.Random[:], random)
	h.SessionIDLen = len(id)
	h.Ciphers = list16[Suite](ciphers)
	h.Compression = slices.Clone(compression)
	return r, true
}

// extension reads the body of an extension that says something. It reports false
// when the body is cut.
func (h *ClientHello) extension(typ uint16, r reader) (ok bool) {
	var list reader
	switch typ {
	case extServerName:
		return h.serverName(r)
	case extALPN:
		h.ALPN, ok = alpn(r)
	case extSupportedGroups:
		list, ok = r.vec16()
		h.SupportedGroups = list16[uint16](list)
	case extSignatureAlgorithms:
		list, ok = r.vec16()
		h.SignatureAlgorithms = list16[uint16](list)
	case extSupportedVersions:
		list, ok = r.vec8()
		h.SupportedVersions = list16[Version](list)
	case extPointFormats:
		list, ok = r.vec8()
		h.PointFormats = slices.Clone(list)
	case extKeyShare:
		h.KeyShareGroups, ok = keyShares(r)
	case extECH:
		h.ECH, ok = true, true
	default:
		ok = true
	}
	return ok
}

// serverName takes the first host name (RFC 6066 §3).
func (h *ClientHello) serverName(r reader) bool {
	list, ok := r.vec16()
	for len(list) > 0 {
		typ, _ := list.uint8()
		name, whole := list.vec16()
		if !whole {
			return false
		}
		if typ == hostNameType {
			h.SNI = lowerASCII(name)
			if !isASCII(name) {
				h.SNIRaw = string(name)
			}
			break
		}
	}
	return ok
}

// keyShares reads the groups that a client offers keys for (RFC 8446 §4.2.8).
func keyShares(r reader) (groups []uint16, ok bool) {
	list, ok := r.vec16()
	for len(list) > 0 {
		group, _ := list.uint16()
		if _, whole := list.vec16(); !whole {
			return groups, false
		}
		groups = append(groups, group)
	}
	return groups, ok
}

// lowerASCII returns b with A-Z in lower case; other bytes stay, also those that are
// not UTF-8.
func lowerASCII(b []byte) string {
	s := slices.Clone(b)
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			s[i] = c + 'a' - 'A'
		}
	}
	return string(s)
}

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= utf8.RuneSelf })
}

// offersModern reports whether the client would take TLS 1.3 or a draft of it.
func (h *ClientHello) offersModern() bool {
	return slices.ContainsFunc(h.SupportedVersions, Version.modern)
}

// has reports whether the hello has an extension.
func (h *ClientHello) has(extension uint16) bool { return slices.Contains(h.Extensions, extension) }
