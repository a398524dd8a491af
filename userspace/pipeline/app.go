package pipeline

import (
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Limits of probing (SEMANTICS.md §6.2): "more" after this many bytes of a side, or
// of both, means no.
const (
	probeSideLimit  = 64
	probeTotalLimit = 512
)

// maxJoins is how many segments of a stream that was joined in the middle are probed
// before it is taken for one that no parser knows.
const maxJoins = 16

// maxProtocols is how many protocols a driver can choose among: one bit each.
const maxProtocols = 64

// A chooser holds the protocols of a driver.
type chooser struct {
	protocols []parsers.Protocol
	all       uint64            // a bit for each with a session parser
	byPort    map[uint16]uint64 // protocols that name the port, a hint
}

func newChooser(l []parsers.Protocol) *chooser {
	l = slices.Clone(l[:min(len(l), maxProtocols)])
	c := &chooser{protocols: l, byPort: map[uint16]uint64{}}
	for i := range l {
		if l[i].Own != nil {
			l[i] = l[i].Own()
		}
		if l[i].NewSession != nil {
			c.all |= 1 << i
		}
		for _, p := range l[i].Ports {
			c.byPort[p] |= 1 << i
		}
	}
	return c
}

// hint returns the protocols that name a port of k.
func (c *chooser) hint(k flow.Key) uint64 {
	if len(c.byPort) == 0 || !k.Proto.HasPorts() {
		return 0
	}
	return c.byPort[k.LoPort] | c.byPort[k.HiPort]
}

// phase is how far the application half of a flow has come.
type phase uint8

const (
	probing phase = iota // collecting first bytes
	parsing              // one parser is fed
	ignored              // nothing more is wanted
)

// An app is the application half of a TCP session: it probes the first bytes of
// each side and feeds the parser that knows them.
type app struct {
	phase  phase
	first  *parsers.Protocol // that recognised the flow
	proto  *parsers.Protocol // in charge now: another one after a handover
	parser parsers.SessionParser

	began [2]bool   // candidates are set
	cand  [2]uint64 // protocols that may still be it, by side
	deaf  [2]bool   // the side is not of the chosen protocol: do not feed it
	met   [2]bool   // meet was called
	late  [2]bool   // the side was joined in the middle; see meet
	joins [2]uint8  // segments of it that may still be probed
	fin   [2]bool   // the side ended while probing
	order flow.Side // the side whose bytes were held first
	held  [2][]byte // first bytes, while probing
}

// meet is told before the first bytes of a side whether its stream was seen from the
// start, and again if bytes were missing while it was probed. One that is joined in
// the middle may go on with the rest of a message: it is probed at each segment until
// one begins a message.
func (a *app) meet(side flow.Side, fromStart bool) {
	a.met[side] = true
	if fromStart {
		return
	}
	a.late[side], a.joins[side] = true, maxJoins
	a.deaf[side] = a.phase == parsing
}

// feed takes the next bytes of a side.
func (a *app) feed(w *parserDriver, side flow.Side, b []byte) {
	switch a.phase {
	case parsing:
		if !a.deaf[side] || a.joinParser(side, b) {
			a.parse(w, side, b)
		}
	case probing:
		a.probe(w, side, b)
	}
}

// joinParser reports whether a message of the protocol in charge begins with b, on a
// side that was joined in the middle.
func (a *app) joinParser(side flow.Side, b []byte) bool {
	if !a.late[side] {
		return false
	}
	a.deaf[side] = probe(a.proto, side, b, true) != parsers.Yes
	return !a.deaf[side]
}

// probe asks the candidates about the first bytes of a side. The bytes are held
// until one says yes.
func (a *app) probe(w *parserDriver, side flow.Side, b []byte) {
	if !a.began[side] || a.cand[side] == 0 && a.rejoin(side) {
		a.began[side], a.cand[side] = true, w.chooser.all
	}
	if a.cand[side] == 0 {
		return
	}
	first := b
	if len(a.held[side]) > 0 {
		a.hold(side, b)
		first = a.held[side]
	}
	if p := a.ask(w, side, first); p != nil {
		a.choose(w, p, side, b)
		return
	}
	full := len(first) >= probeSideLimit || len(first)+len(a.held[side.Other()]) >= probeTotalLimit
	if full || a.cand[side] == 0 {
		a.cand[side], a.held[side] = 0, nil
		if len(first) > len(b) && a.joins[side] > 0 {
			a.probe(w, side, b) // without what came before it
			return
		}
		a.giveUp()
		return
	}
	if len(a.held[side]) == 0 {
		a.hold(side, b)
	}
}

// rejoin reports whether a side that nobody knew may be probed anew.
func (a *app) rejoin(side flow.Side) bool {
	if a.joins[side] == 0 {
		return false
	}
	a.joins[side]--
	return true
}

func (a *app) hold(side flow.Side, b []byte) {
	if len(a.held[side.Other()]) == 0 {
		a.order = side
	}
	a.held[side] = append(a.held[side], b...)
}

// ask returns the protocol that knows b, those named by the flow's ports first.
func (a *app) ask(w *parserDriver, side flow.Side, b []byte) *parsers.Protocol {
	hint := w.chooser.hint(w.ctx.Key)
	for _, set := range [2]uint64{a.cand[side] & hint, a.cand[side] &^ hint} {
		for i := range w.chooser.protocols {
			if set&(1<<i) == 0 {
				continue
			}
			p := &w.chooser.protocols[i]
			switch probe(p, side, b, hint&(1<<i) != 0) {
			case parsers.Yes:
				return p
			case parsers.No:
				a.cand[side] &^= 1 << i
			}
		}
	}
	return nil
}

// probe asks one protocol about b.
func probe(p *parsers.Protocol, side flow.Side, b []byte, hinted bool) parsers.Result {
	switch {
	case p.Probe != nil:
		return p.Probe(side, b)
	case hinted || len(p.Ports) == 0:
		return parsers.Yes
	}
	return parsers.No
}

// giveUp stops when both sides are known to be of no protocol.
func (a *app) giveUp() {
	if a.began[0] && a.began[1] && a.cand[0] == 0 && a.cand[1] == 0 && a.joins[0] == 0 && a.joins[1] == 0 {
		a.stop()
	}
}

// choose starts a parser and feeds it what was held, in the order it came.
// last is the chunk in hand: it is part of the held bytes of its side, or all
// there is of them.
func (a *app) choose(w *parserDriver, p *parsers.Protocol, side flow.Side, last []byte) {
	other := side.Other()
	a.deaf[other] = a.late[other] || a.began[other] && a.cand[other] == 0
	a.phase, a.proto, a.parser = parsing, p, p.NewSession(w.ctx.Key)
	if a.first == nil || a.first.Name == "" {
		a.first = p
	}
	held, order := a.held, a.order
	a.held = [2][]byte{}
	if len(held[side]) == 0 {
		held[side] = last
		if len(held[other]) == 0 {
			order = side
		}
	}
	for _, s := range [2]flow.Side{order, order.Other()} {
		if len(held[s]) > 0 {
			a.feed(w, s, held[s])
		}
		if a.fin[s] && a.phase == parsing {
			a.finish(w, s)
		}
	}
}

func (a *app) parse(w *parserDriver, side flow.Side, b []byte) {
	w.ctx.Side = side
	w.feed(a.parser, side, b)
	a.obey(w, side)
}

// gap says that n bytes of a side are missing.
func (a *app) gap(w *parserDriver, side flow.Side, n int64, cause flow.GapCause) {
	switch a.phase {
	case probing:
		a.began[side], a.cand[side], a.held[side] = true, 0, nil
		a.meet(side, false)
		a.giveUp()
	case parsing:
		if a.deaf[side] {
			return
		}
		w.ctx.Side = side
		if !w.gap(a.parser, side, n, cause) && w.ctx.Verdict() != parsers.Poisoned {
			w.ctx.TakeVerdict()
			a.poison(w, side, reasonGap)
			return
		}
		a.obey(w, side)
	}
}

// finish says that a side ended in order.
func (a *app) finish(w *parserDriver, side flow.Side) {
	a.fin[side] = true
	if a.parser != nil && !a.deaf[side] {
		w.ctx.Side = side
		w.fin(a.parser, side)
		a.obey(w, side)
	}
}

// abort says that the flow was cut off.
func (a *app) abort(w *parserDriver) {
	if a.parser != nil {
		w.rst(a.parser)
		a.obey(w, flow.Initiator)
	}
	a.parser = nil
	a.phase = ignored
}

// obey carries out what the parser asked for.
func (a *app) obey(w *parserDriver, side flow.Side) {
	switch v, reason, rest := w.ctx.TakeVerdict(); v {
	case parsers.Finished:
		a.phase = ignored
	case parsers.Poisoned:
		a.poison(w, side, reason)
	case parsers.HandOver:
		a.handOver(w, rest)
	}
}

// handOver probes what follows on both streams anew.
func (a *app) handOver(w *parserDriver, rest [2][]byte) {
	fin := a.fin
	*a = app{first: a.first, proto: a.proto, fin: fin}
	for s := range rest {
		if len(rest[s]) > 0 {
			a.feed(w, flow.Side(s), rest[s])
		}
	}
}

// reasonGap is the reason of a parser that cannot go on after missing bytes: a
// loss, not a protocol error.
const reasonGap = "gap"

func (a *app) poison(w *parserDriver, side flow.Side, reason string) {
	w.poisoned(a.proto, side, reason)
	if a.parser != nil {
		w.rst(a.parser)
		w.ctx.TakeVerdict()
	}
	a.stop()
}

func (a *app) stop() {
	a.phase, a.parser = ignored, nil
	a.held = [2][]byte{}
}

// swap exchanges the sides. No parser has been given anything yet.
func (a *app) swap() {
	a.began[0], a.began[1] = a.began[1], a.began[0]
	a.cand[0], a.cand[1] = a.cand[1], a.cand[0]
	a.deaf[0], a.deaf[1] = a.deaf[1], a.deaf[0]
	a.met[0], a.met[1] = a.met[1], a.met[0]
	a.late[0], a.late[1] = a.late[1], a.late[0]
	a.joins[0], a.joins[1] = a.joins[1], a.joins[0]
	a.fin[0], a.fin[1] = a.fin[1], a.fin[0]
	a.held[0], a.held[1] = a.held[1], a.held[0]
	a.order = a.order.Other()
}

// service returns the name of the protocol that was recognised, or nothing.
func (a *app) service() string {
	if a.first == nil {
		return ""
	}
	return a.first.Name
}
