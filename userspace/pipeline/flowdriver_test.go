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
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

type (
	flowOptions = pipeline.FlowOptions[flow.Key, int]
	flowDriver  = pipeline.FlowDriver[flow.Key, int]
)

// A flowRecorder writes each event of a FlowDriver as a word or two.
type flowRecorder struct {
	events    []string
	anomalies []flow.Anomaly
	ended     []flow.Stats
}

func (r *flowRecorder) handle(e *flow.Event[flow.Key]) {
	s := e.Kind.String()
	switch e.Kind {
	case flow.EventStarted:
		s = "started " + e.L4.String()
	case flow.EventStateChange:
		s = e.To.String()
	case flow.EventPacket:
		s = fmt.Sprintf("packet %s %d", e.Side, e.Len)
	case flow.EventAnomaly:
		r.anomalies = append(r.anomalies, *e.Anomaly)
		s = "anomaly " + e.Anomaly.Kind.String()
	case flow.EventEnded:
		r.ended = append(r.ended, *e.Stats)
		s = fmt.Sprintf("ended %s %s", e.Reason, e.History)
	}
	r.events = append(r.events, s)
}

func (r *flowRecorder) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.events, want) {
		t.Errorf("events:\n got %s\nwant %s", strings.Join(r.events, ", "), strings.Join(want, ", "))
	}
}

// only returns the events that begin with one of the words.
func (r *flowRecorder) only(words ...string) []string {
	return slices.DeleteFunc(slices.Clone(r.events), func(e string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(e, w) })
	})
}

func flowOpts(r *flowRecorder) flowOptions {
	return flowOptions{
		Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}, Anomalies: true, ClosedLinger: -1},
		OnEvent: r.handle,
	}
}

// track runs packets through a new driver, which is not finished.
func track(opt flowOptions, packets ...packettest.Packet) *flowDriver {
	d := pipeline.NewFlowDriver(opt)
	for _, v := range packettest.Trace(packets...) {
		d.Track(&v)
	}
	return d
}

// finish finishes d and holds conservation.
func finish(t *testing.T, d *flowDriver) {
	t.Helper()
	d.Finish()
	s := d.Summary()
	if p, b := s.Unaccounted(); p != 0 || b != 0 {
		t.Errorf("unaccounted: %d packets, %d bytes", p, b)
	}
}

// keyOf is the key of the conversations that open begins.
func keyOf(t *testing.T) flow.Key {
	t.Helper()
	var key flow.Key
	opt := flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}}
	opt.OnEvent = func(e *flow.Event[flow.Key]) { key = e.FlowKey }
	track(opt, open().list...)
	return key
}

func TestFlowDriverEvents(t *testing.T) {
	var r flowRecorder
	d := track(flowOpts(&r), packettest.HTTPSession()...)
	r.check(t, "started tcp", "syn_sent", "packet initiator 0", "syn_received", "packet responder 0",
		"established", "packet initiator 0", "packet initiator 69", "packet responder 0",
		"packet responder 78", "packet initiator 0",
		"fin_wait", "packet initiator 0", "closing", "packet responder 0",
		"closed", "packet initiator 0", "ended fin ShADadFf")
	if n := d.Table().Len(); n != 0 {
		t.Errorf("%d flows open, want none", n)
	}
	finish(t, d)
}

func TestFlowDriverUDP(t *testing.T) {
	ask := packettest.UDP("10.0.0.1:4000", "10.0.0.53:53").Payload("q")
	var r flowRecorder
	track(flowOpts(&r), ask, ask.Reply().Payload("answer"))
	r.check(t, "started udp", "packet initiator 1", "packet responder 6")
}

// TestFlowDriverOrder holds the order of one packet's events: ends of others, its own
// beginning, its state, its packet, its anomalies, its end.
func TestFlowDriverOrder(t *testing.T) {
	other := packettest.UDP("10.9.9.9:1", "10.9.9.8:2").Payload("x")
	c := open().list
	var r flowRecorder
	opt := flowOpts(&r)
	opt.Reassembly = reassembly.Options{Cap: 4, Overflow: flow.DropFlow}
	packets := append([]packettest.Packet{other}, c...)
	packets[1] = packets[1].At(time.Hour)
	packets = append(packets, packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload("overflow"))
	track(opt, packets...)
	r.check(t, "started udp", "packet initiator 1",
		"ended idle D", "started tcp", "syn_sent", "packet initiator 0",
		"syn_received", "packet responder 0", "established", "packet initiator 0",
		"packet initiator 8", "anomaly buffer_overflow", "ended buffer_overflow ShAD")
}

