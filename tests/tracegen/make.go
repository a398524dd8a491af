package tracegen

import (
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// fatTalk is one long answer.
func fatTalk(m *maker) *talk {
	const piece = mss * 64
	return m.newTalk(protoTCP, 5001,
		say{initiator, m.bytes(200), 1},
		say{responder, m.bytes(piece), int(max(m.opt.Bytes/piece, 1))})
}

// shortTalk is a question and an answer of a segment each.
func shortTalk(m *maker) *talk {
	return m.newTalk(protoTCP, 7000,
		say{initiator, m.bytes(m.between(1, 100)), 1},
		say{responder, m.bytes(m.between(1, 200)), 1})
}

// datagrams are two datagrams of a protocol nobody knows.
func datagrams(m *maker) *talk {
	return m.newTalk(protoUDP, 7000,
		say{initiator, m.bytes(m.between(1, 200)), 1},
		say{responder, m.bytes(m.between(1, 200)), 1})
}

// opaqueTalk is some questions and answers of a protocol nobody knows; segments of it
// may be missing.
func opaqueTalk(m *maker) *talk {
	var says []say
	for range m.between(1, 3) {
		says = append(says,
			say{initiator, m.bytes(m.between(1, 5_000)), 1},
			say{responder, m.bytes(m.between(1, 100_000)), 1})
	}
	t := m.newTalk(protoTCP, 7000, says...)
	t.lane.gapes = true
	return t
}

// httpTalk is some requests on one connection, with their answers.
func httpTalk(m *maker) *talk {
	t := m.newTalk(protoTCP, 80)
	for range m.between(1, 4) {
		method, body := "GET", ""
		if m.IntN(5) == 0 {
			method, body = "POST", strings.Repeat("field=value&", m.between(1, 200))
		}
		target := fmt.Sprintf("/section/%d/page-%d.html?session=%08x", m.IntN(50), m.IntN(1000), m.Uint32())
		t.message(initiator, "http", "request", method+" "+target, len(body))
		t.says = append(t.says, say{initiator, []byte(m.request(method, target, body)), 1})
		answer := m.bytes(m.size())
		t.message(responder, "http", "response", "200", len(answer))
		t.says = append(t.says, say{responder, append([]byte(m.response(len(answer))), answer...), 1})
	}
	return t
}

// size draws the length of a document: most are small, few are large.
func (m *maker) size() int {
	if m.IntN(10) == 0 {
		return m.between(50_000, 500_000)
	}
	return m.between(100, 40_000)
}

func (m *maker) request(method, target, body string) string {
	s := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: www%d.example.com\r\nUser-Agent: tracegen/1.0 (X11; Linux x86_64)\r\n"+
		"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: identity\r\n"+
		"Referer: http://www.example.com/\r\nCookie: id=%016x\r\nConnection: keep-alive\r\n", method, target, m.IntN(100), m.Uint64())
	if body != "" {
		s += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	return s + "\r\n" + body
}

func (m *maker) response(n int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: tracegen\r\nContent-Type: text/html\r\n"+
		"Content-Length: %d\r\nETag: \"%08x\"\r\nCache-Control: max-age=60\r\nConnection: keep-alive\r\n\r\n", n, m.Uint32())
}

// dnsTalk is a query and its answer.
func dnsTalk(m *maker) *talk {
	name := fmt.Sprintf("host%d.zone%d.example.com.", m.IntN(10_000), m.IntN(100))
	id := uint16(m.Uint32())
	t := m.newTalk(protoUDP, 53, say{initiator, dnsMessage(id, name, false), 1}, say{responder, dnsMessage(id, name, true), 1})
	what := strings.TrimSuffix(name, ".")
	t.message(initiator, "dns", "query", what, 0)
	t.message(responder, "dns", "response", what, 0)
	return t
}

func dnsMessage(id uint16, name string, answer bool) []byte {
	n := dnsmessage.MustNewName(name)
	msg := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: answer, RecursionDesired: true, RecursionAvailable: answer},
		Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	if answer {
		for i := range 4 {
			msg.Answers = append(msg.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte{198, 51, 100, byte(i)}},
			})
		}
	}
	b, err := msg.Pack()
	if err != nil {
		panic(err) // every message above can be packed
	}
	return b
}
