package http1

import (
	"bytes"
	"math"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// count takes bytes of a body.
func (p *Parser) count(c *parsers.Context, side flow.Side, b []byte) {
	s, opt := &p.streams[side], p.options()
	if keep := min(len(b), opt.KeepBody-len(s.msg.Body)); keep > 0 {
		s.msg.Body = append(s.msg.Body, b[:keep]...)
	}
	s.msg.BodyBytes += int64(len(b))
	if body := opt.Callbacks.Body; body != nil {
		body(c, side, s.out, b)
	}
}

// readCounted reads a body of known length, or a chunk.
func (p *Parser) readCounted(c *parsers.Context, side flow.Side, b []byte) []byte {
	s := &p.streams[side]
	n := int(min(s.left, int64(len(b))))
	p.count(c, side, b[:n])
	if s.left -= int64(n); s.left > 0 {
		return nil
	}
	if s.state == inChunk {
		s.state = inChunkEnd
	} else {
		p.flush(c, side, false)
	}
	return b[n:]
}

// readChunkSize reads the line before a chunk's data.
func (p *Parser) readChunkSize(c *parsers.Context, side flow.Side, b []byte) []byte {
	s, limit := &p.streams[side], p.options().MaxChunkLine
	data, old := s.lines.join(b, limit)
	i := bytes.IndexByte(data, '\n')
	if i >= limit || i < 0 && len(data) > limit {
		p.poison(c, "chunk line too long")
		return nil
	}
	if i < 0 {
		s.lines.keep(data)
		return nil
	}
	size, marks, ok := parseChunkLine(data[:i])
	if !ok {
		p.poison(c, "bad chunk size")
		return nil
	}
	s.lines.reset()
	s.msg.Ambiguities |= marks
	s.state, s.left = inChunk, size
	if size == 0 {
		s.state = inTrailers
	}
	return b[i+1-old:]
}

// parseChunkLine parses a chunk's size; extensions are left alone (RFC 9112 §7.1).
func parseChunkLine(line []byte) (size int64, marks Ambiguity, ok bool) {
	line, marks = trimCR(line)
	digits, _, _ := bytes.Cut(line, []byte(";"))
	if t := bytes.TrimRight(digits, " \t"); len(t) < len(digits) {
		digits, marks = t, marks|UnusualChunkSize
	}
	for _, ch := range digits {
		d := hexValue(ch)
		if d < 0 || size > (math.MaxInt64-d)/16 {
			return 0, 0, false
		}
		size = size*16 + d
	}
	return size, marks, len(digits) > 0
}

// hexValue returns the value of a hexadecimal digit, -1 if c is none.
func hexValue(c byte) int64 {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int64(c|0x20-'a') + 10
	}
	return -1
}

// readChunkEnd reads the end of line after a chunk's data.
func (p *Parser) readChunkEnd(c *parsers.Context, side flow.Side, b []byte) []byte {
	s := &p.streams[side]
	switch {
	case b[0] == '\n':
		if s.state == inChunkEnd {
			s.msg.Ambiguities |= BareLF
		}
		s.state = inChunkSize
	case b[0] == '\r' && s.state == inChunkEnd:
		s.state = inChunkLF
	default:
		p.poison(c, "chunk longer than its size")
		return nil
	}
	return b[1:]
}

// readTrailers reads the trailer section, most often an empty line alone.
func (p *Parser) readTrailers(c *parsers.Context, side flow.Side, b []byte) []byte {
	s, opt := &p.streams[side], p.options()
	data, old := s.lines.join(b, opt.MaxHead)
	end := s.lines.end(data)
	if end > opt.MaxHead || end == 0 && len(data) > opt.MaxHead {
		p.poison(c, "trailers too long")
		return nil
	}
	if end == 0 {
		s.lines.keep(data)
		return nil
	}
	if reason := s.finishTrailers(data[:end], opt.MaxHeaders); reason != "" {
		p.poison(c, reason)
		return nil
	}
	p.flush(c, side, false)
	return b[end-old:]
}

// finishTrailers takes a complete trailer section.
func (s *stream) finishTrailers(section []byte, limit int) (reason string) {
	if len(section) <= len("\r\n") {
		if section[0] == '\n' {
			s.msg.Ambiguities |= BareLF
		}
		return ""
	}
	if bytes.IndexByte(section, 0) >= 0 {
		return "NUL in a trailer field"
	}
	_, request := s.out.(*Request)
	fields, marks, reason := parseFields(string(section), s.lines.count-1, limit, request)
	s.msg.Trailers = fields
	s.msg.Ambiguities |= marks
	return reason
}
