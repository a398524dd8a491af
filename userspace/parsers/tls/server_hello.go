package tls

import (
	"errors"
	"log/slog"
)

var errShortServerHello = errors.New("ServerHello too short")

// retryRandom is the random value that makes a ServerHello a HelloRetryRequest: the
// SHA-256 of that word (RFC 8446 §4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// A ServerHello is a TLS server's answer to a [ClientHello] (RFC 8446 §4.1.3).
type ServerHello struct {
	RecordVersion Version // of the record the message began in
	// Version is what was agreed: that of the supported_versions extension, else
	// LegacyVersion.
	Version       Version
	LegacyVersion Version
	Random        [randomLen]byte
	SessionIDLen  int
	Cipher        Suite
	Compression   uint8
	Extensions    []uint16 // in the order sent
	// ALPN is the protocol chosen; empty in TLS 1.3, which tells it encrypted.
	ALPN string
	// HelloRetry is true for a HelloRetryRequest: a second ClientHello follows.
	HelloRetry bool
	// Truncated is true when the extensions ran past their end.
	Truncated bool

	JA3S, JA3SRaw string
}

// Parser returns "tls".
func (*ServerHello) Parser() string { return "tls" }

// Kind returns "server_hello".
func (*ServerHello) Kind() string { return "server_hello" }

// LogValue implements slog.LogValuer.
func (h *ServerHello) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("version", h.Version.Name()),
		slog.String("cipher", h.Cipher.Name()),
		slog.String("ja3s", h.JA3S),
	)
}

// ParseServerHello parses the body of a ServerHello message, as [ParseClientHello]
// does that of a ClientHello.
func ParseServerHello(body []byte) (*ServerHello, error) {
	h := new(ServerHello)
	rest, ok := h.fixed(body)
	if !ok {
		return nil, errShortServerHello
	}
	var whole bool
	h.Extensions, whole = readExtensions(rest, h.extension)
	h.Truncated = !whole
	h.HelloRetry = string(h.Random[:]) == retryRandom
	h.JA3SRaw, h.JA3S = JA3S(h)
	return h, nil
}

// fixed parses the part that every hello has and returns what follows it.
func (h *ServerHello) fixed(body []byte) (rest reader, ok bool) {
	r := reader(body)
	version, ok1 := r.uint16()
	random, ok2 := r.take(randomLen)
	h.LegacyVersion, h.Version = Version(version), Version(version)
	copy(h.Random[:], random)
	if h.Version.short() {
		ok = h.short(&r)
	} else {
		ok = h.long(&r)
	}
	return r, ok1 && ok2 && ok
}

func (h *ServerHello) long(r *reader) bool {
	id, ok1 := r.vec8()
	cipher, ok2 := r.uint16()
	compression, ok3 := r.uint8()
	h.SessionIDLen, h.Cipher, h.Compression = len(id), Suite(cipher), compression
	return ok1 && ok2 && ok3
}

func (h *ServerHello) short(r *reader) bool {
	cipher, ok := r.uint16()
	h.Cipher = Suite(cipher)
	return ok
}

// extension reads the body of an extension that says something. It reports false
// when the body is cut.
func (h *ServerHello) extension(typ uint16, body reader) (whole bool) {
	switch typ {
	case extSupportedVersions:
		version, ok := body.uint16()
		if ok {
			h.Version = Version(version)
		}
		return ok
	case extALPN:
		names, ok := alpn(body)
		if len(names) > 0 {
			h.ALPN = names[0]
		}
		return ok
	}
	return true
}
