package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/dns"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/tls"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

const (
	hostA = "10.0.0.1:54321"
	hostB = "10.0.0.2:80"
)

// A recorder writes each event as a word or two.
type recorder struct {
	events  []string
	records []flow.Record
}

func (r *recorder) handle(e *pipeline.SessionEvent[flow.Key]) {
	s := e.Kind.String()
	switch e.Kind {
	case pipeline.StateChange, pipeline.Established:
		s = e.To.String()
	case pipeline.Message:
		s = fmt.Sprintf("%s %s %s", e.Side, e.Message.Parser(), e.Message.Kind())
	case pipeline.Anomaly:
		s = "anomaly " + e.Anomaly.Kind.String()
	case pipeline.Gap:
		s = fmt.Sprintf("gap %s %d %s", e.Side, e.Bytes, e.Cause)
	case pipeline.Closed:
		r.records = append(r.records, *e.Record)
		s = "closed " + e.Record.Reason.String()
	}
	r.events = append(r.events, s)
}

func (r *recorder) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.events, want) {
		t.Errorf("events:\n got %s\nwant %s", strings.Join(r.events, ", "), strings.Join(want, ", "))
	}
}

func options(r *recorder) pipeline.Options[flow.Key] {
	return pipeline.Options[flow.Key]{
		Handler: r.handle, Extractor: packet.FiveTuple{}, Anomalies: true, Gaps: true,
		Protocols: []parsers.Protocol{tls.Protocol(tls.Options{}), http1.Protocol(http1.Options{}), dns.Protocol(dns.Options{})},
	}
}

// replay runs packets through a driver to the end of the input and holds
// conservation.
func replay(t *testing.T, opt pipeline.Options[flow.Key], packets ...packettest.Packet) flow.Summary {
	t.Helper()
	d := pipeline.NewSessionDriver(opt)
	for _, v := range packettest.Trace(packets...) {
		d.Track(&v)
	}
	d.Finish()
	s := d.Summary()
	if p, b := s.Unaccounted(); p != 0 || b != 0 {
		t.Errorf("unaccounted: %d packets, %d bytes", p, b)
	}
	return s
}

// A talk builds a TCP conversation packet by packet.
type talk struct{ list []packettest.Packet }

// open returns a conversation whose handshake is done, with initial sequence
// numbers 1000 and 5000, so that streams begin at 1001 and 5001.
func open() *talk {
	return &talk{[]packettest.Packet{
		packettest.TCP(hostA, hostB).Flags("S").Seq(1000),
		packettest.TCP(hostB, hostA).Flags("SA").Seq(5000).Ack(1001),
		packettest.TCP(hostA, hostB).Flags("A").Seq(1001).Ack(5001),
	}}
}

func (c *talk) a(flags string, seq, ack uint32, payload string) *talk {
	c.list = append(c.list, packettest.TCP(hostA, hostB).Flags(flags).Seq(seq).Ack(ack).Payload(payload))
	return c
}

func (c *talk) b(flags string, seq, ack uint32, payload string) *talk {
	c.list = append(c.list, packettest.TCP(hostB, hostA).Flags(flags).Seq(seq).Ack(ack).Payload(payload))
	return c
}

const (
	request  = "GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n"
	response = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"
)

func TestSessionHTTP(t *testing.T) {
	q, p := uint32(len(request)), uint32(len(response))
	c := open().a("PA", 1001, 5001, request).b("PA", 5001, 1001+q, response).
		a("FA", 1001+q, 5001+p, "").b("FA", 5001+p, 1002+q, "").a("A", 1002+q, 5002+p, "")
	var r recorder
	s := replay(t, options(&r), c.list...)
	r.check(t, "started", "syn_sent", "syn_received", "established",
		"initiator http request", "responder http response",
		"fin_wait", "closing", "closed", "closed fin")
	if s.Messages["http"] != 2 || s.FlowsEnded[flow.EndFIN] != 1 {
		t.Errorf("summary: %d http messages, %d flows ended by FIN, want 2 and 1", s.Messages["http"], s.FlowsEnded[flow.EndFIN])
	}
	rec := r.records[0]
	if rec.Service != "http" || rec.ConnState != "SF" || rec.Incomplete != 0 {
		t.Errorf("record: service %q, conn_state %q, incomplete %v", rec.Service, rec.ConnState, rec.Incomplete)
	}
	i, p2 := &rec.Stats.Side[flow.Initiator], &rec.Stats.Side[flow.Responder]
	if i.StreamBytes != uint64(q) || p2.StreamBytes != uint64(p) || i.Packets != 5 || p2.Packets != 3 {
		t.Errorf("streams %d and %d bytes, packets %d and %d; want %d, %d, 5, 3", i.StreamBytes, p2.StreamBytes, i.Packets, p2.Packets, q, p)
	}
}

