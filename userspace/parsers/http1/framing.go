package http1

import (
	"math"
	"strings"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// framing is what the fields of a head say about the body.
type framing struct {
	coded   bool // a transfer coding is named
	chunked bool // the last one is chunked
	codings int

	lengths int   // Content-Length values
	length  int64 // their value
	invalid string
	hosts   int
}

// frame reads the fields that matter, and marks m.
func frame(m *Message, host *string) framing {
	var f framing
	for _, h := range m.Headers {
		switch len(h.Name) {
		case len("Host"):
			if strings.EqualFold(h.Name, "Host") {
				f.addHost(m, host, h.Value)
			}
		case len("Upgrade"):
			if strings.EqualFold(h.Name, "Upgrade") && m.Upgrade == "" {
				m.Upgrade = h.Value
			}
		case len("Content-Length"):
			if strings.EqualFold(h.Name, "Content-Length") {
				f.addLengths(m, h.Value)
			}
		case len("Transfer-Encoding"):
			if strings.EqualFold(h.Name, "Transfer-Encoding") {
				f.addCodings(m, h.Value)
			}
		}
	}
	f.mark(m)
	return f
}

// mark marks what is odd about all the fields together.
func (f *framing) mark(m *Message) {
	if f.coded && f.lengths > 0 {
		m.LengthConflict = true
	}
	if f.coded && (f.codings != 1 || !f.chunked) {
		m.Ambiguities |= UnusualTransferEncoding
	}
	if f.coded && m.Version == "1.0" {
		m.Ambiguities |= TransferEncodingInHTTP10
	}
}

// addHost takes a Host field of a request; responses pass nil.
func (f *framing) addHost(m *Message, host *string, value string) {
	if host == nil {
		return
	}
	if f.hosts++; f.hosts > 1 {
		m.Ambiguities |= RepeatedHost
		return
	}
	*host = value
}

// addLengths takes a Content-Length field, which may be a list (RFC 9112 §6.3).
func (f *framing) addLengths(m *Message, value string) {
	for v := range strings.SplitSeq(value, ",") {
		v = trimSpace(v)
		n, ok := parseLength(v)
		f.lengths++
		switch {
		case !ok:
			f.invalid = "bad Content-Length"
		case f.lengths == 1:
			f.length = n
		case n == f.length:
			m.Ambiguities |= RepeatedLength
		case f.invalid == "":
			f.invalid, m.LengthConflict = "unequal Content-Lengths", true
		}
		if ok && len(v) > 1 && v[0] == '0' {
			m.Ambiguities |= UnusualLength
		}
	}
}

// parseLength parses a run of digits.
func parseLength(s string) (n int64, ok bool) {
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}

// addCodings takes a Transfer-Encoding field. Only the last coding of all decides.
func (f *framing) addCodings(m *Message, value string) {
	for v := range strings.SplitSeq(value, ",") {
		if v = trimSpace(v); v == "" {
			m.Ambiguities |= UnusualTransferEncoding
			continue
		}
		f.coded, f.chunked = true, strings.EqualFold(v, "chunked")
		f.codings++
	}
}

// beginRequest starts a request whose head is complete.
func (p *Parser) beginRequest(c *parsers.Context, side flow.Side, r *Request) {
	s := &p.streams[side]
	f := frame(&r.Message, &r.Host)
	r.takeAuthority()
	s.out, s.msg = r, &r.Message
	s.pending.push(request{r.Method, r.Upgrade != ""}, p.options().MaxPending)
	switch {
	case r.Method == "CONNECT":
		p.flush(c, side, false)
		s.state = holding
	case f.coded && !f.chunked:
		p.poison(c, "request with an unknown Transfer-Encoding")
	default:
		p.beginBody(c, side, f)
	}
}

// takeAuthority sets the host from the target's authority if there is no Host
// field, and marks it when they differ (RFC 9112 §3.2).
func (r *Request) takeAuthority() {
	authority := targetAuthority(r.Method, r.Target)
	switch {
	case authority == "":
	case r.Host == "":
		r.Host = authority
	case !strings.EqualFold(r.Host, authority):
		r.Ambiguities |= HostConflict
	}
}

// targetAuthority returns the host and port in a target, empty for origin-form.
func targetAuthority(method, target string) string {
	if method == "CONNECT" {
		return target
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !validName(scheme) {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}

// beginResponse starts a response whose head is complete; rest follows it.
func (p *Parser) beginResponse(c *parsers.Context, side flow.Side, r *Response, rest []byte) {
	s, asked := &p.streams[side], &p.streams[side.Other()].pending
	req := asked.peek()
	r.RequestMethod = req.method
	f := frame(&r.Message, nil)
	s.out, s.msg = r, &r.Message
	final := r.Status >= 200
	if final {
		asked.pop()
	}
	switch {
	case r.Status == 101 || req.method == "CONNECT" && r.Status/100 == 2:
		p.flush(c, side, false)
		p.handOver(c, side, rest)
	case r.bodiless():
		p.flush(c, side, false)
	case f.coded && !f.chunked || !f.coded && f.lengths == 0:
		s.state = toEnd
	default:
		p.beginBody(c, side, f)
	}
	if final && (req.upgrade || req.method == "CONNECT") && !p.over {
		p.release(c, side.Other())
	}
}

// bodiless reports whether r has no body whatever its fields say (RFC 9112 §6.3).
func (r *Response) bodiless() bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304 || r.RequestMethod == "HEAD"
}

// beginBody starts a body that is chunked, of a given length, or absent.
func (p *Parser) beginBody(c *parsers.Context, side flow.Side, f framing) {
	s := &p.streams[side]
	switch {
	case f.chunked:
		s.state = inChunkSize
	case f.invalid != "":
		p.poison(c, f.invalid)
	case f.length > 0:
		s.state, s.left = inBody, f.length
	default:
		p.flush(c, side, false)
	}
}
