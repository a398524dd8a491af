package reassembly

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A feeder gives a buffer payload in order.
type feeder struct {
	*Buffer
	seq       flow.Seq
	anomalies []flow.Anomaly
}

func newFeeder(isn flow.Seq, o Options) *feeder {
	f := &feeder{Buffer: BufferFactory[flow.Key](o)(flow.Key{}, flow.Initiator), seq: isn}
	f.OnAnomaly = func(a *flow.Anomaly) { f.anomalies = append(f.anomalies, *a) }
	s := flow.Segment{TCPHeader: flow.TCPHeader{Seq: isn, Flags: flow.SYN}}
	f.Segment(&s)
	f.seq++
	return f
}

func (f *feeder) send(data string) {
	s := flow.Segment{TCPHeader: flow.TCPHeader{Seq: f.seq, Flags: flow.ACK}, Len: len(data), Data: []byte(data)}
	f.Segment(&s)
	clear(s.Data)
	f.seq += flow.Seq(len(data))
}

func a(n int) string { return strings.Repeat("a", n) }
func b(n int) string { return strings.Repeat("b", n) }

// TestBufferOverflow has the vectors of SEMANTICS.md §5.4.
func TestBufferOverflow(t *testing.T) {
	tests := []struct {
		name     string
		cap      int
		policy   flow.Overflow
		send     []string
		dropped  uint64
		left     string
		peak     int
		poisoned bool
		anomaly  int64 // bytes of the last buffer_overflow
	}{
		{"slide", 100, SlidingWindow, []string{a(80), b(80)}, 60, a(20) + b(80), 100, false, 60},
		{"drop", 100, DropFlow, []string{a(80), b(80)}, 80, "", 80, true, 80},
		{"slide one", 50, SlidingWindow, []string{a(50) + b(50)}, 50, b(50), 50, false, 50},
		{"drop one", 50, DropFlow, []string{a(100)}, 100, "", 0, true, 100},
		{"slide 64", 64, SlidingWindow, []string{a(136) + b(64)}, 136, b(64), 64, false, 136},
		{"drop 64", 64, DropFlow, []string{a(200)}, 200, "", 0, true, 200},
		{"slide full", 100, SlidingWindow, []string{a(100)}, 0, a(100), 100, false, 0},
		{"drop full", 100, DropFlow, []string{a(40), b(60)}, 0, a(40) + b(60), 100, false, 0},
		{"drop, then more", 100, DropFlow, []string{a(101), b(5)}, 101, "", 0, true, 101},
		{"slide over all that waits", 10, SlidingWindow, []string{a(5), b(12)}, 7, b(10), 10, false, 7},
		{"no limit", -1, DropFlow, []string{a(5 << 20)}, 0, a(5 << 20), 5 << 20, false, 0},
		{"empty", 10, DropFlow, []string{"", a(3), ""}, 0, a(3), 3, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				f := newFeeder(isn, Options{Cap: tt.cap, Overflow: tt.policy})
				for _, s := range tt.send {
					f.send(s)
				}
				st := f.Diagnostics()
				if st.ReassemblyDroppedOversizeBytes != tt.dropped || f.Poisoned() != tt.poisoned || f.HighWatermark() != tt.peak {
					t.Errorf("dropped %d, poisoned %v, peak %d; want %d, %v, %d", st.ReassemblyDroppedOversizeBytes,
						f.Poisoned(), f.HighWatermark(), tt.dropped, tt.poisoned, tt.peak)
				}
				if got := string(f.Take()); got != tt.left {
					t.Errorf("%d bytes left, want %d", len(got), len(tt.left))
				}
				f.checkOverflow(t, tt.anomaly, tt.policy)
			}
		})
	}
}

func (f *feeder) checkOverflow(t *testing.T, bytes int64, policy flow.Overflow) {
	t.Helper()
	var got []flow.Anomaly
	for _, a := range f.anomalies {
		if a.Kind == flow.AnomalyBufferOverflow {
			got = append(got, a)
		}
	}
	want := flow.Anomaly{Kind: flow.AnomalyBufferOverflow, Side: flow.Initiator, Bytes: bytes, Policy: policy}
	switch {
	case bytes == 0 && len(got) > 0:
		t.Errorf("got %+v, want no overflow", got)
	case bytes > 0 && (len(got) != 1 || got[0] != want):
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBufferTake(t *testing.T) {
	f := newFeeder(99, Options{Cap: 100})
	f.send("abc")
	if got := string(f.Take()); got != "abc" {
		t.Errorf("Take() = %q, want abc", got)
	}
	if got := f.Take(); len(got) != 0 {
		t.Errorf("Take() = %q, want nothing", got)
	}
	f.seq -= 3
	f.send("abc") // a retransmission after Take is no news
	f.send("def")
	if got := string(f.Take()); got != "def" {
		t.Errorf("Take() = %q, want def", got)
	}
	if got := f.HighWatermark(); got != 3 {
		t.Errorf("HighWatermark() = %d, want 3", got)
	}
}

func TestBufferReorders(t *testing.T) {
	f := newFeeder(1<<32-3, Options{})
	f.seq += 3
	f.send("def")
	f.seq -= 6
	f.send("abc")
	f.seq += 6
	f.send("jkl")
	f.Fin()
	if got := string(f.Take()); got != "abcdefjkl" {
		t.Errorf("Take() = %q", got)
	}
	if st := f.Diagnostics(); st.MissedBytes != 3 || st.OutOfOrderSegments != 1 || !f.Ended() {
		t.Errorf("got %+v, want 3 bytes missed and one segment out of order", st)
	}
}

// TestBufferHeldCounts shows that held and waiting bytes share the cap.
func TestBufferHeldCounts(t *testing.T) {
	f := newFeeder(0, Options{Cap: 100, Overflow: DropFlow})
	f.send(a(60))
	f.seq += 5
	f.send(b(50)) // 60 wait, 50 more would be held
	if !f.Poisoned() {
		t.Error("not poisoned by 60 bytes waiting and 50 held with a cap of 100")
	}
}

func TestBufferWatermark(t *testing.T) {
	f := newFeeder(0, Options{Cap: 100})
	count := func() (n int) {
		for _, a := range f.anomalies {
			if a.Kind == flow.AnomalyWatermark {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		send int
		take bool
		want int
	}{{79, false, 0}, {1, false, 1}, {5, false, 1}, {0, true, 1}, {10, false, 1}, {80, false, 2}} {
		if step.take {
			f.Take()
		}
		f.send(a(step.send))
		if got := count(); got != step.want {
			t.Errorf("after %+v: %d watermark anomalies", step, got)
		}
	}
}

// TestBufferAgainstSlice compares the buffer with the same rules on a plain slice.
func TestBufferAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 64).Draw(t, "cap")
		f := newFeeder(flow.Seq(rapid.Uint32().Draw(t, "isn")), Options{Cap: limit})
		var want []byte
		dropped := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			d := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "data")
			f.send(string(d))
			want = append(want, d...)
			if over := len(want) - limit; over > 0 {
				want = want[over:]
				dropped += over
			}
			if rapid.IntRange(0, 4).Draw(t, "take") == 0 {
				if got := f.Take(); !bytes.Equal(got, want) {
					t.Fatalf("Take() = %q, want %q", got, want)
				}
				want = nil
			}
		}
		if got := f.Diagnostics().ReassemblyDroppedOversizeBytes; got != uint64(dropped) {
			t.Fatalf("dropped %d, want %d", got, dropped)
		}
	})
}
