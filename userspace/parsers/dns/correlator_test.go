package dns

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"pgregory.net/rapid"
)

// observe gives an exchange a message by its bytes.
func observe(e *Exchange, at flow.Timestamp, wire string) *Message {
	m := mustParse(wire)
	e.Observe(flow.Initiator, at, m)
	return m
}

// left takes out all queries of an exchange and lists their ids.
func left(e *Exchange) (ids []uint16) {
	for {
		m, _ := e.Next()
		if m == nil {
			return ids
		}
		ids = append(ids, m.ID)
	}
}

func TestBoundOfAFlow(t *testing.T) {
	c := NewCorrelator(Options{})
	full, other := c.Exchange(), c.Exchange()
	observe(&other, 0, ask(1, "other"))
	for i := range uint16(300) {
		observe(&full, flow.Timestamp(i), ask(i, "a"))
	}
	if c.Pending() != DefaultMaxPending+1 || c.Evicted() != 300-DefaultMaxPending {
		t.Errorf("%d pending, %d evicted; want %d, %d", c.Pending(), c.Evicted(), DefaultMaxPending+1, 300-DefaultMaxPending)
	}
	if m := observe(&full, 1000, reply(43, "a")); m.HasRTT {
		t.Error("the oldest but 255 was matched, want it gone")
	}
	if m := observe(&full, 1000, reply(44, "a")); !m.HasRTT || m.RTT != 956 {
		t.Errorf("RTT of the oldest left = %d, %v; want 956", m.RTT, m.HasRTT)
	}
	if ids := left(&full); len(ids) != 255 || ids[0] != 45 || ids[254] != 299 {
		t.Errorf("left: %v, want 45 to 299", ids)
	}
	if ids := left(&other); !slices.Equal(ids, []uint16{1}) {
		t.Errorf("left in the other flow: %v, want [1]", ids)
	}
}

func TestBoundOfAll(t *testing.T) {
	c := NewCorrelator(Options{MaxPendingTotal: 3})
	flows := make([]Exchange, 5)
	for i := range flows {
		flows[i] = c.Exchange()
		observe(&flows[i], flow.Timestamp(i), ask(uint16(i), "a"))
	}
	if c.Pending() != 3 || c.Evicted() != 2 {
		t.Errorf("%d pending, %d evicted; want 3, 2", c.Pending(), c.Evicted())
	}
	for i := range flows {
		if m := observe(&flows[i], 100, reply(uint16(i), "a")); m.HasRTT != (i >= 2) {
			t.Errorf("flow %d matched: %v, want the three latest", i, m.HasRTT)
		}
	}
	if len(c.entries) > 4 {
		t.Errorf("%d entries for a bound of 3", len(c.entries))
	}
}

// TestLargeQueryIsNotHeld holds that a query does not keep all its bytes in memory
// while it waits.
func TestLargeQueryIsNotHeld(t *testing.T) {
	b := msg(1, 0).question("a.b", TypeA, ClassIN)
	for range 300 {
		b.additional("a.b", TypeTXT, ClassIN, 0, []byte("\x05hello"))
	}
	var e Exchange
	e.Observe(flow.Responder, 0, parsed(t, b.bytes()))
	m, side, at := e.Unanswered(flow.Timestamp(DefaultTimeout))
	if m == nil || len(m.Wire) > 0 || len(m.Additionals) > 0 || side != flow.Responder || at != flow.Timestamp(DefaultTimeout) {
		t.Fatalf("%+v of the %v at %v", m, side, at)
	}
	if want := (Question{Name: "a.b", Type: TypeA, Class: ClassIN}); m.ID != 1 || m.Is() != Unanswered || !slices.Equal(m.Questions, []Question{want}) {
		t.Errorf("%+v", m)
	}
}

func TestQueryWithoutQuestionIsNotHeld(t *testing.T) {
	var e Exchange
	observe(&e, 0, string(msg(1, 0x3000).bytes()))
	if _, ok := e.Deadline(); ok {
		t.Error("a query that no response can repeat is held")
	}
}

func TestClear(t *testing.T) {
	c := NewCorrelator(Options{})
	e, other := c.Exchange(), c.Exchange()
	for i := range uint16(4) {
		observe(&e, 0, ask(i, "a"))
		observe(&other, 0, ask(i, "a"))
	}
	e.Clear()
	if ids := left(&e); ids != nil || c.Pending() != 4 {
		t.Errorf("left %v, %d pending in all; want none, 4", ids, c.Pending())
	}
}

