package dns

import (
	"strings"
	"sync"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// The default bounds of a Correlator.
const (
	DefaultTimeout         = 30 * time.Second
	DefaultMaxPending      = 256
	DefaultMaxPendingTotal = 10_000
)

// keepWhole is how large a query may be, text and bytes, to be held as it is until it
// is answered. Of a larger one the first question is kept.
const keepWhole = 2048

// A Correlator matches responses with queries. It holds the unanswered queries of many
// flows within one bound; an [Exchange] is its view of one flow. The zero value works
// with the default bounds. It may be used from several goroutines, but a bound for each
// worker, and no waiting for others, is had by giving each worker its own.
type Correlator struct {
	timeout       time.Duration
	perFlow       int
	total         int
	mu            sync.Mutex
	entries       []pending // 0 is nobody
	free          int32     // list of unused entries, by next
	age           list      // all queries in order of arrival
	byKey         map[queryKey]int32
	exchanges     uint64 // so many have been used; gives them numbers
	evicted       uint64
	pendingNumber int
}

// A list is a doubly linked list of entries.
type list struct{ head, tail int32 }

// A queryKey finds a query by what its response repeats.
type queryKey struct {
	exchange uint64
	question uint64 // hash of the name in lower case
	id       uint16
	typ      Type
	class    Class
}

// A pending query waits for its response.
type pending struct {
	key   queryKey
	at    flow.Timestamp // of the first of equal queries
	query *Message
	side  flow.Side
	owner *Exchange
	again int // repeats seen

	next, prev       int32 // in the exchange, in order of time
	ageNext, agePrev int32
}

// NewCorrelator returns a Correlator with the bounds of o.
func NewCorrelator(o Options) *Correlator {
	return &Correlator{timeout: o.Timeout, perFlow: o.MaxPending, total: o.MaxPendingTotal}
}

// Evicted returns how many queries went unmatched because a bound was reached.
func (c *Correlator) Evicted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evicted
}

// Pending returns how many queries wait.
func (c *Correlator) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pendingNumber
}

// wait returns the time after which a query is unanswered.
func (c *Correlator) wait() time.Duration {
	if c.timeout <= 0 {
		return DefaultTimeout
	}
	return c.timeout
}

func (c *Correlator) limits() (perFlow, total int) {
	perFlow, total = c.perFlow, c.total
	if perFlow <= 0 {
		perFlow = DefaultMaxPending
	}
	if total <= 0 {
		total = DefaultMaxPendingTotal
	}
	return perFlow, total
}

// An Exchange holds the unanswered queries of one flow. It must not be copied after
// first use.
type Exchange struct {
	c      *Correlator
	number uint64
	list   list
	n      int
}

// Exchange returns the exchange of a new flow.
func (c *Correlator) Exchange() Exchange { return Exchange{c: c} }

// start gives the exchange its number and makes the zero Correlator work.
func (e *Exchange) start() {
	if e.number == 0 {
		e.c.exchanges++
		e.number = e.c.exchanges
	}
	if e.c.byKey == nil {
		e.c.byKey = map[queryKey]int32{}
		e.c.entries = make([]pending, 1, 16)
	}
}

