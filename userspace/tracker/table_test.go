package tracker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const (
	udp = flow.ProtoUDP
	tcp = flow.ProtoTCP
	fwd = flow.Forward
	rev = flow.Reverse
)

func TestFirstUDPPacketIsTwoEvents(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(udp, 1, rev, 0))
	wantLines(t, r.take(), "1 started; 1 packet initiator 50")
	r.feed(input(udp, 1, rev, sec))
	wantLines(t, r.take(), "1 packet initiator 50")
	r.feed(input(udp, 1, fwd, sec))
	wantLines(t, r.take(), "1 packet responder 50")
}

func TestEventOrder(t *testing.T) {
	r := newRecorder(t, options{MaxFlows: 2, IdleUDP: time.Second})
	r.feed(input(udp, 1, fwd, 0))
	r.feed(input(udp, 2, fwd, 1))
	r.take()
	in := segment(t, 3, "i R seq=1 t=1000")
	f := r.Observe(in)
	r.Report(f, flow.Anomaly{Kind: flow.AnomalyParseError, Side: flow.Responder})
	r.Report(f, flow.Anomaly{Kind: flow.AnomalyStreamGap})
	r.Finish(f, in)
	wantLines(t, r.take(), "1 ended idle 1+0 D; 3 started; 3 state_change active>reset; 3 packet initiator 0; "+
		"3 stream_gap initiator; 3 parse_error responder")
}

func TestEstablishedOnce(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, closedAll)
	wantLines(t, without(r.take(), "packet"), "1 started; 1 state_change active>syn_sent; 1 state_change syn_sent>syn_received; "+
		"1 established syn_received>established; 1 state_change established>fin_wait; "+
		"1 state_change fin_wait>closing; 1 state_change closing>closed")
	r.Sweep(5 * sec)
	wantLines(t, r.take(), "1 ended fin 5+3 ShADdFf")
}

func TestSweepAtTheLimit(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(udp, 1, fwd, 0))
	r.take()
	r.Sweep(60*sec - 1)
	wantLines(t, r.take(), "")
	r.ManualTick(60 * sec)
	wantLines(t, r.take(), "1 ended idle 1+0 D")
	if got := r.Len(); got != 0 {
		t.Errorf("%d flows left", got)
	}
}

func TestIdleByProtocol(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(flow.ProtoICMP, 1, fwd, 0))
	r.feed(input(udp, 2, fwd, 0))
	r.feed(input(flow.ProtoUDPLite, 3, fwd, 0))
	r.feed(input(tcp, 4, fwd, 0))
	r.take()
	for _, step := range []struct {
		at   flow.Timestamp
		want string
	}{
		{30*sec - 1, ""}, {30 * sec, "1 ended idle 1+0 "},
		{60*sec - 1, ""}, {60 * sec, "2 ended idle 1+0 D; 3 ended idle 1+0 D"},
		{300*sec - 1, ""}, {300 * sec, "4 ended idle 1+0 "},
	} {
		r.Sweep(step.at)
		wantLines(t, r.take(), step.want)
	}
}

func TestIdleHandshake(t *testing.T) {
	r := newRecorder(t, options{IdleHandshake: 10 * time.Second})
	r.play(1, syn)
	r.play(2, handshake)
	r.take()
	r.Sweep(10 * sec)
	wantLines(t, r.take(), "1 ended idle 1+0 S")
	r.Sweep(300 * sec)
	wantLines(t, r.take(), "2 ended idle 2+1 ShA")
}

func TestPacketEndsWhatIsDue(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(udp, 1, fwd, 0))
	r.take()
	r.feed(input(udp, 1, rev, 60*sec))
	wantLines(t, r.take(), "1 ended idle 1+0 D; 1 started; 1 packet initiator 50")
}

// TestDeadlineOrder ends flows by deadline, then by age, over all classes and in one
// sweep.
func TestDeadlineOrder(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(udp, 1, fwd, 30*sec))             // due at 90
	r.feed(input(flow.ProtoICMP, 2, fwd, 60*sec))  // 90
	r.feed(input(flow.ProtoICMP, 3, fwd, 45*sec))  // 75
	r.feed(input(udp, 4, fwd, 20*sec))             // 80
	r.feed(input(flow.ProtoSCTP, 5, fwd, 20*sec))  // 50
	r.feed(input(flow.ProtoSCTP, 5, fwd, 100*sec)) // ends all but itself
	wantLines(t, without(without(r.take(), "started"), "packet"),
		"5 ended idle 1+0 ; 3 ended idle 1+0 ; 4 ended idle 1+0 D; 1 ended idle 1+0 D; 2 ended idle 1+0 ")
}

