package tls

import "encoding/binary"

// A reader takes values off the front of a message. Each method reports false, and
// takes nothing, when the message is too short.
type reader []byte

func (r *reader) take(n int) ([]byte, bool) {
	if len(*r) < n {
		return nil, false
	}
	b := (*r)[:n:n]
	*r = (*r)[n:]
	return b, true
}

func (r *reader) uint8() (uint8, bool) {
	b, ok := r.take(1)
	if !ok {
		return 0, false
	}
	return b[0], true
}

func (r *reader) uint16() (uint16, bool) {
	b, ok := r.take(2)
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint16(b), true
}

// vec8, vec16 and vec24 take a vector whose length, in bytes, stands before it in as
// many bits (RFC 8446 §3.4).
func (r *reader) vec8() (reader, bool)  { return r.vector(1) }
func (r *reader) vec16() (reader, bool) { return r.vector(2) }
func (r *reader) vec24() (reader, bool) { return r.vector(3) }

func (r *reader) vector(prefix int) (reader, bool) {
	if len(*r) < prefix {
		return nil, false
	}
	size := 0
	for _, c := range (*r)[:prefix] {
		size = size<<8 | int(c)
	}
	if len(*r)-prefix < size {
		return nil, false
	}
	v := (*r)[prefix : prefix+size : prefix+size]
	*r = (*r)[prefix+size:]
	return v, true
}

// list16 reads b as a list of 16-bit numbers; an odd byte at its end is left out.
func list16[T ~uint16](b []byte) []T {
	l := make([]T, len(b)/2)
	for i := range l {
		l[i] = T(binary.BigEndian.Uint16(b[2*i:]))
	}
	return l
}
