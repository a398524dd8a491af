package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A shelf is a kernel's table whose entries a test makes.
type shelf struct {
	entries map[Handle]*KernelCount
	oldest  Handle
	log     []string
}

func (s *shelf) Read(h Handle, c *KernelCount) bool {
	e, ok := s.entries[h]
	if ok {
		*c = *e
	}
	return ok
}
func (s *shelf) Close(Handle)                            {}
func (s *shelf) Verdict(Handle, flow.Direction, Verdict) {}
func (s *shelf) Kill(h Handle) {
	s.entries[h].Dead = true
	s.log = append(s.log, fmt.Sprint("kill ", h.Slot))
}
func (s *shelf) Settle() { s.log = append(s.log, "settle") }
func (s *shelf) Free(h Handle) {
	delete(s.entries, h)
	s.log = append(s.log, fmt.Sprint("free ", h.Slot))
}
func (s *shelf) Oldest(flow.Key) (Handle, bool) { return s.oldest, s.oldest != Handle{} }

// A keeper is a driver over a shelf, and what came of it.
type keeper struct {
	*KernelDriver
	shelf   *shelf
	records []flow.Record
}

func newKeeper(opt Options[flow.Key]) *keeper {
	k := &keeper{shelf: &shelf{entries: map[Handle]*KernelCount{}}}
	opt.Handler = func(e *SessionEvent[flow.Key]) {
		if e.Kind == Closed {
			k.records = append(k.records, *e.Record)
		}
	}
	k.KernelDriver = NewKernelDriver(opt, k.shelf, false)
	return k
}

func keyOf(n uint8) flow.Key {
	return flow.Key{Lo: flow.MapV4([4]byte{10, 0, 0, n}), Hi: flow.MapV4([4]byte{10, 1, 0, 1}), LoPort: 1000, HiPort: 53, Proto: flow.ProtoUDP, IPVersion: 4}
}

// packets are n packets, from first to last second, there.
func packets(n uint64, first, last int) KernelCount {
	c := KernelCount{First: second(first), Last: second(last)}
	c.Dir[flow.Forward] = DirCount{Packets: n, Bytes: 100 * n, IPBytes: 86 * n, PayloadBytes: 58 * n, TTLMin: 64 - uint8(n), TTLMax: 64 + uint8(n)}
	return c
}

func second(n int) flow.Timestamp { return flow.Timestamp(n) * flow.Timestamp(time.Second) }

// start puts an entry on the shelf and tells of it.
func (k *keeper) start(slot uint32, key flow.Key, c KernelCount) {
	h := Handle{slot, 1}
	k.shelf.entries[h] = &c
	k.Packet(&KernelPacket{Handle: h, HasFlow: true, Time: c.First, Start: &KernelStart{Key: key}})
}

func (k *keeper) wantRecords(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range k.records {
		s := &r.Stats.Side[flow.Initiator]
		text := fmt.Sprintf("%d packets %d bytes %d-%d s ttl %d-%d %s", s.Packets, s.Bytes, r.Stats.Start/second(1), r.Stats.End/second(1), s.TTLMin, s.TTLMax, r.Reason)
		got = append(got, strings.TrimSpace(text+" "+strings.Join(r.Incomplete.Names(), " ")))
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// TestKernelDriverJoinsTwins gives a flow two entries, as two CPUs may.
func TestKernelDriverJoinsTwins(t *testing.T) {
	k := newKeeper(Options[flow.Key]{})
	k.start(7, keyOf(1), packets(3, 10, 20))
	k.start(9, keyOf(1), packets(4, 11, 25))
	k.Packet(&KernelPacket{Handle: Handle{9, 1}, HasFlow: true, Time: second(25)})
	k.Sweep(second(80)) // a minute after the last packet of the first entry, not of both
	k.wantRecords(t)
	k.Sweep(second(85))
	k.wantRecords(t, "7 packets 700 bytes 10-25 s ttl 60-68 idle")
	if want := []string{"kill 7", "kill 9", "settle", "free 7", "free 9"}; !slices.Equal(k.shelf.log, want) {
		t.Errorf("the table was told %q, want %q", k.shelf.log, want)
	}
	if !k.Has(Handle{7, 1}) || !k.Has(Handle{9, 1}) {
		t.Error("entries of a flow that ended would be taken for lost ones")
	}
	k.start(9, keyOf(1), packets(4, 11, 25))
	k.Finish()
	if len(k.records) != 1 {
		t.Errorf("%d records, want 1: a late start record is of the flow that ended", len(k.records))
	}
}

// TestKernelDriverDeadTwin gives a key an entry whose flow was over, which a record that was
// lost would have said.
func TestKernelDriverDeadTwin(t *testing.T) {
	k := newKeeper(Options[flow.Key]{})
	k.start(7, keyOf(1), packets(3, 10, 20))
	k.shelf.entries[Handle{7, 1}].Dead = true
	k.start(9, keyOf(1), packets(4, 21, 25))
	k.Finish()
	k.wantRecords(t, "3 packets 300 bytes 10-20 s ttl 61-67 rst", "4 packets 400 bytes 21-25 s ttl 60-68 end_of_input")
}

// TestKernelDriverSpilled lets a flow find a place at last, and lose it to a race.
func TestKernelDriverSpilled(t *testing.T) {
	k := newKeeper(Options[flow.Key]{})
	k.Spilled(keyOf(1), packets(1, 10, 10))
	k.Spilled(keyOf(1), packets(2, 11, 12))
	k.start(7, keyOf(1), packets(3, 13, 15))
	k.Spilled(keyOf(1), packets(4, 14, 16))
	k.Finish()
	k.wantRecords(t, "10 packets 1000 bytes 10-16 s ttl 60-68 end_of_input spill")
	if s := k.Summary(); s.FlowsStarted != 1 || s.PacketsTracked != 10 {
		t.Errorf("%d flows of %d packets, want 1 of 10", s.FlowsStarted, s.PacketsTracked)
	}
}

// TestKernelDriverMakesRoom evicts the flow that is in the way of one without a place.
func TestKernelDriverMakesRoom(t *testing.T) {
	k := newKeeper(Options[flow.Key]{})
	k.start(7, keyOf(1), packets(1, 10, 10))
	k.start(8, keyOf(2), packets(1, 11, 11))
	k.shelf.oldest = Handle{7, 1}
	k.Spilled(keyOf(3), packets(5, 12, 12))
	k.MakeRoom(keyOf(3))
	k.Sweep(second(14))
	k.wantRecords(t, "1 packets 100 bytes 10-10 s ttl 63-65 evicted")
	s := k.Summary()
	if s.FlowsEnded[flow.EndEvicted] != 1 || s.Anomalies[flow.AnomalyTableEviction] != 1 {
		t.Errorf("%d evicted, %d anomalies, want one of each", s.FlowsEnded[flow.EndEvicted], s.Anomalies[flow.AnomalyTableEviction])
	}
}
