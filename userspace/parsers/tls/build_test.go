package tls

import (
	"encoding/binary"
	"slices"
	"strings"
)

// The builders below make TLS in words: numbers and strings go in, bytes come out.

func u8(v int) string  { return string([]byte{byte(v)}) }
func u16(v int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(v))) }
func u24(v int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(v))[1:]) }

func u16s[T ~uint16 | ~int](l ...T) string {
	var b strings.Builder
	for _, v := range l {
		b.WriteString(u16(int(v)))
	}
	return b.String()
}

func vec8(s string) string  { return u8(len(s)) + s }
func vec16(s string) string { return u16(len(s)) + s }
func vec24(s string) string { return u24(len(s)) + s }

func extension(typ int, body string) string { return u16(typ) + vec16(body) }

func sniExtension(name string) string { return extension(extServerName, vec16(u8(0)+vec16(name))) }

func alpnExtension(names ...string) string {
	var l string
	for _, n := range names {
		l += vec8(n)
	}
	return extension(extALPN, vec16(l))
}

func versionsExtension(v ...Version) string { return extension(extSupportedVersions, vec8(u16s(v...))) }

func keyShareExtension(groups ...int) string {
	var l string
	for _, g := range groups {
		size := 32
		if g == 4588 { // X25519MLKEM768
			size = 1216
		}
		l += u16(g) + vec16(strings.Repeat("k", size))
	}
	return extension(extKeyShare, vec16(l))
}

const testRandom = "0123456789abcdef0123456789ABCDEF"

// helloBody is a ClientHello without its message header. No extensions at all are
// left out, list and length.
func helloBody(version Version, ciphers []int, extensions ...string) string {
	b := u16(int(version)) + testRandom + vec8(testRandom) + vec16(u16s(ciphers...)) + vec8("\x00")
	if extensions != nil {
		b += vec16(strings.Join(extensions, ""))
	}
	return b
}

func serverHelloBody(version Version, random string, cipher int, extensions ...string) string {
	b := u16(int(version)) + random + vec8(testRandom) + u16(cipher) + "\x00"
	if extensions != nil {
		b += vec16(strings.Join(extensions, ""))
	}
	return b
}

func message(typ int, body string) string { return u8(typ) + vec24(body) }

func tlsRecord(typ int, version Version, body string) string {
	return u8(typ) + u16(int(version)) + vec16(body)
}

// records puts each part in a handshake record of its own.
func records(version Version, parts ...string) string {
	var b string
	for _, p := range parts {
		b += tlsRecord(recordHandshake, version, p)
	}
	return b
}

// chop cuts s in parts of n bytes.
func chop(s string, n int) []string {
	var parts []string
	for p := range slices.Chunk([]byte(s), n) {
		parts = append(parts, string(p))
	}
	return parts
}

// What a browser of today says, and what its servers answer.
var (
	modernHello = message(typeClientHello, helloBody(TLS12, []int{0x1a1a, 0x1301, 0x1302, 0xc02b},
		extension(0x2a2a, ""),
		sniExtension("www.Example.org"),
		extension(extSupportedGroups, vec16(u16s(0x3a3a, 4588, 29))),
		extension(extPointFormats, vec8("\x00")),
		alpnExtension("h2", "http/1.1"),
		extension(extSignatureAlgorithms, vec16(u16s(0x0403, 0x0804))),
		keyShareExtension(4588, 29),
		versionsExtension(0x3a3a, TLS13, TLS12),
		extension(extECH, "outer"),
	))
	modernAnswer = message(typeServerHello, serverHelloBody(TLS12, testRandom, 0x1301,
		extension(extKeyShare, u16(29)+vec16(strings.Repeat("k", 32))),
		extension(extSupportedVersions, u16s(TLS13))))
	modernRetry = message(typeServerHello, serverHelloBody(TLS12, retryRandom, 0x1301,
		extension(extKeyShare, u16(23)),
		extension(extSupportedVersions, u16s(TLS13))))

	oldHello  = message(typeClientHello, helloBody(TLS10, []int{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}))
	oldAnswer = message(typeServerHello, serverHelloBody(TLS10, testRandom, 5))

	helloDone         = message(14, "")
	keyExchange       = message(16, vec16("premaster"))
	changeCipherSpec  = tlsRecord(recordChangeCipherSpec, TLS12, "\x01")
	encryptedFinished = tlsRecord(recordHandshake, TLS12, strings.Repeat("\xe5", 40))
	applicationData   = tlsRecord(recordApplicationData, TLS12, strings.Repeat("\xa5", 100))
)

func alertRecord(level, description int) string {
	return tlsRecord(recordAlert, TLS12, u8(level)+u8(description))
}

// v2Record is a ClientHello in SSLv2 framing.
func v2Record(version Version, specs ...int) string {
	var l string
	for _, s := range specs {
		l += u24(s)
	}
	body := u8(v2ClientHello) + u16(int(version)) + u16(len(l)) + u16(0) + u16(16) + l + testRandom[:16]
	return u16(v2HeaderBit<<8|len(body)) + body
}
