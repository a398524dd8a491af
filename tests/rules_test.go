//go:build linux

package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/export"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/dns"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/tls"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// rules are options that end, report or evict flows, each in its own way.
var rules = []struct {
	name string
	opt  pipeline.Options[flow.Key]
}{
	{"protocols", pipeline.Options[flow.Key]{IdleTCP: 2 * time.Second, IdleUDP: 300 * time.Millisecond, IdleOther: 100 * time.Millisecond}},
	{"ports", pipeline.Options[flow.Key]{IdlePorts: map[uint16]time.Duration{53: 200 * time.Millisecond, 80: time.Second, 443: 0}}},
	{"function", pipeline.Options[flow.Key]{IdleFunc: func(k flow.Key, l4 flow.L4) (time.Duration, bool) {
		return time.Duration(k.Lo[15]) * 10 * time.Millisecond, l4 != flow.L4Other && k.Hi[15]%2 == 0
	}}},
	{"handshake", pipeline.Options[flow.Key]{IdleHandshake: 50 * time.Millisecond, ClosedLinger: 100 * time.Millisecond}},
	{"no linger", pipeline.Options[flow.Key]{ClosedLinger: -1, IdleTCP: time.Second}},
	{"active", pipeline.Options[flow.Key]{ActiveTimeout: time.Second, IdleUDP: 5 * time.Second}},
	{"one flow", pipeline.Options[flow.Key]{MaxFlows: 1}},
	{"few flows", pipeline.Options[flow.Key]{MaxFlows: 12, ActiveTimeout: time.Second}},
	{"a hundred flows", pipeline.Options[flow.Key]{MaxFlows: 100}},
}

// TestEnginesAgreeOnRules replays each capture by one of the rules through both engines and
// compares all lines.
func TestEnginesAgreeOnRules(t *testing.T) {
	needs.Root(t)
	_, captures := corpus(t)
	for i, c := range captures {
		if refused[filepath.Base(c)] != "" {
			continue
		}
		r := rules[i%len(rules)]
		t.Run(r.name+"/"+filepath.Base(c), func(t *testing.T) {
			t.Parallel()
			agreeBy(t, r.opt, c)
		})
	}
}

// TestEnginesAgreeWhenFull sends packets of many flows, each now and then, through tables much
// too small for them: the same flows are evicted by both engines, in the same order.
func TestEnginesAgreeWhenFull(t *testing.T) {
	needs.Root(t)
	frames := manyFlows(1500, 4000)
	for _, n := range []int{1, 16, 100, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			agree(t, pipeline.Options[flow.Key]{MaxFlows: n, ActiveTimeout: time.Second}, func(take func(*packet.View)) {
				for i := range frames {
					take(&frames[i])
				}
			})
		})
	}
}

// manyFlows returns n packets, one each millisecond, of a number of flows drawn at random.
func manyFlows(flows, n int) []packet.View {
	r := rand.New(rand.NewPCG(1, 2))
	var packets []packettest.Packet
	for i := range n {
		f := r.IntN(flows)
		src, dst := fmt.Sprintf("10.0.%d.%d:1000", f>>8, f&255), "192.0.2.1:80"
		if f%3 == 0 {
			src, dst = fmt.Sprintf("[2001:db8::%x]:1000", f), "[2001:db8:1::1]:53"
		}
		p := packettest.UDP(src, dst).Payload("x")
		if f%2 == 0 {
			p = packettest.TCP(src, dst).Flags("A").Seq(uint32(i))
		}
		if r.IntN(2) == 0 {
			p = p.Reply()
		}
		packets = append(packets, p.At(time.Duration(i)*time.Millisecond))
	}
	return packettest.Trace(packets...)
}

// A replayer is an engine that takes the frames of a file.
type replayer interface {
	Frame(v *packet.View) error
	Finish() error
	Summary() flow.Summary
}

type userspaceEngine struct {
	*pipeline.SessionDriver[flow.Key]
}

func (u userspaceEngine) Frame(v *packet.View) error { u.Track(v); return nil }
func (u userspaceEngine) Finish() error              { u.SessionDriver.Finish(); return nil }

// agreeBy compares what both engines say of a capture.
func agreeBy(t *testing.T, opt pipeline.Options[flow.Key], capture string) {
	t.Helper()
	agree(t, opt, func(take func(*packet.View)) {
		src, err := source.Open(capture)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		var f source.Frame
		for err = src.Next(&f); err == nil; err = src.Next(&f) {
			take(&packet.View{Frame: f.Data, Time: f.Time, OrigLen: f.OrigLen, LinkType: packet.LinkType(f.LinkType), Dir: packet.CaptureDir(f.Dir)})
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}

func agree(t *testing.T, opt pipeline.Options[flow.Key], frames func(take func(*packet.View))) {
	t.Helper()
	opt.Extractor, opt.Anomalies = packet.FiveTuple{}, true
	opt.Protocols = []parsers.Protocol{tls.Protocol(tls.Options{}), http1.Protocol(http1.Options{}), dns.Protocol(dns.Options{})}
	if opt.MaxFlows == 0 {
		opt.MaxFlows = 1 << 14
	}
	userspace := ruled(t, opt, frames, func(o pipeline.Options[flow.Key]) (replayer, error) {
		return userspaceEngine{pipeline.NewSessionDriver(o)}, nil
	})
	kernel := ruled(t, opt, frames, func(o pipeline.Options[flow.Key]) (replayer, error) {
		return engine.NewReplay(o, xdp.Options{})
	})
	compareEngines(t, kernel, userspace)
}

// ruled gives frames to an engine and returns the lines that come of it, ready to compare.
func ruled(t *testing.T, opt pipeline.Options[flow.Key], frames func(take func(*packet.View)), open func(pipeline.Options[flow.Key]) (replayer, error)) []string {
	t.Helper()
	var out bytes.Buffer
	w := export.NewJSONL(&out)
	opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) { writeEvent(t, w, e) }
	r, err := open(opt)
	if err != nil {
		t.Fatal(err)
	}
	frames(func(v *packet.View) {
		if err := r.Frame(v); err != nil {
			t.Fatal(err)
		}
	})
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	s := r.Summary()
	if s.PacketsSpilled > 0 {
		t.Errorf("%d packets found no place in a table with room for all", s.PacketsSpilled)
	}
	if err := w.Summary(&s); err != nil {
		t.Fatal(err)
	}
	l := result{stdout: out.String()}.lines(t)
	checkConservation(t, l)
	return normal(t, l)
}

// writeEvent writes an event as the program does.
func writeEvent(t *testing.T, w *export.JSONL, e *pipeline.SessionEvent[flow.Key]) {
	t.Helper()
	mark := export.Mark{ID: e.ID, Time: e.Time, Key: e.Key, From: e.From, To: e.To}
	var err error
	switch e.Kind {
	case pipeline.Started:
		err = w.Start(mark)
	case pipeline.Established:
		err = w.Established(mark)
	case pipeline.StateChange:
		err = w.State(mark)
	case pipeline.Message:
		err = w.Message(export.Message{ID: e.ID, Time: e.Time, Key: e.Key, Side: e.Side, Body: e.Message})
	case pipeline.Anomaly:
		err = w.Anomaly(export.Anomaly{ID: e.ID, Time: e.Time, Anomaly: e.Anomaly})
	case pipeline.Update:
		err = w.Update(e.Record, e.Time)
	case pipeline.Closed:
		err = w.Flow(e.Record)
	}
	if err != nil {
		t.Error(err)
	}
}
