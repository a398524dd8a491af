package http1_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// Short forms of the steps of a script.
type script = parsertest.Script

var (
	ask    = parsertest.Initiator
	answer = parsertest.Responder
	gap    = parsertest.Gap
	rst    = parsertest.Rst
)

func fin(side flow.Side) parsertest.Step { return parsertest.Fin(side) }

// newParser makes parsers with the default options.
var newParser = parsers.Of[http1.Parser]()

// with makes parsers with options.
func with(o http1.Options) parsertest.Factory { return http1.Protocol(o).NewSession }

// request is a line for a request of the initiator; rest are fields after the target.
func request(method, target, rest string) string {
	return fmt.Sprintf(`{"side":"initiator","kind":"request","http":{"method":%q,"target":%q,%s}}`, method, target, rest)
}

// response is a line for a response of the responder; rest are fields after the reason.
func response(status int, reason, rest string) string {
	return fmt.Sprintf(`{"side":"responder","kind":"response","http":{"status":%d,"reason":%q,%s}}`, status, reason, rest)
}

// poisoned is the line for a poison.
func poisoned(side flow.Side, reason string) string {
	return fmt.Sprintf(`{"verdict":"poisoned","side":%q,"reason":%q}`, side, reason)
}

// Heads and lines that many cases share.
const (
	get     = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	head    = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	connect = "CONNECT b:443 HTTP/1.1\r\n\r\n"
	empty   = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	upgrade = "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
)

var (
	gotGet     = request("GET", "/", `"host":"a","version":"1.1","headers":[["Host","a"]],"body_bytes":0`)
	gotHead    = request("HEAD", "/", `"host":"a","version":"1.1","headers":[["Host","a"]],"body_bytes":0`)
	gotConnect = request("CONNECT", "b:443", `"host":"b:443","version":"1.1","headers":[],"body_bytes":0`)
	gotUpgrade = request("GET", "/chat", `"version":"1.1","headers":[["Upgrade","websocket"]],"body_bytes":0,"upgrade":"websocket"`)
	gotEmpty   = response(200, "OK", `"version":"1.1","headers":[["Content-Length","0"]],"body_bytes":0`)
)

// answered adds the method of the request to a response's line.
func answered(line, method string) string {
	return strings.TrimSuffix(line, "}}") + `,"request_method":"` + method + `"}}`
}

// gotChunked is a chunked response to nothing known.
func gotChunked(rest string) string {
	return response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding","chunked"]],`+rest)
}

type conversation struct {
	name   string
	script script
	want   []string
}

func run(t *testing.T, tests []conversation) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Run(t, newParser, tt.script, tt.want...) })
	}
}

