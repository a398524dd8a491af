package tracker

import (
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A tape is fuzz input read a number at a time; it gives zeros when it is used up.
type tape []byte

func (t *tape) byte() byte {
	if len(*t) == 0 {
		return 0
	}
	b := (*t)[0]
	*t = (*t)[1:]
	return b
}

// big returns a number of any size, small ones more often.
func (t *tape) big() int64 {
	shift := t.byte() % 57
	return int64(int8(t.byte())) << shift
}

// FuzzTable runs operations on a table, with clocks that jump both ways, and holds
// what is true at all times.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	f.Add([]byte("\x00\x01\x02\x02\x00\x00\x01\x01\x12\x03\x00\x00\x00\x01\x10\x04\x00\x05\x33\x7f\x06\x07\x01"))
	f.Add([]byte("\x05\x38\x7f\x00\x01\x02\x02\x00\x00\x05\x38\x81\x00\x01\x02\x02\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tp := tape(data)
		var tb *testTable
		o := fuzzOptions(&tp)
		o.Handler = func(f *testFlow, e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventStateChange && tp.byte()&3 == 0 {
				tb.CloseFlow(f, flow.EndParseError)
				tb.Report(f, flow.Anomaly{Kind: flow.AnomalyParseError})
			}
		}
		tb = New(o, nil)
		for len(tp) > 0 {
			fuzzOp(tb, &tp)
			checkTable(t, tb)
		}
		tb.EndAll(flow.EndOfInput)
		checkTable(t, tb)
		if tb.Len() != 0 || !tb.timers.empty() {
			t.Fatalf("%d flows left", tb.Len())
		}
	})
}

func fuzzOptions(tp *tape) options {
	b := tp.byte()
	o := options{
		MaxFlows: int(b&3) * 2, ClosedLinger: time.Duration(int8(b)) << 24, ActiveTimeout: time.Duration(b>>6) << 32,
		Monotonic: b&4 != 0, SwapBudget: int(b & 8),
	}
	if b&16 != 0 {
		o.IdleFunc = func(k flow.Key, _ flow.L4) (time.Duration, bool) {
			return time.Duration(k.LoPort-40000) << 33, k.LoPort&1 == 0
		}
	}
	return o
}

func fuzzOp(tb *testTable, tp *tape) {
	n := uint16(tp.byte() % 16)
	switch tp.byte() % 16 {
	case 0:
		tb.Forget(key(tcp, n))
	case 1:
		tb.Sweep(flow.Timestamp(tp.big()))
	case 2:
		if f := tb.Lookup(key(tcp, n)); f != nil {
			tb.CloseFlow(f, flow.EndBufferOverflow)
		}
	case 3:
		tb.SetOptions(fuzzOptions(tp))
	case 4:
		if f := tb.Lookup(key(tcp, n)); f != nil {
			f.NoteGap(0)
			f.NoteLimit(0)
		}
	default:
		fuzzPacket(tb, tp, n)
	}
}

func fuzzPacket(tb *testTable, tp *tape, n uint16) {
	in := input(tcp, n, flow.Direction(tp.byte()&1), tb.Clock().Add(time.Duration(tp.big())))
	in.Label = uint32(tp.byte() & 1)
	if tp.byte()&15 != 0 {
		in.Seg = &flow.Segment{Time: in.Time, Len: int(tp.byte() & 3)}
		in.Seg.Flags, in.Seg.Window = flow.TCPFlags(tp.byte()), uint16(tp.byte())
		in.Seg.Seq, in.Seg.Ack = flow.Seq(int8(tp.byte())), flow.Seq(int8(tp.byte()))
	}
	f := tb.Observe(in)
	if tp.byte()&15 == 0 {
		tb.CloseFlow(f, flow.EndParseError)
	}
	tb.Finish(f, in)
}
