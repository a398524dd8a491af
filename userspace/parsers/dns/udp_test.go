package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// ask and reply are the smallest query and response for a name.
func ask(id uint16, name string) string {
	return string(msg(id, 0x0100).question(name, TypeA, ClassIN).bytes())
}

func reply(id uint16, name string) string {
	return string(msg(id, 0x8180).question(name, TypeA, ClassIN).bytes())
}

// Lines that come of ask and reply.
func queryLine(kind, id, name, more string) string {
	return `{"side":"initiator","kind":"` + kind + `","dns":{"transaction_id":` + id +
		`,"opcode":0,"opcode_name":"QUERY","flags":["rd"],"questions":[{"name":"` + name +
		`","type":1,"type_name":"A","class":1,"class_name":"IN"}]` + more + `}}`
}

func replyLine(id, name, more string) string {
	return `{"side":"responder","kind":"response","dns":{"transaction_id":` + id +
		`,"opcode":0,"opcode_name":"QUERY","flags":["qr","rd","ra"],"rcode":0,"rcode_name":"NOERROR","questions":[{"name":"` + name +
		`","type":1,"type_name":"A","class":1,"class_name":"IN"}],"answers":[],"authorities":[],"additionals":[]` + more + `}}`
}

const rtt = `,"rtt_ns":1000000` // a step of a script is a millisecond

func TestUDP(t *testing.T) {
	type s = parsertest.Script
	i, r := parsertest.Initiator, parsertest.Responder
	tests := []struct {
		name   string
		script s
		want   []string
	}{
		{"answered", s{i(ask(1, "a.b")), r(reply(1, "a.b")), parsertest.End()},
			[]string{queryLine("query", "1", "a.b", ""), replyLine("1", "a.b", rtt)}},
		{"answered once", s{i(ask(1, "a")), r(reply(1, "a")), r(reply(1, "a"))},
			[]string{queryLine("query", "1", "a", ""), replyLine("1", "a", rtt), replyLine("1", "a", "")}},
		{"other case", s{i(ask(1, "wWw.EXAMPLE")), r(reply(1, "www.example"))},
			[]string{queryLine("query", "1", "wWw.EXAMPLE", ""), replyLine("1", "www.example", rtt)}},
		{"retransmitted: time runs from the first", s{i(ask(1, "a")), i(ask(1, "a")), i(ask(1, "A")), r(reply(1, "a"))},
			[]string{
				queryLine("query", "1", "a", ""),
				queryLine("query", "1", "a", `,"retransmissions":1`),
				queryLine("query", "1", "A", `,"retransmissions":2`),
				replyLine("1", "a", `,"rtt_ns":3000000,"retransmissions":2`),
			}},
		{"response without query", s{r(reply(0x9abc, "a")), parsertest.End()}, []string{replyLine("39612", "a", "")}},
		{"same id, other name", s{i(ask(1, "a")), r(reply(1, "b")), r(reply(1, "a"))},
			[]string{queryLine("query", "1", "a", ""), replyLine("1", "b", ""), replyLine("1", "a", `,"rtt_ns":2000000`)}},
		{"unanswered at 30 s", s{i(ask(1, "a")), parsertest.Tick(DefaultTimeout - time.Millisecond), parsertest.End()},
			[]string{queryLine("query", "1", "a", ""), queryLine("unanswered", "1", "a", "")}},
		{"unanswered at the end", s{i(ask(1, "a")), i(ask(2, "b")), i(ask(1, "a")), r(reply(2, "b")), parsertest.End()},
			[]string{
				queryLine("query", "1", "a", ""), queryLine("query", "2", "b", ""),
				queryLine("query", "1", "a", `,"retransmissions":1`), replyLine("2", "b", `,"rtt_ns":2000000`),
				queryLine("unanswered", "1", "a", `,"retransmissions":1`),
			}},
		{"what is no message is passed over", s{i("hello"), i(""), i(string(msg(1, 0x7800).bytes())), i(ask(1, "a"))},
			[]string{queryLine("query", "1", "a", "")}},
		{"cut", s{i(ask(1, "a")), i(string(msg(2, 0x0100).question("a", TypeA, ClassIN).count(0, 1).raw("\x03ab").bytes()))},
			[]string{queryLine("query", "1", "a", ""), queryLine("query", "2", "a", `,"truncated_parse":true`)}},
		{"two queries with one id", s{i(ask(1, "a")), i(ask(1, "b")), r(reply(1, "b")), r(reply(1, "a"))},
			[]string{
				queryLine("query", "1", "a", ""), queryLine("query", "1", "b", ""),
				replyLine("1", "b", rtt), replyLine("1", "a", `,"rtt_ns":3000000`),
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parsertest.RunDatagrams(t, Protocol(Options{}).NewDatagram, tt.script, tt.want...)
			parsertest.RunDatagrams(t, parsers.OfDatagram[UDP](), tt.script, tt.want...) // the zero value
		})
	}
}