// TestZeroExchange holds that what was never used can be asked.
func TestZeroExchange(t *testing.T) {
	var e Exchange
	e.Clear()
	if m, _ := e.Next(); m != nil {
		t.Errorf("Next() = %v", m)
	}
	if m, _, _ := e.Unanswered(flow.MaxTimestamp); m != nil {
		t.Errorf("Unanswered() = %v", m)
	}
}

// model is the plainest Correlator there can be: a list.
type model struct {
	perFlow, total int
	l              []modelQuery // in order of arrival
}

type modelQuery struct {
	flow  int
	id    uint16
	name  string
	at    flow.Timestamp
	again int
}

// oldest returns the index of the query of a flow with the least time, -1 for none.
func (m *model) oldest(f int) int {
	best := -1
	for i, q := range m.l {
		if q.flow == f && (best < 0 || q.at < m.l[best].at) {
			best = i
		}
	}
	return best
}

func (m *model) find(f int, id uint16, name string) int {
	return slices.IndexFunc(m.l, func(q modelQuery) bool { return q.flow == f && q.id == id && strings.EqualFold(q.name, name) })
}

func (m *model) query(q modelQuery) (again int) {
	if i := m.find(q.flow, q.id, q.name); i >= 0 {
		m.l[i].again++
		return m.l[i].again
	}
	waiting := 0
	for _, o := range m.l {
		if o.flow == q.flow {
			waiting++
		}
	}
	if waiting >= m.perFlow {
		m.l = slices.Delete(m.l, m.oldest(q.flow), m.oldest(q.flow)+1)
	} else if len(m.l) >= m.total {
		m.l = m.l[1:]
	}
	m.l = append(m.l, q)
	return 0
}

// TestCorrelatorLikeModel does the same with both and wants the same answers.
func TestCorrelatorLikeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const timeout = 50
		o := Options{Timeout: timeout, MaxPending: rapid.IntRange(1, 4).Draw(t, "per flow"), MaxPendingTotal: rapid.IntRange(1, 6).Draw(t, "total")}
		c, m := NewCorrelator(o), model{perFlow: o.MaxPending, total: o.MaxPendingTotal}
		flows := [3]Exchange{c.Exchange(), c.Exchange(), c.Exchange()}
		now := flow.Timestamp(1000)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += flow.Timestamp(rapid.Int64Range(-5, 20).Draw(t, "time")) // the clock may go back
			f := rapid.IntRange(0, 2).Draw(t, "flow")
			e := &flows[f]
			id, name := rapid.Uint16Range(0, 2).Draw(t, "id"), rapid.SampledFrom([]string{"a", "A", "b"}).Draw(t, "name")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				got := observe(e, now, ask(id, name)).Retransmissions
				if want := m.query(modelQuery{flow: f, id: id, name: name, at: now}); got != want {
					t.Fatalf("retransmissions = %d, want %d", got, want)
				}
			case 2:
				got := observe(e, now, reply(id, name))
				i := m.find(f, id, name)
				if got.HasRTT != (i >= 0) {
					t.Fatalf("matched %v, want %v", got.HasRTT, i >= 0)
				}
				if i >= 0 {
					if want := now.SaturatingSub(m.l[i].at); got.RTT != want || got.Retransmissions != m.l[i].again {
						t.Fatalf("RTT %v after %d, want %v after %d", got.RTT, got.Retransmissions, want, m.l[i].again)
					}
					m.l = slices.Delete(m.l, i, i+1)
				}
			case 3:
				got, _, at := e.Unanswered(now)
				i := m.oldest(f)
				if due := i >= 0 && m.l[i].at+timeout <= now; due != (got != nil) {
					t.Fatalf("unanswered %v, want %v", got != nil, due)
				}
				if got != nil {
					if got.ID != m.l[i].id || at != m.l[i].at+timeout {
						t.Fatalf("unanswered %d at %v, want %+v", got.ID, at, m.l[i])
					}
					m.l = slices.Delete(m.l, i, i+1)
				}
			}
			if c.Pending() != len(m.l) || len(c.byKey) != len(m.l) {
				t.Fatalf("%d pending, %d by key, want %d", c.Pending(), len(c.byKey), len(m.l))
			}
		}
	})
}