func TestEvict(t *testing.T) {
	r := newRecorder(t, options{MaxFlows: 2})
	r.feed(input(udp, 1, fwd, 1))
	r.feed(input(udp, 2, fwd, 2))
	r.feed(input(udp, 1, fwd, 3))
	r.take()
	r.feed(input(udp, 3, fwd, 4))
	wantLines(t, r.take(), "2 ended evicted 1+0 D; 3 started; 3 packet initiator 50")
	if got := r.Counters().Ended[flow.EndEvicted]; got != 1 {
		t.Errorf("%d evicted, want 1", got)
	}
	r.Sweep(sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(sec)
	wantLines(t, r.take(), "- flow_table_eviction 1 1")
	r.feed(input(udp, 4, fwd, sec+5))
	r.feed(input(udp, 5, fwd, sec+6))
	r.take()
	r.EndAll(flow.EndOfInput)
	wantLines(t, r.take(), "- flow_table_eviction 2 3; 4 ended end_of_input 1+0 D; 5 ended end_of_input 1+0 D")
}

// TestEvictAfterTouch touches flows when their order is being kept already.
func TestEvictAfterTouch(t *testing.T) {
	r := newRecorder(t, options{MaxFlows: 2})
	for i, n := range []uint16{1, 2, 3, 2, 4, 4, 2, 5} {
		r.feed(input(udp, n, fwd, flow.Timestamp(i)))
	}
	wantLines(t, without(without(r.take(), "packet"), "started"),
		"1 ended evicted 1+0 D; 3 ended evicted 1+0 D; 4 ended evicted 2+0 D")
}

func TestEvictClosedKeepsReason(t *testing.T) {
	r := newRecorder(t, options{MaxFlows: 1})
	r.play(1, syn+"r RA seq=0 ack=101")
	r.take()
	r.play(2, syn)
	wantLines(t, without(r.take(), "packet"), "1 ended rst 1+1 Sr; 2 started; 2 state_change active>syn_sent")
	if got := r.Counters().Ended[flow.EndEvicted]; got != 0 {
		t.Errorf("%d evicted, want 0", got)
	}
}

func TestMaxFlows(t *testing.T) {
	for _, tt := range []struct{ set, want int }{{0, 100_000}, {-5, 1}, {3, 3}} {
		if got := New(options{MaxFlows: tt.set}, nil).opts.MaxFlows; got != tt.want {
			t.Errorf("MaxFlows %d gives %d, want %d", tt.set, got, tt.want)
		}
	}
}

func TestUserState(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.feed(input(udp, 1, fwd, 0))
	if f.State != 7 {
		t.Fatalf("state %d, want 7", f.State)
	}
	p := &f.State
	*p = 9
	if got := r.feed(input(udp, 1, rev, 1)).State; got != 9 {
		t.Errorf("state %d, want 9", got)
	}
	r.EndAll(flow.EndOfInput)
	if got := r.feed(input(udp, 1, fwd, 2)).State; got != 7 {
		t.Errorf("state of the next flow %d, want 7", got)
	}
}

func TestSetOptions(t *testing.T) {
	r := newRecorder(t, options{})
	for n := range uint16(5) {
		r.feed(input(udp, n, fwd, flow.Timestamp(n)))
	}
	r.feed(input(udp, 0, fwd, 10))
	r.take()
	r.SetOptions(options{MaxFlows: 2, IdleUDP: 5 * time.Second})
	wantLines(t, r.take(), "1 ended evicted 1+0 D; 2 ended evicted 1+0 D; 3 ended evicted 1+0 D")
	if got := r.Counters().Ended[flow.EndEvicted]; got != 3 {
		t.Errorf("%d evicted, want 3", got)
	}
	r.Sweep(5*sec + 4)
	wantLines(t, r.take(), "- flow_table_eviction 3 3; 4 ended idle 1+0 D")
	r.Sweep(5*sec + 10)
	wantLines(t, r.take(), "0 ended idle 2+0 D")
}

// TestHotCache holds that the shortcut for the flow of the packet before shows in
// nothing.
func TestHotCache(t *testing.T) {
	run := func(noHot bool, flows uint16) string {
		r := newRecorder(t, options{})
		r.noHot = noHot
		for i := range uint16(10) {
			r.feed(input(udp, i%flows, fwd, flow.Timestamp(i)))
		}
		return r.take()
	}
	for _, flows := range []uint16{1, 2} {
		hot, cold := run(false, flows), run(true, flows)
		wantLines(t, hot, cold)
		if got := strings.Count(hot, "started"); got != int(flows) {
			t.Errorf("%d flows: %d started", flows, got)
		}
		if got := strings.Count(hot, "packet"); got != 10 {
			t.Errorf("%d flows: %d packets", flows, got)
		}
	}
}

func TestIdleFunc(t *testing.T) {
	r := newRecorder(t, options{IdleFunc: func(k flow.Key, l4 flow.L4) (time.Duration, bool) {
		return 5 * time.Second, k.LoPort == 40001
	}})
	r.feed(input(udp, 1, fwd, 0))
	r.feed(input(udp, 2, fwd, 0))
	r.take()
	r.Sweep(5*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(5 * sec)
	wantLines(t, r.take(), "1 ended idle 1+0 D")
	r.SetIdleFunc(func(flow.Key, flow.L4) (time.Duration, bool) { return 7 * time.Second, true })
	r.Sweep(7 * sec)
	wantLines(t, r.take(), "2 ended idle 1+0 D")
	r.feed(input(udp, 3, fwd, 8*sec))
	r.SetIdleFunc(nil)
	r.take()
	r.Sweep(68*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(68 * sec)
	wantLines(t, r.take(), "3 ended idle 1+0 D")
}

func TestIdlePorts(t *testing.T) {
	ports := map[uint16]time.Duration{443: 3 * time.Second, 40001: 9 * time.Second, 40002: 2 * time.Second}
	tests := []struct {
		name string
		in   *Input[flow.Key]
		want flow.Timestamp
	}{
		{"responder's port", input(udp, 5, fwd, 0), 3 * sec},
		{"responder's before initiator's", input(udp, 1, fwd, 0), 3 * sec},
		{"the other way round", input(udp, 1, rev, 0), 9 * sec},
		{"icmp has none", input(flow.ProtoICMP, 2, rev, 0), 30 * sec},
		{"tcp syn ack: the receiver's is the initiator's", segment(t, 2, "r SA seq=1 ack=2"), 3 * sec},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder(t, options{IdlePorts: ports})
			r.feed(tt.in)
			r.Sweep(tt.want - 1)
			if r.Len() != 1 {
				t.Fatalf("ended before %v", tt.want)
			}
			if r.Sweep(tt.want); r.Len() != 0 {
				t.Errorf("not ended at %v", tt.want)
			}
		})
	}
}

func TestIdleFuncBeforePorts(t *testing.T) {
	r := newRecorder(t, options{
		IdlePorts: map[uint16]time.Duration{443: time.Second},
		IdleFunc:  func(flow.Key, flow.L4) (time.Duration, bool) { return 20 * time.Second, true },
	})
	r.feed(input(udp, 1, fwd, 0))
	r.take()
	r.Sweep(19 * sec)
	wantLines(t, r.take(), "")
	r.Sweep(20 * sec)
	wantLines(t, r.take(), "1 ended idle 1+0 D")
}

// TestLinger holds that what trails after the close opens no flow (SEMANTICS.md §3.5).
func TestLinger(t *testing.T) {
	tests := []struct {
		name, after string
		want        string // of Ended
		late        uint64
	}{
		{"nothing", "", "1 ended fin 5+3 ShADdFf", 0},
		{"trailing ack", "r A seq=522 ack=112 t=100", "1 ended fin 5+4 ShADdFfa", 1},
		{"late data", "r PA seq=501 ack=111 len=20 t=100; i A seq=112 ack=522 t=110", "1 ended fin 6+4 ShADdFft", 2},
		{"fin storm", repeat("r FA seq=521 ack=112 t=100", 20), "1 ended fin 5+23 ShADdFf", 20},
		{"old syn", "i S seq=100 t=100", "1 ended fin 6+3 ShADdFf", 1},
		{"reset", "r R seq=522 t=100", "1 ended fin 5+4 ShADdFfr", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder(t, options{})
			r.play(1, closedAll)
			r.take()
			f := r.play(1, tt.after)
			if got := without(r.take(), "packet"); got != "" {
				t.Errorf("events after close: %s", got)
			}
			if f != nil && f.PacketsAfterClose() != tt.late {
				t.Errorf("%d packets after close, want %d", f.PacketsAfterClose(), tt.late)
			}
			r.Sweep(20 * sec)
			wantLines(t, r.take(), tt.want)
		})
	}
}