func TestResponseWithoutQuestion(t *testing.T) {
	refused := string(msg(7, 0x8005).bytes())
	r := `{"side":"responder","kind":"response","dns":{"transaction_id":7,"opcode":0,"opcode_name":"QUERY","flags":["qr"],"rcode":5,"rcode_name":"REFUSED","questions":[],"answers":[],"authorities":[],"additionals":[]`
	parsertest.RunDatagrams(t, parsers.OfDatagram[UDP](), parsertest.Script{
		parsertest.Initiator(ask(6, "a")), parsertest.Initiator(ask(7, "b")), parsertest.Initiator(ask(7, "c")),
		parsertest.Responder(refused), parsertest.Responder(refused), parsertest.Responder(refused),
	},
		queryLine("query", "6", "a", ""), queryLine("query", "7", "b", ""), queryLine("query", "7", "c", ""),
		r+`,"rtt_ns":2000000}}`, r+`,"rtt_ns":2000000}}`, r+"}}",
	)
}

// collect is a driver of one flow.
type collect struct {
	parsers.Context
	got []got
}

type got struct {
	side flow.Side
	at   flow.Timestamp
	m    *Message
}

func newCollect(port uint16) *collect {
	c := &collect{}
	c.Key = flow.Key{Proto: flow.ProtoUDP, IPVersion: 4, LoPort: 40000, HiPort: port}
	c.OnMessage = func(side flow.Side, at flow.Timestamp, m parsers.Message) {
		c.got = append(c.got, got{side, at, m.(*Message)})
	}
	return c
}

func (c *collect) kinds() string {
	var l []string
	for _, g := range c.got {
		l = append(l, g.m.Kind())
	}
	return strings.Join(l, " ")
}

// TestTimes has the vectors of SEMANTICS.md §7.3.
func TestTimes(t *testing.T) {
	const start = flow.Timestamp(1_600_000_000_000_000_000)
	p, c := NewUDP(Options{}), newCollect(PortDNS)
	c.Time = start
	p.Parse(&c.Context, flow.Initiator, []byte(ask(1, "a")))
	c.Time = start.Add(1500 * time.Millisecond)
	p.Parse(&c.Context, flow.Responder, []byte(reply(1, "a")))
	if m := c.got[1].m; !m.HasRTT || m.RTT != 1_500_000_000 {
		t.Errorf("RTT = %d, %v; want 1500000000", m.RTT, m.HasRTT)
	}
	if at, ok := p.Deadline(); ok {
		t.Errorf("Deadline() = %v with nothing pending", at)
	}

	c.Time = start
	p.Parse(&c.Context, flow.Responder, []byte(ask(2, "a"))) // whoever asks
	if at, ok := p.Deadline(); !ok || at != start.Add(30*time.Second) {
		t.Errorf("Deadline() = %v, %v; want %v", at, ok, start.Add(30*time.Second))
	}
	for _, tick := range []struct {
		after time.Duration
		want  string
	}{
		{29 * time.Second, "query response query"},
		{30*time.Second - 1, "query response query"},
		{31 * time.Second, "query response query unanswered"},
		{32 * time.Second, "query response query unanswered"},
	} {
		c.Time = start.Add(tick.after)
		p.Tick(&c.Context)
		if got := c.kinds(); got != tick.want {
			t.Errorf("after %v: %s, want %s", tick.after, got, tick.want)
		}
	}
	last := c.got[len(c.got)-1]
	if last.at != start.Add(30*time.Second) || last.side != flow.Responder {
		t.Errorf("unanswered at %v of the %v, want the deadline, responder", last.at, last.side)
	}
	if c.Time != start.Add(32*time.Second) {
		t.Errorf("Tick left the time at %v", c.Time)
	}
}