// Observe takes the next message of the flow. It fills in RTT and Retransmissions. A
// query is held until its response comes, Unanswered gives it out, or a bound is
// reached, at which the oldest one goes.
func (e *Exchange) Observe(side flow.Side, at flow.Timestamp, m *Message) {
	if e.c == nil {
		e.c = &Correlator{}
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.start()
	switch m.Is() {
	case Query:
		e.query(side, at, m)
	case Response:
		e.response(at, m)
	}
}

func (e *Exchange) query(side flow.Side, at flow.Timestamp, m *Message) {
	if len(m.Questions) == 0 {
		return // nothing a response could repeat
	}
	key := e.key(m)
	if i := e.find(key, m); i != 0 {
		p := &e.c.entries[i]
		p.again++
		m.Retransmissions = p.again
		return
	}
	e.c.evict(e.c.byKey[key]) // another name with this hash
	perFlow, total := e.c.limits()
	switch {
	case e.n >= perFlow:
		e.c.evict(e.list.head)
	case e.c.pendingNumber >= total:
		e.c.evict(e.c.age.head)
	}
	e.add(pending{key: key, at: at, query: keep(m), side: side, owner: e})
}

// keep returns what is held of a query.
func keep(m *Message) *Message {
	if m.text+len(m.Wire) <= keepWhole {
		return m
	}
	k := &Message{ID: m.ID, Opcode: m.Opcode, Flags: m.Flags, Variant: m.Variant, TruncatedParse: m.TruncatedParse}
	q := m.Questions[0]
	k.first[0] = Question{Name: strings.Clone(q.Name), Type: q.Type, Class: q.Class}
	k.Questions = k.first[:]
	return k
}

func (e *Exchange) response(at flow.Timestamp, m *Message) {
	i := int32(0)
	if len(m.Questions) > 0 {
		i = e.find(e.key(m), m)
	} else {
		for i = e.list.head; i != 0 && e.c.entries[i].key.id != m.ID; {
			i = e.c.entries[i].next
		}
	}
	if i == 0 {
		return
	}
	p := &e.c.entries[i]
	m.RTT, m.HasRTT, m.Retransmissions = at.SaturatingSub(p.at), true, p.again
	e.drop(i)
}

// Deadline returns when the oldest query will be unanswered; false when none waits.
func (e *Exchange) Deadline() (flow.Timestamp, bool) {
	if e.c == nil {
		return 0, false
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	if e.list.head == 0 {
		return 0, false
	}
	return e.c.entries[e.list.head].at.Add(e.c.wait()), true
}

// Unanswered takes out one query that had no response by the given time, the oldest
// first, and returns it with the side that sent it and its deadline. m is nil when
// there is none.
func (e *Exchange) Unanswered(now flow.Timestamp) (m *Message, side flow.Side, deadline flow.Timestamp) {
	deadline, ok := e.Deadline()
	if !ok || now < deadline {
		return nil, 0, 0
	}
	m, side = e.Next()
	return m, side, deadline
}

// Next takes out the oldest query, whatever its age, as the end of the flow demands. m
// is nil when there is none.
func (e *Exchange) Next() (m *Message, side flow.Side) {
	if e.c == nil {
		return nil, 0
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	i := e.list.head
	if i == 0 {
		return nil, 0
	}
	p := e.c.entries[i]
	e.drop(i)
	return p.query.asUnanswered(p.again), p.side
}

// Clear forgets all queries of the flow.
func (e *Exchange) Clear() {
	if e.c == nil {
		return
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	for e.list.head != 0 {
		e.drop(e.list.head)
	}
}

// key returns what a message is matched by.
func (e *Exchange) key(m *Message) queryKey {
	q := &m.Questions[0]
	return queryKey{exchange: e.number, question: foldHash(q.Name), id: m.ID, typ: q.Type, class: q.Class}
}

// find returns the query that m repeats or answers, 0 if there is none.
func (e *Exchange) find(key queryKey, m *Message) int32 {
	i := e.c.byKey[key]
	if i == 0 || !foldEqual(e.c.entries[i].query.Questions[0].Name, m.Questions[0].Name) {
		return 0
	}
	return i
}

// foldHash is FNV-1a over a name in lower case. Names that collide are told apart by
// foldEqual; the price is that one of them is not matched.
func foldHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(lower(s[i]))) * 1099511628211
	}
	return h
}

// foldEqual reports whether two names are the same but for ASCII case (RFC 4343).
func foldEqual(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// add puts a query into all lists: at the end of the flow's, or before those of later
// time when packets are not in order of time.
func (e *Exchange) add(p pending) {
	c := e.c
	i := c.free
	if i != 0 {
		c.free = c.entries[i].next
	} else {
		i = int32(len(c.entries))
		c.entries = append(c.entries, pending{})
	}
	for p.prev = e.list.tail; p.prev != 0 && c.entries[p.prev].at > p.at; {
		p.prev = c.entries[p.prev].prev
	}
	p.next = e.list.head
	if p.prev != 0 {
		p.next = c.entries[p.prev].next
	}
	p.agePrev = c.age.tail
	c.entries[i] = p
	e.link(i, &p)
	c.byKey[p.key] = i
	e.n++
	c.pendingNumber++
}

// link makes the neighbours of entry i point to it.
func (e *Exchange) link(i int32, p *pending) {
	l := e.c.entries
	if *after(&e.list.head, l, p.prev) = i; p.next != 0 {
		l[p.next].prev = i
	} else {
		e.list.tail = i
	}
	if e.c.age.tail = i; p.agePrev != 0 {
		l[p.agePrev].ageNext = i
	} else {
		e.c.age.head = i
	}
}

// after returns the place that points to what follows entry i.
func after(head *int32, l []pending, i int32) *int32 {
	if i == 0 {
		return head
	}
	return &l[i].next
}

// evict takes out a query to make room.
func (c *Correlator) evict(i int32) {
	if i != 0 {
		c.evicted++
		c.entries[i].owner.drop(i)
	}
}

// drop takes entry i, which is of this exchange, out of everything.
func (e *Exchange) drop(i int32) {
	if i == 0 {
		return
	}
	c := e.c
	p := c.entries[i]
	*after(&e.list.head, c.entries, p.prev) = p.next
	if p.next != 0 {
		c.entries[p.next].prev = p.prev
	} else {
		e.list.tail = p.prev
	}
	if p.agePrev != 0 {
		c.entries[p.agePrev].ageNext = p.ageNext
	} else {
		c.age.head = p.ageNext
	}
	if p.ageNext != 0 {
		c.entries[p.ageNext].agePrev = p.agePrev
	} else {
		c.age.tail = p.agePrev
	}
	delete(c.byKey, p.key)
	c.entries[i] = pending{next: c.free}
	c.free = i
	e.n--
	c.pendingNumber--
}
