package http1

import (
	"bytes"
	"strings"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A state says what the next byte of a stream belongs to.
type state uint8

const (
	inHead      state = iota // a head, or empty lines before it
	inBody                   // a body of known length
	inChunkSize              // the line with a chunk's size
	inChunk                  // a chunk's data
	inChunkEnd               // the end of line after a chunk's data
	inChunkLF                // the same, after its CR
	inTrailers               // the trailer section
	toEnd                    // a body that ends with the stream
	holding                  // bytes that may not be HTTP; a response will tell
)

// keepCapacity is how large a line buffer may be to be used again.
const keepCapacity = 4 << 10

// A stream is what is known of one side.
type stream struct {
	state   state
	lines   lines
	start   startLine
	left    int64           // of a body or chunk
	out     parsers.Message // being read: a *Request or *Response …
	msg     *Message        // … and the part of it that both share; nil between messages
	held    []byte
	pending pending // this side's requests that have no response yet
	ended   bool
}

// drop forgets what is buffered.
func (s *stream) drop() {
	s.held = nil
	s.lines = lines{}
}

// unread returns the bytes that were taken but not yet understood.
func (s *stream) unread() []byte {
	if s.state == holding {
		return s.held
	}
	return s.lines.buf
}

// lines gathers a run of lines that ends with an empty one. Bytes are copied only
// when the run does not end in the chunk it began in.
type lines struct {
	buf  []byte
	scan int // there is no LF between here and begin
	// begin is the start of the line being read, count the number of lines
	// before it.
	begin, count int
}

// join returns what was gathered so far with b after it, at most limit+1 bytes,
// and how much of it is not of b.
func (l *lines) join(b []byte, limit int) (data []byte, old int) {
	if len(l.buf) == 0 {
		return b, 0
	}
	old = len(l.buf)
	l.buf = append(l.buf, b[:min(len(b), limit+1-old)]...)
	return l.buf, old
}

// keep holds data, the result of join, for the next chunk.
func (l *lines) keep(data []byte) {
	if len(l.buf) == 0 {
		l.buf = append(l.buf, data...)
	}
}

// end looks for the empty line that ends the run in data and returns the offset
// after it; 0 when it is not there yet.
func (l *lines) end(data []byte) int {
	for {
		i := bytes.IndexByte(data[l.scan:], '\n')
		if i < 0 {
			l.scan = len(data)
			return 0
		}
		line := data[l.begin : l.scan+i]
		l.scan += i + 1
		l.begin = l.scan
		l.count++
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return l.scan
		}
	}
}

// reset forgets the run, and its buffer if it has grown large.
func (l *lines) reset() {
	buf := l.buf[:0]
	if cap(buf) > keepCapacity {
		buf = nil
	}
	*l = lines{buf: buf}
}

// skipEmpty returns b without the empty lines at its start, which may come before
// a head (RFC 9112 §2.2).
func (l *lines) skipEmpty(b []byte) []byte {
	if len(l.buf) == 1 && l.buf[0] == '\r' && b[0] == '\n' {
		l.reset()
		b = b[1:]
	}
	for len(l.buf) == 0 {
		switch {
		case bytes.HasPrefix(b, []byte("\n")):
			b = b[1:]
		case bytes.HasPrefix(b, []byte("\r\n")):
			b = b[2:]
		default:
			return b
		}
	}
	return b
}

// A request is what is remembered of one until its response comes.
type request struct {
	method  string // empty when it was not remembered
	upgrade bool
}

// pending is a queue of requests without a response, in order. Beyond its limit
// only their number is kept.
type pending struct {
	queue    []request
	head     int // of the queue
	unknown  int64
	upgrades int // in the queue
}

// push adds a request.
func (q *pending) push(r request, limit int) {
	if q.unknown > 0 || len(q.queue)-q.head >= limit {
		q.unknown++
		return
	}
	if q.head > 0 && len(q.queue) == cap(q.queue) {
		q.queue = q.queue[:copy(q.queue, q.queue[q.head:])]
		q.head = 0
	}
	r.method = methodName(r.method)
	q.queue = append(q.queue, r)
	if r.upgrade {
		q.upgrades++
	}
}

// peek returns the oldest request, a zero one if there is none.
func (q *pending) peek() request {
	if q.head < len(q.queue) {
		return q.queue[q.head]
	}
	return request{}
}

// pop removes the oldest request.
func (q *pending) pop() {
	if q.head == len(q.queue) {
		q.unknown = max(0, q.unknown-1)
		return
	}
	if q.queue[q.head].upgrade {
		q.upgrades--
	}
	q.queue[q.head] = request{}
	if q.head++; q.head == len(q.queue) {
		q.queue, q.head = q.queue[:0], 0
	}
}

// methodName returns m without a reference to the head it is part of.
func methodName(m string) string {
	switch m {
	case "GET":
		return "GET"
	case "HEAD":
		return "HEAD"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "DELETE":
		return "DELETE"
	case "OPTIONS":
		return "OPTIONS"
	case "PATCH":
		return "PATCH"
	case "CONNECT":
		return "CONNECT"
	}
	return strings.Clone(m)
}

// hold keeps bytes until a response tells what they are. No more than a head's
// worth is kept.
func (p *Parser) hold(c *parsers.Context, side flow.Side, b []byte) {
	s := &p.streams[side]
	if len(s.held)+len(b) > p.options().MaxHead {
		p.poison(c, "too many bytes before the response")
		return
	}
	s.held = append(s.held, b...)
}

// release reads the bytes that side holds as HTTP after all.
func (p *Parser) release(c *parsers.Context, side flow.Side) {
	s := &p.streams[side]
	if s.state != holding {
		return
	}
	held := s.held
	s.state, s.held = inHead, nil
	p.Feed(c, side, held)
	if s.ended && !p.over {
		p.Fin(c, side)
	}
}