func TestMulticastIsNotMatched(t *testing.T) {
	for _, tt := range []struct {
		port    uint16
		variant string
		flags   string
	}{{PortMDNS, "mdns", `["aa","rd"]`}, {PortLLMNR, "llmnr", `["c","t"]`}} {
		t.Run(tt.variant, func(t *testing.T) {
			p, c := NewUDP(Options{}), newCollect(tt.port)
			p.Parse(&c.Context, flow.Initiator, msg(1, 0x0530).question("a", TypeA, ClassIN).bytes())
			p.Parse(&c.Context, flow.Responder, []byte(reply(1, "a")))
			p.End(&c.Context)
			if got := c.kinds(); got != "query response" || c.got[1].m.HasRTT {
				t.Errorf("%s, RTT %v; want query response without RTT", got, c.got[1].m.HasRTT)
			}
			want := `{"transaction_id":1,"opcode":0,"opcode_name":"QUERY","flags":` + tt.flags +
				`,"questions":[{"name":"a","type":1,"type_name":"A","class":1,"class_name":"IN"}],"variant":"` + tt.variant + `"}`
			if tt.variant == "mdns" {
				want = strings.Replace(want, `"rd"`, `"rd","ad","cd"`, 1)
			}
			if got := string(c.got[0].m.AppendJSON(nil)); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestMalformedIsCounted(t *testing.T) {
	p, c := NewUDP(Options{}), newCollect(PortDNS)
	for _, b := range []string{"", "short", string(msg(1, 0x7fff).bytes()), ask(1, "a")[:14], ask(1, "a")} {
		p.Parse(&c.Context, flow.Initiator, []byte(b))
	}
	if p.Malformed() != 4 || c.kinds() != "query query" || !c.got[0].m.TruncatedParse {
		t.Errorf("%d malformed, messages %s", p.Malformed(), c.kinds())
	}
	if v, _, _ := c.TakeVerdict(); v != parsers.Continue {
		t.Errorf("verdict %v, want Continue: errors never poison over UDP", v)
	}
}

// TestJSON has all fields of a response.
func TestJSON(t *testing.T) {
	m := parsed(t, msg(0xffff, 0xa400).question(`a"b`, 65280, 7).
		answer("x", TypeTXT, 4294967295, []byte("\x01\x02")).
		record(2, "y", TypeNS, ClassIN, 0, []byte{0}).
		additional(".", TypeOPT, 512, 0, nil).bytes())
	want := `{"transaction_id":65535,"opcode":4,"opcode_name":"NOTIFY","flags":["qr","aa"],"rcode":0,"rcode_name":"NOERROR",` +
		`"questions":[{"name":"a\"b","type":65280,"class":7}],` +
		`"answers":[{"name":"x","type":16,"type_name":"TXT","class":1,"class_name":"IN","ttl":4294967295,"data":"\"\\002\""}],` +
		`"authorities":[{"name":"y","type":2,"type_name":"NS","class":1,"class_name":"IN","ttl":0,"data":"."}],` +
		`"additionals":[{"name":".","type":41,"type_name":"OPT","class":512,"ttl":0,"data":"version=0 udp=512"}]}`
	if got := string(m.AppendJSON(nil)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	query := parsed(t, msg(1, 0).question("a", TypeA, ClassIN).additional(".", TypeOPT, 512, 0, nil).bytes())
	for _, tt := range []struct {
		m    *Message
		want string
	}{
		{query, `{"transaction_id":1,"opcode":0,"opcode_name":"QUERY","flags":[],"questions":[{"name":"a","type":1,"type_name":"A","class":1,"class_name":"IN"}],"additionals":[{"name":".","type":41,"type_name":"OPT","class":512,"ttl":0,"data":"version=0 udp=512"}]}`},
		{query.asUnanswered(0), `{"transaction_id":1,"opcode":0,"opcode_name":"QUERY","flags":[],"questions":[{"name":"a","type":1,"type_name":"A","class":1,"class_name":"IN"}]}`},
	} {
		if got := string(tt.m.AppendJSON(nil)); got != tt.want {
			t.Errorf("\n got %s\nwant %s", got, tt.want)
		}
	}
}

func TestNumbersHaveText(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{TypeA.String(), "A"}, {Type(65280).String(), "TYPE65280"},
		{ClassIN.String(), "IN"}, {Class(7).String(), "CLASS7"},
		{OpcodeUpdate.String(), "UPDATE"}, {Opcode(3).String(), "OPCODE3"},
		{RcodeNXDomain.String(), "NXDOMAIN"}, {Rcode(4000).String(), "RCODE4000"},
		{strings.Join((FlagQR | FlagTC | FlagCD).Names(Unicast), " "), "qr tc cd"}, {strings.Join((FlagAA | FlagRA).Names(LLMNR), " "), "c"},
		{Query.String(), "query"}, {Response.String(), "response"}, {Unanswered.String(), "unanswered"},
		{Unicast.String(), "dns"}, {MDNS.String(), "mdns"}, {LLMNR.String(), "llmnr"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}
