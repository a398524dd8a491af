package tls

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

func newParser(flow.Key) parsers.SessionParser { return new(Parser) }

// brief says what a line of a recorder is about: the side's first letter, the kind,
// and what tells messages of a kind apart.
func brief(e parsertest.Entry) string {
	b := e.Side.String()[:1] + " " + e.Message.Kind()
	switch m := e.Message.(type) {
	case *ClientHello:
		b += " " + m.SNI
	case *ServerHello:
		b += " " + m.Version.Name()
		if m.HelloRetry {
			b += " retry"
		}
	case *Alert:
		b += " " + m.LevelName() + " " + m.DescriptionName()
	}
	return strings.TrimSpace(b)
}

// summary plays a script uncut and says what came of it in one line.
func summary(t *testing.T, f parsertest.Factory, s parsertest.Script) string {
	t.Helper()
	r := parsertest.Play(t, f, s)
	var l []string
	for _, e := range r.Messages {
		l = append(l, brief(e))
	}
	switch r.Verdict {
	case parsers.Finished:
		l = append(l, "done")
	case parsers.Poisoned:
		l = append(l, "poisoned: "+r.Reason)
	}
	return strings.Join(l, ", ")
}

type scriptCase struct {
	name   string
	script parsertest.Script
	want   string
}

// runScripts plays each script whole and cut everywhere.
func runScripts(t *testing.T, tests []scriptCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := summary(t, newParser, tt.script); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			parsertest.Lines(t, newParser, tt.script)
		})
	}
}

func initiator(parts ...string) parsertest.Step {
	return parsertest.Initiator(strings.Join(parts, ""))
}

func responder(parts ...string) parsertest.Step {
	return parsertest.Responder(strings.Join(parts, ""))
}

const (
	sawHello  = "i client_hello www.example.org"
	sawOld    = "i client_hello, r server_hello TLS 1.0"
	sawModern = sawHello + ", r server_hello TLS 1.3"
)

func TestParser(t *testing.T) {
	oldFlight := []string{records(TLS10, oldAnswer, helloDone)}
	runScripts(t, []scriptCase{
		{"nothing", nil, ""},
		{"TLS 1.3", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(records(TLS12, modernAnswer), changeCipherSpec, applicationData), initiator(changeCipherSpec, applicationData)},
			sawModern + ", done"},
		{"TLS 1.2 until both encrypt", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(oldFlight...),
			initiator(records(TLS10, keyExchange), changeCipherSpec, encryptedFinished), responder(changeCipherSpec), responder("anything")},
			sawOld + ", done"},
		{"resumption", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(records(TLS10, oldAnswer), changeCipherSpec, encryptedFinished), initiator(changeCipherSpec)},
			sawOld + ", done"},
		{"server hello first", parsertest.Script{
			responder(records(TLS12, modernAnswer)), initiator(records(TLS10, modernHello))},
			"r server_hello TLS 1.3, " + sawHello + ", done"},
		{"client on the responder's side", parsertest.Script{
			responder(records(TLS10, modernHello)), initiator(records(TLS12, modernAnswer))},
			"r client_hello www.example.org, i server_hello TLS 1.3, done"},
		{"one side only, client", parsertest.Script{
			initiator(records(TLS10, modernHello), records(TLS12, keyExchange), changeCipherSpec, encryptedFinished, applicationData), parsertest.Fin(flow.Initiator)},
			sawHello},
		{"one side only, server", parsertest.Script{
			responder(records(TLS12, modernAnswer), changeCipherSpec, applicationData, applicationData), parsertest.Fin(flow.Responder)},
			"r server_hello TLS 1.3"},
		{"server seen, client from the middle", parsertest.Script{
			responder(oldFlight...), initiator(records(TLS10, keyExchange), changeCipherSpec, encryptedFinished), responder(changeCipherSpec)},
			"r server_hello TLS 1.0, done"},
		{"server seen, client encrypts already", parsertest.Script{
			responder(records(TLS10, oldAnswer), changeCipherSpec), initiator(applicationData)},
			"r server_hello TLS 1.0, done"},
		{"hello cut by fin", parsertest.Script{
			initiator(records(TLS10, modernHello[:100])), parsertest.Fin(flow.Initiator), parsertest.Fin(flow.Responder)}, ""},
		{"rst", parsertest.Script{initiator(records(TLS10, modernHello[:100])), parsertest.Rst()}, ""},
		{"heartbeat is skipped", parsertest.Script{
			initiator(tlsRecord(recordHeartbeat, TLS12, "\x01\x00\x10"), records(TLS10, modernHello))}, sawHello},
		{"early data", parsertest.Script{
			initiator(records(TLS10, modernHello), changeCipherSpec, applicationData, applicationData), responder(records(TLS12, modernAnswer))},
			sawModern + ", done"},
	})
}

