package pipeline_test

import (
	"bytes"
	"log/slog"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A line is a message of the parsers that tests use.
type line string

func (line) Parser() string               { return "test" }
func (line) Kind() string                 { return "line" }
func (l line) LogValue() slog.Value       { return slog.IntValue(len(l)) }
func (l line) AppendJSON(b []byte) []byte { return parsers.AppendJSONString(b, string(l)) }

// lines is a parser of lines. One that begins with "bad" poisons it; at the end of a
// side what is left is a line too, and may poison it as well.
type lines struct{ held [2][]byte }

func (p *lines) Feed(c *parsers.Context, side flow.Side, b []byte) {
	p.held[side] = append(p.held[side], b...)
	for {
		l, rest, found := bytes.Cut(p.held[side], []byte("\n"))
		if !found || c.Verdict() != parsers.Continue {
			return
		}
		p.emit(c, l)
		p.held[side] = rest
	}
}

func (p *lines) emit(c *parsers.Context, l []byte) {
	if bytes.HasPrefix(l, []byte("bad")) {
		c.Poison("a bad line")
		return
	}
	c.Emit(line(l))
}

func (p *lines) Fin(c *parsers.Context, side flow.Side) {
	if len(p.held[side]) > 0 {
		p.emit(c, p.held[side])
	}
}

func (p *lines) Rst(*parsers.Context) {}

// Parse takes a datagram as a line.
func (p *lines) Parse(c *parsers.Context, _ flow.Side, b []byte) { p.emit(c, b) }
