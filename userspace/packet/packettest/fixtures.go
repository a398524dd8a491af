package packettest

import (
	"encoding/binary"
	"strings"
)

// HTTPSession is a whole HTTP session of 10 packets, 10.0.0.1:54321 → 10.0.0.2:80: GET
// /index.html, answered by 200 with the 13 bytes "Hello, world!", and closed.
func HTTPSession() []Packet {
	return NewConversation("10.0.0.1:54321", "10.0.0.2:80").
		Handshake().
		Request("GET /index.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test/1.0\r\n\r\n").
		Response("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!").
		Close().Packets()
}

// DNS is six UDP packets: two queries with their answers, a NXDOMAIN (id 0x9abc) nobody
// asked for, and a query (id 0x5678) nobody answers.
func DNS() []Packet {
	const responder = "10.0.0.53:53"
	ask := func(port string) Packet { return UDP("10.0.0.1:"+port, responder) }
	a, b := ask("40001"), ask("40002")
	return []Packet{
		a.PayloadBytes(DNSMessage(0x1234, 0x0100, "example.com", "")),
		a.Reply().PayloadBytes(DNSMessage(0x1234, 0x8180, "example.com", "\x5d\xb8\xd8\x22")),
		b.PayloadBytes(DNSMessage(0x2345, 0x0100, "www.example.org", "")),
		b.Reply().PayloadBytes(DNSMessage(0x2345, 0x8180, "www.example.org", "\xc0\x00\x02\x01")),
		ask("40003").Reply().PayloadBytes(DNSMessage(0x9abc, 0x8183, "nowhere.example", "")),
		ask("40004").PayloadBytes(DNSMessage(0x5678, 0x0100, "slow.example", "")),
	}
}

// DNSMessage returns a DNS message with one question of type A for name, and, if ip is
// not empty, one answer with these four bytes.
func DNSMessage(id, flags uint16, name, ip string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, byte(min(1, len(ip))), 0, 0, 0, 0)
	for _, label := range strings.Split(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0, 0, 1, 0, 1)
	if ip == "" {
		return b
	}
	b = append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, byte(len(ip)))
	return append(b, ip...)
}

// Mixed is a TCP handshake to port 22, a syslog line, an ICMP echo with its reply, and
// a DNS query with its answer.
func Mixed() []Packet {
	list := NewConversation("10.0.0.1:50022", "10.0.0.2:22").Handshake().Packets()
	echo := ICMP("10.0.0.1", "10.0.0.2").Echo(7, 1).Payload("0123456789abcdef")
	return append(append(list,
		UDP("10.0.0.3:514", "10.0.0.4:514").Payload("<34>Oct 11 22:14:15 host su: failed"),
		echo, echo.Reply().Payload("0123456789abcdef")), DNS()[:2]...)
}

// LengthPrefixed is a TCP conversation in which each side says a marker and then five
// frames, each after its length: the initiator "PFX2" and lengths of 16 bits, the responder
// "PFX4" and lengths of 32 bits. One frame has 700 bytes.
func LengthPrefixed() []Packet {
	bodies := []string{"alpha", "b", strings.Repeat("x", 700), "", "omega"}
	request, response := "PFX2", "PFX4"
	for _, body := range bodies {
		request += string(binary.BigEndian.AppendUint16(nil, uint16(len(body)))) + body
		response += string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
	}
	return NewConversation("10.0.0.1:54322", "10.0.0.2:9000").
		MSS(300).Handshake().Request(request).Response(response).Close().Packets()
}