func TestRecordLayer(t *testing.T) {
	runScripts(t, []scriptCase{
		{"two segments", parsertest.Script{initiator(records(TLS10, modernHello)[:1300]), initiator(records(TLS10, modernHello)[1300:])}, sawHello},
		{"two records", parsertest.Script{initiator(records(TLS10, modernHello[:700], modernHello[700:]))}, sawHello},
		{"a byte a record", parsertest.Script{initiator(records(TLS10, chop(modernHello, 1)...))}, sawHello},
		{"header cut", parsertest.Script{initiator(records(TLS10, modernHello[:2], modernHello[2:]))}, sawHello},
		{"empty records between", parsertest.Script{initiator(records(TLS10, "", modernHello[:10], "", modernHello[10:]))}, sawHello},
		{"messages joined", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(records(TLS10, oldAnswer+testCertificate(t)+helloDone))},
			sawOld + ", r certificate"},
		{"joined and cut", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(records(TLS10, chop(oldAnswer+testCertificate(t)+helloDone, 97)...))},
			sawOld + ", r certificate"},
		{"skipped message before a wanted one", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(records(TLS10, oldAnswer+message(22, strings.Repeat("s", 3000)), testCertificate(t)))},
			sawOld + ", r certificate"},
		{"record without events before a hello", parsertest.Script{
			initiator(tlsRecord(recordHeartbeat, TLS12, "hb"), tlsRecord(recordHandshake, TLS12, message(0, "")), records(TLS10, modernHello))}, sawHello},
		{"change cipher spec inside a hello", parsertest.Script{initiator(records(TLS10, modernHello[:50]), changeCipherSpec, records(TLS10, modernHello[50:]))}, sawHello},
		{"change cipher spec before a hello", parsertest.Script{initiator(changeCipherSpec, records(TLS10, modernHello))}, sawHello},
		{"encrypted from the start", parsertest.Script{initiator(changeCipherSpec, encryptedFinished, records(TLS10, modernHello))}, ""},
		{"longest record", parsertest.Script{initiator(records(TLS10, modernHello), tlsRecord(recordApplicationData, TLS12, strings.Repeat("x", maxRecordLen)))}, sawHello},
		{"record too long", parsertest.Script{initiator(u8(recordApplicationData), u16(int(TLS12)), u16(maxRecordLen+1))}, "poisoned: record of 18433 bytes"},
		{"record of no known type", parsertest.Script{initiator(tlsRecord(19, TLS12, "x"))}, "poisoned: record type 19"},
		{"record type after heartbeat", parsertest.Script{initiator(tlsRecord(25, TLS12, "x"))}, "poisoned: record type 25"},
		{"record of another version", parsertest.Script{initiator(tlsRecord(recordHandshake, 0x0403, "x"))}, "poisoned: record version 0x0403"},
		{"not TLS", parsertest.Script{initiator("GET / HTTP/1.1\r\n")}, "poisoned: record type 71"},
		{"not TLS after the hello", parsertest.Script{initiator(records(TLS10, modernHello), "QUIT\r\n")}, sawHello + ", poisoned: record type 81"},
	})
}

func TestHelloRetry(t *testing.T) {
	second := records(TLS12, modernHello)
	answer := records(TLS12, modernAnswer)
	const saw = sawHello + ", r server_hello TLS 1.3 retry, " + sawHello + ", r server_hello TLS 1.3, done"
	runScripts(t, []scriptCase{
		{"plain", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(records(TLS12, modernRetry)), initiator(second), responder(answer)}, saw},
		{"change cipher spec in between", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(records(TLS12, modernRetry), changeCipherSpec),
			initiator(changeCipherSpec, second), responder(answer)}, saw},
		{"second hello cut in records", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(records(TLS12, modernRetry), changeCipherSpec),
			initiator(changeCipherSpec, records(TLS12, chop(modernHello, 3)...)), responder(answer)}, saw},
		{"early data refused", parsertest.Script{
			initiator(records(TLS10, modernHello), changeCipherSpec, applicationData), responder(records(TLS12, modernRetry), changeCipherSpec),
			initiator(second), responder(answer)}, saw},
		{"both hellos before the retry is seen", parsertest.Script{
			initiator(records(TLS10, modernHello), changeCipherSpec, second), responder(records(TLS12, modernRetry), changeCipherSpec, answer)},
			sawHello + ", " + sawHello + ", r server_hello TLS 1.3 retry, r server_hello TLS 1.3, done"},
		{"client side only", parsertest.Script{initiator(records(TLS10, modernHello), changeCipherSpec, second, applicationData)}, sawHello + ", " + sawHello},
		{"server side only", parsertest.Script{
			responder(records(TLS12, modernRetry), changeCipherSpec, answer)}, "r server_hello TLS 1.3 retry, r server_hello TLS 1.3"},
		{"first hello not seen", parsertest.Script{
			responder(records(TLS12, modernRetry), changeCipherSpec), initiator(second), responder(answer, applicationData), initiator(applicationData)},
			"r server_hello TLS 1.3 retry, " + sawHello + ", r server_hello TLS 1.3, done"},
		{"encrypted finished after a TLS 1.2 resumption", parsertest.Script{
			initiator(records(TLS10, modernHello), changeCipherSpec, encryptedFinished, applicationData)}, sawHello},
		{"late answer of TLS 1.2", parsertest.Script{
			initiator(records(TLS10, modernHello), changeCipherSpec, encryptedFinished), responder(records(TLS10, oldAnswer), changeCipherSpec)},
			sawHello + ", r server_hello TLS 1.0, done"},
	})
}

