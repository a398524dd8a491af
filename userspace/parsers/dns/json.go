package dns

import (
	"strconv"

	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

func appendNumber(b []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(b, key...), n, 10)
}

// appendCode appends a number and its _name twin where it has one. The key comes
// without its closing quote.
func appendCode(b []byte, key string, n uint64, name string) []byte {
	b = strconv.AppendUint(append(append(b, key...), `":`...), n, 10)
	if name == "" {
		return b
	}
	b = append(append(b, key...), `_name":`...)
	return parsers.AppendJSONString(b, name)
}

func appendFlags(b []byte, f Flags, v Variant) []byte {
	b = append(b, '[')
	first := len(b)
	for i := range flagNames {
		if name := f.flagName(i, v); name != "" {
			if len(b) > first {
				b = append(b, ',')
			}
			b = parsers.AppendJSONString(b, name)
		}
	}
	return append(b, ']')
}

func appendQuestions(b []byte, l []Question) []byte {
	b = append(b, '[')
	for i := range l {
		if i > 0 {
			b = append(b, ',')
		}
		q := &l[i]
		b = appendHead(b, q.Name, q.Type, q.Class)
		if q.UnicastResponse {
			b = append(b, `,"unicast_response":true`...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendHead appends what questions and records have in common.
func appendHead(b []byte, name string, t Type, c Class) []byte {
	b = parsers.AppendJSONString(append(b, `{"name":`...), name)
	b = appendCode(b, `,"type`, uint64(t), typeNames[t])
	if t == TypeOPT {
		return appendNumber(b, `,"class":`, uint64(c)) // a size
	}
	return appendCode(b, `,"class`, uint64(c), classNames[c])
}

// appendSection appends a section of records. Responses have all of them, queries
// those that are not empty, unanswered queries none.
func appendSection(b []byte, key string, l []Record, kind Kind) []byte {
	if kind == Unanswered || kind == Query && len(l) == 0 {
		return b
	}
	b = append(append(b, key...), '[')
	for i := range l {
		if i > 0 {
			b = append(b, ',')
		}
		r := &l[i]
		b = appendHead(b, r.Name, r.Type, r.Class)
		b = appendNumber(b, `,"ttl":`, uint64(r.TTL))
		b = parsers.AppendJSONString(append(b, `,"data":`...), r.Data)
		if r.CacheFlush {
			b = append(b, `,"cache_flush":true`...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
