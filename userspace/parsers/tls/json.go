package tls

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// An object writes a JSON object field by field. Fields that are not known are left
// out by the caller.
type object struct {
	b     []byte
	comma bool
}

func newObject(b []byte) object { return object{b: append(b, '{')} }

func (o *object) end() []byte { return append(o.b, '}') }

func (o *object) key(k string) {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
	o.b = append(append(append(o.b, '"'), k...), '"', ':')
}

func (o *object) str(k, v string) {
	o.key(k)
	o.b = parsers.AppendJSONString(o.b, v)
}

// known writes a string unless it is empty.
func (o *object) known(k, v string) {
	if v != "" {
		o.str(k, v)
	}
}

func (o *object) hex(k string, v []byte) { o.str(k, hex.EncodeToString(v)) }

func (o *object) num(k string, v uint64) {
	o.key(k)
	o.b = strconv.AppendUint(o.b, v, 10)
}

// flag writes true, or nothing.
func (o *object) flag(k string, v bool) {
	if v {
		o.key(k)
		o.b = append(o.b, "true"...)
	}
}

func (o *object) time(k string, v time.Time) {
	o.key(k)
	o.b = append(v.AppendFormat(append(o.b, '"'), time.RFC3339Nano), '"')
}

func (o *object) strings(k string, l []string) {
	o.key(k)
	o.b = appendList(o.b, l, parsers.AppendJSONString[string])
}

// named writes a number and, as k_name, its name if it has one.
func (o *object) named(k string, v uint16, name string) {
	o.num(k, uint64(v))
	o.known(k+"_name", name)
}

// numbers writes a list of numbers, unless it is nil.
func numbers[T ~uint8 | ~uint16 | ~uint32](o *object, k string, l []T) {
	if l == nil {
		return
	}
	o.key(k)
	o.b = appendList(o.b, l, func(b []byte, v T) []byte { return strconv.AppendUint(b, uint64(v), 10) })
}

// namedNumbers writes a list of numbers and, as k_name, that of their names, with
// null for those without, unless it is nil.
func namedNumbers[T interface {
	~uint16
	Name() string
}](o *object, k string, l []T) {
	numbers(o, k, l)
	if l == nil {
		return
	}
	o.key(k + "_name")
	o.b = appendList(o.b, l, func(b []byte, v T) []byte { return appendName(b, v.Name()) })
}

func appendName(b []byte, name string) []byte {
	if name == "" {
		return append(b, "null"...)
	}
	return parsers.AppendJSONString(b, name)
}

func appendList[T any](b []byte, l []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

// AppendJSON appends the message's object.
func (h *ClientHello) AppendJSON(b []byte) []byte {
	o := newObject(b)
	if h.RecordVersion != 0 {
		o.named("record_version", uint16(h.RecordVersion), h.RecordVersion.Name())
	}
	o.named("version", uint16(h.Version), h.Version.Name())
	o.hex("random", h.Random[:])
	o.num("session_id_length", uint64(h.SessionIDLen))
	o.known("sni", h.SNI)
	o.known("sni_raw", h.SNIRaw)
	if h.ALPN != nil {
		o.strings("alpn", h.ALPN)
	}
	namedNumbers(&o, "ciphers", h.Ciphers)
	numbers(&o, "v2_ciphers", h.V2Ciphers)
	numbers(&o, "compression", h.Compression)
	numbers(&o, "extensions", h.Extensions)
	numbers(&o, "supported_groups", h.SupportedGroups)
	namedNumbers(&o, "supported_versions", h.SupportedVersions)
	numbers(&o, "signature_algorithms", h.SignatureAlgorithms)
	numbers(&o, "point_formats", h.PointFormats)
	numbers(&o, "key_share_groups", h.KeyShareGroups)
	h.appendFingerprints(&o)
	return o.end()
}

func (h *ClientHello) appendFingerprints(o *object) {
	o.str("ja3", h.JA3)
	o.str("ja3_raw", h.JA3Raw)
	o.str("ja4", h.JA4)
	o.key("ech")
	o.b = strconv.AppendBool(o.b, h.ECH)
	o.flag("truncated_parse", h.Truncated)
}

// AppendJSON appends the message's object.
func (h *ServerHello) AppendJSON(b []byte) []byte {
	o := newObject(b)
	if h.RecordVersion != 0 {
		o.named("record_version", uint16(h.RecordVersion), h.RecordVersion.Name())
	}
	o.named("version", uint16(h.Version), h.Version.Name())
	o.named("legacy_version", uint16(h.LegacyVersion), h.LegacyVersion.Name())
	o.hex("random", h.Random[:])
	o.num("session_id_length", uint64(h.SessionIDLen))
	o.named("cipher", uint16(h.Cipher), h.Cipher.Name())
	o.num("compression", uint64(h.Compression))
	numbers(&o, "extensions", h.Extensions)
	o.known("alpn", h.ALPN)
	o.flag("hello_retry", h.HelloRetry)
	o.str("ja3s", h.JA3S)
	o.str("ja3s_raw", h.JA3SRaw)
	o.flag("truncated_parse", h.Truncated)
	return o.end()
}

// AppendJSON appends the message's object.
func (m *Certificate) AppendJSON(b []byte) []byte {
	o := newObject(b)
	o.key("chain")
	o.b = append(o.b, '[')
	for i := range m.Chain {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = m.Chain[i].appendJSON(o.b)
	}
	o.b = append(o.b, ']')
	return o.end()
}

func (c *Cert) appendJSON(b []byte) []byte {
	o := newObject(b)
	if c.Err == nil {
		o.str("subject", c.Subject)
		o.str("issuer", c.Issuer)
		o.strings("names", c.Names)
		o.time("not_before", c.NotBefore)
		o.time("not_after", c.NotAfter)
	}
	o.hex("sha256", c.SHA256[:])
	if c.Err != nil {
		o.str("error", c.Err.Error())
	}
	return o.end()
}

// AppendJSON appends the message's object.
func (a *Alert) AppendJSON(b []byte) []byte {
	o := newObject(b)
	o.named("level", uint16(a.Level), a.LevelName())
	o.named("description", uint16(a.Description), a.DescriptionName())
	return o.end()
}
