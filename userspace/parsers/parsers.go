// Package parsers says what a parser of application data is.
//
// A driver probes the first bytes of each side of a TCP flow (or the first
// datagram of a UDP flow), picks a [Protocol], makes one parser for the flow and
// feeds it ordered bytes; the parser answers through its [Context] with messages
// and verdicts. Parsers live in packages below this one; they know package flow
// and nothing else of ours.
//
// What bites: the bytes of a call are only valid during the call, chunks may be cut
// anywhere, and calls for one flow never overlap, so a parser needs no lock.
package parsers

import (
	"log/slog"
	"unicode/utf8"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// MaxReason is the longest reason a poisoned parser can give, in bytes.
const MaxReason = 256

// A Message is one application message.
type Message interface {
	Parser() string // "http", "tls", "dns"
	Kind() string   // "request", "client_hello", …
	slog.LogValuer
	// AppendJSON appends the message's own object, named after the parser in
	// JSON lines (CONTRACT.md), without type, id or time.
	AppendJSON(b []byte) []byte
}

// A SessionParser reads both sides of one TCP flow.
type SessionParser interface {
	// Feed takes the next bytes of a side: in order, never empty, cut anywhere,
	// valid only during the call.
	Feed(c *Context, side flow.Side, b []byte)
	// Fin says that a side's stream ended in order (FIN, or close without RST).
	Fin(c *Context, side flow.Side)
	// Rst says that the flow was aborted: drop what is buffered.
	Rst(c *Context)
}

// A DatagramParser reads the datagrams of one UDP flow.
type DatagramParser interface {
	// Parse takes one whole datagram, which may be empty.
	Parse(c *Context, side flow.Side, b []byte)
}

// A GapHandler is a SessionParser that can go on after missing bytes.
type GapHandler interface {
	// Gap says that n bytes of a side will never come. It returns false when
	// the parser cannot resynchronise.
	Gap(c *Context, side flow.Side, n int64, cause flow.GapCause) bool
}

// A Ticker is a parser that wants to act on time, such as on unanswered queries.
// Tick is called at expiry checks with the table's time and once at the flow's end.
type Ticker interface {
	Tick(c *Context)
}

// A Deadliner is a Ticker that knows when it next has something to do, so that
// replay and live runs tick it at the same packet time.
type Deadliner interface {
	// Deadline returns the earliest time at which Tick has work; false for none.
	Deadline() (flow.Timestamp, bool)
}

// An Ender is a datagram parser that wants to hear of the flow's end.
type Ender interface {
	End(c *Context)
}

// A Result is what probing the first bytes of a stream says.
type Result uint8

// The results.
const (
	No Result = iota
	Yes
	More
)

// A Protocol is a parser as drivers choose it. At least one of NewSession and
// NewDatagram is set.
type Protocol struct {
	Name  string
	Ports []uint16 // a hint for the order of asking, never a reason to exclude

	// Probe looks at the first bytes a side sent. No and Yes are final. Without
	// it the ports decide, and without ports every TCP flow is the protocol's:
	// put such a one last.
	Probe      func(side flow.Side, b []byte) Result
	NewSession func(key flow.Key) SessionParser

	// ProbeDatagram looks at one whole datagram; hinted is true when the flow
	// uses one of Ports. Without it the ports decide, as above.
	ProbeDatagram func(b []byte, hinted bool) bool
	NewDatagram   func(key flow.Key) DatagramParser

	// Own, if not nil, returns this protocol anew: its parsers share nothing with
	// those of any other. Each driver calls it once, as drivers belong to
	// different goroutines and what one of them holds must not show in another.
	Own func() Protocol
}

// ForPort returns a protocol that takes every TCP flow with the given port, whatever
// its bytes are.
func ForPort(port uint16, name string, factory func(flow.Key) SessionParser) Protocol {
	return Protocol{Name: name, Ports: []uint16{port}, NewSession: factory}
}

// Every returns a protocol that takes every TCP flow.
func Every(name string, factory func(flow.Key) SessionParser) Protocol {
	return Protocol{Name: name, NewSession: factory}
}

// EveryDatagram returns a protocol that takes every UDP flow.
func EveryDatagram(name string, factory func(flow.Key) DatagramParser) Protocol {
	return Protocol{Name: name, NewDatagram: factory}
}

// Of returns a factory for a parser type whose zero value works.
func Of[T any, P interface {
	*T
	SessionParser
}]() func(flow.Key) SessionParser {
	return func(flow.Key) SessionParser { return P(new(T)) }
}

// OfDatagram is Of for datagram parsers.
func OfDatagram[T any, P interface {
	*T
	DatagramParser
}]() func(flow.Key) DatagramParser {
	return func(flow.Key) DatagramParser { return P(new(T)) }
}

// A Context is a parser's view of its flow during one call, and takes its
// results. Drivers set the exported fields before each call; parsers read them.
type Context struct {
	Time flow.Timestamp // packet time
	Key  flow.Key
	ID   uint64    // the flow's
	Side flow.Side // of the call; whom Emit attributes a message to

	// OnMessage receives what the parser emits. A nil OnMessage drops it.
	OnMessage func(side flow.Side, ts flow.Timestamp, m Message)

	verdict Verdict
	reason  string
	rest    [2][]byte
	want    int
}

// A Verdict is what a parser wants to happen next.
type Verdict uint8

// The verdicts.
const (
	Continue Verdict = iota
	Finished         // Done was called
	Poisoned         // Poison was called
	HandOver         // Handover was called
)

// Emit hands out a message of the side being fed.
func (c *Context) Emit(m Message) { c.EmitFor(c.Side, m) }

// EmitFor hands out a message of the given side.
func (c *Context) EmitFor(side flow.Side, m Message) {
	if c.OnMessage != nil {
		c.OnMessage(side, c.Time, m)
	}
}

// Done says that nothing more of either side is wanted: their payload stops, in
// the kernel too. Fin, Rst and Tick are still called.
func (c *Context) Done() {
	if c.verdict == Continue {
		c.verdict = Finished
	}
}

// Poison says that the parser cannot go on, and why. The reason is cut to
// MaxReason bytes at a character boundary.
func (c *Context) Poison(reason string) {
	if c.verdict == Poisoned {
		return
	}
	c.verdict, c.reason = Poisoned, cut(reason, MaxReason)
}

// Handover says that the rest of both streams belongs to another protocol, to be
// probed anew: rest holds, for each side, the bytes this parser was fed but did
// not read. They are only valid until the call returns.
func (c *Context) Handover(rest [2][]byte) {
	if c.verdict == Continue {
		c.verdict, c.rest = HandOver, rest
	}
}

// Want says how many bytes the parser needs before it can go on; a hint for
// budgets.
func (c *Context) Want(n int) { c.want = n }

// TakeVerdict returns what the parser asked for since the last call, with the
// reason of a Poison and the bytes of a Handover, and clears it. For drivers.
func (c *Context) TakeVerdict() (v Verdict, reason string, rest [2][]byte) {
	v, reason, rest = c.verdict, c.reason, c.rest
	c.verdict, c.reason, c.rest, c.want = Continue, "", [2][]byte{}, 0
	return v, reason, rest
}

// Verdict returns what the parser asked for so far, without clearing it. A parser
// stops reading its input when it is not Continue.
func (c *Context) Verdict() Verdict { return c.verdict }

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