func TestAlerts(t *testing.T) {
	runScripts(t, []scriptCase{
		{"fatal ends it", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(alertRecord(2, 40), "rest")}, sawHello + ", r alert fatal handshake_failure, done"},
		{"warning does not", parsertest.Script{
			initiator(records(TLS10, modernHello)), responder(alertRecord(1, 112), records(TLS12, modernAnswer))},
			sawHello + ", r alert warning unrecognized_name, r server_hello TLS 1.3, done"},
		{"only an alert", parsertest.Script{responder(alertRecord(2, 70))}, "r alert fatal protocol_version, done"},
		{"cut in records", parsertest.Script{
			initiator(records(TLS10, modernHello), tlsRecord(recordAlert, TLS12, "\x02"), tlsRecord(recordAlert, TLS12, "\x2a"))},
			sawHello + ", i alert fatal bad_certificate, done"},
		{"two in a record", parsertest.Script{
			initiator(records(TLS10, modernHello), tlsRecord(recordAlert, TLS12, "\x01\x5a\x01\x00"))},
			sawHello + ", i alert warning user_canceled, i alert warning close_notify"},
		{"fatal hides what follows", parsertest.Script{
			initiator(records(TLS10, modernHello), tlsRecord(recordAlert, TLS12, "\x02\x5a\x01\x00"))},
			sawHello + ", i alert fatal user_canceled, done"},
		{"without a name", parsertest.Script{initiator(records(TLS10, modernHello), alertRecord(7, 250))}, sawHello + ", i alert"},
		{"encrypted after change cipher spec", parsertest.Script{
			initiator(records(TLS10, oldHello)), responder(records(TLS10, oldAnswer)),
			initiator(changeCipherSpec, tlsRecord(recordAlert, TLS12, "\x02\x28"))}, sawOld},
		{"encrypted by its length", parsertest.Script{
			initiator(records(TLS10, modernHello), tlsRecord(recordAlert, TLS12, strings.Repeat("\x02", 18)))}, sawHello},
	})
}

func TestSSLv2(t *testing.T) {
	hello := v2Record(TLS12, 0x000004, 0x010080, 0x0000ff)
	runScripts(t, []scriptCase{
		{"then TLS", parsertest.Script{
			initiator(hello), responder(records(TLS10, oldAnswer), changeCipherSpec), initiator(records(TLS10, keyExchange), changeCipherSpec)}, sawOld + ", done"},
		{"SSLv2 itself", parsertest.Script{initiator(v2Record(SSL20, 0x010080)), responder("\x80\x10\x04")}, "i client_hello, done"},
		{"answer in SSLv2", parsertest.Script{initiator(hello), responder("\x80\x10\x04")}, "i client_hello, done"},
		{"lengths do not add up", parsertest.Script{initiator("\x80\x10\x01\x03\x01\x00\x03\x00\x00\x00\x10more")}, "poisoned: record type 128"},
		{"another message", parsertest.Script{initiator("\x80\x1c\x02\x03\x01\x00\x03\x00\x00\x00\x10more")}, "poisoned: record type 128"},
		{"only at the start", parsertest.Script{initiator(records(TLS10, modernHello), hello)}, sawHello + ", poisoned: record type 128"},
	})
	parsertest.Run(t, newParser, parsertest.Script{initiator(hello)},
		`{"side":"initiator","kind":"client_hello","tls":{"record_version":2,"record_version_name":"SSL 2.0","version":771,"version_name":"TLS 1.2",`+
			`"random":"0000000000000000000000000000000030313233343536373839616263646566","session_id_length":0,`+
			`"ciphers":[4,255],"ciphers_name":["TLS_RSA_WITH_RC4_128_MD5","TLS_EMPTY_RENEGOTIATION_INFO_SCSV"],"v2_ciphers":[65664],"compression":[],"extensions":[],`+
			`"ja3":"fc6b5846eb6b50aba9f18b0538fb762a","ja3_raw":"771,4-255,,,","ja4":"t12i020000_`+string(appendHash12(nil, []byte("0004,00ff")))+`_000000000000","ech":false}}`)
}

