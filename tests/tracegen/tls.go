package tracegen

import (
	"encoding/binary"
	"fmt"
)

// Types of TLS (RFC 8446).
const (
	recordCCS       = 20
	recordHandshake = 22
	recordData      = 23
	helloClient     = 1
	helloServer     = 2
	maxRecord       = 16 << 10
)

// tlsTalk is a TLS 1.3 session as the wire shows it: two hellos, and records.
func tlsTalk(m *maker) *talk {
	name := fmt.Sprintf("www%d.example.org", m.IntN(1000))
	t := m.newTalk(protoTCP, 443,
		say{initiator, m.clientHello(name), 1},
		say{responder, append(append(m.serverHello(), record(recordCCS, []byte{1})...), m.records(3_500)...), 1},
		say{initiator, append(record(recordCCS, []byte{1}), m.records(80)...), 1},
		say{initiator, m.records(m.between(100, 2_000)), 1},
		say{responder, m.records(m.size()), 1})
	t.message(initiator, "tls", "client_hello", name, 0)
	t.message(responder, "tls", "server_hello", "", 0)
	return t
}

func record(typ byte, body []byte) []byte {
	b := []byte{typ, 3, 3}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// records are encrypted records with n bytes.
func (m *maker) records(n int) (b []byte) {
	for ; n > 0; n -= maxRecord {
		b = append(b, record(recordData, m.bytes(min(n, maxRecord)))...)
	}
	return b
}

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

// vec16 is a vector with a length of 16 bits.
func vec16(parts ...[]byte) []byte {
	b := []byte{0, 0}
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

func vec8(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }

func extension(typ int, body ...[]byte) []byte { return append(u16(typ), vec16(body...)...) }

func handshake(typ byte, parts ...[]byte) []byte {
	b := []byte{typ, 0}
	body := vec16(parts...)
	return record(recordHandshake, append(b, body...))
}

func (m *maker) clientHello(name string) []byte {
	var ciphers [][]byte
	for _, c := range []int{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8} {
		ciphers = append(ciphers, u16(c))
	}
	return handshake(helloClient, u16(0x0303), m.bytes(32), vec8(m.bytes(32)...), vec16(ciphers...), vec8(0), vec16(
		extension(0, vec16([]byte{0}, vec16([]byte(name)))),
		extension(10, vec16(u16(0x11ec), u16(29), u16(23))),
		extension(11, vec8(0)),
		extension(13, vec16(u16(0x0403), u16(0x0804), u16(0x0401))),
		extension(16, vec16(vec8('h', '2'), vec8([]byte("http/1.1")...))),
		extension(43, vec8(3, 4, 3, 3)),
		extension(45, vec8(1)),
		extension(51, vec16(u16(0x11ec), vec16(m.bytes(1216)), u16(29), vec16(m.bytes(32)))),
	))
}

func (m *maker) serverHello() []byte {
	return handshake(helloServer, u16(0x0303), m.bytes(32), vec8(m.bytes(32)...), u16(0x1301), []byte{0}, vec16(
		extension(43, u16(0x0304)),
		extension(51, u16(29), vec16(m.bytes(32))),
	))
}
