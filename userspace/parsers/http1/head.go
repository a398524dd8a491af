package http1

import (
	"bytes"
	"strings"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A startLine is the first line of a head as offsets into the head.
type startLine struct {
	length   int // of the line, its end included; 0 when not read yet
	response bool
	method   int    // end of the method, which begins at 0
	text     [2]int // target or reason
	version  [2]int // such as 1.1
	status   int
	marks    Ambiguity
}

// readHead reads bytes of a head or before one.
func (p *Parser) readHead(c *parsers.Context, side flow.Side, b []byte) []byte {
	s, opt := &p.streams[side], p.options()
	if b = s.lines.skipEmpty(b); len(b) == 0 {
		return nil
	}
	data, old := s.lines.join(b, opt.MaxHead)
	if s.start.length == 0 {
		if reason := s.readStart(data, opt); reason != "" {
			return p.badStart(c, side, b, old, reason)
		}
	}
	end := s.lines.end(data)
	if end > opt.MaxHead || end == 0 && len(data) > opt.MaxHead {
		p.poison(c, "head too long")
		return nil
	}
	if end == 0 {
		s.lines.keep(data)
		return nil
	}
	rest := b[end-old:]
	p.finishHead(c, side, string(data[:end]), rest)
	return p.after(side, rest)
}

// after returns what is still to be read of rest: nothing once it was handed over.
func (p *Parser) after(side flow.Side, rest []byte) []byte {
	if p.over {
		return nil
	}
	return rest
}

// badStart poisons the parser because of how a head begins, unless the side has
// asked for another protocol and may be speaking it already. The bytes in doubt are
// the first old gathered, then b.
func (p *Parser) badStart(c *parsers.Context, side flow.Side, b []byte, old int, reason string) []byte {
	s := &p.streams[side]
	if s.pending.upgrades == 0 {
		p.poison(c, reason)
		return nil
	}
	s.state, s.held = holding, append(s.held, s.lines.buf[:old]...)
	s.lines.reset()
	return b
}

// finishHead acts on a complete head. What follows it in this call is rest.
func (p *Parser) finishHead(c *parsers.Context, side flow.Side, head string, rest []byte) {
	s := &p.streams[side]
	start, count := s.start, s.lines.count
	s.start = startLine{}
	s.lines.reset()
	if strings.IndexByte(head[start.length:], 0) >= 0 {
		p.poison(c, "NUL in a header field")
		return
	}
	fields, marks, reason := parseFields(head[start.length:], count-2, p.options().MaxHeaders, !start.response)
	if reason != "" {
		p.poison(c, reason)
		return
	}
	m := Message{Version: head[start.version[0]:start.version[1]], Headers: fields, Ambiguities: start.marks | marks}
	if start.response {
		p.beginResponse(c, side, &Response{Status: start.status, Reason: head[start.text[0]:start.text[1]], Message: m}, rest)
		return
	}
	p.beginRequest(c, side, &Request{Method: head[:start.method], Target: head[start.text[0]:start.text[1]], Message: m})
}

// readStart reads the first line of a head if data holds all of it. It returns a
// reason when no head begins so, which depends only on the bytes, never on how
// many of them are there yet.
func (s *stream) readStart(data []byte, opt *Options) (reason string) {
	line, _, whole := bytes.Cut(data[:min(len(data), opt.maxStart())], []byte("\n"))
	if badToken(line, whole) {
		return "no method token"
	}
	if !whole {
		if len(data) >= opt.maxStart() {
			return "first line too long"
		}
		return ""
	}
	var marks Ambiguity
	length := len(line) + 1
	if line, marks = trimCR(line); bytes.IndexByte(line, 0) >= 0 {
		return "NUL in the first line"
	}
	start := startLine{length: length, marks: marks}
	if bytes.HasPrefix(line, []byte("HTTP/")) {
		reason = start.parseStatus(line)
	} else {
		reason = start.parseRequest(line, opt.MaxTarget)
	}
	s.start = start
	return reason
}

// trimCR removes the CR at the end of a line whose LF is gone already.
func trimCR(line []byte) ([]byte, Ambiguity) {
	var marks Ambiguity
	n := len(line)
	if n > 0 && line[n-1] == '\r' {
		n--
	} else {
		marks = BareLF
	}
	if bytes.IndexByte(line[:n], '\r') >= 0 {
		marks |= BareCR
	}
	return line[:n], marks
}

// badToken reports whether line, whole or its beginning, cannot begin with a
// method or HTTP/ of a status line.
func badToken(line []byte, whole bool) bool {
	for i, ch := range line[:min(len(line), maxMethod+1)] {
		switch {
		case isToken[ch]:
		case ch == ' ' || ch == '\t':
			return i == 0
		case ch == '/':
			return string(line[:i]) != "HTTP"
		case ch == '\r' && i == len(line)-1:
			return whole // a line end, or an empty line not yet complete
		default:
			return true
		}
	}
	return whole || len(line) > maxMethod
}

// parseStatus parses a status line (RFC 9112 §4).
func (l *startLine) parseStatus(line []byte) (reason string) {
	l.response = true
	if !l.parseVersion(line, 0) {
		return "unknown version"
	}
	i := l.skipSpace(line, l.version[1])
	end := i + 3
	if i == l.version[1] || len(line) < end || len(line) > end && !isSpace(line[end]) {
		return "bad status line"
	}
	for _, ch := range line[i:end] {
		if ch < '0' || ch > '9' {
			return "bad status line"
		}
		l.status = l.status*10 + int(ch-'0')
	}
	if l.status < 100 {
		return "bad status line"
	}
	l.text = [2]int{min(end+1, len(line)), len(line)}
	return ""
}

// parseRequest parses a request line (RFC 9112 §3). The version is its last word,
// the target all that lies between it and the method.
func (l *startLine) parseRequest(line []byte, maxTarget int) (reason string) {
	l.method = bytes.IndexAny(line, " \t")
	from := l.skipSpace(line, l.method)
	end := len(bytes.TrimRight(line, " \t"))
	version := 1 + bytes.LastIndexAny(line[:end], " \t")
	if version <= from || !l.parseVersion(line[:end], version) || l.version[1] != end {
		return "unknown version"
	}
	to := len(bytes.TrimRight(line[:version], " \t"))
	if to-from > maxTarget {
		return "target too long"
	}
	l.text = [2]int{from, to}
	if version-to != 1 || end != len(line) || bytes.ContainsAny(line[from:to], " \t") {
		l.marks |= StartLineSpace
	}
	return ""
}

// skipSpace returns the offset after the white space at i, which should be one
// space.
func (l *startLine) skipSpace(line []byte, i int) int {
	from := i
	for i < len(line) && isSpace(line[i]) {
		i++
	}
	if i-from != 1 || line[from] != ' ' {
		l.marks |= StartLineSpace
	}
	return i
}

// parseVersion parses HTTP/1.x at i.
func (l *startLine) parseVersion(line []byte, i int) bool {
	const before = len("HTTP/")
	v := line[i:]
	if !bytes.HasPrefix(v, []byte("HTTP/1.")) || len(v) < len("HTTP/1.x") || v[before+2] < '0' || v[before+2] > '9' {
		return false
	}
	l.version = [2]int{i + before, i + before + len("1.x")}
	return true
}

// parseFields parses the field lines of a head or trailer section with the empty
// line at their end; there are about count of them.
func parseFields(text string, count, limit int, request bool) (fields []Header, marks Ambiguity, reason string) {
	if count > 0 {
		fields = make([]Header, 0, min(count, limit))
	}
	crs := 0
	for rest := text; rest != ""; {
		var line string
		line, rest = cutLine(rest, &crs, &marks)
		switch {
		case line == "": // the last one
			continue
		case isSpace(line[0]):
			marks |= LeadingSpace
			continue
		case len(fields) == limit:
			return nil, 0, "too many header fields"
		}
		f, m := parseField(line)
		if m&SpaceBeforeColon != 0 && request {
			return nil, 0, "space before colon"
		}
		if rest != "" && isSpace(rest[0]) {
			f.Value, rest = unfold(f.Value, rest, &crs, &marks)
		}
		fields, marks = append(fields, f), marks|m
	}
	if strings.Count(text, "\r") != crs {
		marks |= BareCR
	}
	return fields, marks, ""
}

// cutLine returns the first line of text without its end, and what follows. It
// counts the CRs it removed.
func cutLine(text string, crs *int, marks *Ambiguity) (line, rest string) {
	i := strings.IndexByte(text, '\n') // never missing: text is made of lines
	line, rest = text[:i], text[i+1:]
	if i > 0 && line[i-1] == '\r' {
		*crs++
		return line[:i-1], rest
	}
	*marks |= BareLF
	return line, rest
}

// unfold joins a value and the folded lines at the start of text by spaces
// (RFC 9112 §5.2).
func unfold(value, text string, crs *int, marks *Ambiguity) (string, string) {
	*marks |= Folded
	joined := []byte(value)
	for text != "" && isSpace(text[0]) {
		var line string
		line, text = cutLine(text, crs, marks)
		if line = trimSpace(line); line == "" {
			continue
		}
		if len(joined) > 0 {
			joined = append(joined, ' ')
		}
		joined = append(joined, line...)
	}
	return string(joined), text
}

// parseField parses one field line (RFC 9112 §5).
func parseField(line string) (Header, Ambiguity) {
	i := strings.IndexByte(line, ':')
	if i < 0 {
		return Header{Name: trimSpace(line)}, BadField
	}
	var marks Ambiguity
	name := line[:i]
	switch {
	case i > 0 && isSpace(name[i-1]): // the name stays as it is, and so is not a name that matters
		marks = SpaceBeforeColon
	case !validName(name):
		marks = BadField
	}
	return Header{name, trimSpace(line[i+1:])}, marks
}

// trimSpace removes optional white space (RFC 9110 §5.6.3).
func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// validName reports whether s is a token (RFC 9110 §5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		if !isToken[s[i]] {
			return false
		}
	}
	return s != ""
}

// isToken tells the characters a token is made of.
var isToken = func() (t [256]bool) {
	const marks = "!#$%&'*+-.^_`|~"
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' ||
			c < 0x80 && strings.IndexByte(marks, byte(c)) >= 0
	}
	return t
}()
