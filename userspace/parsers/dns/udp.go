package dns

import (
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Options bound the matching of queries and responses. Zero values mean the defaults.
type Options struct {
	Timeout         time.Duration // after which a query is unanswered; 30 s
	MaxPending      int           // unanswered queries held for one flow; 256
	MaxPendingTotal int           // held for all flows of one driver; 10 000

	// Correlator is the one to use, instead of a new one for each driver with these
	// bounds. Drivers that share it wait for each other, and which query goes at the
	// bound depends on who was first.
	Correlator *Correlator
}

func (o Options) correlator() *Correlator {
	if o.Correlator != nil {
		return o.Correlator
	}
	return NewCorrelator(o)
}

// Protocol returns DNS as drivers choose it. The parsers of one driver share a
// Correlator, and so a bound; several drivers may be given the same Protocol, and each
// has its own.
func Protocol(o Options) parsers.Protocol {
	p := protocol(o)
	if o.Correlator == nil {
		p.Own = func() parsers.Protocol { return protocol(o) }
	}
	return p
}

// protocol returns DNS with one Correlator for all its parsers.
func protocol(o Options) parsers.Protocol {
	o.Correlator = o.correlator()
	return parsers.Protocol{
		Name:          "dns",
		Ports:         []uint16{PortDNS, PortMDNS, PortLLMNR},
		Probe:         probe,
		NewSession:    func(flow.Key) parsers.SessionParser { return NewTCP(o) },
		ProbeDatagram: probeDatagram,
		NewDatagram:   func(flow.Key) parsers.DatagramParser { return NewUDP(o) },
	}
}

// variantOf tells the variant by the ports of the flow.
func variantOf(k flow.Key) Variant {
	switch {
	case k.EitherPort(PortMDNS):
		return MDNS
	case k.EitherPort(PortLLMNR):
		return LLMNR
	}
	return Unicast
}

// messages is what both parsers do with a message.
type messages struct {
	exchange  Exchange
	malformed uint64
}

// read parses one message, matches and emits it. Multicast queries have many answers
// or none, so mDNS and LLMNR are not matched. cut says that bytes are known to be
// missing at the end.
func (p *messages) read(c *parsers.Context, side flow.Side, b []byte, cut bool) {
	v := variantOf(c.Key)
	m, err := parse(b, v)
	if err != nil {
		p.malformed++
		return
	}
	m.TruncatedParse = m.TruncatedParse || cut
	if m.TruncatedParse {
		p.malformed++
	}
	if v == Unicast {
		p.exchange.Observe(side, c.Time, m)
	}
	c.EmitFor(side, m)
}

// Malformed returns how many messages were not or not wholly readable.
func (p *messages) Malformed() uint64 { return p.malformed }

// Deadline returns when Tick has work next.
func (p *messages) Deadline() (flow.Timestamp, bool) { return p.exchange.Deadline() }

// Tick emits the queries whose time is up, each with the time of its deadline.
func (p *messages) Tick(c *parsers.Context) {
	now := c.Time
	defer func() { c.Time = now }()
	for {
		m, side, deadline := p.exchange.Unanswered(now)
		if m == nil {
			return
		}
		c.Time = deadline
		c.EmitFor(side, m)
	}
}

// rest emits all queries that wait: the flow is over.
func (p *messages) rest(c *parsers.Context) {
	p.Tick(c)
	for {
		m, side := p.exchange.Next()
		if m == nil {
			return
		}
		c.EmitFor(side, m)
	}
}

// A UDP parser reads the datagrams of one flow. The zero value works.
type UDP struct{ messages }

// NewUDP returns a parser with the given options.
func NewUDP(o Options) *UDP {
	return &UDP{messages{exchange: o.correlator().Exchange()}}
}

// Parse reads one datagram. What is no DNS message is counted, see Malformed.
func (p *UDP) Parse(c *parsers.Context, side flow.Side, b []byte) {
	p.read(c, side, b, false)
}

// End emits the queries that were not answered.
func (p *UDP) End(c *parsers.Context) { p.rest(c) }