func TestLingerIsSinceTheLastPacket(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, closedAll+"r A seq=522 ack=112 t=4000")
	r.take()
	r.Sweep(9*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(9 * sec)
	wantLines(t, r.take(), "1 ended fin 5+4 ShADdFfa")
}

func TestLingerOff(t *testing.T) {
	r := newRecorder(t, options{ClosedLinger: -1})
	r.play(1, bothFIN)
	r.take()
	r.play(1, "i A seq=112 ack=522")
	wantLines(t, r.take(), "1 state_change closing>closed; 1 packet initiator 0; 1 ended fin 5+3 ShADdFf")
	r.play(1, "r A seq=522 ack=112")
	wantLines(t, r.take(), "1 started; 1 packet initiator 0")
}

func TestReuse(t *testing.T) {
	r := newRecorder(t, options{})
	old := r.play(1, closedAll).ID()
	r.take()
	f := r.play(1, "i S seq=70000 t=100")
	wantLines(t, r.take(), "1 ended fin 5+3 ShADdFf; 1 started; 1 state_change active>syn_sent; 1 packet initiator 0")
	if f.ID() == old {
		t.Error("the new flow has the old one's id")
	}
	r.play(1, "r RA seq=0 ack=70001 t=101; r S seq=5 t=102")
	wantLines(t, r.take(), "1 state_change syn_sent>reset; 1 packet responder 0; 1 ended rst 1+1 Sr; "+
		"1 started; 1 state_change active>syn_sent; 1 packet initiator 0")
}

// TestReuseOfLiveFlow: the SYN stays with the old flow, the new one begins at the
// SYN+ACK.
func TestReuseOfLiveFlow(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, data+"i S seq=900000")
	r.take()
	f := r.play(1, "r SA seq=70 ack=900001; i A seq=900001 ack=71")
	wantLines(t, without(r.take(), "packet"), "1 ended rst 4+2 ShADdS; 1 started; 1 state_change active>syn_received; "+
		"1 established syn_received>established")
	if f.Orientation() != flow.BySYNACK || f.InitiatorDir() != fwd {
		t.Errorf("orientation %v, initiator %v", f.Orientation(), f.InitiatorDir())
	}
}

