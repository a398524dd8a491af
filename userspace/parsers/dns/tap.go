package dns

import (
	"cmp"
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Tap reads DNS from datagrams on their way to something else: give it each UDP
// payload with its key and go on. It needs no driver and no flow table. A Tap belongs
// to one goroutine.
type Tap struct {
	// OnMessage receives every message, in order of packets; unanswered queries
	// with the time of their deadline.
	OnMessage func(key flow.Key, dir flow.Direction, at flow.Timestamp, m *Message)

	c     *Correlator
	flows map[flow.Key]*Exchange // those in which a query waits, and a few others
}

// NewTap returns a Tap that calls onMessage.
func NewTap(o Options, onMessage func(flow.Key, flow.Direction, flow.Timestamp, *Message)) *Tap {
	return &Tap{OnMessage: onMessage, c: NewCorrelator(o), flows: map[flow.Key]*Exchange{}}
}

// Datagram looks at one UDP payload. It reports whether it is DNS, by the rules that
// probing goes by: on the ports of DNS, mDNS and LLMNR what can be, elsewhere what must
// be. b is not kept.
func (t *Tap) Datagram(key flow.Key, dir flow.Direction, at flow.Timestamp, b []byte) bool {
	hinted := key.EitherPort(PortDNS) || key.EitherPort(PortMDNS) || key.EitherPort(PortLLMNR)
	if !probeDatagram(b, hinted) {
		return false
	}
	v := variantOf(key)
	m, err := parse(b, v)
	if err != nil {
		return false
	}
	if v == Unicast {
		t.match(key, dir, at, m)
	}
	t.OnMessage(key, dir, at, m)
	return true
}

// match matches a message within its flow. Sides stand for directions here.
func (t *Tap) match(key flow.Key, dir flow.Direction, at flow.Timestamp, m *Message) {
	e := t.flows[key]
	if e == nil {
		if m.Is() != Query {
			return
		}
		t.tidy()
		x := t.c.Exchange()
		e = &x
		t.flows[key] = e
	}
	e.Observe(flow.Side(dir), at, m)
	if _, waits := e.Deadline(); !waits {
		delete(t.flows, key)
	}
}

// tidy forgets the flows whose queries were evicted, once there are as many of them as
// can be of others, which makes it cheap.
func (t *Tap) tidy() {
	if _, total := t.c.limits(); len(t.flows) < 2*total {
		return
	}
	for key, e := range t.flows {
		if _, waits := e.Deadline(); !waits {
			delete(t.flows, key)
		}
	}
}

// Sweep hands out the queries that had no response by now, in order of deadline. Its
// cost is that of a look at every waiting query's flow.
func (t *Tap) Sweep(now flow.Timestamp) { t.sweep(now, false) }

// Finish hands out all queries that wait: the input is over.
func (t *Tap) Finish(now flow.Timestamp) { t.sweep(now, true) }

// due is a query that Sweep hands out.
type due struct {
	key flow.Key
	dir flow.Direction
	at  flow.Timestamp
	m   *Message
}

func (t *Tap) sweep(now flow.Timestamp, all bool) {
	var l []due
	for key, e := range t.flows {
		l = appendDue(l, key, e, now, all)
		if _, waits := e.Deadline(); !waits {
			delete(t.flows, key)
		}
	}
	slices.SortStableFunc(l, func(a, b due) int { return cmp.Or(cmp.Compare(a.at, b.at), a.key.Compare(b.key)) })
	for _, d := range l {
		t.OnMessage(d.key, d.dir, d.at, d.m)
	}
}

// appendDue takes the queries of one flow that are due, or all of them.
func appendDue(l []due, key flow.Key, e *Exchange, now flow.Timestamp, all bool) []due {
	for {
		m, side, at := e.Unanswered(now)
		if m == nil && all {
			m, side = e.Next()
			at = now
		}
		if m == nil {
			return l
		}
		l = append(l, due{key, flow.Direction(side), at, m})
	}
}