func TestGap(t *testing.T) {
	big := tlsRecord(recordApplicationData, TLS12, strings.Repeat("x", 1000))
	certificate := testCertificate(t)
	skipped := message(12, strings.Repeat("s", 1000))
	gap := func(n int64) parsertest.Step { return parsertest.Gap(flow.Initiator, n, flow.GapNetwork) }
	hello := records(TLS10, modernHello)
	runScripts(t, []scriptCase{
		{"inside an encrypted record", parsertest.Script{initiator(hello, big[:100]), gap(800), initiator(big[900:], alertRecord(2, 0))}, sawHello + ", i alert fatal close_notify, done"},
		{"to the end of an encrypted record", parsertest.Script{initiator(hello, big[:5]), gap(1000), initiator(alertRecord(2, 0))}, sawHello + ", i alert fatal close_notify, done"},
		{"past the end of a record", parsertest.Script{initiator(hello, big[:100]), gap(906)}, sawHello + ", poisoned: gap"},
		{"between records", parsertest.Script{initiator(hello), gap(1)}, sawHello + ", poisoned: gap"},
		{"inside a header", parsertest.Script{initiator(hello, big[:3]), gap(1)}, sawHello + ", poisoned: gap"},
		{"at the start", parsertest.Script{gap(1)}, "poisoned: gap"},
		{"inside a hello", parsertest.Script{initiator(hello[:100]), gap(10), initiator(hello[110:])}, "poisoned: gap"},
		{"inside a message that is skipped", parsertest.Script{initiator(records(TLS10, oldHello), records(TLS10, skipped+certificate)[:500]), gap(100), initiator(records(TLS10, skipped+certificate)[600:])},
			"i client_hello, i certificate"},
		{"past a message that is skipped", parsertest.Script{initiator(records(TLS10, oldHello), records(TLS10, skipped+certificate)[:500]), gap(600)}, "i client_hello, poisoned: gap"},
		{"inside a certificate", parsertest.Script{initiator(records(TLS10, oldHello), records(TLS10, certificate)[:20]), gap(5)}, "i client_hello, poisoned: gap"},
		{"inside an alert", parsertest.Script{initiator(hello, alertRecord(2, 0)[:6]), gap(1)}, sawHello + ", poisoned: gap"},
		{"when done", parsertest.Script{initiator(hello, alertRecord(2, 0)), gap(1 << 40)}, sawHello + ", i alert fatal close_notify, done"},
	})
}

func TestLimits(t *testing.T) {
	full := strings.Repeat("x", 16000)
	silence := strings.Repeat(tlsRecord(recordApplicationData, TLS12, full), 4) // 64,020 bytes
	padding := DefaultMaxMessage - len(helloBody(TLS12, nil, extension(21, "")))
	longest := message(typeClientHello, helloBody(TLS12, nil, extension(21, strings.Repeat("p", padding))))
	runScripts(t, []scriptCase{
		{"silence below the limit", parsertest.Script{initiator(silence, tlsRecord(recordApplicationData, TLS12, full[:1511]), records(TLS10, modernHello))}, sawHello},
		{"silence past the limit", parsertest.Script{initiator(silence, tlsRecord(recordApplicationData, TLS12, full[:1512]), records(TLS10, modernHello))}, "poisoned: no hello in 65536 bytes"},
		{"a side without hello", parsertest.Script{initiator(records(TLS10, modernHello)), responder(silence, applicationData, tlsRecord(recordApplicationData, TLS12, full), applicationData)},
			sawHello + ", poisoned: no hello in 65536 bytes"},
		{"longest message", parsertest.Script{initiator(records(TLS12, chop(longest, 16384)...), records(TLS10, modernHello))}, "i client_hello, " + sawHello},
		{"message too long", parsertest.Script{initiator(records(TLS12, u8(typeClientHello)+u24(DefaultMaxMessage+1)))}, "poisoned: handshake message of 65537 bytes"},
		{"skipped message too long", parsertest.Script{initiator(records(TLS12, u8(13)+u24(DefaultMaxMessage+1)))}, "poisoned: handshake message of 65537 bytes"},
		{"handshake too long", parsertest.Script{initiator(records(TLS10, modernHello), strings.Repeat(records(TLS12, message(13, full)), 9))},
			sawHello + ", poisoned: handshake of more than 131072 bytes"},
		{"hello too short", parsertest.Script{initiator(records(TLS12, message(typeClientHello, "short")))}, "poisoned: ClientHello too short"},
		{"server hello too short", parsertest.Script{responder(records(TLS12, message(typeServerHello, "short")))}, "poisoned: ServerHello too short"},
		{"certificate list cut", parsertest.Script{responder(records(TLS12, message(typeCertificate, u24(10)+"x")))}, "poisoned: certificate list cut"},
	})
}
