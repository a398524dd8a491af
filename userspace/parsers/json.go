package parsers

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s to b as a JSON string, quotes included. Any bytes may
// come: what is not UTF-8 becomes U+FFFD, byte for byte as encoding/json writes it;
// HTML characters are not escaped.
func AppendJSONString[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if plain(s[i]) {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		var n int
		b, n = appendEscaped(b, string(s[i:min(i+utf8.UTFMax, len(s))]))
		i += n
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// plain reports whether c stands for itself in a JSON string.
func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// appendEscaped appends the character at the start of s, which is not plain, and
// returns how many bytes of s it took.
func appendEscaped(b []byte, s string) ([]byte, int) {
	c := s[0]
	if c < utf8.RuneSelf {
		return appendEscape(b, c), 1
	}
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && n == 1:
		return append(b, `\ufffd`...), 1
	case r == '\u2028' || r == '\u2029': // line ends in JavaScript
		return append(b, `\u202`+hexDigits[r&0xf:r&0xf+1]...), n
	}
	return append(b, s[:n]...), n
}

// appendEscape appends the escape of an ASCII character that needs one.
func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