// TestSessionEveryCut holds P1: wherever the streams are cut, also inside the first
// bytes that are probed, the messages are the same.
func TestSessionEveryCut(t *testing.T) {
	for cut := 1; cut < len(request); cut++ {
		c := open().a("A", 1001, 5001, request[:cut]).a("PA", 1001+uint32(cut), 5001, request[cut:]).
			b("PA", 5001, 1001+uint32(len(request)), response)
		var r recorder
		replay(t, options(&r), c.list...)
		want := []string{"started", "syn_sent", "syn_received", "established", "initiator http request", "responder http response", "closed end_of_input"}
		if !slices.Equal(r.events, want) {
			t.Errorf("cut at %d: %v", cut, r.events)
		}
	}
}

func TestSessionReordered(t *testing.T) {
	c := open().a("PA", 1011, 5001, request[10:]).a("A", 1001, 5001, request[:10])
	var r recorder
	replay(t, options(&r), c.list...)
	r.check(t, "started", "syn_sent", "syn_received", "established", "initiator http request", "anomaly ooo_segment", "closed end_of_input")
}

func TestSessionPoison(t *testing.T) {
	bad := "GET / HTTP/1.1\r\nHost : x\r\n\r\n"
	after := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	c := open().a("PA", 1001, 5001, bad).a("PA", 1001+uint32(len(bad)), 5001, after)
	t.Run("ends the parsing", func(t *testing.T) {
		var r recorder
		replay(t, options(&r), c.list...)
		r.check(t, "started", "syn_sent", "syn_received", "established", "anomaly parse_error", "closed end_of_input")
		if n := r.records[0].Stats.Side[flow.Initiator].SkippedBytes; n != uint64(len(after)) {
			t.Errorf("skipped %d bytes, want %d", n, len(after))
		}
	})
	t.Run("ends the flow", func(t *testing.T) {
		var r recorder
		opt := options(&r)
		opt.PoisonEndsFlow = true
		replay(t, opt, c.list...)
		r.check(t, "started", "syn_sent", "syn_received", "established", "anomaly parse_error", "closed parse_error")
		if n := r.records[0].PacketsAfterClose; n != 1 {
			t.Errorf("packets after close: %d, want 1", n)
		}
	})
}

func TestSessionUnknownProtocol(t *testing.T) {
	hello := strings.Repeat("this is nothing anybody knows; ", 4)
	c := open().a("PA", 1001, 5001, hello).b("PA", 5001, 1001+uint32(len(hello)), hello).
		a("PA", 1001+uint32(len(hello)), 5001+uint32(len(hello)), hello)
	var r recorder
	replay(t, options(&r), c.list...)
	rec := r.records[0]
	if rec.Service != "" {
		t.Errorf("service %q, want none", rec.Service)
	}
	if i := rec.Stats.Side[flow.Initiator]; i.SkippedBytes != uint64(len(hello)) {
		t.Errorf("initiator: %d bytes skipped, want the %d after both sides were refused", i.SkippedBytes, len(hello))
	}
}

func TestSessionDropFlow(t *testing.T) {
	c := open().a("PA", 1101, 5001, strings.Repeat("x", 100)).a("A", 1301, 5001, "late")
	var r recorder
	opt := options(&r)
	opt.Reassembly = reassembly.Options{Cap: 50, Overflow: flow.DropFlow}
	s := replay(t, opt, c.list...)
	r.check(t, "started", "syn_sent", "syn_received", "established", "anomaly buffer_overflow", "closed buffer_overflow")
	if s.FlowsStarted != 1 {
		t.Errorf("%d flows, want 1: none may arise again", s.FlowsStarted)
	}
}

