package dns

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// Keys of service parameters (RFC 9460 §14.3, RFC 9461, RFC 9540).
const (
	svcMandatory = 0
	svcALPN      = 1
	svcNoALPN    = 2
	svcPort      = 3
	svcIPv4Hint  = 4
	svcECH       = 5
	svcIPv6Hint  = 6
	svcDoHPath   = 7
	svcOHTTP     = 8
)

var svcNames = [...]string{
	svcMandatory: "mandatory", svcALPN: "alpn", svcNoALPN: "no-default-alpn", svcPort: "port",
	svcIPv4Hint: "ipv4hint", svcECH: "ech", svcIPv6Hint: "ipv6hint", svcDoHPath: "dohpath", svcOHTTP: "ohttp",
}

// svcb writes priority, target and parameters (RFC 9460 §2.1).
func (d *decoder) svcb(it *item) bool {
	if it.raw.to-it.raw.from < 3 {
		return false
	}
	d.number(uint64(d.u16(it.raw.from)))
	d.space()
	off, ok := d.copyName(it.raw.from+2, it.raw.to)
	if !ok {
		return false
	}
	last := -1
	for b := d.b[off:it.raw.to]; len(b) > 0; {
		key, value, rest, ok := tlv(b)
		if !ok || int(key) <= last { // keys ascend
			return false
		}
		d.space()
		if !d.param(key, value) {
			return false
		}
		last, b = int(key), rest
	}
	return true
}

// tlv takes a 16-bit code, a 16-bit length and a value off b.
func tlv(b []byte) (code uint16, value, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if len(b)-4 < n {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(b), b[4 : 4+n], b[4+n:], true
}

func (d *decoder) svcName(key uint16) {
	if int(key) < len(svcNames) {
		d.text = append(d.text, svcNames[key]...)
	} else {
		d.text = strconv.AppendUint(append(d.text, "key"...), uint64(key), 10)
	}
}

// param writes one service parameter.
func (d *decoder) param(key uint16, v []byte) bool {
	d.svcName(key)
	if key == svcNoALPN || key == svcOHTTP {
		return len(v) == 0
	}
	if key > svcOHTTP && len(v) == 0 {
		return true
	}
	d.text = append(d.text, '=')
	switch key {
	case svcMandatory:
		return d.mandatory(v)
	case svcALPN:
		return d.alpn(v)
	case svcPort:
		return len(v) == 2 && d.put(uint64(binary.BigEndian.Uint16(v)))
	case svcIPv4Hint:
		return d.hints(v, 4)
	case svcIPv6Hint:
		return d.hints(v, 16)
	case svcECH:
		d.text = base64.StdEncoding.AppendEncode(d.text, v)
		return len(v) > 0
	}
	d.quoted(v)
	return true
}

// put is number for use in a condition.
func (d *decoder) put(n uint64) bool {
	d.number(n)
	return true
}

// comma separates the elements of a list.
func (d *decoder) comma(i int) {
	if i > 0 {
		d.text = append(d.text, ',')
	}
}

func (d *decoder) mandatory(v []byte) bool {
	for i := 0; i+2 <= len(v); i += 2 {
		d.comma(i)
		d.svcName(binary.BigEndian.Uint16(v[i:]))
	}
	return len(v) > 0 && len(v)%2 == 0
}

// alpn writes a list of protocol ids between quotes. In an id a comma is escaped
// twice: for the list, and for the string it is in (RFC 9460 appendix A.1).
func (d *decoder) alpn(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	d.text = append(d.text, '"')
	for i := 0; len(v) > 0; i++ {
		n := int(v[0])
		if n == 0 || len(v)-1 < n {
			return false
		}
		d.comma(i)
		for _, c := range v[1 : 1+n] {
			d.alpnByte(c)
		}
		v = v[1+n:]
	}
	d.text = append(d.text, '"')
	return true
}

func (d *decoder) alpnByte(c byte) {
	switch c {
	case ',':
		d.text = append(d.text, `\\,`...)
	case '\\':
		d.text = append(d.text, `\\\\`...)
	case '"':
		d.text = append(d.text, `\"`...)
	default:
		d.text = appendEscaped(d.text, c)
	}
}

// hints writes a list of addresses of n bytes.
func (d *decoder) hints(v []byte, n int) bool {
	for i := 0; i+n <= len(v); i += n {
		d.comma(i)
		a, _ := netip.AddrFromSlice(v[i : i+n])
		d.text = a.AppendTo(d.text)
	}
	return len(v) > 0 && len(v)%n == 0
}

// Codes of EDNS options (IANA, "DNS EDNS0 Option Codes").
const (
	optNSID      = 3
	optSubnet    = 8
	optCookie    = 10
	optKeepalive = 11
	optPadding   = 12
	optError     = 15
)

// opt writes what an OPT record says: version, UDP size, flags, options.
func (d *decoder) opt(it *item, b []byte) bool {
	d.text = append(d.text, "version="...)
	d.number(uint64(it.ttl >> 16 & 0xff))
	d.text = append(d.text, " udp="...)
	d.number(uint64(it.class))
	if it.ttl&optDO != 0 {
		d.text = append(d.text, " do"...)
	}
	for len(b) > 0 {
		code, v, rest, ok := tlv(b)
		if !ok {
			return false
		}
		d.space()
		d.option(code, v)
		b = rest
	}
	return true
}

// option writes one EDNS option, as name=value or opt and its number.
func (d *decoder) option(code uint16, v []byte) {
	switch {
	case code == optNSID:
		d.text = append(d.text, "nsid="...)
		d.quoted(v)
	case code == optSubnet && d.subnet(v):
	case code == optCookie:
		d.text = hex.AppendEncode(append(d.text, "cookie="...), v)
	case code == optKeepalive && len(v) == 2: // 100 ms each (RFC 7828)
		d.text = append(d.text, "tcp-keepalive="...)
		d.number(uint64(binary.BigEndian.Uint16(v)))
	case code == optPadding:
		d.text = append(d.text, "padding="...)
		d.number(uint64(len(v)))
	case code == optError && len(v) >= 2: // RFC 8914
		d.text = append(d.text, "ede="...)
		d.number(uint64(binary.BigEndian.Uint16(v)))
		d.text = append(d.text, ':')
		d.quoted(v[2:])
	default:
		d.text = strconv.AppendUint(append(d.text, "opt"...), uint64(code), 10)
		d.text = hex.AppendEncode(append(d.text, '='), v)
	}
}

// subnet writes the client subnet option (RFC 7871 §6): address, source and scope
// prefix length.
func (d *decoder) subnet(v []byte) bool {
	if len(v) < 4 {
		return false
	}
	var a [16]byte
	family, n := binary.BigEndian.Uint16(v), 4
	if family == 2 {
		n = len(a)
	}
	if family != 1 && family != 2 || len(v)-4 > n || int(v[2]) > 8*n {
		return false
	}
	copy(a[:], v[4:])
	addr, _ := netip.AddrFromSlice(a[:n])
	d.text = addr.AppendTo(append(d.text, "subnet="...))
	for _, prefix := range v[2:4] {
		d.text = append(d.text, '/')
		d.number(uint64(prefix))
	}
	return true
}
