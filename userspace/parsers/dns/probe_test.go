package dns

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

var (
	nbName = strings.Repeat("CA", 16)
	long   = strings.Repeat("long-label.", 10) + "example"
)

func TestProbeDatagram(t *testing.T) {
	q := func(name string, typ Type, class Class) string {
		return string(msg(1, 0x0100).question(name, typ, class).bytes())
	}
	tests := []struct {
		name             string
		msg              string
		hinted, unhinted bool
	}{
		{"query", q("a.b", TypeA, ClassIN), true, true},
		{"response", string(answer()), true, true},
		{"root", q(".", TypeNS, ClassIN), true, true},
		{"multicast class bit", q("a.local", TypePTR, ClassIN|mdnsTopBit), true, true},
		{"no question", string(msg(1, 0x8400).record(1, "a", TypeA, ClassIN, 1, []byte{1, 2, 3, 4}).bytes()), true, false},
		{"two questions", string(msg(1, 0).question("a", TypeA, ClassIN).question("b", TypeA, ClassIN).bytes()), true, false},
		{"unknown class", q("a", TypeA, 77), true, false},
		{"type 0", q("a", 0, ClassIN), true, false},
		{"reserved bit", string(msg(1, 0x0140).question("a", TypeA, ClassIN).bytes()), true, false},
		{"bytes behind the only question", q("a", TypeA, ClassIN) + "x", true, false},
		{"records that do not fit", string(msg(1, 0).question("a", TypeA, ClassIN).count(1, 1).bytes()), true, false},
		{"question cut", q("a.b", TypeA, ClassIN)[:18], true, false},
		{"name bad", string(msg(1, 0).count(0, 1).raw("\xc0\x0c").u16(1, 1).bytes()), false, false},
		{"header only", q("a", TypeA, ClassIN)[:12], true, false},
		{"NetBIOS", q(nbName, 0x20, ClassIN), true, false},
		{"NetBIOS status", q(nbName, 0x21, ClassIN), true, false},
		{"a service of 32 letters", q(strings.Repeat("XY", 16), TypeSRV, ClassIN), true, true},
		{"NetBIOS name, type A", q(nbName, TypeA, ClassIN), true, true},
		{"opcode 9", string(msg(1, 9<<11).question("a", TypeA, ClassIN).bytes()), false, false},
		{"short", "hello", false, false},
		{"empty", "", false, false},
	}
	p := Protocol(Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.ProbeDatagram([]byte(tt.msg), true); got != tt.hinted {
				t.Errorf("on port 53: %v, want %v", got, tt.hinted)
			}
			if got := p.ProbeDatagram([]byte(tt.msg), false); got != tt.unhinted {
				t.Errorf("elsewhere: %v, want %v", got, tt.unhinted)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	tests := []struct {
		name string
		data string
		want parsers.Result
	}{
		{"query", framed(ask(1, "a.b")), parsers.Yes},
		{"query and the next", framed(ask(1, "a.b")) + framed(ask(2, "b")), parsers.Yes},
		{"response", framed(string(answer())), parsers.Yes},
		{"long name", framed(ask(1, long)), parsers.Yes},
		{"long name, cut by its length", framed(ask(1, long)[:40]), parsers.No},
		{"two questions", framed(string(msg(1, 0).question("a", TypeA, ClassIN).question("b", TypeA, ClassIN).bytes())), parsers.No},
		{"no question", framed(string(msg(1, 0x8000).bytes())), parsers.No},
		{"records that do not fit", framed(string(msg(1, 0).question("a", TypeA, ClassIN).count(1, 1).bytes())), parsers.No},
		{"bytes behind the only question", framed(ask(1, "a") + "x"), parsers.No},
		{"opcode 7", framed(string(msg(1, 7<<11).question("a", TypeA, ClassIN).bytes())), parsers.No},
		{"extended label", framed(string(msg(1, 0).count(0, 1).raw("\x41abcdefghijklmnopqrst").bytes())), parsers.No},
		{"NetBIOS", framed(string(msg(1, 0).question(nbName, 0x20, ClassIN).bytes())), parsers.No},
		{"http", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", parsers.No},
		{"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh", parsers.No},
		{"ssh", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", parsers.No},
		{"zeros", strings.Repeat("\x00", 100), parsers.No},
		{"half", framed(ask(1, "a.b"))[:17], parsers.More},
		{"a byte", "\x00", parsers.More},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parsertest.Probe(t, Protocol(Options{}), flow.Responder, tt.data, tt.want)
		})
	}
}
