package tcp

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/tests/tcp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/tracker"
)

var (
	stepCount = flag.Int("steps", 10_000_000, "segments that TestSteps compares")
	stepSeed  = flag.Uint64("stepseed", 1, "where the random numbers of TestSteps begin")
)

// TestSteps walks TCP flows at random through both state machines and compares the state
// after each segment: any flags, either side, sequence numbers in order, behind, and
// behind a loss. What the kernel judges more simply (bpf/tcp.h) is left out.
func TestSteps(t *testing.T) {
	objs := load(t)
	w := newWalker(*stepSeed)
	batch := new(gen.TCPWalk)
	states := make([]flow.State, len(batch.Step))
	var visits [flow.StateReset + 1]int
	for n := 0; n < *stepCount && !t.Failed(); n += len(batch.Step) {
		w.left = 0 // the kernel forgets between batches
		for i := range batch.Step {
			states[i] = w.step(&batch.Step[i])
			visits[states[i]]++
		}
		compareSteps(t, objs, batch, states)
	}
	for state, n := range visits {
		if n < *stepCount/100 {
			t.Errorf("%d steps to %s only: %v", n, flow.State(state), visits)
		}
	}
	t.Logf("steps to each state, from active to reset: %v", visits)
}

// compareSteps lets the kernel take the steps of a batch.
func compareSteps(t *testing.T, objs *gen.TCPObjects, batch *gen.TCPWalk, want []flow.State) {
	if err := objs.Walks.Put(uint32(0), batch); err != nil {
		t.Fatal(err)
	}
	if ret, err := objs.Steps.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil || ret != 2 {
		t.Fatalf("run: %d, %v", ret, err)
	}
	var got gen.TCPWalk
	if err := objs.Walks.Lookup(uint32(0), &got); err != nil {
		t.Fatal(err)
	}
	begin := 0
	for i := range want {
		if got.Step[i].Begins != 0 {
			begin = i
		}
		if flow.State(got.Step[i].State) != want[i] {
			t.Errorf("kernel %s, user space %s, after%s", flow.State(got.Step[i].State), want[i], story(got.Step[begin:i+1], want[begin:]))
			return
		}
	}
}

// story tells of the segments that led to a difference.
func story(l []gen.TCPStep, states []flow.State) string {
	var b strings.Builder
	for i := range l {
		s := &l[i]
		fmt.Fprintf(&b, "\n%d %s seq %d ack %d len %d: %s, %s", s.Dir, flow.TCPFlags(s.Flags), s.Seq, s.Ack, s.Len,
			flow.State(s.State), states[i])
	}
	return b.String()
}

// A walker makes up segments and takes them through the tracker.
type walker struct {
	rnd    *rand.Rand
	table  *tracker.Table[flow.Key, struct{}]
	flow   *tracker.Flow[flow.Key, struct{}]
	seg    flow.Segment
	in     tracker.Input[flow.Key]
	left   int   // segments of this flow still to come
	opener uint8 // direction of the initiator's SYN
	isn    [2]flow.Seq
	state  flow.State
	fin    [2]bool
	next   [2]flow.Seq // what each direction sends next
	acked  [2]flow.Seq // what each has acknowledged of the other
}

func newWalker(seed uint64) *walker {
	return &walker{
		rnd:   rand.New(rand.NewPCG(seed, 0)),
		table: tracker.New(tracker.Options[flow.Key, struct{}]{IdleTCP: forever, MaxFlows: 4, SwapBudget: 1000}, noState),
	}
}

// step makes up one segment and returns the state the tracker comes to by it.
func (w *walker) step(s *gen.TCPStep) flow.State {
	*s = gen.TCPStep{}
	if w.left == 0 {
		w.begin()
		s.Begins = 1
	}
	w.left--
	w.make(s)
	created := w.table.Counters().Created[flow.L4TCP]
	w.in.Time++
	w.seg.Time = w.in.Time
	w.in.Dir, w.in.PayloadLen = flow.Direction(s.Dir), int(s.Len)
	w.seg.Seq, w.seg.Ack, w.seg.Len = flow.Seq(s.Seq), flow.Seq(s.Ack), int(s.Len)
	w.seg.Flags, w.seg.Window = flow.TCPFlags(s.Flags), 1000
	w.flow = w.table.Observe(&w.in)
	w.table.Finish(w.flow, &w.in)
	if s.Begins == 0 && w.table.Counters().Created[flow.L4TCP] != created {
		s.Begins, w.left = 1, 0 // a SYN reused the tuple
	}
	w.state = w.flow.TCPState()
	return w.state
}

