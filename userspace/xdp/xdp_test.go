package xdp_test

import (
	"slices"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// load loads an engine, small unless opt says otherwise.
func load(t testing.TB, opt xdp.Options) *xdp.Engine {
	t.Helper()
	needs.Root(t)
	if opt.MaxFlows == 0 {
		opt.MaxFlows = 1000
	}
	if opt.RingSize == 0 {
		opt.RingSize = 1 << 20
	}
	e, err := xdp.Load(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// replay gives frames to the program.
func replay(t testing.TB, e *xdp.Engine, frames []packet.View) {
	t.Helper()
	for i := range frames {
		f := &frames[i]
		m := xdp.Meta{Time: f.Time, WireLen: f.WireLen(), LinkType: int(f.LinkType)}
		if err := e.Run(f.Frame, m); err != nil {
			t.Fatal(err)
		}
	}
}

// A heard is what a test keeps of a record.
type heard struct {
	Kind  xdp.Kind
	Dir   flow.Direction
	Flags flow.TCPFlags
	Len   int
	Data  string
	Start bool
}

// records reads what is in the ring.
func records(t testing.TB, e *xdp.Engine) (l []heard) {
	t.Helper()
	_, err := e.Ring(0).Read(0, func(r *xdp.Record) {
		h := heard{Kind: r.Kind, Dir: r.Dir, Len: r.PayloadLen, Data: string(r.Payload), Start: r.Start != nil}
		if r.Segment != nil {
			h.Flags = r.Segment.Flags
		}
		l = append(l, h)
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// flows copies the live flows of the table.
func flows(e *xdp.Engine) (l []xdp.Flow) {
	for at := 0; ; {
		at = e.Table().Scan(at, 512, func(p xdp.Place) {
			var f xdp.Flow
			p.Read(&f)
			l = append(l, f)
		})
		if at == 0 {
			return l
		}
	}
}

func counters(t testing.TB, e *xdp.Engine) xdp.Counters {
	t.Helper()
	c, err := e.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReplayTCP(t *testing.T) {
	tests := []struct{ name, initiator, responder string }{
		{"ipv4", "192.0.2.1:40000", "198.51.100.7:80"},
		{"ipv4 from the higher endpoint", "198.51.100.7:40000", "192.0.2.1:80"},
		{"ipv6", "[2001:db8::1]:40000", "[2001:db8::7]:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := load(t, xdp.Options{Replay: true})
			trace := pt.NewConversation(tt.initiator, tt.responder).
				Handshake().Request("GET / HTTP/1.1\r\n\r\n").Response("HTTP/1.1 200 OK\r\n\r\n").Close().Trace()
			replay(t, e, trace)
			checkConversation(t, e, trace)
		})
	}
}

// checkConversation compares table, records and counters with a trace of one flow.
func checkConversation(t *testing.T, e *xdp.Engine, trace []packet.View) {
	t.Helper()
	l := flows(e)
	if len(l) != 1 {
		t.Fatalf("flows = %+v, want one", l)
	}
	f := l[0]
	first := f.Dir[f.Initiator]
	if f.State != flow.StateClosed || f.Orientation != flow.BySYN {
		t.Errorf("state %s by %s, want closed by syn", f.State, f.Orientation)
	}
	if first.First != trace[0].Time || max(f.Dir[0].Last, f.Dir[1].Last) != trace[len(trace)-1].Time {
		t.Errorf("times %s to %s, want those of the trace", first.First, max(f.Dir[0].Last, f.Dir[1].Last))
	}
	if want := pt.Step; f.Handshake[0] != want || f.Handshake[1] != want {
		t.Errorf("handshake %v, want %v each", f.Handshake, want)
	}
	var bytes uint64
	for i := range trace {
		bytes += uint64(trace[i].WireLen())
	}
	c := counters(t, e)
	want := xdp.Tally{Packets: uint64(len(trace)), Bytes: bytes}
	got := xdp.Tally{Packets: f.Dir[0].Packets + f.Dir[1].Packets, Bytes: f.Dir[0].Bytes + f.Dir[1].Bytes}
	if got != want || c.Seen != want || c.Tracked != want {
		t.Errorf("flow %v, seen %v, tracked %v; want %v", got, c.Seen, c.Tracked, want)
	}
	r := records(t, e)
	if len(r) != len(trace) {
		t.Fatalf("%d records, want one of each of %d packets", len(r), len(trace))
	}
	if !r[0].Start || r[0].Dir != f.Initiator || r[0].Flags != flow.SYN {
		t.Errorf("first record %+v, want the SYN as start", r[0])
	}
	if i := slices.IndexFunc(r, func(h heard) bool { return h.Data == "GET / HTTP/1.1\r\n\r\n" }); i < 0 || r[i].Dir != f.Initiator {
		t.Errorf("records %+v, want the request in one", r)
	}
}
