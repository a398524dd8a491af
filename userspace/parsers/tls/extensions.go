package tls

// The extensions that are read (IANA registry TLS ExtensionType Values).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extPointFormats        = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSupportedVersions   = 43
	extKeyShare            = 51
	extECH                 = 0xfe0d // RFC 9849
)

const randomLen = 32

// readExtensions reads the list of extensions at the end of a hello, which may be
// left out, and returns their types in order. It calls read with the body of each, but
// not for a type below 64 that came before: the first is the one that counts. whole
// is false when the list, or what read looked at, is cut.
func readExtensions(r reader, read func(typ uint16, body reader) (whole bool)) (types []uint16, whole bool) {
	list, whole := vec16OrRest(r)
	types = make([]uint16, 0, min(len(list)/4, 32))
	var seen uint64
	for len(list) > 0 {
		typ, ok := list.uint16()
		body, fits := list.vec16()
		if !ok || !fits {
			return types, false
		}
		types = append(types, typ)
		bit := uint64(1) << typ // 0 from 64 on
		if seen&bit == 0 && !read(typ, body) {
			whole = false
		}
		seen |= bit
	}
	return types, whole
}

// vec16OrRest returns the vector at the start of r, or all there is of it and false
// when it is cut.
func vec16OrRest(r reader) (v reader, whole bool) {
	if len(r) == 0 {
		return nil, true
	}
	if v, ok := r.vec16(); ok {
		return v, true
	}
	return r[min(2, len(r)):], false
}

// alpn reads a list of protocol names (RFC 7301 §3.1).
func alpn(r reader) (names []string, ok bool) {
	list, ok := r.vec16()
	for len(list) > 0 {
		name, whole := list.vec8()
		if !whole {
			return names, false
		}
		names = append(names, string(name))
	}
	return names, ok
}
