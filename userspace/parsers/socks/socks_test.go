package socks

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

const (
	request4  = "\x04\x01\x00\x50\xc6\x33\x64\x07me\x00"
	request4a = "\x04\x01\x00\x50\x00\x00\x00\x01me\x00example.org\x00"
	granted   = "\x00\x5a\x00\x00\x00\x00\x00\x00"
	greeting  = "\x05\x02\x00\x02"
	request5  = "\x05\x01\x00\x03\x0bexample.org\x00\x50"
	reply5    = "\x05\x00\x00\x01\xc6\x33\x64\x07\x00\x50"
)

func TestHandshake(t *testing.T) {
	i, r := parsertest.Initiator, parsertest.Responder
	relayed := func(initiator, responder string) []string {
		return []string{`{"verdict":"handover","initiator":"` + initiator + `","responder":"` + responder + `"}`}
	}
	done := []string{`{"verdict":"done"}`}
	tests := []struct {
		name   string
		script parsertest.Script
		want   []string
	}{
		{"version 4", parsertest.Script{i(request4), r(granted), i("GET"), r("HTTP")}, relayed("GET", "HTTP")},
		{"version 4a", parsertest.Script{i(request4a), r(granted), i("GET")}, relayed("GET", "")},
		{"version 4 refused", parsertest.Script{i(request4), r("\x00\x5b\x00\x00\x00\x00\x00\x00")}, done},
		{"version 5", parsertest.Script{i(greeting), r("\x05\x00"), i(request5), r(reply5), i("GET")}, relayed("GET", "")},
		{"IPv6", parsertest.Script{i(greeting), r("\x05\x00"), i("\x05\x01\x00\x04" + strings.Repeat("x", 16) + "\x00\x50"), r(reply5), r("220")}, relayed("", "220")},
		{"password", parsertest.Script{i(greeting), r("\x05\x02"), i("\x01\x02me\x03abc"), r("\x01\x00"), i(request5), r(reply5), i("GET")}, relayed("GET", "")},
		{"wrong password", parsertest.Script{i(greeting), r("\x05\x02"), i("\x01\x02me\x03abc"), r("\x01\x01")}, done},
		{"sent ahead", parsertest.Script{i(greeting + request5 + "GET"), r("\x05\x00" + reply5 + "HTTP")}, relayed("GET", "HTTP")},
		{"no method", parsertest.Script{i(greeting), r("\x05\xff")}, done},
		{"unreachable", parsertest.Script{i(greeting), r("\x05\x00"), i(request5), r("\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")}, done},
		{"bind", parsertest.Script{i(greeting), r("\x05\x00"), i("\x05\x02\x00\x01\xc6\x33\x64\x07\x00\x50")}, done},
		{"unknown address", parsertest.Script{i(greeting), r("\x05\x00"), i("\x05\x01\x00\x02")}, done},
		{"never answered", parsertest.Script{i(request4), i(strings.Repeat("x", 1000)), parsertest.Fin(flow.Initiator), parsertest.Rst()}, nil},
		{"too much ahead", parsertest.Script{i(greeting), i(strings.Repeat("x", maxHeld))}, done},
		{"endless name", parsertest.Script{i("\x04\x01\x00\x50\x00\x00\x00\x01"), i(strings.Repeat("x", maxText+1))}, done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Run(t, Protocol().NewSession, tt.script, tt.want...) })
	}
}

func TestProbe(t *testing.T) {
	tests := []struct {
		data string
		want parsers.Result
	}{
		{request4, parsers.Yes}, {request4a, parsers.Yes}, {greeting, parsers.Yes}, {greeting + request5, parsers.Yes},
		{request4[:9], parsers.More}, {"\x05", parsers.More}, {"\x05\x02\x00", parsers.More}, {"\x04\x01", parsers.More},
		{"\x04\x02\x00\x50", parsers.No}, {"\x04\x01\x00\x00", parsers.No}, {"\x05\x00", parsers.No}, {"\x05\x11", parsers.No},
		{"GET / HTTP/1.1", parsers.No}, {"\x16\x03\x01", parsers.No}, {"\x00\x1d", parsers.No},
	}
	for _, tt := range tests {
		parsertest.Probe(t, Protocol(), flow.Initiator, tt.data, tt.want)
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte(request4), []byte(granted))
	f.Add([]byte(greeting+request5), []byte("\x05\x00"+reply5))
	f.Fuzz(func(t *testing.T, ask, answer []byte) {
		parsertest.Lines(t, Protocol().NewSession, parsertest.Script{
			parsertest.Initiator(string(ask)), parsertest.Responder(string(answer)),
		})
	})
}