// TestFarSweep holds that a sweep far ahead ends what is there and leaves later times
// alone.
func TestFarSweep(t *testing.T) {
	for _, monotonic := range []bool{false, true} {
		r := newRecorder(t, options{Monotonic: monotonic})
		r.feed(input(udp, 1, fwd, sec))
		r.Sweep(flow.MaxTimestamp)
		r.take()
		in := input(udp, 1, fwd, 2*sec)
		f := r.feed(in)
		if in.Time != 2*sec || f.First() != 2*sec || r.Clock() != 2*sec {
			t.Errorf("monotonic %v: time %v, first %v, clock %v", monotonic, in.Time, f.First(), r.Clock())
		}
		r.take()
		r.Sweep(62 * sec)
		wantLines(t, r.take(), "1 ended idle 1+0 D")
	}
}

func TestMonotonic(t *testing.T) {
	r := newRecorder(t, options{Monotonic: true})
	r.feed(input(udp, 1, fwd, 10*sec))
	in := input(udp, 1, fwd, 4*sec)
	f := r.feed(in)
	if in.Time != 10*sec || f.First() != 10*sec {
		t.Errorf("time %v, first %v, want 10 s", in.Time, f.First())
	}
}

func TestTimeGoesBack(t *testing.T) {
	r := newRecorder(t, options{})
	r.feed(input(udp, 1, fwd, 100*sec))
	f := r.feed(input(udp, 1, fwd, 10*sec))
	if f.First() != 10*sec || f.Last() != 100*sec || r.Clock() != 100*sec {
		t.Errorf("first %v, last %v, clock %v", f.First(), f.Last(), r.Clock())
	}
	r.feed(input(udp, 2, fwd, 10*sec))
	r.feed(input(udp, 2, fwd, 69*sec))
	r.feed(input(udp, 2, fwd, 120*sec))
	r.take()
	r.Sweep(160 * sec)
	wantLines(t, r.take(), "1 ended idle 2+0 D")
	r.Sweep(180 * sec)
	wantLines(t, r.take(), "2 ended idle 3+0 D")
}

func TestOrientation(t *testing.T) {
	tests := []struct {
		name, trace string
		initiator   flow.Direction
		how         flow.Orientation
		history     string
	}{
		{"syn", "i S seq=1", fwd, flow.BySYN, "S"},
		{"syn from the higher endpoint", "r S seq=1", rev, flow.BySYN, "S"},
		{"syn ack", "r SA seq=9 ack=2", fwd, flow.BySYNACK, "^h"},
		{"anything else", "r A seq=9 ack=2", rev, flow.FirstSeen, "A"},
		{"late syn turns", "r A seq=9 ack=2; i S seq=1", fwd, flow.BySYN, "^aS"},
		{"late syn agrees", "i A seq=2 ack=2; i S seq=1", fwd, flow.BySYN, "AS"},
		{"late syn ack turns", "i A seq=2 ack=9; i SA seq=1 ack=9", rev, flow.BySYNACK, "^ah"},
		{"late syn ack agrees", "i A seq=2 ack=9; r SA seq=1 ack=9", fwd, flow.BySYNACK, "Ah"},
		{"syn after syn ack agrees", "r SA seq=9 ack=2; i S seq=1", fwd, flow.BySYN, "^hS"},
		{"syn beats syn ack", "r SA seq=9 ack=2; r S seq=9", rev, flow.BySYN, "HS"},
		{"syn ack does not beat syn", "i S seq=1; i SA seq=1 ack=5", fwd, flow.BySYN, "SH"},
		{"once", "r A seq=9 ack=2; r SA seq=8 ack=2; r S seq=1", fwd, flow.BySYNACK, "^ahs"},
		{"eighth packet", repeat("r A seq=9 ack=2", 7) + "i S seq=1", fwd, flow.BySYN, "^aS"},
		{"ninth packet", repeat("r A seq=9 ack=2", 8) + "i S seq=1", rev, flow.FirstSeen, "As"},
		{"missing syn", "r SA seq=9 ack=2; i A seq=2 ack=10; i PA seq=2 ack=10 len=5; r PA seq=10 ack=7 len=3; r FA seq=13 ack=7; r A seq=14 ack=7; i FA seq=7 ack=14; r A seq=14 ack=8",
			fwd, flow.BySYNACK, "^hADdfaF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newRecorder(t, options{}).play(1, tt.trace)
			if f.InitiatorDir() != tt.initiator || f.Orientation() != tt.how || f.History() != tt.history {
				t.Errorf("initiator %v, %v, history %s; want %v, %v, %s",
					f.InitiatorDir(), f.Orientation(), f.History(), tt.initiator, tt.how, tt.history)
			}
		})
	}
}

func TestTurnTakesCountersAlong(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, "r A seq=9 ack=2 len=5; r A seq=14 ack=2 len=7; i S seq=1")
	s := f.Stats()
	if s.Side[flow.Initiator].Packets != 1 || s.Side[flow.Responder].PayloadBytes != 12 {
		t.Errorf("stats %+v", s)
	}
	if got := s.Side[flow.Responder].TCPFlags; got != flow.ACK {
		t.Errorf("responder's flags %v, want A", got)
	}
	if f.Events() != "ddS" {
		t.Errorf("events %q, want ddS", f.Events())
	}
}