func TestFlowDriverNoAssemblerWithoutPayload(t *testing.T) {
	made := 0
	opt := flowOpts(&flowRecorder{})
	opt.NewAssembler = func(flow.Key, flow.Side) pipeline.Assembler { made++; return nil }
	c := open().a("FA", 1001, 5001, "").b("FA", 5001, 1002, "").a("A", 1002, 5002, "")
	d := track(opt, c.list...)
	if a := d.Reassembler(keyOf(t), flow.Initiator); a != nil || made != 0 {
		t.Errorf("%d assemblers made and %v found, want none", made, a)
	}
	track(opt, open().a("PA", 1001, 5001, "x").a("PA", 1002, 5001, "y").list...)
	if made != 1 {
		t.Errorf("%d assemblers asked for, want 1: of the side that sent", made)
	}
}

func TestFlowDriverCleanFlow(t *testing.T) {
	var r flowRecorder
	finish(t, track(flowOpts(&r), packettest.HTTPSession()...))
	if len(r.ended) != 1 || len(r.anomalies) != 0 {
		t.Fatalf("%d flows ended with %v, want 1 and no anomaly", len(r.ended), r.anomalies)
	}
	for side, want := range []uint64{69, 78} {
		s := r.ended[0].Side[side]
		if s.StreamBytes != want || s.MissedBytes+s.CaptureMissedBytes+s.ReassemblyDroppedOversizeBytes != 0 ||
			s.OutOfOrderSegments+s.RetransmittedSegments+s.ReassemblyDroppedSegments+s.OverlapConflictBytes != 0 {
			t.Errorf("side %d: %+v, want %d bytes and nothing odd", side, s, want)
		}
	}
}

func TestFlowDriverDrain(t *testing.T) {
	key := keyOf(t)
	c := open().a("PA", 1004, 5001, "def").a("PA", 1001, 5001, "abc").b("PA", 5001, 1007, "xyz")
	d := track(flowOpts(&flowRecorder{}), c.list...)
	for _, want := range []string{"abcdef", ""} {
		if got := string(d.Drain(key, flow.Initiator)); got != want {
			t.Errorf("drained %q of the initiator, want %q", got, want)
		}
	}
	if got := string(d.Drain(key, flow.Responder)); got != "xyz" {
		t.Errorf("drained %q of the responder, want xyz", got)
	}
	if got := d.Drain(flow.Key{}, flow.Initiator); got != nil {
		t.Errorf("drained %q of a flow that is not there", got)
	}
}

// TestFlowDriverDrainAtEnd holds that nothing is lost that was held when a flow ends,
// also where its packet begins another one of the same key.
func TestFlowDriverDrainAtEnd(t *testing.T) {
	var got []string
	opt := flowOpts(&flowRecorder{})
	var d *flowDriver
	opt.OnEvent = func(e *flow.Event[flow.Key]) {
		if e.Kind == flow.EventEnded {
			got = append(got, string(d.Drain(e.FlowKey, flow.Initiator)))
		}
	}
	opt.ClosedLinger = 0
	d = pipeline.NewFlowDriver(opt)
	c := open().a("PA", 1001, 5001, "first").a("PA", 1009, 5001, "held").a("R", 1013, 0, "")
	next := packettest.TCP(hostA, hostB).Flags("S").Seq(90000)
	data := packettest.TCP(hostA, hostB).Flags("PA").Seq(90001).Ack(1).Payload("second")
	for _, v := range packettest.Trace(append(c.list, next, data)...) {
		d.Track(&v)
	}
	d.Finish()
	if want := []string{"firstheld", "second"}; !slices.Equal(got, want) {
		t.Errorf("drained %q, want %q", got, want)
	}
}

func TestFlowDriverPending(t *testing.T) {
	key := keyOf(t)
	c := open().a("PA", 1001, 5001, "last words").a("RA", 1011, 5001, "")
	frames := packettest.Trace(c.list...)
	var r flowRecorder
	d := pipeline.NewFlowDriver(flowOpts(&r))
	for i := range frames {
		d.TrackPending(&frames[i])
	}
	if want := []string{"reset"}; !slices.Equal(r.only("reset", "ended"), want) {
		t.Errorf("before Finalize: %v, want the state but not the end", r.events)
	}
	if got := string(d.Drain(key, flow.Initiator)); got != "last words" {
		t.Errorf("drained %q before the end, want the last words", got)
	}
	d.Finalize()
	d.Finalize()
	if want := []string{"reset", "ended rst ShADR"}; !slices.Equal(r.only("reset", "ended"), want) {
		t.Errorf("after Finalize: %v, want one end", r.events)
	}
}

