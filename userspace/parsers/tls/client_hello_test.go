package tls

import (
	"reflect"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

func TestParseClientHello(t *testing.T) {
	got := mustParse(t, modernHello[messageHeaderLen:])
	want := &ClientHello{
		Version:             TLS12,
		Random:              [32]byte([]byte(testRandom)),
		SessionIDLen:        32,
		Ciphers:             []Suite{0x1a1a, 0x1301, 0x1302, 0xc02b},
		Compression:         []uint8{0},
		Extensions:          []uint16{0x2a2a, 0, 10, 11, 16, 13, 51, 43, 0xfe0d},
		SNI:                 "www.example.org",
		ALPN:                []string{"h2", "http/1.1"},
		SupportedGroups:     []uint16{0x3a3a, 4588, 29},
		SupportedVersions:   []Version{0x3a3a, TLS13, TLS12},
		SignatureAlgorithms: []uint16{0x0403, 0x0804},
		PointFormats:        []uint8{0},
		KeyShareGroups:      []uint16{4588, 29},
		ECH:                 true,
		JA3:                 got.JA3,
		JA3Raw:              "771,4865-4866-49195,0-10-11-16-13-51-43-65037,4588-29,0",
		JA4:                 got.JA4,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestServerName(t *testing.T) {
	list := func(entries ...string) string { return extension(extServerName, vec16(strings.Join(entries, ""))) }
	name := func(s string) string { return u8(0) + vec16(s) }
	tests := []struct {
		name      string
		extension string
		sni, raw  string
		truncated bool
	}{
		{"lower case", list(name("WWW.Example.ORG")), "www.example.org", "", false},
		{"first host name", list(name("a"), name("b")), "a", "", false},
		{"other type first", list(u8(7)+vec16("x"), name("a")), "a", "", false},
		{"UTF-8", list(name("BÜCHER.example")), "bÜcher.example", "BÜCHER.example", false},
		{"no UTF-8", list(name("A\xff")), "a\xff", "A\xff", false},
		{"trailing dot stays", list(name("a.")), "a.", "", false},
		{"empty name", list(name("")), "", "", false},
		{"empty list", list(), "", "", false},
		{"empty extension", extension(extServerName, ""), "", "", true},
		{"name cut", extension(extServerName, vec16(u8(0)+u16(9)+"short")), "", "", true},
		{"list cut", extension(extServerName, u16(99)+name("a")), "", "", true},
		{"extension twice", list(name("a")) + list(name("b")), "a", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := mustParse(t, helloBody(TLS12, []int{5}, tt.extension))
			if h.SNI != tt.sni || h.SNIRaw != tt.raw || h.Truncated != tt.truncated {
				t.Errorf("got %q, raw %q, truncated %v; want %q, %q, %v", h.SNI, h.SNIRaw, h.Truncated, tt.sni, tt.raw, tt.truncated)
			}
		})
	}
}

// TestCutExtensions wants what was whole from hellos that lie about lengths.
func TestCutExtensions(t *testing.T) {
	body := helloBody(TLS12, []int{5}) // the list follows
	groups := extension(extSupportedGroups, vec16(u16s(29)))
	tests := []struct {
		name, list string
		extensions []uint16
		truncated  bool
	}{
		{"whole", vec16(groups), []uint16{10}, false},
		{"bytes after the list", vec16(groups) + "more", []uint16{10}, false},
		{"list longer than the message", u16(99) + groups, []uint16{10}, true},
		{"extension longer than the list", vec16(groups + u16(16) + u16(9) + "x"), []uint16{10}, true},
		{"half an extension header", vec16(groups + "\x00\x10\x00"), []uint16{10}, true},
		{"one byte of list", "\x00", []uint16{}, true},
		{"list of groups too long", vec16(extension(extSupportedGroups, u16(9)+u16(29))), []uint16{10}, true},
		{"protocol cut", vec16(extension(extALPN, vec16(u8(9)+"h2"))), []uint16{16}, true},
		{"key share cut", vec16(extension(extKeyShare, vec16(u16(29)+u16(32)+"k"))), []uint16{51}, true},
		{"half a group", vec16(extension(extKeyShare, vec16("\x00"))), []uint16{51}, true},
		{"no versions", vec16(extension(extSupportedVersions, "")), []uint16{43}, true},
		{"no formats", vec16(extension(extPointFormats, "")), []uint16{11}, true},
		{"no algorithms", vec16(extension(extSignatureAlgorithms, "\x00")), []uint16{13}, true},
		{"odd list of algorithms", vec16(extension(extSignatureAlgorithms, vec16("\x04\x03\x08"))), []uint16{13}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := mustParse(t, body+tt.list)
			if !reflect.DeepEqual(h.Extensions, tt.extensions) || h.Truncated != tt.truncated {
				t.Errorf("got %v, truncated %v; want %v, %v", h.Extensions, h.Truncated, tt.extensions, tt.truncated)
			}
		})
	}
}

// TestShortHellos cuts hellos at every byte: before the extensions there is no
// message, from there on there is one.
func TestShortHellos(t *testing.T) {
	client := modernHello[messageHeaderLen:]
	fixed := len(helloBody(TLS12, []int{0, 0, 0, 0}))
	for n := range len(client) {
		h, err := ParseClientHello([]byte(client[:n]))
		if (err == nil) != (n >= fixed) || err == nil && h.Truncated != (n > fixed) {
			t.Errorf("ParseClientHello of %d bytes: %+v, %v", n, h, err)
		}
	}
	server := modernAnswer[messageHeaderLen:]
	fixed = len(serverHelloBody(TLS12, testRandom, 0))
	for n := range len(server) {
		h, err := ParseServerHello([]byte(server[:n]))
		if (err == nil) != (n >= fixed) || err == nil && h.Truncated != (n > fixed) {
			t.Errorf("ParseServerHello of %d bytes: %+v, %v", n, h, err)
		}
	}
}

func TestParseServerHello(t *testing.T) {
	tests := []struct {
		name, body string
		version    Version
		alpn       string
		retry      bool
	}{
		{"TLS 1.2", serverHelloBody(TLS12, testRandom, 5, alpnExtension("h2")), TLS12, "h2", false},
		{"TLS 1.3", modernAnswer[messageHeaderLen:], TLS13, "", false},
		{"retry", modernRetry[messageHeaderLen:], TLS13, "", true},
		{"draft 22", serverHelloBody(TLS12, testRandom, 5, extension(extSupportedVersions, u16(0x7f16))), 0x7f16, "", false},
		{"draft 18", u16(0x7f12) + testRandom + u16(0x1301) + vec16(extension(40, "")), 0x7f12, "", false},
		{"version cut", serverHelloBody(TLS12, testRandom, 5, extension(extSupportedVersions, "\x03")), TLS12, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ParseServerHello([]byte(tt.body))
			if err != nil || h.Version != tt.version || h.ALPN != tt.alpn || h.HelloRetry != tt.retry {
				t.Errorf("got %+v, %v; want version %s, protocol %q, retry %v", h, err, tt.version.Name(), tt.alpn, tt.retry)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	hello := mustParse(t, modernHello[messageHeaderLen:])
	plain := message(typeClientHello, helloBody(0x0399, []int{0x0a0a, 0xfefe}, sniExtension("Ü"), u16(99)+u16(99)))
	oddHello := mustParse(t, plain[messageHeaderLen:])
	parsertest.Run(t, newParser, parsertest.Script{
		initiator(records(TLS10, plain), records(TLS10, modernHello)),
		responder(records(TLS12, modernRetry), records(TLS12, oldAnswer), alertRecord(2, 40)),
	},
		`{"side":"initiator","kind":"client_hello","tls":{"record_version":769,"record_version_name":"TLS 1.0","version":921,`+
			`"random":"3031323334353637383961626364656630313233343536373839414243444546","session_id_length":32,"sni":"Ü","sni_raw":"Ü",`+
			`"ciphers":[2570,65278],"ciphers_name":[null,null],"compression":[0],"extensions":[0],`+
			`"ja3":"`+oddHello.JA3+`","ja3_raw":"921,65278,0,,","ja4":"`+oddHello.JA4+`","ech":false,"truncated_parse":true}}`,
		`{"side":"initiator","kind":"client_hello","tls":{"record_version":769,"record_version_name":"TLS 1.0","version":771,"version_name":"TLS 1.2",`+
			`"random":"3031323334353637383961626364656630313233343536373839414243444546","session_id_length":32,"sni":"www.example.org","alpn":["h2","http/1.1"],`+
			`"ciphers":[6682,4865,4866,49195],"ciphers_name":[null,"TLS_AES_128_GCM_SHA256","TLS_AES_256_GCM_SHA384","TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],`+
			`"compression":[0],"extensions":[10794,0,10,11,16,13,51,43,65037],"supported_groups":[14906,4588,29],`+
			`"supported_versions":[14906,772,771],"supported_versions_name":[null,"TLS 1.3","TLS 1.2"],"signature_algorithms":[1027,2052],"point_formats":[0],"key_share_groups":[4588,29],`+
			`"ja3":"`+hello.JA3+`","ja3_raw":"`+hello.JA3Raw+`","ja4":"`+hello.JA4+`","ech":true}}`,
		`{"side":"responder","kind":"server_hello","tls":{"record_version":771,"record_version_name":"TLS 1.2","version":772,"version_name":"TLS 1.3",`+
			`"legacy_version":771,"legacy_version_name":"TLS 1.2","random":"cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c","session_id_length":32,`+
			`"cipher":4865,"cipher_name":"TLS_AES_128_GCM_SHA256","compression":0,"extensions":[51,43],"hello_retry":true,"ja3s":"eb1d94daa7e0344597e756a1fb6e7054","ja3s_raw":"771,4865,51-43"}}`,
		`{"side":"responder","kind":"server_hello","tls":{"record_version":771,"record_version_name":"TLS 1.2","version":769,"version_name":"TLS 1.0",`+
			`"legacy_version":769,"legacy_version_name":"TLS 1.0","random":"3031323334353637383961626364656630313233343536373839414243444546","session_id_length":32,`+
			`"cipher":5,"cipher_name":"TLS_RSA_WITH_RC4_128_SHA","compression":0,"extensions":[],"ja3s":"`+md5Hex([]byte("769,5,"))+`","ja3s_raw":"769,5,"}}`,
		`{"side":"responder","kind":"alert","tls":{"level":2,"level_name":"fatal","description":40,"description_name":"handshake_failure"}}`,
		`{"verdict":"done"}`)
}

// TestCallbacks wants each message told before it is emitted, the fingerprint before
// its hello.
func TestCallbacks(t *testing.T) {
	var got []string
	note := func(s string) { got = append(got, s) }
	p := New(Options{Callbacks: Callbacks{
		Fingerprint: func(_ *parsers.Context, f Fingerprint) { note("fingerprint " + f.JA4[:10]) },
		ClientHello: func(_ *parsers.Context, h *ClientHello) { note("client_hello " + h.SNI) },
		ServerHello: func(_ *parsers.Context, h *ServerHello) { note("server_hello " + h.Version.Name()) },
		Certificate: func(_ *parsers.Context, m *Certificate) { note("certificate " + m.Chain[0].Names[0]) },
		Alert:       func(_ *parsers.Context, a *Alert) { note("alert " + a.LevelName()) },
	}})
	var c parsers.Context
	c.OnMessage = func(_ flow.Side, _ flow.Timestamp, m parsers.Message) { note("emitted " + m.Kind()) }
	p.Feed(&c, flow.Initiator, []byte(records(TLS10, modernHello)))
	p.Feed(&c, flow.Responder, []byte(records(TLS10, oldAnswer, testCertificate(t))+alertRecord(2, 40)))
	want := []string{
		"fingerprint t13d0308h2", "client_hello www.example.org", "emitted client_hello",
		"server_hello TLS 1.0", "emitted server_hello",
		"certificate www.example.org", "emitted certificate",
		"alert fatal", "emitted alert",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		data    string
		want    string
	}{
		{"message", Options{MaxMessage: 100}, records(TLS10, message(typeClientHello, strings.Repeat("x", 101))), "handshake message of 101 bytes"},
		{"SSLv2 message", Options{MaxMessage: 30}, v2Record(TLS10, 1, 2, 3), "handshake message of 34 bytes"},
		{"handshake", Options{MaxHandshake: 10}, records(TLS10, "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00"), "handshake of more than 10 bytes"},
		{"silence", Options{MaxSilence: 10}, applicationData + applicationData, "no hello in 10 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c parsers.Context
			New(tt.options).Feed(&c, flow.Initiator, []byte(tt.data))
			if v, reason, _ := c.TakeVerdict(); v != parsers.Poisoned || reason != tt.want {
				t.Errorf("verdict %d, reason %q, want %q", v, reason, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{Suite(0x0000).Name(), "TLS_NULL_WITH_NULL_NULL"},
		{Suite(0x1301).Name(), "TLS_AES_128_GCM_SHA256"},
		{Suite(0xd005).Name(), "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256"},
		{Suite(0x00ff).Name(), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"},
		{Suite(0x0a0a).Name(), ""},
		{Suite(0xffff).Name(), ""},
		{SSL20.Name(), "SSL 2.0"},
		{SSL30.Name(), "SSL 3.0"},
		{TLS13.Name(), "TLS 1.3"},
		{Version(0x7f1c).Name(), "TLS 1.3 draft 28"},
		{Version(0x0305).Name(), ""},
		{(&Alert{1, 121}).DescriptionName(), "ech_required"},
		{(&Alert{3, 5}).LevelName(), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
