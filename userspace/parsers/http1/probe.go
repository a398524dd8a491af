package http1

import (
	"bytes"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// probeLen is how many bytes a probe looks at; with as many it always knows.
const probeLen = 64

// Probe tells HTTP/1 by the first bytes of either side: a method token, a target
// and HTTP/1.x, or a status line with HTTP/1.x. RTSP, SIP and HTTP/2 are not it.
func Probe(_ flow.Side, b []byte) parsers.Result {
	b = b[:min(len(b), probeLen)]
	full := len(b) == probeLen
	b = bytes.TrimLeft(b, "\r\n")
	line, _, whole := bytes.Cut(b, []byte("\n"))
	var r parsers.Result
	if bytes.HasPrefix(line, []byte("HTTP/")) {
		r = probeStatus(line)
	} else {
		r = probeRequest(line, full && !whole)
	}
	if r == parsers.More && (whole || full) {
		return parsers.No
	}
	return r
}

// probeStatus looks at the beginning of a status line.
func probeStatus(line []byte) parsers.Result {
	const version = "HTTP/1.x "
	for i, ch := range line[:min(len(line), len(version))] {
		switch {
		case version[i] == 'x' && '0' <= ch && ch <= '9':
		case ch != version[i]:
			return parsers.No
		}
	}
	if len(line) < len(version) {
		return parsers.More
	}
	return parsers.Yes
}

// probeRequest looks at the beginning of a request line. When it is cut because
// the target is long, the form of the target decides.
func probeRequest(line []byte, cut bool) parsers.Result {
	if badToken(line, false) {
		return parsers.No
	}
	if v := bytes.Index(line, []byte(" HTTP/1.")); v > 0 && bytes.IndexByte(line[:v], ' ') > 0 {
		return parsers.Yes
	}
	if cut && webTarget(line) {
		return parsers.Yes
	}
	return parsers.More
}

// webTarget reports whether line is an upper-case method and a target that is a
// path or a URL of the web, without an end.
func webTarget(line []byte) bool {
	method, target, _ := bytes.Cut(line, []byte(" "))
	if bytes.ContainsFunc(method, func(r rune) bool { return 'a' <= r && r <= 'z' }) {
		return false
	}
	target = bytes.TrimLeft(target, " ")
	if i := bytes.IndexByte(target, ' '); i >= 0 && !bytes.HasPrefix([]byte(" HTTP/1."), target[i:]) {
		return false
	}
	for _, prefix := range []string{"/", "http://", "https://"} {
		if bytes.HasPrefix(target, []byte(prefix)) {
			return true
		}
	}
	return string(method) == "CONNECT"
}