func TestMessages(t *testing.T) {
	run(t, []conversation{
		{"one exchange", script{
			ask("GET /index.html HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n"),
			answer("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"),
			fin(flow.Initiator), fin(flow.Responder),
		}, []string{
			request("GET", "/index.html", `"host":"example.com","version":"1.1","headers":[["Host","example.com"],["Accept","*/*"]],"body_bytes":0`),
			answered(response(200, "OK", `"version":"1.1","headers":[["Content-Length","13"]],"body_bytes":13`), "GET"),
		}},
		{"pipelined", script{ask(get + head + get), answer(empty + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + empty)},
			[]string{gotGet, gotHead, gotGet, answered(gotEmpty, "GET"), answered(gotEmpty, "HEAD"), answered(gotEmpty, "GET")}},
		{"request with a body", script{ask("POST /f HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc" + get)},
			[]string{request("POST", "/f", `"version":"1.0","headers":[["Content-Length","3"]],"body_bytes":3`), gotGet}},
		{"chunked request", script{ask("PUT /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get)},
			[]string{request("PUT", "/f", `"host":"a","version":"1.1","headers":[["Host","a"],["Transfer-Encoding","Chunked"]],"body_bytes":3`), gotGet}},
		{"response before the request's body is over", script{
			ask("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n1"), answer(empty), ask("2")},
			[]string{answered(gotEmpty, "POST"), request("POST", "/", `"version":"1.1","headers":[["Content-Length","2"]],"body_bytes":2`)}},
		{"response alone", script{answer(empty)}, []string{gotEmpty}},
		{"responder sends the requests", script{answer(get), ask(empty)}, []string{
			strings.Replace(gotGet, "initiator", "responder", 1),
			answered(strings.Replace(gotEmpty, "responder", "initiator", 1), "GET")}},
		{"headers in order, repeats and case kept", script{ask("GET / HTTP/1.1\r\nb: 2\r\nA: 1\r\nB:3  \r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["b","2"],["A","1"],["B","3"]],"body_bytes":0`)}},
		{"no reason", script{answer("HTTP/1.1 204 \r\n\r\nHTTP/1.1 204\r\n\r\n")}, []string{
			response(204, "", `"version":"1.1","headers":[],"body_bytes":0`), response(204, "", `"version":"1.1","headers":[],"body_bytes":0`)}},
		{"reason with spaces", script{answer("HTTP/1.1 404 Not  Found\r\nContent-Length:0\r\n\r\n")},
			[]string{response(404, "Not  Found", `"version":"1.1","headers":[["Content-Length","0"]],"body_bytes":0`)}},
		{"absolute target", script{ask("GET http://u@h:81/p?q HTTP/1.1\r\n\r\n")},
			[]string{request("GET", "http://u@h:81/p?q", `"host":"h:81","version":"1.1","headers":[],"body_bytes":0`)}},
		{"keep-alive fin between messages", script{ask(get), answer(empty), fin(flow.Responder), fin(flow.Initiator)},
			[]string{gotGet, answered(gotEmpty, "GET")}},
		{"fin inside a head", script{ask("GET / HTTP/1.1\r\nHost: a\r\n"), fin(flow.Initiator)}, nil},
		{"rst inside a head", script{ask("GET / HTTP/1.1\r\nHost: a\r\n"), rst()}, nil},
	})
}

func TestBodyLength(t *testing.T) {
	run(t, []conversation{
		{"head has none", script{ask(head), answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + empty)},
			[]string{gotHead, answered(response(200, "OK", `"version":"1.1","headers":[["Content-Length","100"]],"body_bytes":0`), "HEAD"), gotEmpty}},
		{"chunked head has none", script{ask(head), answer(chunked + empty)},
			[]string{gotHead, answered(gotChunked(`"body_bytes":0`), "HEAD"), gotEmpty}},
		{"204 has none", script{answer("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n" + empty)},
			[]string{response(204, "No Content", `"version":"1.1","headers":[["Content-Length","9"]],"body_bytes":0`), gotEmpty}},
		{"304 has none", script{answer("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" + empty)},
			[]string{response(304, "Not Modified", `"version":"1.1","headers":[["Transfer-Encoding","chunked"]],"body_bytes":0`), gotEmpty}},
		{"1xx does not use up the request", script{ask(head), answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + empty)},
			[]string{gotHead,
				answered(response(100, "Continue", `"version":"1.1","headers":[],"body_bytes":0`), "HEAD"),
				answered(response(103, "Early Hints", `"version":"1.1","headers":[["Link","x"]],"body_bytes":0`), "HEAD"),
				answered(gotEmpty, "HEAD")}},
		{"response without a length ends with the stream", script{answer("HTTP/1.1 200 OK\r\n\r\nabc\r\n\r\n"), answer("d"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[],"body_bytes":8`)}},
		{"so does one with another transfer coding", script{answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding","gzip"]],"body_bytes":3,"ambiguities":["unusual_transfer_encoding"]`)}},
		{"so does one where chunked is not last", script{answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding","chunked, gzip"]],"body_bytes":5,"ambiguities":["unusual_transfer_encoding"]`)}},
		{"chunked last of several", script{answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding","gzip"],["Transfer-Encoding","chunked"]],"body_bytes":1,"ambiguities":["unusual_transfer_encoding"]`)}},
		{"request with another transfer coding", script{ask("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc")},
			[]string{request("POST", "/", `"version":"1.1","headers":[["Transfer-Encoding","gzip"]],"body_bytes":0,"incomplete":true,"ambiguities":["unusual_transfer_encoding"]`),
				poisoned(flow.Initiator, "request with an unknown Transfer-Encoding")}},
		{"transfer coding in 1.0", script{answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
			[]string{response(200, "OK", `"version":"1.0","headers":[["Transfer-Encoding","chunked"]],"body_bytes":0,"ambiguities":["transfer_encoding_in_http10"]`)}},
		{"both lengths", script{ask("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" + get)},
			[]string{request("POST", "/", `"version":"1.1","headers":[["Content-Length","3"],["Transfer-Encoding","chunked"]],"body_bytes":5,"length_conflict":true`), gotGet}},
		{"content-length repeated", script{answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3, 3\r\n\r\nabc")},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Content-Length","3"],["Content-Length","3, 3"]],"body_bytes":3,"ambiguities":["repeated_length"]`)}},
		{"content-length with zeros", script{answer("HTTP/1.1 200 OK\r\nContent-Length: 003\r\n\r\nabc")},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Content-Length","003"]],"body_bytes":3,"ambiguities":["unusual_length"]`)}},
		{"content-lengths not equal", script{ask("POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabcd")},
			[]string{request("POST", "/", `"version":"1.1","headers":[["Content-Length","3"],["content-length","4"]],"body_bytes":0,"incomplete":true,"length_conflict":true`),
				poisoned(flow.Initiator, "unequal Content-Lengths")}},
	})
}

func TestBadContentLength(t *testing.T) {
	for _, v := range []string{"+3", "-3", "0x3", "3 3", "3.0", "3,", "", "9223372036854775808", "99999999999999999999"} {
		t.Run(v, func(t *testing.T) {
			parsertest.Run(t, newParser, script{answer("HTTP/1.1 200 OK\r\nContent-Length: " + v + "\r\n\r\nabc")},
				response(200, "OK", fmt.Sprintf(`"version":"1.1","headers":[["Content-Length",%q]],"body_bytes":0,"incomplete":true`, v)),
				poisoned(flow.Responder, "bad Content-Length"))
		})
	}
}

func TestChunked(t *testing.T) {
	run(t, []conversation{
		{"several chunks, then another message", script{answer(chunked + "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n" + empty)},
			[]string{gotChunked(`"body_bytes":13`), gotEmpty}},
		{"extensions are ignored", script{answer(chunked + "1;a=b;c=\"d;e\"\r\nx\r\n0;z\r\n\r\n")}, []string{gotChunked(`"body_bytes":1`)}},
		{"trailers are kept", script{answer(chunked + "0\r\nA: 1\r\nb: 2\r\n 3\r\n\r\n" + empty)},
			[]string{gotChunked(`"body_bytes":0,"trailers":[["A","1"],["b","2 3"]],"ambiguities":["folded"]`), gotEmpty}},
		{"lines without CR", script{answer(chunked + "1\nx\n0\n\n")}, []string{gotChunked(`"body_bytes":1,"ambiguities":["bare_lf"]`)}},
		{"white space after the size", script{answer(chunked + "1 \r\nx\r\n0\t;e\r\n\r\n")}, []string{gotChunked(`"body_bytes":1,"ambiguities":["unusual_chunk_size"]`)}},
		{"leading zeros", script{answer(chunked + "0001\r\nx\r\n0000\r\n\r\n")}, []string{gotChunked(`"body_bytes":1`)}},
		{"chunk longer than its size", script{answer(chunked + "1\r\nxy\r\n0\r\n\r\n")},
			[]string{gotChunked(`"body_bytes":1,"incomplete":true`), poisoned(flow.Responder, "chunk longer than its size")}},
		{"CR without LF after a chunk", script{answer(chunked + "1\r\nx\rz")},
			[]string{gotChunked(`"body_bytes":1,"incomplete":true`), poisoned(flow.Responder, "chunk longer than its size")}},
		{"largest size", script{answer(chunked + "7fffffffffffffff\r\nx"), rst()}, []string{gotChunked(`"body_bytes":1,"incomplete":true`)}},
		{"NUL in a trailer", script{answer(chunked + "0\r\na: \x00\r\n\r\n")},
			[]string{gotChunked(`"body_bytes":0,"incomplete":true`), poisoned(flow.Responder, "NUL in a trailer field")}},
	})
}

func TestBadChunkSize(t *testing.T) {
	for _, line := range []string{"", "g", "-1", "+1", "0x1", " 1", "1 2", "1g", ";a", "8000000000000000", "10000000000000000", "fffffffffffffffff"} {
		t.Run(line, func(t *testing.T) {
			parsertest.Run(t, newParser, script{answer(chunked + line + "\r\nx\r\n0\r\n\r\n")},
				gotChunked(`"body_bytes":0,"incomplete":true`), poisoned(flow.Responder, "bad chunk size"))
		})
	}
}

func TestIncomplete(t *testing.T) {
	const ten = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	got := func(rest string) string {
		return response(200, "OK", `"version":"1.1","headers":[["Content-Length","10"]],`+rest)
	}
	open := response(200, "OK", `"version":"1.1","headers":[],"body_bytes":3,"incomplete":true`)
	run(t, []conversation{
		{"fin inside a body", script{answer(ten + "abc"), fin(flow.Responder)}, []string{got(`"body_bytes":3,"incomplete":true`)}},
		{"rst inside a body", script{answer(ten + "abc"), rst()}, []string{got(`"body_bytes":3,"incomplete":true`)}},
		{"fin of the other side", script{answer(ten + "abc"), fin(flow.Initiator), answer("defghij")}, []string{got(`"body_bytes":10`)}},
		{"rst inside a body without end", script{answer("HTTP/1.1 200 OK\r\n\r\nabc"), rst()}, []string{open}},
		{"fin inside chunks", script{answer(chunked + "5\r\nabc"), fin(flow.Responder)}, []string{gotChunked(`"body_bytes":3,"incomplete":true`)}},
		{"fin inside trailers", script{answer(chunked + "1\r\na\r\n0\r\nb: c\r\n"), fin(flow.Responder)}, []string{gotChunked(`"body_bytes":1,"incomplete":true`)}},
		{"gap inside a body is bridged", script{answer(ten + "abc"), gap(flow.Responder, 5, flow.GapNetwork), answer("ij" + empty)},
			[]string{got(`"body_bytes":5,"body_missed_bytes":5,"incomplete":true`), gotEmpty}},
		{"gap to the end of a body", script{answer(ten + "abc"), gap(flow.Responder, 7, flow.GapCapture), answer(empty)},
			[]string{got(`"body_bytes":3,"body_missed_bytes":7,"incomplete":true`), gotEmpty}},
		{"gap beyond a body", script{answer(ten + "abc"), gap(flow.Responder, 8, flow.GapNetwork), answer(empty)},
			[]string{got(`"body_bytes":3,"incomplete":true`), poisoned(flow.Responder, "gap")}},
		{"gap inside chunks", script{answer(chunked + "5\r\nabc"), gap(flow.Responder, 1, flow.GapNetwork)},
			[]string{gotChunked(`"body_bytes":3,"incomplete":true`), poisoned(flow.Responder, "gap")}},
		{"gap inside a body without end", script{answer("HTTP/1.1 200 OK\r\n\r\nabc"), gap(flow.Responder, 1, flow.GapNetwork)},
			[]string{open, poisoned(flow.Responder, "gap")}},
		{"gap inside a head", script{ask("GET / HT"), gap(flow.Initiator, 1, flow.GapNetwork)}, []string{poisoned(flow.Initiator, "gap")}},
		{"gap between messages", script{ask(get), gap(flow.Initiator, 1, flow.GapNetwork), ask(get)}, []string{gotGet, poisoned(flow.Initiator, "gap")}},
	})
}

func TestHandover(t *testing.T) {
	ok := answered(response(200, "Connection established", `"version":"1.1","headers":[],"body_bytes":0`), "CONNECT")
	switching := answered(response(101, "Switching Protocols", `"version":"1.1","headers":[["Upgrade","websocket"]],"body_bytes":0,"upgrade":"websocket"`), "GET")
	denied := answered(response(407, "Auth", `"version":"1.1","headers":[["Content-Length","2"]],"body_bytes":2`), "CONNECT")
	const (
		sendOK        = "HTTP/1.1 200 Connection established\r\n\r\n"
		sendSwitching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
		sendDenied    = "HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno"
	)
	over := func(initiator, responder string) string {
		return fmt.Sprintf(`{"verdict":"handover","initiator":%q,"responder":%q}`, initiator, responder)
	}
	run(t, []conversation{
		{"connect", script{ask(connect), answer(sendOK), ask("hello"), answer("hi")}, []string{gotConnect, ok, over("hello", "hi")}},
		{"connect, and the initiator does not wait", script{ask(connect + "hel"), ask("lo"), answer(sendOK + "hi")}, []string{gotConnect, ok, over("hello", "hi")}},
		{"connect ignores lengths", script{ask("CONNECT b:443 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhello"), answer("HTTP/1.1 200 Connection established\r\nTransfer-Encoding: chunked\r\n\r\nhi")},
			[]string{request("CONNECT", "b:443", `"host":"b:443","version":"1.1","headers":[["Content-Length","2"]],"body_bytes":0`),
				answered(response(200, "Connection established", `"version":"1.1","headers":[["Transfer-Encoding","chunked"]],"body_bytes":0`), "CONNECT"), over("hello", "hi")}},
		{"connect refused, then tried again", script{ask(connect), answer(sendDenied), ask(connect), answer(sendOK), ask("x")},
			[]string{gotConnect, denied, gotConnect, ok, over("x", "")}},
		{"connect refused, the next request was sent already", script{ask(connect + get), answer(sendDenied + empty)},
			[]string{gotConnect, gotGet, denied, answered(gotEmpty, "GET")}},
		{"connect refused, what was sent was no request", script{ask(connect + "\x16\x03\x01"), answer(sendDenied)},
			[]string{gotConnect, answered(response(407, "Auth", `"version":"1.1","headers":[["Content-Length","2"]],"body_bytes":0,"incomplete":true`), "CONNECT"),
				poisoned(flow.Responder, "no method token")}},
		{"connect refused after the initiator's fin", script{ask(connect + "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), fin(flow.Initiator), answer(sendDenied)},
			[]string{gotConnect, request("POST", "/", `"version":"1.1","headers":[["Content-Length","9"]],"body_bytes":3,"incomplete":true`), denied}},
		{"interim response to connect", script{ask(connect + "x"), answer("HTTP/1.1 100 C\r\n\r\n" + sendOK)},
			[]string{gotConnect, answered(response(100, "C", `"version":"1.1","headers":[],"body_bytes":0`), "CONNECT"), ok, over("x", "")}},
		{"connect behind another request", script{ask(get + connect + "x"), answer(empty + sendOK)},
			[]string{gotGet, gotConnect, answered(gotEmpty, "GET"), ok, over("x", "")}},
		{"upgrade", script{ask(upgrade), answer(sendSwitching + "\x81\x02hi"), ask("\x81\x00")},
			[]string{gotUpgrade, switching, `{"verdict":"handover","initiator":"\ufffd\u0000","responder":"\ufffd\u0002hi"}`}},
		{"upgrade, and the initiator's frame is seen before the 101", script{ask(upgrade + "\x01ab"), ask("cd"), answer(sendSwitching)},
			[]string{gotUpgrade, switching, `{"verdict":"handover","initiator":"\u0001abcd","responder":""}`}},
		{"upgrade to h2c, the preface before the 101", script{ask("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), answer("HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["Upgrade","h2c"]],"body_bytes":0,"upgrade":"h2c"`),
				answered(response(101, "S", `"version":"1.1","headers":[["Upgrade","h2c"]],"body_bytes":0,"upgrade":"h2c"`), "GET"),
				over("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "")}},
		{"upgrade not taken", script{ask(upgrade), answer(empty), ask(get), answer(empty)},
			[]string{gotUpgrade, answered(gotEmpty, "GET"), gotGet, answered(gotEmpty, "GET")}},
		{"upgrade not taken, what was sent was no request", script{ask(upgrade + "\x81"), answer(empty)},
			[]string{gotUpgrade, answered(gotEmpty, "GET"), poisoned(flow.Responder, "no method token")}},
		{"101 without a request", script{answer(sendSwitching + "x")},
			[]string{strings.Replace(switching, `,"request_method":"GET"`, "", 1), over("", "x")}},
	})
}

func TestTolerated(t *testing.T) {
	run(t, []conversation{
		{"LF without CR", script{ask("GET / HTTP/1.1\nHost: a\n\n")},
			[]string{request("GET", "/", `"host":"a","version":"1.1","headers":[["Host","a"]],"body_bytes":0,"ambiguities":["bare_lf"]`)}},
		{"empty lines before a head", script{ask("\r\n\n\r\n" + get + "\r\n" + get)}, []string{gotGet, gotGet}},
		{"folded field", script{ask("GET / HTTP/1.1\r\nA: b\r\n\t c\r\n  \r\n d \r\nE: f\r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["A","b c d"],["E","f"]],"body_bytes":0,"ambiguities":["folded"]`)}},
		{"bytes above 0x7f in a value", script{ask("GET / HTTP/1.1\r\nA: \xc3\xa4\xff\r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["A","ä\ufffd"]],"body_bytes":0`)}},
		{"control characters in a value", script{ask("GET / HTTP/1.1\r\nA: \x01\x7f\r\n\r\n")},
			[]string{request("GET", "/", "\"version\":\"1.1\",\"headers\":[[\"A\",\"\\u0001\x7f\"]],\"body_bytes\":0")}},
		{"CR inside a value", script{ask("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["A","b\rc"]],"body_bytes":0,"ambiguities":["bare_cr"]`)}},
		{"no colon", script{ask("GET / HTTP/1.1\r\nabc\r\n: d\r\ne f: g\r\n\r\n")},
			[]string{request("GET", "/", `"version":"1.1","headers":[["abc",""],["","d"],["e f","g"]],"body_bytes":0,"ambiguities":["bad_field"]`)}},
		{"white space before the first field", script{ask("GET / HTTP/1.1\r\n Content-Length: 3\r\nHost: a\r\n\r\n")},
			[]string{request("GET", "/", `"host":"a","version":"1.1","headers":[["Host","a"]],"body_bytes":0,"ambiguities":["leading_space"]`)}},
		{"space before colon in a response does not make a Content-Length", script{answer("HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nxyz"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Content-Length ","1"]],"body_bytes":3,"ambiguities":["space_before_colon"]`)}},
		{"nor a Transfer-Encoding", script{answer("HTTP/1.1 200 OK\r\nTransfer-Encoding\t: chunked\r\n\r\nxyz"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding\t","chunked"]],"body_bytes":3,"ambiguities":["space_before_colon"]`)}},
		{"space in the target", script{ask("GET /a b HTTP/1.1\r\n\r\n")},
			[]string{request("GET", "/a b", `"version":"1.1","headers":[],"body_bytes":0,"ambiguities":["start_line_space"]`)}},
		{"more space than needed", script{ask("GET\t /a  HTTP/1.1 \r\n\r\n"), answer("HTTP/1.1  204 x\r\n\r\n")},
			[]string{request("GET", "/a", `"version":"1.1","headers":[],"body_bytes":0,"ambiguities":["start_line_space"]`),
				answered(response(204, "x", `"version":"1.1","headers":[],"body_bytes":0,"ambiguities":["start_line_space"]`), "GET")}},
		{"several hosts", script{ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")},
			[]string{request("GET", "/", `"host":"a","version":"1.1","headers":[["Host","a"],["Host","b"]],"body_bytes":0,"ambiguities":["repeated_host"]`)}},
		{"host is not the target's", script{ask("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n")},
			[]string{request("GET", "http://b/", `"host":"a","version":"1.1","headers":[["Host","a"]],"body_bytes":0,"ambiguities":["host_conflict"]`)}},
		{"empty transfer-encoding", script{ask("POST / HTTP/1.1\r\nTransfer-Encoding:\r\nContent-Length: 1\r\n\r\nx")},
			[]string{request("POST", "/", `"version":"1.1","headers":[["Transfer-Encoding",""],["Content-Length","1"]],"body_bytes":1,"ambiguities":["unusual_transfer_encoding"]`)}},
		{"transfer coding with a vertical tab", script{answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"), fin(flow.Responder)},
			[]string{response(200, "OK", `"version":"1.1","headers":[["Transfer-Encoding","\u000bchunked"]],"body_bytes":5,"ambiguities":["unusual_transfer_encoding"]`)}},
	})
}

func TestPoison(t *testing.T) {
	tests := []struct{ name, in, reason string }{
		{"binary", "\x16\x03\x01\x02\x00", "no method token"},
		{"no space", "GET/ HTTP/1.1\r\n\r\n", "no method token"},
		{"space first", " GET / HTTP/1.1\r\n\r\n", "no method token"},
		{"method alone", "GET\r\n", "no method token"},
		{"method too long", strings.Repeat("A", 65) + " / HTTP/1.1\r\n\r\n", "no method token"},
		{"CR first", "\rGET / HTTP/1.1\r\n\r\n", "no method token"},
		{"NUL in the method", "G\x00T / HTTP/1.1\r\n\r\n", "no method token"},
		{"NUL in the target", "GET /\x00 HTTP/1.1\r\n\r\n", "NUL in the first line"},
		{"NUL in a name", "GET / HTTP/1.1\r\na\x00: b\r\n\r\n", "NUL in a header field"},
		{"NUL in a value", "GET / HTTP/1.1\r\na: \x00\r\n\r\n", "NUL in a header field"},
		{"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "space before colon"},
		{"tab before colon", "GET / HTTP/1.1\r\nTransfer-Encoding\t: chunked\r\n\r\n", "space before colon"},
		{"no version", "GET /\r\n", "unknown version"},
		{"version 2", "GET / HTTP/2.0\r\n\r\n", "unknown version"},
		{"version 0.9", "GET / HTTP/0.9\r\n\r\n", "unknown version"},
		{"version too long", "GET / HTTP/1.10\r\n\r\n", "unknown version"},
		{"rtsp", "OPTIONS * RTSP/1.0\r\n\r\n", "unknown version"},
		{"sip", "INVITE sip:a@b SIP/2.0\r\n\r\n", "unknown version"},
		{"status line of another version", "HTTP/2 200\r\n\r\n", "unknown version"},
		{"status too short", "HTTP/1.1 20\r\n\r\n", "bad status line"},
		{"status too long", "HTTP/1.1 2000\r\n\r\n", "bad status line"},
		{"status no number", "HTTP/1.1 2x0 OK\r\n\r\n", "bad status line"},
		{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", "bad status line"},
		{"no status", "HTTP/1.1\r\n\r\n", "bad status line"},
		{"no space before the status", "HTTP/1.1200 OK\r\n\r\n", "bad status line"},
		{"a second body", get + "junk\r\n", "no method token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := parsertest.Lines(t, newParser, script{ask(tt.in), ask(get)})
			if got, want := lines[len(lines)-1], poisoned(flow.Initiator, tt.reason); got != want {
				t.Errorf("%q ends with %s, want %s", tt.in, got, want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	fields := func(n int) string { return strings.Repeat("a: b\r\n", n) }
	pad := func(s string, n int) string { return s + strings.Repeat("x", n-len(s)) }
	tests := []struct{ name, in, reason string }{
		{"head at the limit", pad("GET / HTTP/1.1\r\na: ", 64<<10-4) + "\r\n\r\n", ""},
		{"head over the limit", pad("GET / HTTP/1.1\r\na: ", 64<<10-3) + "\r\n\r\n", "head too long"},
		{"head without end", pad("GET / HTTP/1.1\r\na: ", 64<<10+1), "head too long"},
		{"100 fields", "GET / HTTP/1.1\r\n" + fields(100) + "\r\n", ""},
		{"101 fields", "GET / HTTP/1.1\r\n" + fields(101) + "\r\n", "too many header fields"},
		{"target at the limit", "GET " + pad("/", 16<<10) + " HTTP/1.1\r\n\r\n", ""},
		{"target over the limit", "GET " + pad("/", 16<<10+1) + " HTTP/1.1\r\n\r\n", "target too long"},
		{"target without end", "GET " + pad("/", 32<<10), "first line too long"},
		{"chunk line at the limit", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + pad("1;", 4<<10-2) + "\r\nx\r\n0\r\n\r\n", ""},
		{"chunk line over the limit", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + pad("1;", 4<<10-1) + "\r\nx\r\n0\r\n\r\n", "chunk line too long"},
		{"chunk line without end", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + pad("1;", 4<<10+1), "chunk line too long"},
		{"101 trailers", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + fields(101) + "\r\n", "too many header fields"},
		{"trailers over the limit", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + pad("a: ", 64<<10+1), "trailers too long"},
		{"bytes held after connect", connect + pad("", 64<<10), ""},
		{"too many bytes held after connect", connect + pad("", 64<<10+1), "too many bytes before the response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := parsertest.Lines(t, newParser, script{ask(tt.in)})
			last, want := lines[len(lines)-1], poisoned(flow.Initiator, tt.reason)
			if tt.reason == "" && strings.Contains(last, "verdict") || tt.reason != "" && last != want {
				t.Errorf("ends with %.200s, want reason %q", last, tt.reason)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name    string
		options http1.Options
		in      string
		reason  string
	}{
		{"head", http1.Options{MaxHead: 40}, "GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaa\r\n\r\n", "head too long"},
		{"headers", http1.Options{MaxHeaders: 1}, "GET / HTTP/1.1\r\na: b\r\nc: d\r\n\r\n", "too many header fields"},
		{"target", http1.Options{MaxTarget: 3}, "GET /abc HTTP/1.1\r\n\r\n", "target too long"},
		{"chunk line", http1.Options{MaxChunkLine: 4}, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n001\r\n", "chunk line too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := parsertest.Lines(t, with(tt.options), script{ask(tt.in)})
			if got, want := lines[len(lines)-1], poisoned(flow.Initiator, tt.reason); got != want {
				t.Errorf("%q ends with %s, want %s", tt.in, got, want)
			}
		})
	}
}

func TestPendingLimit(t *testing.T) {
	const all = 200
	s := script{ask(strings.Repeat(get, all)), answer(strings.Repeat(empty, all)), ask(head), answer(empty)}
	lines := parsertest.Play(t, newParser, s).Lines()[all:]
	for i, want := range []struct {
		at     int
		method string
	}{{0, "GET"}, {127, "GET"}, {128, ""}, {199, ""}, {201, "HEAD"}} {
		line := gotEmpty
		if want.method != "" {
			line = answered(line, want.method)
		}
		if lines[want.at] != line {
			t.Errorf("case %d: line %d is %s, want %s", i, want.at, lines[want.at], line)
		}
	}
}

func TestKeepBody(t *testing.T) {
	s := script{answer(chunked + "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")}
	parsertest.Run(t, with(http1.Options{KeepBody: 5}), s, gotChunked(`"body_bytes":7,"body":"abcde"`))
	parsertest.Run(t, with(http1.Options{KeepBody: 50}), s, gotChunked(`"body_bytes":7,"body":"abcdefg"`))
}

func TestCallbacks(t *testing.T) {
	var got []string
	o := http1.Options{Callbacks: http1.Callbacks{
		Request: func(_ *parsers.Context, side flow.Side, r *http1.Request) {
			got = append(got, fmt.Sprint(side, " ", r.Method, " ", r.BodyBytes))
		},
		Response: func(_ *parsers.Context, side flow.Side, r *http1.Response) {
			got = append(got, fmt.Sprint(side, " ", r.Status, " ", r.BodyBytes))
		},
		Body: func(_ *parsers.Context, side flow.Side, m parsers.Message, b []byte) {
			got = append(got, fmt.Sprintf("%v %s %s", side, m.Kind(), b))
		},
	}}
	parsertest.Play(t, with(o), script{
		ask("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na"), ask("bc"),
		answer(chunked + "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"),
	})
	want := []string{"initiator request a", "initiator request bc", "initiator POST 3", "responder response de", "responder response f", "responder 200 3"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("callbacks saw %q, want %q", got, want)
	}
}

func TestBodyCallbackGetsTheSameBytesWhereverCut(t *testing.T) {
	var got bytes.Buffer
	o := http1.Options{Callbacks: http1.Callbacks{
		Body: func(_ *parsers.Context, _ flow.Side, _ parsers.Message, b []byte) { got.Write(b) },
	}}
	in := chunked + "5\r\nhello\r\n7;x\r\n, world\r\n0\r\n\r\n"
	for i := range len(in) {
		got.Reset()
		parsertest.Play(t, with(o), script{answer(in[:i]), answer(in[i:])})
		if got.String() != "hello, world" {
			t.Errorf("cut at %d: body is %q", i, got.String())
		}
	}
}

func TestGarbage(t *testing.T) {
	parsertest.Garbage(t, newParser, script{
		ask(get + "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + upgrade),
		answer(empty + chunked + "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n" + "HTTP/1.0 200 OK\r\nX: y\r\n z\r\n\r\nrest"),
		ask(connect + "held"), fin(flow.Initiator), fin(flow.Responder),
	})
}

func TestBounded(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name   string
		limit  int
		script script
	}{
		{"between messages", 4 << 10, script{ask(get), answer(empty)}},
		{"heads without end", 200 << 10, script{ask("GET / HTTP/1.1\r\na: " + fill(64<<10-20)), answer("HTTP/1.1 200 OK\r\na: " + fill(64<<10-20))}},
		{"held after connect", 200 << 10, script{ask(connect + fill(64<<10))}},
		{"bodies", 4 << 10, script{ask("PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + fill(1<<20)), answer("HTTP/1.1 200 OK\r\n\r\n" + fill(1<<20))}},
		{"long methods of pending requests", 64 << 10, script{ask(strings.Repeat(fill(64)+" /"+fill(1000)+" HTTP/1.1\r\n\r\n", 300))}},
		{"many pending requests", 16 << 10, script{ask(strings.Repeat(get, 10000))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Bounded(t, newParser, tt.limit, tt.script) })
	}
}

func TestFoldsTakeLinearTime(t *testing.T) {
	in := "GET / HTTP/1.1\r\na: b\r\n" + strings.Repeat(" c\n", 20000) + "\r\n"
	r := parsertest.Play(t, newParser, script{ask(in)})
	if len(r.Messages) != 1 {
		t.Fatalf("%d messages, want 1", len(r.Messages))
	}
	value := r.Messages[0].Message.(*http1.Request).Headers[0].Value
	if want := "b" + strings.Repeat(" c", 20000); value != want {
		t.Errorf("folded value has %d bytes, want %d", len(value), len(want))
	}
}

func TestProbe(t *testing.T) {
	long := "/" + strings.Repeat("a", 100)
	tests := []struct {
		in   string
		want parsers.Result
	}{
		{get, parsers.Yes},
		{"\r\n\r\n" + get, parsers.Yes},
		{"M-SEARCH * HTTP/1.1\r\n", parsers.Yes},
		{"get / HTTP/1.0\r\n", parsers.Yes},
		{"FOO bar HTTP/1.1\n", parsers.Yes},
		{"GET " + long + " HTTP/1.1\r\n", parsers.Yes},
		{"PROPFIND http://a" + long + " HTTP/1.1\r\n", parsers.Yes},
		{"CONNECT " + strings.Repeat("a", 80) + ":443 HTTP/1.1\r\n", parsers.Yes},
		{"HTTP/1.1 200 OK\r\n", parsers.Yes},
		{"HTTP/1.0 404\r\n", parsers.Yes},
		{"GET / HT", parsers.More},
		{"GE", parsers.More},
		{"HTTP/1.", parsers.More},
		{"\r", parsers.More},
		{"HTTP/2.0 200 OK", parsers.No},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", parsers.No},
		{"OPTIONS * RTSP/1.0\r\n", parsers.No},
		{"DESCRIBE rtsp://a" + long + " RTSP/1.0\r\n", parsers.No},
		{"SETUP rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n", parsers.No},
		{"RTSP/1.0 200 OK\r\n", parsers.No},
		{"SIP/2.0 200 OK\r\n", parsers.No},
		{"INVITE sip:someone-with-a-long-name@a-long-domain.example.com;transport=tcp SIP/2.0\r\n", parsers.No},
		{"REQMOD icap://a/b ICAP/1.0\r\n", parsers.No},
		{"GNUTELLA CONNECT/0.6\r\n", parsers.No},
		{"EHLO mail.example.com\r\n", parsers.No},
		{"USER anonymous\r\n", parsers.No},
		{"SSH-2.0-OpenSSH_9.2\r\n", parsers.No},
		{"220 ftp ready\r\n", parsers.No},
		{"\x16\x03\x01\x02\x00\x01", parsers.No},
		{"GET /\r\n", parsers.No},
		{"GET /\r\n" + strings.Repeat("a", 100), parsers.No},
		{strings.Repeat("A", 200), parsers.No},
		{strings.Repeat("\r\n", 100), parsers.No},
	}
	for _, tt := range tests {
		t.Run(tt.in[:min(len(tt.in), 20)], func(t *testing.T) {
			for side := range flow.Side(2) {
				parsertest.Probe(t, http1.Protocol(http1.Options{}), side, tt.in, tt.want)
			}
		})
	}
}