func TestSessionGap(t *testing.T) {
	c := open().a("PA", 1001, 5001, "GET / HT").a("PA", 1019, 5001, "\r\n\r\n")
	var r recorder
	replay(t, options(&r), c.list...)
	if !slices.Contains(r.events, "gap initiator 10 network") {
		t.Errorf("events %v, want a gap of 10 bytes", r.events)
	}
	if got := r.records[0].Incomplete; got != flow.LostMissed {
		t.Errorf("incomplete: %v, want missed", got)
	}
}

func TestSessionStreamHash(t *testing.T) {
	hello := strings.Repeat("nothing anybody knows ", 10)
	c := open().a("PA", 1001, 5001, hello).a("PA", 1001+uint32(len(hello)), 5001, hello)
	var r recorder
	opt := options(&r)
	opt.StreamHash = true
	replay(t, opt, c.list...)
	rec := r.records[0]
	if !rec.HasHash || rec.StreamHashed[flow.Initiator] != 2*int64(len(hello)) {
		t.Errorf("hashed %d bytes (%v), want all %d", rec.StreamHashed[flow.Initiator], rec.HasHash, 2*len(hello))
	}
}

// query is a DNS query for a.example, type A, with the given id.
func query(id byte) string {
	return "\x12" + string(id) + "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01"
}

// TestUnansweredIndependentOfSweeps holds P6 for parsers that wait for time: an
// unanswered query is told at its deadline, however often anybody looks.
func TestUnansweredIndependentOfSweeps(t *testing.T) {
	packets := []packettest.Packet{
		packettest.UDP("10.0.0.1:4000", "10.0.0.53:53").Payload(query(1)),
		packettest.UDP("10.0.0.9:4000", "10.0.0.9:9").At(45 * time.Second),
	}
	run := func(every time.Duration) []string {
		var l []string
		opt := options(&recorder{})
		opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Message || e.Kind == pipeline.Closed {
				l = append(l, fmt.Sprintf("%s %s", e.Kind, time.Duration(e.Time-packettest.Start)))
			}
		}
		d := pipeline.NewSessionDriver(opt)
		frames := packettest.Trace(packets...)
		d.Track(&frames[0])
		for at := every; every > 0 && at < 45*time.Second; at += every {
			d.Sweep(packettest.Start.Add(at))
		}
		d.Track(&frames[1])
		d.Finish()
		return l
	}
	want := []string{"message 0s", "message 30s", "closed 0s", "closed 45s"}
	for _, every := range []time.Duration{0, time.Second, 31 * time.Second} {
		if got := run(every); !slices.Equal(got, want) {
			t.Errorf("swept every %v: %v, want %v", every, got, want)
		}
	}
}

func TestFrameAllocatesNothing(t *testing.T) {
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}})
	frames := packettest.Trace(open().a("PA", 1001, 5001, "data").b("A", 5001, 1005, "").list...)
	for i := range frames {
		d.Track(&frames[i])
	}
	ack := frames[len(frames)-1]
	if n := testing.AllocsPerRun(100, func() { d.Track(&ack) }); n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}

// TestDriversShareNothing holds that drivers given the same protocols do not see each
// other's flows: with room for one query each, the answer to the first still finds it.
func TestDriversShareNothing(t *testing.T) {
	const question = "\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
	protocols := []parsers.Protocol{dns.Protocol(dns.Options{MaxPendingTotal: 1})}
	matched := 0
	drive := func() *pipeline.SessionDriver[flow.Key] {
		return pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
			Extractor: packet.FiveTuple{}, Protocols: protocols,
			Handler: func(e *pipeline.SessionEvent[flow.Key]) {
				if m, ok := e.Message.(*dns.Message); ok && m.HasRTT {
					matched++
				}
			},
		})
	}
	first, other := drive(), drive()
	ask := packettest.UDP("10.0.0.1:4000", "10.0.0.53:53")
	v := packettest.Trace(ask.Payload("\x00\x07\x01\x00"+question),
		packettest.UDP("10.0.0.2:4000", "10.0.0.53:53").Payload("\x00\x08\x01\x00"+question),
		ask.Reply().Payload("\x00\x07\x81\x80"+question))
	first.Track(&v[0])
	other.Track(&v[1])
	first.Track(&v[2])
	if matched != 1 {
		t.Errorf("%d answers matched, want 1", matched)
	}
}
