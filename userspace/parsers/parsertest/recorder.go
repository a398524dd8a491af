package parsertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// An Entry is one message as a recorder saw it.
type Entry struct {
	Side    flow.Side
	Time    flow.Timestamp
	Message parsers.Message
	Line    string // see Recorder.Lines
}

// A Recorder plays the driver: it feeds one parser, obeys its verdicts and keeps
// its messages. The zero value is ready; set Key before use if it matters.
type Recorder struct {
	Key      flow.Key
	Messages []Entry
	Verdict  parsers.Verdict
	Reason   string    // of a poison
	Rest     [2]string // of a handover, with all that was fed after it

	ctx      parsers.Context
	poisoner flow.Side
}

// Lines returns one JSON object for each message,
//
//	{"side":"initiator","kind":"request","http":{…}}
//
// and a last one for a verdict: {"verdict":"done"}, {"verdict":"poisoned",
// "side":"initiator","reason":"…"} or {"verdict":"handover","initiator":"…",
// "responder":"…"}, which holds all bytes that were left to the next parser.
func (r *Recorder) Lines() []string {
	var lines []string
	for _, m := range r.Messages {
		lines = append(lines, m.Line)
	}
	if v := r.verdictLine(); v != "" {
		lines = append(lines, v)
	}
	return lines
}

func (r *Recorder) verdictLine() string {
	switch r.Verdict {
	case parsers.Finished:
		return `{"verdict":"done"}`
	case parsers.Poisoned:
		b := parsers.AppendJSONString([]byte(`{"verdict":"poisoned","side":"`+r.poisoner.String()+`","reason":`), r.Reason)
		return string(append(b, '}'))
	case parsers.HandOver:
		b := parsers.AppendJSONString([]byte(`{"verdict":"handover","initiator":`), r.Rest[flow.Initiator])
		b = parsers.AppendJSONString(append(b, `,"responder":`...), r.Rest[flow.Responder])
		return string(append(b, '}'))
	}
	return ""
}

// line renders a message.
func line(side flow.Side, m parsers.Message) string {
	b := []byte(`{"side":"` + side.String() + `","kind":"` + m.Kind() + `","` + m.Parser() + `":`)
	return string(append(m.AppendJSON(b), '}'))
}

// take is the context's OnMessage.
func (r *Recorder) take(side flow.Side, ts flow.Timestamp, m parsers.Message) {
	r.Messages = append(r.Messages, Entry{side, ts, m, line(side, m)})
}

// Play plays the script to p, uncut. It returns an error for a breach of the
// contract, such as a panic or a kept slice.
func (r *Recorder) Play(p parsers.SessionParser, s Script) error { return r.session(p, s.clock()) }

// session plays steps to p. Each chunk is a copy that is overwritten after the
// call.
func (r *Recorder) session(p parsers.SessionParser, steps []timed) (err error) {
	for _, st := range steps {
		if err := guard(st, func() error { return r.step(p, st) }); err != nil {
			return err
		}
	}
	return r.verify()
}

// guard calls f and turns a panic into an error.
func guard(st timed, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic at %v: %v", st, v)
		}
	}()
	return f()
}

// begin prepares the context for a step.
func (r *Recorder) begin(st timed) *parsers.Context {
	r.ctx.Time, r.ctx.Key, r.ctx.Side, r.ctx.OnMessage = st.at, r.Key, st.Side, r.take
	return &r.ctx
}

func (r *Recorder) step(p parsers.SessionParser, st timed) error {
	c := r.begin(st)
	switch r.Verdict {
	case parsers.Poisoned:
		return nil
	case parsers.HandOver:
		r.Rest[st.Side] += st.Data
		return nil
	case parsers.Finished:
		if st.Op == OpFeed || st.Op == OpGap {
			return nil
		}
	}
	if st.Op == OpFeed {
		return r.feed(p, c, st)
	}
	r.call(p, c, st)
	r.obey(p, st.Side)
	return nil
}

// feed delivers one chunk and spoils it afterwards.
func (r *Recorder) feed(p parsers.SessionParser, c *parsers.Context, st timed) error {
	if st.Data == "" {
		return nil // Feed never gets an empty chunk
	}
	chunk := []byte(st.Data)
	p.Feed(c, st.Side, chunk)
	r.obey(p, st.Side)
	return spoil(chunk, st)
}

// spoil overwrites a chunk the parser no longer owns.
func spoil(chunk []byte, st timed) error {
	if string(chunk) != st.Data {
		return fmt.Errorf("the parser wrote to its input at %v", st)
	}
	for i := range chunk {
		chunk[i] = 0xdb
	}
	return nil
}

// call makes the call of a step that is not a feed.
func (r *Recorder) call(p parsers.SessionParser, c *parsers.Context, st timed) {
	switch st.Op {
	case OpFin:
		p.Fin(c, st.Side)
	case OpRst:
		p.Rst(c)
	case OpGap:
		g, ok := p.(parsers.GapHandler)
		if !ok || !g.Gap(c, st.Side, st.N, st.Cause) {
			c.Poison("gap")
		}
	case OpTick, OpEnd:
		if t, ok := p.(parsers.Ticker); ok {
			t.Tick(c)
		}
	}
}

// obey takes the parser's verdict. A poisoned parser gets its Rst and no more.
func (r *Recorder) obey(p parsers.SessionParser, side flow.Side) {
	v, reason, rest := r.ctx.TakeVerdict()
	switch v {
	case parsers.Poisoned:
		r.Verdict, r.Reason, r.poisoner = v, reason, side
		p.Rst(&r.ctx)
		r.ctx.TakeVerdict()
	case parsers.Finished:
		r.Verdict = v
	case parsers.HandOver:
		r.Verdict = v
		for s := range rest {
			r.Rest[s] = string(rest[s])
		}
	}
}

// datagrams plays the feeds of a script as datagrams.
func (r *Recorder) datagrams(p parsers.DatagramParser, steps []timed) error {
	for _, st := range steps {
		if r.Verdict != parsers.Continue && st.Op != OpEnd {
			continue
		}
		if err := guard(st, func() error { return r.datagram(p, st) }); err != nil {
			return err
		}
	}
	return r.verify()
}

func (r *Recorder) datagram(p parsers.DatagramParser, st timed) error {
	c := r.begin(st)
	chunk := []byte(st.Data)
	if st.Op == OpFeed {
		p.Parse(c, st.Side, chunk)
	}
	if t, ok := p.(parsers.Ticker); ok && (st.Op == OpTick || st.Op == OpEnd) {
		t.Tick(c)
	}
	if e, ok := p.(parsers.Ender); ok && st.Op == OpEnd {
		e.End(c)
	}
	if v, reason, _ := c.TakeVerdict(); v != parsers.Continue {
		r.Verdict, r.Reason, r.poisoner = v, reason, st.Side
	}
	return spoil(chunk, st)
}

// verify looks at all messages again, now that every chunk is spoilt.
func (r *Recorder) verify() error {
	var errs []error
	for i, m := range r.Messages {
		switch now := line(m.Side, m.Message); {
		case now != m.Line:
			errs = append(errs, fmt.Errorf("message %d keeps a slice it was given:\n was %s\n now %s", i, m.Line, now))
		case !json.Valid([]byte(m.Line)):
			errs = append(errs, fmt.Errorf("message %d is not JSON: %s", i, m.Line))
		case m.Message.LogValue().Resolve().Kind() != slog.KindGroup:
			errs = append(errs, fmt.Errorf("message %d: LogValue is a %v, want a group", i, m.Message.LogValue().Kind()))
		}
	}
	return errors.Join(errs...)
}