func TestFlowDriverSweepPending(t *testing.T) {
	key := keyOf(t)
	var r flowRecorder
	opt := flowOpts(&r)
	opt.NewState = func(flow.Key) int { return 7 }
	d := track(opt, open().a("PA", 1001, 5001, "abc").a("PA", 1009, 5001, "held").list...)
	d.Drain(key, flow.Initiator)
	d.SweepPending(packettest.Start.Add(time.Hour))
	if n := len(r.ended); n != 0 || d.Table().Len() != 0 {
		t.Fatalf("%d flows ended, %d in the table: want both 0", n, d.Table().Len())
	}
	if got := string(d.Drain(key, flow.Initiator)); got != "held" {
		t.Errorf("drained %q, want what was held", got)
	}
	if s := d.State(key); s == nil || *s != 7 {
		t.Errorf("state %v, want 7", s)
	}
	d.Finalize()
	if want := []string{"ended idle ShAD"}; !slices.Equal(r.only("ended"), want) {
		t.Errorf("events %v, want %v", r.only("ended"), want)
	}
	if d.State(key) != nil {
		t.Error("the state is still there after the end")
	}
}

// TestFlowDriverOverflow holds the vectors of SEMANTICS.md §5.4 in the driver.
func TestFlowDriverOverflow(t *testing.T) {
	tests := []struct {
		name     string
		cap      int
		overflow flow.Overflow
		bytes    int64
		left     int
	}{
		{"sliding window", 64, flow.SlidingWindow, 136, 64},
		{"drop flow", 64, flow.DropFlow, 200, 0},
		{"exactly the cap", 200, flow.DropFlow, 0, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r flowRecorder
			opt := flowOpts(&r)
			opt.Reassembly = reassembly.Options{Cap: tt.cap, Overflow: tt.overflow}
			left, key := -1, keyOf(t)
			d := pipeline.NewFlowDriver(opt)
			for _, v := range packettest.Trace(open().a("PA", 1001, 5001, strings.Repeat("x", 200)).a("R", 1201, 0, "").list...) {
				d.TrackPending(&v)
				if b := d.Drain(key, flow.Initiator); b != nil || left < 0 {
					left = len(b)
				}
			}
			finish(t, d)
			if left != tt.left {
				t.Errorf("%d bytes left, want %d", left, tt.left)
			}
			var want []flow.Anomaly
			reason := "ended rst"
			if tt.bytes > 0 {
				want = []flow.Anomaly{{Kind: flow.AnomalyBufferOverflow, Bytes: tt.bytes, Policy: tt.overflow}}
			}
			if tt.bytes > 0 && tt.overflow == flow.DropFlow {
				reason = "ended buffer_overflow"
			}
			overflows := slices.DeleteFunc(r.anomalies, func(a flow.Anomaly) bool { return a.Kind != flow.AnomalyBufferOverflow })
			if !slices.Equal(overflows, want) && len(overflows)+len(want) > 0 {
				t.Errorf("anomalies %+v, want %+v", overflows, want)
			}
			if ends := r.only("ended"); len(ends) == 0 || !strings.HasPrefix(ends[0], reason) {
				t.Errorf("ends %v, want %q", ends, reason)
			}
			if got := r.ended[0].Side[flow.Initiator].ReassemblyDroppedOversizeBytes; got != uint64(tt.bytes) {
				t.Errorf("dropped %d bytes, want %d", got, tt.bytes)
			}
		})
	}
}