// TestCorrelatorShared uses one from several goroutines, for the race detector.
func TestCorrelatorShared(t *testing.T) {
	c := NewCorrelator(Options{MaxPendingTotal: 8})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			e := c.Exchange()
			for i := range uint16(200) {
				e.Observe(flow.Initiator, flow.Timestamp(i), mustParse(ask(i, "a")))
				e.Deadline()
				e.Observe(flow.Responder, flow.Timestamp(i), mustParse(reply(i-i%2, "a")))
				e.Unanswered(flow.Timestamp(i))
			}
			e.Clear()
		})
	}
	wg.Wait()
	if c.Pending() != 0 {
		t.Errorf("%d pending after all were cleared", c.Pending())
	}
}

func mustParse(s string) *Message {
	m, err := Parse([]byte(s))
	if err != nil {
		panic(err)
	}
	return m
}

// BenchmarkCorrelator matches a query and its response with so many others waiting;
// the time is the same for all if it is O(1), also when one has to go.
func BenchmarkCorrelator(b *testing.B) {
	for _, waiting := range []int{0, 200, 255, 256} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			c := NewCorrelator(Options{})
			e := c.Exchange()
			for i := range uint16(waiting) {
				observe(&e, 0, ask(i, "a"))
			}
			q, r := mustParse(ask(1000, "www.example.com")), mustParse(reply(1000, "www.example.com"))
			b.ReportAllocs()
			for b.Loop() {
				e.Observe(flow.Initiator, 1, q)
				e.Observe(flow.Responder, 2, r)
			}
		})
	}
}

// TestTap reads datagrams of several flows without a driver.
func TestTap(t *testing.T) {
	type line struct {
		port uint16
		dir  flow.Direction
		at   flow.Timestamp
		kind string
		id   uint16
		rtt  time.Duration
	}
	var got []line
	tap := NewTap(Options{Timeout: 100}, func(k flow.Key, dir flow.Direction, at flow.Timestamp, m *Message) {
		got = append(got, line{k.LoPort, dir, at, m.Kind(), m.ID, m.RTT})
	})
	key := func(lo, hi uint16) flow.Key {
		return flow.Key{Proto: flow.ProtoUDP, IPVersion: 4, LoPort: lo, HiPort: hi}
	}
	give := func(want bool, k flow.Key, dir flow.Direction, at flow.Timestamp, wire string) {
		t.Helper()
		if ok := tap.Datagram(k, dir, at, []byte(wire)); ok != want {
			t.Errorf("Datagram(%v, %q) = %v, want %v", k, wire, ok, want)
		}
	}
	give(true, key(1, 53), 0, 10, ask(1, "a"))
	give(true, key(2, 53), 0, 20, ask(2, "a"))
	give(true, key(3, 5353), 0, 30, ask(3, "a"))
	give(true, key(4, 9999), 1, 40, ask(4, "a")) // by content
	give(false, key(5, 53), 0, 50, "hello")
	give(false, key(6, 9999), 0, 50, string(msg(6, 0).bytes()))
	give(true, key(2, 53), 1, 60, reply(2, "a"))
	give(true, key(7, 53), 1, 70, reply(7, "a"))
	tap.Sweep(109)
	tap.Sweep(110)
	tap.Finish(120)
	tap.Finish(1000)
	want := []line{
		{1, 0, 10, "query", 1, 0}, {2, 0, 20, "query", 2, 0}, {3, 0, 30, "query", 3, 0}, {4, 1, 40, "query", 4, 0},
		{2, 1, 60, "response", 2, 40}, {7, 1, 70, "response", 7, 0},
		{1, 0, 110, "unanswered", 1, 0}, {4, 1, 120, "unanswered", 4, 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	if len(tap.flows) != 0 {
		t.Errorf("%d flows left", len(tap.flows))
	}
}

func TestTapIsBounded(t *testing.T) {
	n := 0
	tap := NewTap(Options{MaxPendingTotal: 10}, func(_ flow.Key, _ flow.Direction, _ flow.Timestamp, m *Message) {
		if m.Is() == Unanswered {
			n++
		}
	})
	for i := range uint16(1000) {
		tap.Datagram(flow.Key{Proto: flow.ProtoUDP, LoPort: i, HiPort: 53}, 0, flow.Timestamp(i), []byte(ask(i, "a")))
		if len(tap.flows) > 21 {
			t.Fatalf("%d flows held for a bound of 10 queries", len(tap.flows))
		}
	}
	if tap.Finish(2000); n != 10 {
		t.Errorf("%d unanswered, want 10", n)
	}
}
