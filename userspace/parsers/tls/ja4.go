package tls

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// ja4Empty stands for the hash of an empty list.
const ja4Empty = "000000000000"

// JA4 returns the JA4 fingerprint of a ClientHello, a_b_c, for TLS over TCP. GREASE is
// left out everywhere, of the signature algorithms too: older tools kept it there and
// differ on clients that send it.
func JA4(h *ClientHello) string {
	ciphers, extensions := h.ja4Lists()
	slices.Sort(ciphers)
	slices.Sort(extensions)
	return h.ja4Hashed(ciphers, extensions)
}

// JA4O is JA4 with ciphers and extensions in the order they were sent, and with the
// extensions for name and protocol among them.
func JA4O(h *ClientHello) string {
	return h.ja4Hashed(ungrease(h.Ciphers), ungrease(h.Extensions))
}

// JA4R returns the lists that the hashes of JA4 are made of.
func JA4R(h *ClientHello) string {
	ciphers, extensions := h.ja4Lists()
	slices.Sort(ciphers)
	slices.Sort(extensions)
	return h.ja4Raw(ciphers, extensions)
}

// JA4RO returns the lists that the hashes of JA4O are made of.
func JA4RO(h *ClientHello) string { return h.ja4Raw(ungrease(h.Ciphers), ungrease(h.Extensions)) }

// ja4Lists returns copies of what is hashed in the parts b and c, in the order sent.
func (h *ClientHello) ja4Lists() (ciphers []Suite, extensions []uint16) {
	extensions = slices.DeleteFunc(ungrease(h.Extensions), func(e uint16) bool {
		return e == extServerName || e == extALPN
	})
	return ungrease(h.Ciphers), extensions
}

func (h *ClientHello) ja4Hashed(ciphers []Suite, extensions []uint16) string {
	var space [512]byte
	out := h.appendJA4a(make([]byte, 0, len("t13d1516h2")+2*(1+len(ja4Empty))))
	out = appendHash12(append(out, '_'), appendHex(space[:0], ciphers))
	return string(appendHash12(append(out, '_'), h.appendJA4c(space[:0], extensions)))
}

func (h *ClientHello) ja4Raw(ciphers []Suite, extensions []uint16) string {
	b := appendHex(append(h.appendJA4a(nil), '_'), ciphers)
	return string(h.appendJA4c(append(b, '_'), extensions))
}

// appendJA4a appends the part that people can read.
func (h *ClientHello) appendJA4a(b []byte) []byte {
	b = append(append(b, 't'), h.ja4Version()...)
	if h.has(extServerName) {
		b = append(b, 'd')
	} else {
		b = append(b, 'i')
	}
	b = appendCount(b, h.Ciphers)
	b = appendCount(b, h.Extensions)
	first, last := h.ja4ALPN()
	return append(b, first, last)
}

// ja4Version is the highest version offered, as two characters.
func (h *ClientHello) ja4Version() string {
	version := h.Version
	if offered := ungrease(h.SupportedVersions); len(offered) > 0 {
		version = slices.Max(offered)
	}
	switch version {
	case TLS13:
		return "13"
	case TLS12:
		return "12"
	case TLS11:
		return "11"
	case TLS10:
		return "10"
	case SSL30:
		return "s3"
	case SSL20:
		return "s2"
	}
	return "00"
}

// ja4ALPN returns the first and last character of the first protocol, or of its hex
// form when one of them is neither letter nor digit.
func (h *ClientHello) ja4ALPN() (first, last byte) {
	if len(h.ALPN) == 0 || h.ALPN[0] == "" {
		return '0', '0'
	}
	name := h.ALPN[0]
	first, last = name[0], name[len(name)-1]
	if isAlphanumeric(first) && isAlphanumeric(last) {
		return first, last
	}
	return hexDigits[first>>4], hexDigits[last&0xf]
}

const hexDigits = "0123456789abcdef"

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// appendJA4c appends extensions and, in the order sent, signature algorithms. Without
// extensions nothing is appended: there can be no algorithms either.
func (h *ClientHello) appendJA4c(b []byte, extensions []uint16) []byte {
	b = appendHex(b, extensions)
	if algorithms := ungrease(h.SignatureAlgorithms); len(algorithms) > 0 {
		b = appendHex(append(b, '_'), algorithms)
	}
	return b
}

// appendCount appends the length of a list without its GREASE as two digits.
func appendCount[T ~uint16](b []byte, list []T) []byte {
	n := 0
	for _, v := range list {
		if !isGREASE(uint16(v)) {
			n++
		}
	}
	n = min(n, 99)
	return strconv.AppendUint(strconv.AppendUint(b, uint64(n/10), 10), uint64(n%10), 10)
}

// appendHex appends a list as four-digit numbers with commas.
func appendHex[T ~uint16](b []byte, list []T) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, hexDigits[v>>12], hexDigits[v>>8&0xf], hexDigits[v>>4&0xf], hexDigits[v&0xf])
	}
	return b
}

// appendHash12 appends the first twelve hex digits of text's SHA-256.
func appendHash12(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, ja4Empty...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:len(ja4Empty)/2])
}

// ungrease returns a copy of a list without its GREASE values.
func ungrease[T ~uint16](list []T) []T {
	out := make([]T, 0, len(list))
	for _, v := range list {
		if !isGREASE(uint16(v)) {
			out = append(out, v)
		}
	}
	return out
}

// fingerprint fills in the hello's fingerprints.
func (h *ClientHello) fingerprint() {
	h.JA3Raw, h.JA3 = JA3(h)
	h.JA4 = JA4(h)
}