// TestFlowDriverOverflowEndsOnce holds that a RST after the overflow neither changes the
// reason nor makes another flow, with linger.
func TestFlowDriverOverflowEndsOnce(t *testing.T) {
	var r flowRecorder
	opt := flowOpts(&r)
	opt.ClosedLinger = 0
	opt.Reassembly = reassembly.Options{Cap: 64, Overflow: flow.DropFlow}
	finish(t, track(opt, open().a("PA", 1001, 5001, strings.Repeat("x", 200)).a("R", 1201, 0, "").a("PA", 1201, 5001, "late").list...))
	if got, want := r.only("started", "ended"), []string{"started tcp", "ended buffer_overflow ShADR"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestFlowDriverAnomaliesOff(t *testing.T) {
	var r flowRecorder
	opt := flowOpts(&r)
	opt.Anomalies = false
	opt.Reassembly = reassembly.Options{Cap: 64}
	d := track(opt, open().a("PA", 1001, 5001, strings.Repeat("x", 200)).list...)
	if s := d.Summary(); len(r.anomalies) != 0 || s.Anomalies[flow.AnomalyBufferOverflow] != 1 {
		t.Errorf("%v handed out, %d counted: want none and 1", r.anomalies, s.Anomalies[flow.AnomalyBufferOverflow])
	}
	if d.EmitsAnomalies() {
		t.Error("the driver says that it emits anomalies")
	}
}

func TestFlowDriverEviction(t *testing.T) {
	var keyed bool
	var r flowRecorder
	opt := flowOpts(&r)
	opt.MaxFlows = 1
	opt.OnEvent = func(e *flow.Event[flow.Key]) {
		if e.Kind == flow.EventAnomaly {
			_, keyed = e.Key()
		}
		r.handle(e)
	}
	d := track(opt, packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("x"), packettest.UDP("10.0.0.3:3", "10.0.0.4:4").Payload("y"))
	d.Sweep(packettest.Start.Add(2 * time.Second))
	if want := []flow.Anomaly{{Kind: flow.AnomalyTableEviction, Count: 1, Total: 1}}; !slices.Equal(r.anomalies, want) || keyed {
		t.Errorf("anomalies %+v (key: %v), want %+v without a key", r.anomalies, keyed, want)
	}
}

func TestFlowDriverHighWatermark(t *testing.T) {
	var r flowRecorder
	d := track(flowOpts(&r), open().a("PA", 1001, 5001, strings.Repeat("x", 300)).list...)
	d.Drain(keyOf(t), flow.Initiator)
	v := packettest.Trace(open().a("PA", 1301, 5001, "y").list...)[3]
	d.Track(&v)
	finish(t, d)
	if got := r.ended[0].Side[flow.Initiator].ReassemblyHighWatermark; got != 300 {
		t.Errorf("high watermark %d, want 300", got)
	}
}

func TestFlowDriverUserState(t *testing.T) {
	opt := flowOpts(&flowRecorder{})
	opt.NewState = func(flow.Key) int { return 40 }
	var d *flowDriver
	var last int
	opt.OnEvent = func(e *flow.Event[flow.Key]) {
		s := d.State(e.FlowKey)
		if e.Kind == flow.EventPacket {
			*s++
		}
		last = *s
	}
	d = pipeline.NewFlowDriver(opt)
	for _, v := range packettest.Trace(open().a("R", 1001, 0, "").list...) {
		d.Track(&v)
	}
	if last != 44 {
		t.Errorf("state at the end %d, want 44: 40 and a packet each", last)
	}
	if d.State(keyOf(t)) != nil {
		t.Error("a flow that is not there has a state")
	}
}

func TestFlowDriverForget(t *testing.T) {
	var r flowRecorder
	opt := flowOpts(&r)
	opt.Reassembly.Memory = reassembly.NewMemory(0)
	d := track(opt, open().a("PA", 1009, 5001, "held").list...)
	if !d.Forget(keyOf(t)) || d.Forget(keyOf(t)) {
		t.Error("Forget: want true, then false")
	}
	finish(t, d)
	if ends := r.only("ended"); len(ends) != 0 || d.Table().Counters().Forgotten != 1 {
		t.Errorf("ends %v, %d forgotten: want none and 1", ends, d.Table().Counters().Forgotten)
	}
}

// An arrivals assembler keeps payload in the order of arrival, and drops what is
// beyond its cap.
type arrivals struct {
	got     []string
	ends    []string
	dropped uint64
}

func (a *arrivals) Segment(s *flow.Segment) {
	a.got = append(a.got, fmt.Sprintf("%s %s", s.Flags, s.Data))
	if s.Len > 8 {
		a.dropped += uint64(s.Len - 8)
	}
}
func (a *arrivals) Fin() { a.ends = append(a.ends, "fin") }
func (a *arrivals) Rst() { a.ends = append(a.ends, "rst") }
func (a *arrivals) Diagnostics() flow.SideStats {
	return flow.SideStats{ReassemblyDroppedOversizeBytes: a.dropped}
}

func TestFlowDriverCustomAssembler(t *testing.T) {
	var a arrivals
	var r flowRecorder
	opt := flowOpts(&r)
	opt.NewAssembler = func(_ flow.Key, side flow.Side) pipeline.Assembler {
		if side == flow.Initiator {
			return &a
		}
		return nil
	}
	d := track(opt, open().a("PA", 1004, 5001, "def").a("PA", 1001, 5001, "abc").b("PA", 5001, 1007, "unread").
		a("PA", 1007, 5001, "0123456789").a("R", 1017, 0, "").list...)
	if want := []string{"S ", "PA def", "PA abc", "PA 0123456789", "R "}; !slices.Equal(a.got, want) {
		t.Errorf("got %q, want %q", a.got, want)
	}
	if want := []string{"rst"}; !slices.Equal(a.ends, want) {
		t.Errorf("ends %v, want %v", a.ends, want)
	}
	if want := []flow.Anomaly{{Kind: flow.AnomalyBufferOverflow, Bytes: 2}}; !slices.Equal(r.anomalies, want) {
		t.Errorf("anomalies %+v, want %+v", r.anomalies, want)
	}
	if got := r.ended[0].Side[flow.Initiator].ReassemblyDroppedOversizeBytes; got != 2 {
		t.Errorf("dropped %d bytes at the end, want 2", got)
	}
	finish(t, d)
}

// TestFlowDriverEarlyFIN holds that a FIN which comes before the payload in front of it
// is known to the assembler.
func TestFlowDriverEarlyFIN(t *testing.T) {
	d := track(flowOpts(&flowRecorder{}), open().a("FA", 1004, 5001, "").a("PA", 1001, 5001, "abcdef").list...)
	if got := string(d.Drain(keyOf(t), flow.Initiator)); got != "abc" {
		t.Errorf("drained %q, want what lies before the FIN", got)
	}
}

func TestFlowDriverNoReassembly(t *testing.T) {
	var r flowRecorder
	opt := flowOpts(&r)
	opt.NoReassembly = true
	d := track(opt, open().a("PA", 1001, 5001, "abc").list...)
	if d.Reassembler(keyOf(t), flow.Initiator) != nil {
		t.Error("there is an assembler")
	}
	finish(t, d)
	if got := r.ended[0].Side[flow.Initiator].PayloadBytes; got != 3 {
		t.Errorf("payload of %d bytes counted, want 3", got)
	}
}

// TestFlowDriverFragments holds that a segment in fragments is reassembled and takes
// its TCP step when it is whole, whatever the order.
func TestFlowDriverFragments(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 8)
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		var r flowRecorder
		list := open().list
		parts := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload(payload).IPID(7).Fragments(56)
		if len(parts) != 3 {
			t.Fatalf("%d fragments, want 3", len(parts))
		}
		for _, i := range order {
			list = append(list, parts[i])
		}
		d := track(flowOpts(&r), list...)
		if got := string(d.Drain(keyOf(t), flow.Initiator)); got != payload {
			t.Errorf("order %v: drained %q", order, got)
		}
		finish(t, d)
		if n := r.ended[0].Side[flow.Initiator].Packets; n != 5 {
			t.Errorf("order %v: %d packets, want 5", order, n)
		}
	}
}

