package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// A clumsy parser panics where it is told to.
type clumsy struct{ where string }

func (p *clumsy) trip(where string) {
	if p.where == where {
		panic("tripped in " + where)
	}
}

func (p *clumsy) Feed(c *parsers.Context, _ flow.Side, b []byte) {
	c.Emit(line(b))
	p.trip("feed")
}
func (p *clumsy) Fin(*parsers.Context, flow.Side) { p.trip("fin") }
func (p *clumsy) Rst(*parsers.Context)            { p.trip("rst") }
func (p *clumsy) Gap(*parsers.Context, flow.Side, int64, flow.GapCause) bool {
	p.trip("gap")
	return true
}
func (p *clumsy) Parse(c *parsers.Context, _ flow.Side, b []byte) {
	c.Emit(line(b))
	p.trip("parse")
}
func (p *clumsy) End(*parsers.Context) { p.trip("end") }

func clumsyProtocol(where string) parsers.Protocol {
	return parsers.Protocol{
		Name:          "clumsy",
		Probe:         func(flow.Side, []byte) parsers.Result { return parsers.Yes },
		NewSession:    func(flow.Key) parsers.SessionParser { return &clumsy{where} },
		ProbeDatagram: func([]byte, bool) bool { return true },
		NewDatagram:   func(flow.Key) parsers.DatagramParser { return &clumsy{where} },
	}
}

// TestParserPanics holds that a parser that panics is poisoned, with the reason, and
// that the flow and all others live on.
func TestParserPanics(t *testing.T) {
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("x\n")
	tests := map[string][]packettest.Packet{
		"feed":  open().a("PA", 1001, 5001, "x\n").a("PA", 1003, 5001, "y\n").list,
		"fin":   open().a("PA", 1001, 5001, "x\n").a("FA", 1003, 5001, "").list,
		"rst":   open().a("PA", 1001, 5001, "x\n").a("R", 1003, 0, "").list,
		"gap":   open().a("PA", 1001, 5001, "x\n").a("PA", 1013, 5001, "y\n").list,
		"parse": {udp, udp},
		"end":   {udp},
	}
	for where, packets := range tests {
		t.Run(where, func(t *testing.T) {
			var r recorder
			opt := options(&r)
			var reasons []string
			opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
				if e.Kind == pipeline.Anomaly && e.Anomaly.Kind == flow.AnomalyParseError {
					reasons = append(reasons, e.Anomaly.Reason)
				}
				r.handle(e)
			}
			opt.Protocols = []parsers.Protocol{clumsyProtocol(where)}
			replay(t, opt, append(packets, packettest.UDP("10.0.0.8:1", "10.0.0.9:2"))...)
			if want := []string{"panic: tripped in " + where}; !slices.Equal(reasons, want) {
				t.Errorf("reasons %q, want %q", reasons, want)
			}
			messages := slices.DeleteFunc(r.events, func(e string) bool { return !strings.Contains(e, "line") })
			if want := []string{"initiator test line"}; !slices.Equal(messages, want) {
				t.Errorf("messages %v, want %v", messages, want)
			}
			if len(r.records) != 2 || r.records[0].Reason == flow.EndParseError {
				t.Errorf("%d flows, the first ended %v: want 2 and the transport's reason", len(r.records), r.records[0].Reason)
			}
		})
	}
}

// TestHandlerPanics holds that a panic of the handler is not taken for a parser's.
func TestHandlerPanics(t *testing.T) {
	opt := options(&recorder{})
	opt.Protocols = []parsers.Protocol{clumsyProtocol("")}
	opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
		if e.Kind == pipeline.Message {
			panic("handler")
		}
	}
	defer func() {
		if r := recover(); r != "handler" {
			t.Errorf("recovered %v, want the handler's panic", r)
		}
	}()
	replay(t, opt, open().a("PA", 1001, 5001, "x\n").list...)
	t.Error("the handler's panic was swallowed")
}
