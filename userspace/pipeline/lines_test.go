package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// lineOptions are those of a driver with one parser for every flow.
func lineOptions(handle func(e *pipeline.SessionEvent[flow.Key])) pipeline.Options[flow.Key] {
	return pipeline.Options[flow.Key]{
		Handler: handle, Extractor: packet.FiveTuple{}, Anomalies: true, ClosedLinger: -1,
		Protocols: []parsers.Protocol{
			parsers.Every("test", parsers.Of[lines]()),
			parsers.EveryDatagram("test", parsers.OfDatagram[lines]()),
		},
	}
}

// A teller writes events with the lines they carry.
type teller struct{ events []string }

func (l *teller) handle(e *pipeline.SessionEvent[flow.Key]) {
	switch e.Kind {
	case pipeline.Message:
		l.events = append(l.events, fmt.Sprintf("%s %q", e.Side, e.Message))
	case pipeline.Closed:
		l.events = append(l.events, "closed "+e.Record.Reason.String())
	case pipeline.Anomaly:
		l.events = append(l.events, e.Anomaly.Kind.String())
	default:
		l.events = append(l.events, e.Kind.String())
	}
}

// TestSessionDriver holds the order of a session's events with one parser for every
// flow.
func TestSessionDriver(t *testing.T) {
	up := []string{"started", "state_change", "state_change", "established"}
	tests := []struct {
		name    string
		packets []packettest.Packet
		want    []string
	}{
		{"two lines from one segment", open().a("PA", 1001, 5001, "one\ntwo\n").list,
			[]string{`initiator "one"`, `initiator "two"`, "closed end_of_input"}},
		{"both sides", open().a("PA", 1001, 5001, "ask\n").b("PA", 5001, 1005, "answer\n").list,
			[]string{`initiator "ask"`, `responder "answer"`, "closed end_of_input"}},
		{"a line in two segments", open().a("PA", 1001, 5001, "on").a("PA", 1003, 5001, "e\n").list,
			[]string{`initiator "one"`, "closed end_of_input"}},
		{"closed by a reset after four packets", open().a("R", 1001, 0, "").list,
			[]string{"state_change", "closed rst"}},
		{"data with the FIN, then its end, then closed",
			open().b("FA", 5001, 1001, "").a("FPA", 1001, 5002, "last\nrest").b("A", 5002, 1011, "").list,
			[]string{"state_change", "state_change", `initiator "last"`, `initiator "rest"`, "state_change", "closed fin"}},
		{"the rest at the end of input", open().a("PA", 1001, 5001, "rest").list,
			[]string{`initiator "rest"`, "closed end_of_input"}},
		{"no rest after a reset", open().a("PA", 1001, 5001, "rest").a("R", 1005, 0, "").list,
			[]string{"state_change", "closed rst"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l teller
			replay(t, lineOptions(l.handle), tt.packets...)
			if want := append(slices.Clone(up), tt.want...); !slices.Equal(l.events, want) {
				t.Errorf("events\n got %v\nwant %v", l.events, want)
			}
		})
	}
}

