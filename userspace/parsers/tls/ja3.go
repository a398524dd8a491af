package tls

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
)

// JA3 returns the JA3 fingerprint of a ClientHello and the text it is the MD5 of:
//
//	version,ciphers,extensions,groups,point formats
//
// decimal, lists joined by "-" in the order sent, without GREASE. The version is the
// legacy one.
func JA3(h *ClientHello) (raw, hash string) {
	var space [512]byte
	b := strconv.AppendUint(space[:0], uint64(h.Version), 10)
	b = appendDecimals(append(b, ','), h.Ciphers)
	b = appendDecimals(append(b, ','), h.Extensions)
	b = appendDecimals(append(b, ','), h.SupportedGroups)
	b = append(b, ',')
	for i, f := range h.PointFormats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	return string(b), md5Hex(b)
}

// JA3S returns the JA3S fingerprint of a ServerHello and the text it is the MD5 of,
// version,cipher,extensions, written as in [JA3].
func JA3S(h *ServerHello) (raw, hash string) {
	var space [128]byte
	b := strconv.AppendUint(space[:0], uint64(h.LegacyVersion), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(h.Cipher), 10)
	b = appendDecimals(append(b, ','), h.Extensions)
	return string(b), md5Hex(b)
}

// appendDecimals appends a list without its GREASE values.
func appendDecimals[T ~uint16](b []byte, list []T) []byte {
	start := len(b)
	for _, v := range list {
		if isGREASE(uint16(v)) {
			continue
		}
		if len(b) > start {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}
