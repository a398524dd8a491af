package tls

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

func TestProbe(t *testing.T) {
	tests := []struct {
		name, data string
		want       parsers.Result
	}{
		{"client hello", records(TLS10, modernHello), parsers.Yes},
		{"client hello of SSL 3.0", records(SSL30, message(typeClientHello, helloBody(SSL30, []int{5}))), parsers.Yes},
		{"server hello", records(TLS12, modernAnswer), parsers.Yes},
		{"server hello of a draft", records(TLS10, message(typeServerHello, u16(0x7f12)+testRandom+u16(0x1301))), parsers.Yes},
		{"hello in records of one byte", records(TLS10, chop(modernHello, 1)...)[:60], parsers.Yes},
		{"hello in records of two bytes", records(TLS10, chop(modernHello, 2)...)[:60], parsers.Yes},
		{"SSLv2 hello", v2Record(TLS12, 4, 0xff), parsers.Yes},
		{"SSLv2 hello of SSLv2", v2Record(SSL20, 0x010080), parsers.Yes},
		{"alert", alertRecord(2, 40), parsers.Yes},

		{"nine bytes are needed", records(TLS10, modernHello)[:9], parsers.More},
		{"alert cut", alertRecord(2, 40)[:6], parsers.More},
		{"SSLv2 cut", v2Record(TLS12, 4)[:10], parsers.More},

		{"another message", records(TLS10, message(typeCertificate, vec24(""))), parsers.No},
		{"hello too short", records(TLS10, message(typeClientHello, "short")), parsers.No},
		{"hello too long", records(TLS10, u8(1)+u24(DefaultMaxMessage+1)+"\x03"), parsers.No},
		{"hello of version 4", records(TLS10, message(typeClientHello, helloBody(0x0400, nil))), parsers.No},
		{"record of version 4", records(0x0400, modernHello), parsers.No},
		{"record of version 3.5", records(0x0305, modernHello), parsers.No},
		{"record too long", u8(recordHandshake) + u16(0x0301) + u16(maxRecordLen+1), parsers.No},
		{"empty record", records(TLS10, "", modernHello), parsers.No},
		{"change cipher spec", changeCipherSpec, parsers.No},
		{"application data", applicationData, parsers.No},
		{"encrypted alert", tlsRecord(recordAlert, TLS12, strings.Repeat("x", 26)), parsers.No},
		{"alert of level 3", alertRecord(3, 40), parsers.No},
		{"alert nobody knows", alertRecord(2, 200), parsers.No},
		{"SSLv2 lengths", "\x80\x10\x01\x03\x01\x00\x03\x00\x00\x00\x10more", parsers.No},
		{"SSLv2 server hello", "\x80\x10\x04\x00\x01\x00\x02\x00\x00\x00\x10more", parsers.No},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", parsers.No},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", parsers.No},
	}
	p := Protocol(Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, side := range []flow.Side{flow.Initiator, flow.Responder} {
				parsertest.Probe(t, p, side, tt.data, tt.want)
			}
		})
	}
	if got := p.Probe(flow.Initiator, nil); got != parsers.More {
		t.Errorf("probe of nothing: got %d, want More", got)
	}
}

// TestProtocol wants parsers with the options given, one for each flow.
func TestProtocol(t *testing.T) {
	p := Protocol(Options{MaxSilence: 10})
	a, b := p.NewSession(flow.Key{}), p.NewSession(flow.Key{})
	var c parsers.Context
	a.Feed(&c, flow.Initiator, []byte(applicationData+applicationData))
	if c.Verdict() != parsers.Poisoned || p.Name != "tls" || a == b {
		t.Errorf("verdict %d, name %q, same parser %v", c.Verdict(), p.Name, a == b)
	}
}