func TestFixSides(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, "r A seq=9 ack=2").FixSides()
	if f := r.play(1, "i S seq=1"); f.InitiatorDir() != rev || f.Orientation() != flow.FirstSeen {
		t.Errorf("initiator %v, %v", f.InitiatorDir(), f.Orientation())
	}
}

func TestDirectionalKeyHasOneSide(t *testing.T) {
	r := newRecorder(t, options{})
	in := segment(t, 1, "i SA seq=1 ack=5")
	in.OneWay = true
	if f := r.feed(in); f.Side(fwd) != flow.Initiator || f.Orientation() != flow.FirstSeen {
		t.Errorf("side %v, %v", f.Side(fwd), f.Orientation())
	}
}

// TestRSTSuspect: the doubt is settled ten seconds later by packet time, however
// often anybody looks.
func TestRSTSuspect(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, data+"i R seq=300 t=1000")
	if f.Closed() != flow.EndNone {
		t.Fatal("closed at once")
	}
	wantLines(t, without(without(r.take(), "packet"), "state"), "1 started; 1 established syn_received>established; 1 rst_suspect initiator")
	r.Sweep(11*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(100 * sec)
	wantLines(t, r.take(), "1 state_change established>reset; 1 ended rst 4+2 ShADdR")
}

func TestRSTSuspectLingers(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, data+"i R seq=300 t=1000; i A seq=111 ack=501 t=9000")
	r.take()
	r.Sweep(12 * sec)
	wantLines(t, r.take(), "1 state_change established>reset")
	r.Sweep(14*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(14 * sec)
	wantLines(t, r.take(), "1 ended rst 5+2 ShADdR")
}

func TestRSTSuspectRevoked(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, data+"i R seq=300 t=1000")
	r.take()
	r.play(1, "r PA seq=521 ack=111 len=4 t=1500")
	wantLines(t, r.take(), "1 packet responder 4; 1 rst_suspect initiator")
	r.Sweep(20 * sec)
	wantLines(t, r.take(), "")
	if got := r.Counters().Anomalies[flow.AnomalyRSTSuspect]; got != 2 {
		t.Errorf("%d anomalies counted, want 2", got)
	}
}

// TestCloseEndsTheDoubt: a reset that was suspected before the flow closed changes
// nothing any more.
func TestCloseEndsTheDoubt(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, data+"i R seq=300 t=1000")
	r.CloseFlow(f, flow.EndParseError)
	r.take()
	for ms := 4000; ms < 20000; ms += 3000 {
		r.play(1, fmt.Sprintf("i A seq=111 ack=521 t=%d", ms))
	}
	if got := without(r.take(), "packet"); got != "" {
		t.Errorf("events %s", got)
	}
	r.Sweep(30 * sec)
	wantLines(t, r.take(), "1 ended parse_error 10+2 ShADdR")
}

func TestTrackerAnomalies(t *testing.T) {
	r := newRecorder(t, options{})
	r.play(1, halfClose)
	r.take()
	r.play(1, "i FA seq=300 ack=521")
	wantLines(t, r.take(), "1 packet initiator 0; 1 fin_conflict initiator")
	r.play(1, "r S seq=9")
	wantLines(t, r.take(), "1 packet responder 0; 1 syn_in_established responder")
	r.play(1, "r R seq=90000000")
	wantLines(t, r.take(), "1 packet responder 0")
	got := r.Counters()
	if got.RSTIgnored != 1 || got.SYNInEstablished != 1 {
		t.Errorf("counters %+v", got)
	}
}

// TestOneSidedFIN: a flow seen in one direction closes a minute after its FIN.
func TestOneSidedFIN(t *testing.T) {
	const oneSide = "i S seq=100; i A seq=101 ack=501; i FA seq=101 ack=501 t=1000"
	r := newRecorder(t, options{})
	r.play(1, oneSide)
	r.take()
	r.Sweep(61*sec - 1)
	wantLines(t, r.take(), "")
	r.Sweep(61 * sec)
	wantLines(t, r.take(), "1 state_change fin_wait>closed; 1 ended fin 3+0 SAF")

	r.play(2, oneSide+"; r A seq=501 ack=102 t=1100")
	r.take()
	r.Sweep(120 * sec)
	wantLines(t, r.take(), "")

	r = newRecorder(t, options{IdleTCP: 20 * time.Second})
	r.play(3, oneSide)
	r.take()
	r.Sweep(21 * sec)
	wantLines(t, r.take(), "3 ended idle 3+0 SAF")
}

func TestCloseFlow(t *testing.T) {
	for _, linger := range []time.Duration{0, -1} {
		t.Run(fmt.Sprint(linger), func(t *testing.T) {
			r := newRecorder(t, options{ClosedLinger: linger})
			r.play(1, data)
			r.take()
			in := segment(t, 1, "i R seq=111")
			f := r.Observe(in)
			r.CloseFlow(f, flow.EndBufferOverflow)
			r.CloseFlow(f, flow.EndParseError)
			r.Finish(f, in)
			r.Sweep(5 * sec)
			wantLines(t, r.take(), "1 state_change established>reset; 1 packet initiator 0; 1 ended buffer_overflow 4+2 ShADdR")
		})
	}
}