// TestFlowDriverTunnelInFragments holds that the packet that outer fragments make up goes
// to the flow inside the tunnel, while they are counted in that of the tunnel.
func TestFlowDriverTunnelInFragments(t *testing.T) {
	inner := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload("0123456789abcdef").Bytes()[14:]
	outer := packettest.IP(flow.ProtoIPIP, packettest.TunnelSrc, packettest.TunnelDst).PayloadBytes(inner).IPID(7).Fragments(32)
	var r flowRecorder
	d := track(flowOpts(&r), append(open().list, outer...)...)
	if got := string(d.Drain(keyOf(t), flow.Initiator)); got != "0123456789abcdef" {
		t.Errorf("drained %q", got)
	}
	finish(t, d)
	var packets []uint64
	for _, e := range r.ended {
		packets = append(packets, e.Packets())
	}
	if slices.Sort(packets); !slices.Equal(packets, []uint64{2, 3}) {
		t.Errorf("packets of the flows %v, want 2 of the tunnel and 3 of the handshake without one", packets)
	}
}

func TestFlowDriverFragmentOverlap(t *testing.T) {
	p := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload(strings.Repeat("a", 64)).IPID(9)
	q := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload(strings.Repeat("b", 64)).IPID(9)
	var r flowRecorder
	finish(t, track(flowOpts(&r), p.Fragment(0, 32), q.Fragment(24, 48), p.Fragment(32, 72)))
	if len(r.anomalies) != 1 || r.anomalies[0].Kind != flow.AnomalyFragmentOverlap || r.anomalies[0].IPID != 9 {
		t.Errorf("anomalies %+v, want one fragment_overlap of datagram 9", r.anomalies)
	}
}

func TestFlowDriverAllocatesNothing(t *testing.T) {
	d := track(flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}}, open().a("PA", 1001, 5001, "data").list...)
	ack := packettest.Trace(packettest.TCP(hostB, hostA).Flags("A").Seq(5001).Ack(1005))[0]
	ack.Time = packettest.Start.Add(time.Second)
	if n := testing.AllocsPerRun(100, func() { d.Track(&ack) }); n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}
