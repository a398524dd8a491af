package dns

import (
	"encoding/binary"
	"strings"
)

// A builder writes a DNS message in words. Names are compressed where they repeat as a
// whole.
type builder struct {
	b      []byte
	counts [4]uint16
	names  map[string]int
}

func msg(id, flags uint16) *builder {
	b := make([]byte, headerLen)
	binary.BigEndian.PutUint16(b, id)
	binary.BigEndian.PutUint16(b[2:], flags)
	return &builder{b: b, names: map[string]int{}}
}

// bytes returns the message.
func (m *builder) bytes() []byte {
	for i, n := range m.counts {
		binary.BigEndian.PutUint16(m.b[4+2*i:], n)
	}
	return m.b
}

// nameBytes returns a name on the wire, uncompressed. Labels are separated by dots.
func (m *builder) nameBytes(name string) []byte {
	var b []byte
	for l := range strings.SplitSeq(name, ".") {
		if l != "" {
			b = append(append(b, byte(len(l))), l...)
		}
	}
	return append(b, 0)
}

func (m *builder) name(name string) *builder {
	if off, ok := m.names[name]; ok && name != "." {
		m.b = binary.BigEndian.AppendUint16(m.b, 0xc000|uint16(off))
		return m
	}
	m.names[name] = len(m.b)
	m.b = append(m.b, m.nameBytes(name)...)
	return m
}

func (m *builder) u16(v ...uint16) *builder {
	for _, v := range v {
		m.b = binary.BigEndian.AppendUint16(m.b, v)
	}
	return m
}

// raw appends bytes as they are.
func (m *builder) raw(b string) *builder {
	m.b = append(m.b, b...)
	return m
}

// count announces so many records more in a section.
func (m *builder) count(section int, n uint16) *builder {
	m.counts[section] += n
	return m
}

func (m *builder) question(name string, t Type, c Class) *builder {
	return m.count(0, 1).name(name).u16(uint16(t), uint16(c))
}

func (m *builder) record(section int, name string, t Type, c Class, ttl uint32, data []byte) *builder {
	m.count(section, 1).name(name).u16(uint16(t), uint16(c), uint16(ttl>>16), uint16(ttl), uint16(len(data)))
	m.b = append(m.b, data...)
	return m
}

func (m *builder) answer(name string, t Type, ttl uint32, data []byte) *builder {
	return m.record(1, name, t, ClassIN, ttl, data)
}

func (m *builder) additional(name string, t Type, c Class, ttl uint32, data []byte) *builder {
	return m.record(3, name, t, c, ttl, data)
}