func (w *walker) begin() {
	if w.flow != nil {
		w.table.EndFlow(w.flow, flow.EndOfInput)
	}
	w.left = 1 + w.rnd.IntN(40)
	w.next = [2]flow.Seq{flow.Seq(w.rnd.Uint32()), flow.Seq(w.rnd.Uint32())}
	w.state = flow.StateActive
	w.fin, w.opener = [2]bool{}, uint8(w.rnd.IntN(2))
	w.isn, w.acked = w.next, [2]flow.Seq{w.next[1], w.next[0]}
	w.in = tracker.Input[flow.Key]{Proto: flow.ProtoTCP, Packets: 1, Seg: &w.seg, Time: w.in.Time}
}

// usual are the flags of most segments; the others have any.
var usual = [...]flow.TCPFlags{
	flow.SYN, flow.SYN | flow.ACK, flow.ACK, flow.ACK, flow.ACK | flow.PSH,
	flow.ACK | flow.PSH, flow.ACK | flow.FIN, flow.ACK | flow.FIN, flow.RST, flow.RST | flow.ACK,
}

// make makes up a segment of the flow in hand.
func (w *walker) make(s *gen.TCPStep) {
	f := flow.TCPFlags(w.rnd.Uint32())
	if w.rnd.IntN(4) > 0 {
		f = usual[w.rnd.IntN(len(usual))]
	}
	s.Dir = uint8(w.rnd.IntN(2))
	if f&flow.RST != 0 && w.rnd.IntN(4) > 0 {
		f &^= flow.RST // they end what is to be tested
	}
	if f&flow.SYN != 0 && s.Dir == w.opener {
		f &^= flow.ACK
	} else if f&flow.SYN != 0 {
		f |= flow.ACK
	}
	s.Flags = uint8(f)
	if w.rnd.IntN(2) == 0 && (f&flow.SYN == 0 || w.next[s.Dir] == w.isn[s.Dir]) {
		s.Len = uint16(w.rnd.IntN(1460))
	}
	s.Seq = uint32(w.seq(s.Dir, f))
	s.Ack = uint32(w.ack(s.Dir))
	end := flow.Seq(s.Seq) + flow.Seq(s.Len)
	if f&(flow.SYN|flow.FIN) != 0 {
		end++
	}
	if f&flow.SYN != 0 && w.state > flow.StateSYNReceived {
		return // nobody takes it
	}
	if f&flow.RST == 0 && !w.fin[s.Dir] && w.next[s.Dir].Less(end) {
		w.next[s.Dir] = end
		w.fin[s.Dir] = f&(flow.FIN|flow.SYN) == flow.FIN
	}
}

// seq is mostly what comes next; else it was sent before, or something is missing in
// front of it, with a FIN a great deal. A reset is at the end of the stream or far off:
// of those in between the kernel knows less. SYNs that are repeated are the same.
func (w *walker) seq(dir uint8, f flow.TCPFlags) flow.Seq {
	next := w.next[dir]
	far := flow.Seq(1<<20 + w.rnd.IntN(1<<29))
	switch n := w.rnd.IntN(10); {
	case f&flow.RST != 0 && (n == 0 || next == w.isn[dir]):
		return next - far
	case f&flow.RST != 0:
		return next
	case f&flow.SYN != 0:
		return w.isn[dir]
	case n < 2 && f&flow.FIN != 0 && !w.fin[dir]:
		return next + far
	case n == 0:
		return next - flow.Seq(w.rnd.IntN(3000))
	case n == 1:
		return next + flow.Seq(w.rnd.IntN(50_000))
	}
	return next
}

// ack is of all that the peer sent, or of less.
func (w *walker) ack(dir uint8) flow.Seq {
	if w.rnd.IntN(10) == 0 {
		w.acked[dir] += flow.Seq(w.rnd.IntN(int(w.next[1-dir]-w.acked[dir]) + 1))
	} else {
		w.acked[dir] = w.next[1-dir]
	}
	return w.acked[dir]
}
