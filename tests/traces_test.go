package tests

import (
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

const (
	web     = "198.51.100.7:80"
	browser = "192.0.2.1:40000"
	get     = "GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n"
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"
)

// goldens are the golden traces, one point each.
var goldens = []golden{
	{"http", httpTrace},
	{"reordered", reorderedTrace},
	{"gap", gapTrace},
	{"dns", dnsTrace},
	{"vlan-ipv6", vlanTrace},
	{"vxlan", vxlanTrace},
	{"tunnel-in-fragments", tunnelInFragmentsTrace},
}

// syn, synAck and ack are a handshake; streams begin at 1001 and 5001.
func handshake() []packettest.Packet {
	return []packettest.Packet{
		packettest.TCP(browser, web).Flags("S").Seq(1000),
		packettest.TCP(web, browser).Flags("SA").Seq(5000).Ack(1001),
		packettest.TCP(browser, web).Flags("A").Seq(1001).Ack(5001),
	}
}

func fromBrowser(flags string, seq, ack uint32, payload string) packettest.Packet {
	return packettest.TCP(browser, web).Flags(flags).Seq(seq).Ack(ack).Payload(payload)
}

func fromWeb(flags string, seq, ack uint32, payload string) packettest.Packet {
	return packettest.TCP(web, browser).Flags(flags).Seq(seq).Ack(ack).Payload(payload)
}

// farewell closes both streams after q and p bytes.
func farewell(q, p uint32) []packettest.Packet {
	return []packettest.Packet{
		fromBrowser("FA", 1001+q, 5001+p, ""),
		fromWeb("FA", 5001+p, 1002+q, ""),
		fromBrowser("A", 1002+q, 5002+p, ""),
	}
}

func conversation(middle ...packettest.Packet) []packettest.Packet {
	l := append(handshake(), middle...)
	return append(l, farewell(uint32(len(get)), uint32(len(ok)))...)
}

func httpTrace() []packettest.Frame {
	return packettest.Trace(conversation(
		fromBrowser("PA", 1001, 5001, get),
		fromWeb("A", 5001, 1001+uint32(len(get)), ""),
		fromWeb("PA", 5001, 1001+uint32(len(get)), ok),
		fromBrowser("A", 1001+uint32(len(get)), 5001+uint32(len(ok)), ""),
	)...)
}

// reorderedTrace is the same conversation with the request's segments swapped and
// the response's second half before its first, one of them twice.
func reorderedTrace() []packettest.Frame {
	q := 1001 + uint32(len(get))
	return packettest.Trace(conversation(
		fromBrowser("PA", 1021, 5001, get[20:]),
		fromBrowser("A", 1001, 5001, get[:20]),
		fromWeb("PA", 5031, q, ok[30:]),
		fromWeb("A", 5001, q, ok[:30]),
		fromWeb("A", 5001, q, ok[:30]),
	)...)
}

// gapTrace misses 13 bytes in the middle of the response's body.
func gapTrace() []packettest.Frame {
	q, cut := 1001+uint32(len(get)), uint32(len(ok)-13)
	return packettest.Trace(conversation(
		fromBrowser("PA", 1001, 5001, get),
		fromWeb("A", 5001, q, ok[:cut]),
		fromBrowser("A", q, 5001+uint32(len(ok)), ""),
	)...)
}

func dnsTrace() []packettest.Frame {
	ask := packettest.UDP("192.0.2.1:5353", "192.0.2.53:53")
	question := "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
	reply := "\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01" +
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x07"
	return packettest.Trace(
		ask.Payload("\x12\x34"+question),
		ask.Reply().Payload("\x12\x34"+reply),
		ask.Payload("\x56\x78"+question),
	)
}

func vlanTrace() []packettest.Frame {
	p := packettest.UDP("[2001:db8::1]:4000", "[2001:db8::2]:4001").FlowLabel(0x12345).VLAN(7)
	return packettest.Trace(p.Payload("ping"), p.Reply().Payload("pong"))
}

func vxlanTrace() []packettest.Frame {
	p := packettest.UDP("10.0.0.1:4000", "10.0.0.2:4001")
	return packettest.Trace(p.Payload("ping").VXLAN(42), p.Reply().Payload("pong").VXLAN(42))
}

const gtpTEID = 7

// tunnelInFragmentsTrace is an HTTP conversation in GTP-U of which some packets come in
// outer fragments: the first one, both halves of the request in any order, a FIN. Then
// comes a DNS query that is in the fragments of 6in4 alone.
func tunnelInFragmentsTrace() []packettest.Frame {
	q, p := 1001+uint32(len(get)), 5001+uint32(len(ok))
	first, rest := inGTPU(2, fromBrowser("A", 1001, 5001, get[:30])), inGTPU(3, fromBrowser("PA", 1031, 5001, get[30:]))
	ask := packettest.UDP("[2001:db8::1]:4000", "[2001:db8::53]:53").
		Payload("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01")
	return packettest.Trace(join(
		inGTPU(1, fromBrowser("S", 1000, 0, "")),
		[]packettest.Packet{fromWeb("SA", 5000, 1001, "").GTPU(gtpTEID), fromBrowser("A", 1001, 5001, "").GTPU(gtpTEID)},
		[]packettest.Packet{first[1], rest[0], first[0], rest[1]},
		[]packettest.Packet{fromWeb("PA", 5001, q, ok).GTPU(gtpTEID), fromBrowser("A", q, p, "").GTPU(gtpTEID)},
		inGTPU(4, fromBrowser("FA", q, p, "")),
		[]packettest.Packet{fromWeb("FA", p, q+1, "").GTPU(gtpTEID), fromBrowser("A", q+1, p+1, "").GTPU(gtpTEID)},
		packettest.IP(41, packettest.TunnelSrc, packettest.TunnelDst).PayloadBytes(packetOf(ask)).IPID(99).Fragments(40),
	)...)
}

func join(lists ...[]packettest.Packet) (all []packettest.Packet) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// packetOf returns p without its Ethernet header.
func packetOf(p packettest.Packet) []byte { return p.Bytes()[14:] }

// inGTPU returns p inside GTP-U in two fragments, of datagram id.
func inGTPU(id uint16, p packettest.Packet) []packettest.Packet {
	inner := packetOf(p)
	b := append([]byte{0x30, 255, byte(len(inner) >> 8), byte(len(inner)), 0, 0, 0, gtpTEID}, inner...)
	outer := packettest.UDP(packettest.TunnelSrc+":2152", packettest.TunnelDst+":2152").PayloadBytes(b).IPID(id)
	return outer.Fragments(len(outer.L4())/16*8 + 8)
}