// TestSessionDriverPoison holds both modes of poison, and that it says so before the one
// Closed also where the poisoning packet ends the flow.
func TestSessionDriverPoison(t *testing.T) {
	goes := open().a("PA", 1001, 5001, "bad\n").a("PA", 1005, 5001, "more\n").list
	ends := open().b("FA", 5001, 1001, "").a("FPA", 1001, 5002, "bad").b("A", 5002, 1005, "").list
	cut := open().a("RPA", 1001, 5001, "").list
	tests := []struct {
		name    string
		packets []packettest.Packet
		ends    bool
		linger  time.Duration
		want    []string
	}{
		{"the session", goes, false, -1, []string{"parse_error", "closed end_of_input"}},
		{"the flow", goes, true, 0, []string{"parse_error", "closed parse_error"}},
		{"at a FIN", ends, false, -1, []string{"parse_error", "closed fin"}},
		{"at a FIN that ends the flow", ends, true, 0, []string{"parse_error", "closed parse_error"}},
		{"not at a reset", cut, true, -1, []string{"closed rst"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l teller
			opt := lineOptions(l.handle)
			opt.PoisonEndsFlow, opt.ClosedLinger = tt.ends, tt.linger
			replay(t, opt, tt.packets...)
			got := slices.DeleteFunc(l.events, func(e string) bool {
				return e == "started" || e == "established" || e == "state_change"
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("events %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSessionDriverPoisonLeavesOthers holds that poison stays in its flow.
func TestSessionDriverPoisonLeavesOthers(t *testing.T) {
	one := packettest.NewConversation("10.0.0.1:1", "10.0.0.2:2").Handshake().Request("bad\n").Packets()
	two := packettest.NewConversation("10.0.0.3:3", "10.0.0.4:4").Handshake().Request("good\n").Close().Packets()
	var mixed []packettest.Packet
	for i := range two {
		if i < len(one) {
			mixed = append(mixed, one[i])
		}
		mixed = append(mixed, two[i])
	}
	var l teller
	opt := lineOptions(l.handle)
	opt.PoisonEndsFlow = true
	replay(t, opt, mixed...)
	for _, want := range []string{`initiator "good"`, "closed fin", "parse_error", "closed parse_error"} {
		if n := count(l.events, want); n != 1 {
			t.Errorf("%d times %s in %v, want 1", n, want, l.events)
		}
	}
}

func count(l []string, want string) (n int) {
	for _, s := range l {
		if s == want {
			n++
		}
	}
	return n
}

// TestForPort holds that a protocol without a probe takes the flows of its port only.
func TestForPort(t *testing.T) {
	web := open().a("PA", 1001, 5001, "one\n").list
	other := packettest.NewConversation("10.0.0.1:1", "10.0.0.2:2").Handshake().Request("two\n").Packets()
	var l teller
	opt := lineOptions(l.handle)
	opt.Protocols = []parsers.Protocol{parsers.ForPort(80, "test", parsers.Of[lines]())}
	replay(t, opt, append(web, other...)...)
	if count(l.events, `initiator "one"`) != 1 || count(l.events, `initiator "two"`) != 0 {
		t.Errorf("events %v, want the line of port 80 alone", l.events)
	}
}

func TestDatagramDriver(t *testing.T) {
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2")
	tcp := open().a("PA", 1001, 5001, "a line\n").a("PA", 1020, 5001, "held\n").a("R", 1025, 0, "").list
	big := strings.Repeat("z", 200)
	tests := []struct {
		name    string
		packets []packettest.Packet
		want    []string
	}{
		{"started and a message", []packettest.Packet{udp.Payload("hello")},
			[]string{"started", `initiator "hello"`, "closed end_of_input"}},
		{"both sides", []packettest.Packet{udp.Payload("ask"), udp.Reply().Payload("answer")},
			[]string{"started", `initiator "ask"`, `responder "answer"`, "closed end_of_input"}},
		{"an empty datagram", []packettest.Packet{udp},
			[]string{"started", `initiator ""`, "closed end_of_input"}},
		{"closed when idle", []packettest.Packet{udp.Payload("x"), packettest.UDP("10.0.0.3:3", "10.0.0.4:4").Payload("y").At(time.Minute)},
			[]string{"started", `initiator "x"`, "closed idle", "started", `initiator "y"`, "closed end_of_input"}},
		{"TCP has no message", tcp, []string{"started", "closed rst"}},
		{"poison", []packettest.Packet{udp.Payload("bad"), udp.Payload("more")},
			[]string{"started", "parse_error", "closed end_of_input"}},
		{"in fragments", udp.Payload(big).IPID(3).Fragments(64),
			[]string{"started", fmt.Sprintf("initiator %q", big), "closed end_of_input"}},
		{"in a tunnel", []packettest.Packet{udp.Payload("inner").VXLAN(7)},
			[]string{"started", `initiator "inner"`, "closed end_of_input"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l teller
			d := pipeline.NewDatagramDriver(lineOptions(l.handle))
			for _, v := range packettest.Trace(tt.packets...) {
				d.Track(&v)
			}
			d.Finish()
			if !slices.Equal(l.events, tt.want) {
				t.Errorf("events\n got %v\nwant %v", l.events, tt.want)
			}
			s := d.Summary()
			if p, b := s.Unaccounted(); p != 0 || b != 0 {
				t.Errorf("unaccounted: %d packets, %d bytes", p, b)
			}
		})
	}
}

// TestDatagramDriverPoisonEndsFlow holds the other mode, with more datagrams after it.
func TestDatagramDriverPoisonEndsFlow(t *testing.T) {
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2")
	var l teller
	opt := lineOptions(l.handle)
	opt.PoisonEndsFlow, opt.ClosedLinger = true, 0
	d := pipeline.NewDatagramDriver(opt)
	for _, v := range packettest.Trace(udp.Payload("bad"), udp.Payload("more")) {
		d.Track(&v)
	}
	d.Finish()
	if want := []string{"started", "parse_error", "closed parse_error"}; !slices.Equal(l.events, want) {
		t.Errorf("events %v, want %v", l.events, want)
	}
}

// A traced source gives the frames of a trace, then an error.
type traced struct {
	frames []packet.View
	err    error
}

func trace(packets ...packettest.Packet) *traced {
	return &traced{packettest.Trace(packets...), io.EOF}
}

func (s *traced) Next(v *packet.View) error {
	if len(s.frames) == 0 {
		return s.err
	}
	*v, s.frames = s.frames[0], s.frames[1:]
	return nil
}

func TestEvents(t *testing.T) {
	handled := 0
	d := pipeline.NewSessionDriver(lineOptions(func(*pipeline.SessionEvent[flow.Key]) { handled++ }))
	var l teller
	for e, err := range d.Events(t.Context(), trace(open().a("PA", 1001, 5001, "one\n").list...)) {
		if err != nil {
			t.Fatal(err)
		}
		l.handle(e)
	}
	want := []string{"started", "state_change", "state_change", "established", `initiator "one"`, "closed end_of_input"}
	if !slices.Equal(l.events, want) || handled != len(want) {
		t.Errorf("events %v, %d handled, want %v in both ways", l.events, handled, want)
	}
}

// TestEventsOfEveryDriver holds that each driver gives its events to a loop.
func TestEventsOfEveryDriver(t *testing.T) {
	packets := append(open().a("PA", 1001, 5001, "one\n").list, packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("two"))
	opt := lineOptions(nil)
	tests := map[string]struct {
		count func() int
		want  int
	}{
		"flow": {func() (n int) {
			d := pipeline.NewFlowDriver(flowOptions{Options: opt})
			for range d.Events(t.Context(), trace(packets...)) {
				n++
			}
			return n
		}, 2 + 3 + 5 + 2},
		"session": {func() (n int) {
			for range pipeline.NewSessionDriver(opt).Events(t.Context(), trace(packets...)) {
				n++
			}
			return n
		}, 2 + 3 + 2 + 2},
		"datagram": {func() (n int) {
			for range pipeline.NewDatagramDriver(opt).Events(t.Context(), trace(packets...)) {
				n++
			}
			return n
		}, 2 + 1 + 2},
	}
	for name, tt := range tests {
		if got := tt.count(); got != tt.want {
			t.Errorf("%s driver: %d events, want %d", name, got, tt.want)
		}
	}
}

func TestEventsLeft(t *testing.T) {
	var l teller
	d := pipeline.NewSessionDriver(lineOptions(nil))
	for e := range d.Events(t.Context(), trace(open().list...)) {
		l.handle(e)
		if e.Kind == pipeline.StateChange {
			break
		}
	}
	if want := []string{"started", "state_change"}; !slices.Equal(l.events, want) {
		t.Errorf("events %v, want %v and none after the loop was left", l.events, want)
	}
	if s := d.Summary(); s.PacketsSeen != 1 {
		t.Errorf("%d packets read, want 1", s.PacketsSeen)
	}
}

var errCut = errors.New("cut")

// TestEventsError holds that an error comes last, after what was read has ended.
func TestEventsError(t *testing.T) {
	tests := map[string]struct {
		cancel bool
		src    *traced
		want   error
	}{
		"of the source":  {false, &traced{packettest.Trace(open().list...), errCut}, errCut},
		"of the context": {true, trace(open().a("PA", 1001, 5001, "one").list...), context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var l teller
			var last error
			for e, err := range pipeline.NewSessionDriver(lineOptions(nil)).Events(ctx, tt.src) {
				if last = err; err != nil {
					continue
				}
				l.handle(e)
				if tt.cancel && e.Kind == pipeline.Established {
					cancel()
				}
			}
			if !errors.Is(last, tt.want) {
				t.Errorf("last error %v, want %v", last, tt.want)
			}
			if n := len(l.events); n == 0 || l.events[n-1] != "closed end_of_input" {
				t.Errorf("events %v, want the flows' ends before the error", l.events)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	var l teller
	d := pipeline.NewSessionDriver(lineOptions(l.handle))
	src := &traced{packettest.Trace(open().a("PA", 1001, 5001, "one\n").list...), errCut}
	if err := pipeline.Replay(t.Context(), src, d); !errors.Is(err, errCut) {
		t.Errorf("error %v, want %v", err, errCut)
	}
	if n := len(l.events); n == 0 || l.events[n-1] != "closed end_of_input" {
		t.Errorf("events %v, want the driver finished", l.events)
	}
}