func TestCloseFlowStopsTheStates(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, data)
	r.CloseFlow(f, flow.EndParseError)
	r.take()
	r.play(1, "i FA seq=111 ack=521; r FA seq=521 ack=112; i A seq=112 ack=522; i R seq=112")
	if got := without(r.take(), "packet"); got != "" || f.TCPState() != flow.StateEstablished {
		t.Errorf("state %v, events %s", f.TCPState(), got)
	}
	r.Sweep(5 * sec)
	wantLines(t, r.take(), "1 ended parse_error 6+3 ShADdFfR")
}

func TestCloseFlowOutsideAPacket(t *testing.T) {
	r := newRecorder(t, options{ClosedLinger: -1})
	f := r.feed(input(udp, 1, fwd, 0))
	r.take()
	r.CloseFlow(f, flow.EndParseError)
	wantLines(t, r.take(), "1 ended parse_error 1+0 D")
}

func TestEndFlow(t *testing.T) {
	r := newRecorder(t, options{})
	r.EndFlow(r.feed(input(udp, 1, fwd, 0)), flow.EndEvicted)
	r.EndFlow(r.play(2, syn+"r RA seq=0 ack=101"), flow.EndEvicted)
	got := without(without(without(r.take(), "packet"), "started"), "state")
	wantLines(t, got, "1 ended evicted 1+0 D; 2 ended rst 1+1 Sr")
	if r.Len() != 0 {
		t.Errorf("%d flows left", r.Len())
	}
}

func TestForget(t *testing.T) {
	r := newRecorder(t, options{})
	in := input(udp, 1, fwd, 0)
	r.feed(in)
	r.take()
	if !r.Forget(in.Key) || r.Forget(in.Key) {
		t.Error("Forget: want true, then false")
	}
	r.Sweep(100 * sec)
	wantLines(t, r.take(), "")
	if c := r.Counters(); c.Forgotten != 1 || r.Len() != 0 {
		t.Errorf("forgotten %d, live %d", c.Forgotten, r.Len())
	}
}

func TestEndAllOrder(t *testing.T) {
	r := newRecorder(t, options{})
	for _, p := range []struct {
		n  uint16
		at flow.Timestamp
	}{{1, 1}, {2, 2}, {3, 3}, {4, 3}, {1, 9}} {
		r.feed(input(udp, p.n, fwd, p.at))
	}
	r.CloseFlow(r.Lookup(key(udp, 3)), flow.EndParseError)
	r.take()
	r.EndAll(flow.EndOfInput)
	wantLines(t, r.take(), "2 ended end_of_input 1+0 D; 3 ended parse_error 1+0 D; 4 ended end_of_input 1+0 D; 1 ended end_of_input 2+0 D")
}

func TestUpdates(t *testing.T) {
	r := newRecorder(t, options{ActiveTimeout: 20 * time.Second})
	r.feed(input(udp, 1, fwd, 0))
	r.feed(input(udp, 1, fwd, 20*sec-1))
	r.take()
	r.feed(input(udp, 1, fwd, 41*sec))
	wantLines(t, r.take(), "1 update; 1 update; 1 packet initiator 50")
	r.Sweep(1000 * sec)
	wantLines(t, r.take(), "1 update; 1 update; 1 update; 1 ended idle 3+0 D")
}

func TestNoUpdateAfterClose(t *testing.T) {
	r := newRecorder(t, options{ActiveTimeout: 20 * time.Second, ClosedLinger: 50 * time.Second})
	r.play(1, "i R seq=1")
	r.take()
	r.Sweep(100 * sec)
	wantLines(t, r.take(), "1 ended rst 1+0 R")
}

func TestUpdateSaysWhatEndedSaysNext(t *testing.T) {
	var got []flow.Stats
	r := New(options{ActiveTimeout: time.Minute - 1, Handler: func(f *testFlow, e *flow.Event[flow.Key]) {
		if e.Stats != nil {
			got = append(got, *e.Stats)
		}
	}}, nil)
	in := input(udp, 1, fwd, 5)
	r.Finish(r.Observe(in), in)
	snapshot, _ := r.Stats(in.Key)
	r.Sweep(100 * sec)
	if len(got) != 2 || got[0] != got[1] || got[0] != snapshot {
		t.Errorf("update, ended, snapshot:\n%+v\n%+v", got, snapshot)
	}
}

func TestStatsOfAFlow(t *testing.T) {
	r := newRecorder(t, options{})
	a, b := input(udp, 1, fwd, 5), input(udp, 1, rev, 9)
	a.TTL, b.TTL, b.Packets, b.Bytes = 60, 250, 3, 4000
	r.feed(a)
	r.feed(b)
	a = input(udp, 1, fwd, 7)
	a.TTL = 61
	r.feed(a)
	want := flow.Stats{Start: 5, End: 9}
	want.Side[0] = flow.SideStats{Packets: 2, Bytes: 200, IPBytes: 172, PayloadBytes: 100, TTLMin: 60, TTLMax: 61}
	want.Side[1] = flow.SideStats{Packets: 3, Bytes: 4000, IPBytes: 86, PayloadBytes: 50, TTLMin: 250, TTLMax: 250}
	if got, ok := r.Stats(a.Key); !ok || got != want {
		t.Errorf("stats\n got %+v\nwant %+v", got, want)
	}
	for k, got := range r.AllStats() {
		if k != a.Key || got != want {
			t.Errorf("all stats: %v %+v", k, got)
		}
	}
	if h, ok := r.History(a.Key); !ok || h != "Dd" {
		t.Errorf("history %q, want Dd", h)
	}
	if _, ok := r.Stats(key(udp, 2)); ok {
		t.Error("stats of a flow that is not there")
	}
}

