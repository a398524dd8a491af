package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// framed puts the length before a message.
func framed(m string) string { return string([]byte{byte(len(m) >> 8), byte(len(m))}) + m }

func TestTCP(t *testing.T) {
	type s = parsertest.Script
	i, r := parsertest.Initiator, parsertest.Responder
	gap := func(side flow.Side, n int) parsertest.Step {
		return parsertest.Gap(side, int64(n), flow.GapNetwork)
	}
	query := framed(ask(1, "a"))
	done := func() []string { // what query and its response give
		return []string{queryLine("query", "1", "a", ""), replyLine("1", "a", rtt)}
	}
	tests := []struct {
		name   string
		script s
		want   []string
	}{
		{"answered", s{i(query), r(framed(reply(1, "a"))), parsertest.Fin(0), parsertest.Fin(1)}, done()},
		{"several in one segment", s{i(query + framed(ask(2, "b"))), r(framed(reply(2, "b")) + framed(reply(1, "a")))},
			[]string{queryLine("query", "1", "a", ""), queryLine("query", "2", "b", ""), replyLine("2", "b", rtt), replyLine("1", "a", rtt)}},
		{"malformed body is skipped", s{i(framed(string(msg(9, 0x7800).bytes())+"xyz") + query), r(framed(reply(1, "a")))}, done()},
		{"length below a header poisons", s{i(query), i("\x00\x0bhello, world")},
			[]string{queryLine("query", "1", "a", ""), `{"verdict":"poisoned","side":"initiator","reason":"message shorter than a DNS header"}`}},
		{"length 0 poisons, behind a message", s{i(query + "\x00\x00")},
			[]string{queryLine("query", "1", "a", ""), `{"verdict":"poisoned","side":"initiator","reason":"message shorter than a DNS header"}`}},
		{"unanswered when both sides end", s{i(query), parsertest.Fin(0), parsertest.Fin(1)},
			[]string{queryLine("query", "1", "a", ""), queryLine("unanswered", "1", "a", "")}},
		{"half closed: the response still counts", s{i(query), parsertest.Fin(0), r(framed(reply(1, "a"))), parsertest.Fin(1)},
			[]string{queryLine("query", "1", "a", ""), replyLine("1", "a", `,"rtt_ns":2000000`)}},
		{"unanswered at a reset", s{i(query), parsertest.Rst()},
			[]string{queryLine("query", "1", "a", ""), queryLine("unanswered", "1", "a", "")}},
		{"unanswered at 30 s", s{i(query), parsertest.Tick(DefaultTimeout), r(framed(reply(1, "a")))},
			[]string{queryLine("query", "1", "a", ""), queryLine("unanswered", "1", "a", ""), replyLine("1", "a", "")}},
		{"half a message at the end is nothing", s{i(query[:10]), parsertest.Fin(0), parsertest.Fin(1)}, nil},
		{"gap inside a message", s{i(framed(ask(3, "abcdefgh"))[:2+21]), gap(0, 3), i("\x00\x01" + query)},
			[]string{
				`{"side":"initiator","kind":"query","dns":{"transaction_id":3,"opcode":0,"opcode_name":"QUERY","flags":["rd"],"questions":[],"truncated_parse":true}}`,
				queryLine("query", "1", "a", ""),
			}},
		{"gap to the end of a message", s{i(query[:14]), gap(0, len(query)-14), i(framed(ask(2, "b")))},
			[]string{
				`{"side":"initiator","kind":"query","dns":{"transaction_id":1,"opcode":0,"opcode_name":"QUERY","flags":["rd"],"questions":[],"truncated_parse":true}}`,
				queryLine("query", "2", "b", ""),
			}},
		{"two gaps inside a message", s{i(query[:4]), gap(0, 2), i(query[6:8]), gap(0, 3), i(query[11:] + query)},
			[]string{queryLine("query", "1", "a", "")}},
		{"gap between messages", s{i(query), gap(0, 100), i(framed(ask(2, "b"))), gap(0, 100), i(framed(ask(3, "c")))},
			[]string{queryLine("query", "1", "a", ""), queryLine("query", "2", "b", ""), queryLine("query", "3", "c", "")}},
		{"gap over the end of a message", s{i(query[:4]), gap(0, 100), i(framed(ask(2, "b")))}, []string{queryLine("query", "2", "b", "")}},
		{"gap inside a length", s{i(query + "\x00"), gap(0, 1), i(query)}, []string{queryLine("query", "1", "a", ""), queryLine("query", "1", "a", `,"retransmissions":1`)}},
		{"one side lost, the other goes on", s{i(query), gap(1, 100), r("noise, no message at all"), i(framed(ask(2, "b"))), gap(1, 1)},
			[]string{queryLine("query", "1", "a", ""), queryLine("query", "2", "b", "")}},
		{"both sides lost", s{gap(1, 100), r("noise, no message at all"), gap(0, 1), i("noise")},
			[]string{`{"verdict":"poisoned","side":"initiator","reason":"gap"}`}},
		{"gap at once after a gap", s{gap(0, 5), gap(0, 5), i(query)}, []string{queryLine("query", "1", "a", "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parsertest.Run(t, Protocol(Options{}).NewSession, tt.script, tt.want...)
			parsertest.Run(t, parsers.Of[TCP](), tt.script, tt.want...) // the zero value
			parsertest.Garbage(t, Protocol(Options{}).NewSession, tt.script)
		})
	}
}

func TestTCPHoldsOneMessage(t *testing.T) {
	largest := "\xff\xff" + ask(1, "a") + strings.Repeat("x", 70_000)
	parsertest.Bounded(t, parsers.Of[TCP](), 100<<10, parsertest.Script{parsertest.Initiator(largest[:60_000])})
	parsertest.Bounded(t, parsers.Of[TCP](), 8<<10, parsertest.Script{parsertest.Initiator(largest[:maxMessageLen+lengthLen])})
}

// TestTCPDeadline holds that a TCP parser tells when it has work.
func TestTCPDeadline(t *testing.T) {
	p, c := NewTCP(Options{Timeout: time.Second}), newCollect(PortDNS)
	c.Time = 5e9
	p.Feed(&c.Context, flow.Initiator, []byte(framed(ask(1, "a"))))
	if at, ok := p.Deadline(); !ok || at != 6e9 {
		t.Errorf("Deadline() = %v, %v; want 6 s", at, ok)
	}
}

var (
	_ parsers.SessionParser  = (*TCP)(nil)
	_ parsers.GapHandler     = (*TCP)(nil)
	_ parsers.Ticker         = (*TCP)(nil)
	_ parsers.Deadliner      = (*TCP)(nil)
	_ parsers.DatagramParser = (*UDP)(nil)
	_ parsers.Ticker         = (*UDP)(nil)
	_ parsers.Deadliner      = (*UDP)(nil)
	_ parsers.Ender          = (*UDP)(nil)
)
