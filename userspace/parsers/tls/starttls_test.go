package tls

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

func TestStartTLS(t *testing.T) {
	hello, answer := records(TLS10, modernHello), records(TLS12, modernAnswer)
	handover := func(initiator, responder string) []string {
		b := parsers.AppendJSONString([]byte(`{"verdict":"handover","initiator":`), initiator)
		b = parsers.AppendJSONString(append(b, `,"responder":`...), responder)
		return []string{string(append(b, '}'))}
	}
	upgraded := handover(hello, answer)
	done := []string{`{"verdict":"done"}`}
	tests := []struct {
		name   string
		script parsertest.Script
		want   []string
	}{
		{"SMTP", parsertest.Script{responder("220 mx\r\n"), initiator("EHLO me\r\n"), responder("250-mx\r\n250 STARTTLS\r\n"),
			initiator("STARTTLS\r\n"), responder("220 go\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"IMAP", parsertest.Script{responder("* OK ready\r\n"), initiator("a1 starttls\r\n"), responder("a1 OK\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"POP3", parsertest.Script{responder("+OK\r\n"), initiator("STLS\r\n"), responder("+OK\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"FTP", parsertest.Script{responder("220 ftp\r\n"), initiator("AUTH TLS\r\n"), responder("234 go\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"IRC", parsertest.Script{initiator("STARTTLS\n"), responder(":irc 670 :go\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"XMPP", parsertest.Script{initiator("<?xml version='1.0'?><stream:stream to='a'>"), responder("<stream:stream><stream:features><starttls/></stream:features>"),
			initiator("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), responder("<proceed xmlns='x'/>"), initiator(hello), responder(answer)}, upgraded},
		{"Gnutella", parsertest.Script{initiator("GNUTELLA CONNECT/0.6\r\nUpgrade: TLS/1.0\r\n\r\n"), responder("GNUTELLA/0.6 200 OK\r\nUpgrade: TLS/1.0\r\n\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"answer first", parsertest.Script{initiator("STARTTLS\r\n"), responder("220 go\r\n", answer), initiator(hello)}, upgraded},
		{"long line before", parsertest.Script{responder("220 ", strings.Repeat("x", 2000), "\r\n"), initiator("STARTTLS\r\n"), initiator(hello), responder(answer)}, upgraded},
		{"offered, not asked for", parsertest.Script{responder("220 mx\r\n250-STARTTLS is there\r\n"), initiator(hello)}, done},
		{"in a longer line", parsertest.Script{initiator("RCPT TO:<STARTTLS> NOTIFY=NEVER\r\n"), initiator(hello)}, done},
		{"refused", parsertest.Script{initiator("STARTTLS\r\n"), responder("454 no\r\n"), initiator("QUIT\r\n"), parsertest.Fin(flow.Initiator), parsertest.Rst()}, nil},
		{"never", parsertest.Script{responder("220 mx\r\n"), initiator(strings.Repeat("NOOP\r\n", 1366), "STARTTLS\r\n")}, done},
		{"empty lines", parsertest.Script{initiator("\r\n\n"), responder("\n"), initiator("STARTTLS\r\n", hello), responder(answer)}, upgraded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Run(t, StartTLS().NewSession, tt.script, tt.want...) })
	}
}

func TestStartTLSProbe(t *testing.T) {
	tests := []struct {
		data string
		want parsers.Result
	}{
		{"220 mx ready", parsers.Yes}, {"220-mx", parsers.Yes}, {"* OK IMAP4", parsers.Yes}, {"* PREAUTH", parsers.Yes}, {"+OK POP3", parsers.Yes},
		{"STARTTLS\r\n", parsers.Yes}, {"GNUTELLA CONNECT/0.6", parsers.Yes}, {"<?xml version", parsers.Yes}, {"\"IMPLEMENTATION\" \"x\"", parsers.Yes},
		{"22", parsers.More}, {"START", parsers.More}, {"* ", parsers.More},
		{"221 bye", parsers.No}, {"GET / HTTP/1.1", parsers.No}, {"HTTP/1.1 200 OK", parsers.No}, {"SSH-2.0-x", parsers.No}, {records(TLS10, modernHello), parsers.No},
	}
	for _, tt := range tests {
		parsertest.Probe(t, StartTLS(), flow.Responder, tt.data, tt.want)
	}
}

func TestStartTLSGarbage(t *testing.T) {
	parsertest.Garbage(t, StartTLS().NewSession, parsertest.Script{
		responder("220 mx\r\n"), initiator("STARTTLS\r\n"), responder("220 go\r\n"), initiator(records(TLS10, modernHello))})
}