func TestReadingDoesNotTouchLRU(t *testing.T) {
	r := newRecorder(t, options{MaxFlows: 2})
	r.feed(input(udp, 1, fwd, 1))
	r.feed(input(udp, 2, fwd, 2))
	r.Stats(key(udp, 1))
	r.History(key(udp, 1))
	for range r.Flows() {
		break
	}
	r.take()
	r.feed(input(udp, 3, fwd, 3))
	wantLines(t, without(r.take(), "3 "), "1 ended evicted 1+0 D")
}

func TestConnStateOfOthers(t *testing.T) {
	r := newRecorder(t, options{})
	tests := []struct {
		name string
		in   []*Input[flow.Key]
		want string
	}{
		{"udp one way", []*Input[flow.Key]{input(udp, 1, fwd, 0)}, "S0"},
		{"udp both ways", []*Input[flow.Key]{input(udp, 2, fwd, 0), input(udp, 2, rev, 0)}, "SF"},
		{"icmp", []*Input[flow.Key]{input(flow.ProtoICMP, 3, fwd, 0), input(flow.ProtoICMP, 3, rev, 0)}, "OTH"},
		{"tcp without a header", []*Input[flow.Key]{input(tcp, 4, fwd, 0)}, "OTH"},
	}
	for _, tt := range tests {
		var f *testFlow
		for _, in := range tt.in {
			f = r.feed(in)
		}
		if got := f.ConnState(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNotedLetters(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, handshake)
	f.NoteGap(flow.Responder)
	f.NoteGap(flow.Responder)
	r.feed(badChecksum(input(tcp, 1, fwd, 0)))
	f.NoteLimit(flow.Responder)
	f.NoteLimit(flow.Initiator)
	if got := f.History(); got != "ShAgCx" {
		t.Errorf("history %q, want ShAgCx", got)
	}
	if g := r.play(2, syn); true {
		g.NoteGap(flow.Initiator)
		if got := g.History(); got != "S" {
			t.Errorf("history %q, want S: a gap needs an established flow", got)
		}
	}
	u := r.feed(input(udp, 3, fwd, 0))
	r.feed(badChecksum(input(udp, 3, rev, 0)))
	if got := u.History(); got != "Dc" {
		t.Errorf("history %q, want Dc", got)
	}
}

func badChecksum(in *Input[flow.Key]) *Input[flow.Key] {
	in.BadChecksum = true
	return in
}

// TestZeekTraces are the two values the specification names.
func TestZeekTraces(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, handshake+"i PA seq=101 ack=501 len=10; r A seq=501 ack=111")
	f.NoteGap(flow.Responder)
	r.play(1, "r PA seq=601 ack=111 len=10")
	f.NoteGap(flow.Initiator)
	r.play(1, "r PA seq=601 ack=111 len=10; i R seq=111")
	if got := f.History(); got != "ShADagdGtR" || f.ConnState() != "RSTO" {
		t.Errorf("retransmit: %s %s, want ShADagdGtR RSTO", got, f.ConnState())
	}
	f = r.play(2, "r SA seq=500 ack=101; i A seq=101 ack=501; i PA seq=101 ack=501 len=5; r PA seq=501 ack=106 len=5; "+
		"i FA seq=106 ack=506; r A seq=506 ack=107; r FA seq=506 ack=107; i A seq=107 ack=507")
	if got := f.History(); got != "^hADdFaf" || f.ConnState() != "SF" || f.TCPState() != flow.StateClosed {
		t.Errorf("missing syn: %s %s, want ^hADdFaf SF", got, f.ConnState())
	}
}

func TestFlowLabel(t *testing.T) {
	r := newRecorder(t, options{})
	send := func(d flow.Direction, label uint32) *testFlow {
		in := input(udp, 1, d, 0)
		in.Label = label
		return r.feed(in)
	}
	send(rev, 5)
	send(fwd, 9)
	send(rev, 5)
	send(rev, 6)
	send(fwd, 8)
	send(rev, 5)
	f := send(rev, 5)
	if label, changes := f.FlowLabel(); label != 5 || changes != 2 {
		t.Errorf("label %d, %d changes, want 5 and 2", label, changes)
	}
}

func TestIDs(t *testing.T) {
	ids := func(seed uint64) (l []uint64) {
		r := New(options{Seed: seed}, nil)
		for n := range uint16(3) {
			in := input(udp, n, fwd, 0)
			in.Number = uint64(n) + 10
			l = append(l, r.Observe(in).ID())
		}
		return l
	}
	a, b, other := ids(0), ids(0), ids(1)
	for i := range a {
		if a[i] != b[i] || a[i] == other[i] || a[i] == a[(i+1)%3] {
			t.Errorf("ids %x, again %x, other seed %x", a, b, other)
		}
	}
}

// TestIDsDoNotDependOnSharding numbers flows by packet, in one table or two.
func TestIDsDoNotDependOnSharding(t *testing.T) {
	var whole, split []uint64
	one, parts := New(options{}, nil), [2]*testTable{New(options{}, nil), New(options{}, nil)}
	for n := range uint16(8) {
		in := input(udp, n, fwd, 0)
		in.Number = uint64(n) + 1
		whole = append(whole, one.Observe(in).ID())
		split = append(split, parts[n%2].Observe(in).ID())
	}
	if fmt.Sprint(whole) != fmt.Sprint(split) {
		t.Errorf("ids %x, split %x", whole, split)
	}
}

func TestFill(t *testing.T) {
	r := newRecorder(t, options{})
	f := r.play(1, "i S seq=1 t=10; r SA seq=8 ack=2 t=30; i A seq=2 ack=9 t=35; i R seq=2 t=40; i R seq=2 t=50")
	var rec flow.Record
	rec.Stats.Side[0].StreamBytes = 77
	f.Fill(&rec)
	rec.Stats.Side = [2]flow.SideStats{{Packets: rec.Stats.Side[0].Packets, StreamBytes: rec.Stats.Side[0].StreamBytes}}
	want := flow.Record{
		ID: f.ID(), Orientation: flow.BySYN, State: flow.StateReset, Reason: flow.EndRST,
		ConnState: "RSTO", History: "ShAR", Events: "SsRR",
		Handshake: [2]time.Duration{5 * time.Millisecond, 20 * time.Millisecond}, PacketsAfterClose: 1,
		Stats: flow.Stats{Start: 10_000_000, End: 50_000_000, Side: [2]flow.SideStats{{Packets: 4, StreamBytes: 77}}},
	}
	if fmt.Sprintf("%+v", rec) != fmt.Sprintf("%+v", want) {
		t.Errorf("record\n got %+v\nwant %+v", rec, want)
	}
}

func TestEventMask(t *testing.T) {
	r := newRecorder(t, options{Events: MaskOf(flow.EventStarted, flow.EventEnded)})
	r.play(1, closedAll)
	r.EndAll(flow.EndOfInput)
	wantLines(t, r.take(), "1 started; 1 ended fin 5+3 ShADdFf")
}

func TestOtherKeyTypes(t *testing.T) {
	tb := New(Options[string, struct{}]{}, nil)
	for i := range 1000 {
		in := &Input[string]{Key: fmt.Sprint("flow", i%100), Proto: udp, Packets: 1}
		tb.Finish(tb.Observe(in), in)
	}
	if tb.Len() != 100 || tb.Lookup("flow7").Packets() != 10 {
		t.Errorf("%d flows, want 100", tb.Len())
	}
	own := New(Options[string, int]{Hash: func(s string) uint64 { return uint64(len(s)) }}, nil)
	for i := range 300 {
		in := &Input[string]{Key: fmt.Sprint(i), Proto: udp, Packets: 1, Time: flow.Timestamp(i)}
		own.Finish(own.Observe(in), in)
	}
	if own.Len() != 300 || own.Lookup("299") == nil {
		t.Errorf("%d flows under a poor hash, want 300", own.Len())
	}
	own.EndAll(flow.EndOfInput)
	if own.Len() != 0 || own.Lookup("299") != nil {
		t.Error("flows left")
	}
}

// TestCarried holds what a packet brings whose frames are counted in the flow of a tunnel:
// time, sides, flow label and TCP step, but neither counters nor TTL nor a Packet event.
func TestCarried(t *testing.T) {
	r := newRecorder(t, options{})
	carried := func(text string, label uint32) *testFlow {
		in := segment(t, 1, text)
		in.Carried, in.Label, in.TTL = true, label, 9
		in.Packets, in.Bytes, in.IPBytes, in.PayloadLen = 0, 0, 0, 0
		return r.feed(in)
	}
	carried("i S seq=100", 7)
	carried("r SA seq=500 ack=101", 8)
	f := carried("i PA seq=101 ack=501 len=5", 7)
	if got := f.Stats(); got.Packets() != 0 || got.Bytes() != 0 || got.Side[0].TTLMax != 0 {
		t.Errorf("counted %+v", got)
	}
	if f.TCPState() != flow.StateEstablished || f.History() != "ShD" {
		t.Errorf("state %v, history %q, want established, ShD", f.TCPState(), f.History())
	}
	if label, changes := f.FlowLabel(); label != 7 || changes != 0 {
		t.Errorf("flow label %d, %d changes, want 7, none", label, changes)
	}
	r.play(1, "r RA seq=501 ack=106")
	if f.ConnState() != "RSTR" {
		t.Errorf("conn_state %s, want RSTR: there was payload", f.ConnState())
	}
	if s := f.Stats().Side[flow.Responder]; s.Packets != 1 || s.TTLMin != 64 {
		t.Errorf("responder: %d packets, TTL from %d, want 1, 64", s.Packets, s.TTLMin)
	}
	u := input(udp, 2, fwd, 0)
	u.Carried, u.Packets, u.Bytes = true, 0, 0
	if got := r.feed(u).ConnState(); got != "S0" {
		t.Errorf("conn_state of a datagram %s, want S0", got)
	}
}
