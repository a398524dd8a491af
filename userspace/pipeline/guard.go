package pipeline

import (
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A parser may be a caller's, and a caller's parser may panic. It is then poisoned
// like one that says so itself, and only its own session suffers. A panic of the
// handler that a parser's message went to is not the parser's, and goes on.

// recovered is deferred around each call of a parser.
func (d *parserDriver) recovered() {
	r := recover()
	switch {
	case r == nil:
	case d.handling:
		panic(r)
	default:
		d.ctx.Poison(fmt.Sprint("panic: ", r))
	}
}

func (d *parserDriver) feed(p parsers.SessionParser, side flow.Side, b []byte) {
	defer d.recovered()
	p.Feed(&d.ctx, side, b)
}

// gap reports false for a parser that cannot go on after missing bytes.
func (d *parserDriver) gap(p parsers.SessionParser, side flow.Side, n int64, cause flow.GapCause) bool {
	defer d.recovered()
	g, ok := p.(parsers.GapHandler)
	return ok && g.Gap(&d.ctx, side, n, cause)
}

func (d *parserDriver) fin(p parsers.SessionParser, side flow.Side) {
	defer d.recovered()
	p.Fin(&d.ctx, side)
}

func (d *parserDriver) rst(p parsers.SessionParser) {
	defer d.recovered()
	p.Rst(&d.ctx)
}

func (d *parserDriver) parseDatagram(p parsers.DatagramParser, side flow.Side, b []byte) {
	defer d.recovered()
	p.Parse(&d.ctx, side, b)
}

func (d *parserDriver) end(p parsers.Ender) {
	defer d.recovered()
	p.End(&d.ctx)
}

func (d *parserDriver) callTick(p parsers.Ticker) {
	defer d.recovered()
	p.Tick(&d.ctx)
}
