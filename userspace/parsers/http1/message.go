package http1

import (
	"log/slog"
	"strconv"

	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A Header is one header or trailer field as it was sent: the name as written, the
// value without the white space around it. Either may hold any bytes but NUL.
type Header struct{ Name, Value string }

// A Message is what requests and responses have in common. It belongs to whoever
// receives it.
type Message struct {
	Version  string   // "1.1" or "1.0"; another minor version as sent
	Headers  []Header // in order, repeats kept, folded lines joined by a space
	Trailers []Header // of a chunked body

	BodyBytes   int64  // seen, transfer coding removed
	MissedBytes int64  // of the body, in gaps
	Body        []byte // the first bytes of the body, as many as Options.KeepBody

	// Incomplete is true when the body was cut by a gap, a reset, the end of
	// the flow, or an error in its framing.
	Incomplete bool
	// LengthConflict is true when the head gives its body two lengths:
	// Content-Length with Transfer-Encoding, or two that are not equal.
	LengthConflict bool
	Ambiguities    Ambiguity
	Upgrade        string // value of the Upgrade field, such as "websocket"
}

// A Request is one request.
type Request struct {
	Method string
	Target string // as sent
	Host   string // of the first Host field, else of the target
	Message
}

// A Response is one response; interim ones (1xx) are responses of their own.
type Response struct {
	Status        int
	Reason        string
	RequestMethod string // of the request it answers; empty when not known
	Message
}

// Parser returns "http".
func (*Request) Parser() string { return Name }

// Kind returns "request".
func (*Request) Kind() string { return "request" }

// Parser returns "http".
func (*Response) Parser() string { return Name }

// Kind returns "response".
func (*Response) Kind() string { return "response" }

// LogValue gives what may be logged: nothing that names a host.
func (r *Request) LogValue() slog.Value {
	return slog.GroupValue(slog.String("method", r.Method), slog.Int64("body_bytes", r.BodyBytes), slog.Bool("incomplete", r.Incomplete))
}

// LogValue gives what may be logged: nothing that names a host.
func (r *Response) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("status", r.Status), slog.Int64("body_bytes", r.BodyBytes), slog.Bool("incomplete", r.Incomplete))
}

// AppendJSON implements parsers.Message.
func (r *Request) AppendJSON(b []byte) []byte {
	b = parsers.AppendJSONString(append(b, `{"method":`...), r.Method)
	b = parsers.AppendJSONString(append(b, `,"target":`...), r.Target)
	if r.Host != "" {
		b = parsers.AppendJSONString(append(b, `,"host":`...), r.Host)
	}
	return append(r.appendJSON(b), '}')
}

// AppendJSON implements parsers.Message.
func (r *Response) AppendJSON(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"status":`...), int64(r.Status), 10)
	b = parsers.AppendJSONString(append(b, `,"reason":`...), r.Reason)
	b = r.appendJSON(b)
	if r.RequestMethod != "" {
		b = parsers.AppendJSONString(append(b, `,"request_method":`...), r.RequestMethod)
	}
	return append(b, '}')
}

// appendJSON appends the common fields, each with a comma before it.
func (m *Message) appendJSON(b []byte) []byte {
	b = parsers.AppendJSONString(append(b, `,"version":`...), m.Version)
	b = appendFields(append(b, `,"headers":`...), m.Headers)
	b = strconv.AppendInt(append(b, `,"body_bytes":`...), m.BodyBytes, 10)
	if m.MissedBytes > 0 {
		b = strconv.AppendInt(append(b, `,"body_missed_bytes":`...), m.MissedBytes, 10)
	}
	if m.Incomplete {
		b = append(b, `,"incomplete":true`...)
	}
	if len(m.Trailers) > 0 {
		b = appendFields(append(b, `,"trailers":`...), m.Trailers)
	}
	if m.Upgrade != "" {
		b = parsers.AppendJSONString(append(b, `,"upgrade":`...), m.Upgrade)
	}
	if m.LengthConflict {
		b = append(b, `,"length_conflict":true`...)
	}
	if m.Ambiguities != 0 {
		b = m.Ambiguities.appendJSON(append(b, `,"ambiguities":`...))
	}
	if len(m.Body) > 0 {
		b = parsers.AppendJSONString(append(b, `,"body":`...), m.Body)
	}
	return b
}

func appendFields(b []byte, fields []Header) []byte {
	b = append(b, '[')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = parsers.AppendJSONString(append(b, '['), f.Name)
		b = parsers.AppendJSONString(append(b, ','), f.Value)
		b = append(b, ']')
	}
	return append(b, ']')
}
