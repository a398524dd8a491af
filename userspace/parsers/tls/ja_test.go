package tls

import (
	"strings"
	"testing"
)

// The ClientHello of JA4's specification.
var (
	specCiphers    = []int{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035}
	specExtensions = []int{0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015}
	specAlgorithms = []int{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}
)

// specHello builds that ClientHello with other signature algorithms; nil sends an
// extension with an empty list.
func specHello(algorithms []int) string {
	var list []string
	for _, e := range specExtensions {
		switch e {
		case extServerName:
			list = append(list, sniExtension("example.org"))
		case extALPN:
			list = append(list, alpnExtension("h2"))
		case extSupportedVersions:
			list = append(list, versionsExtension(0x0a0a, TLS13, TLS12))
		case extSignatureAlgorithms:
			list = append(list, extension(e, vec16(u16s(algorithms...))))
		default:
			list = append(list, extension(e, ""))
		}
	}
	return helloBody(TLS12, specCiphers, list...)
}

// mustParse parses a body that is known to be good.
func mustParse(t testing.TB, body string) *ClientHello {
	t.Helper()
	h, err := ParseClientHello([]byte(body))
	if err != nil {
		t.Fatalf("ParseClientHello: %v", err)
	}
	return h
}

func TestJA3(t *testing.T) {
	tests := []struct{ name, body, raw, hash string }{
		{"vector with groups", helloBody(TLS10, []int{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
			sniExtension("example.org"),
			extension(extSupportedGroups, vec16(u16s(23, 24, 25))),
			extension(extPointFormats, vec8("\x00"))),
			"769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0", "ada70206e40642a3e4461f35503241d5"},
		{"vector without extensions", oldHello[messageHeaderLen:],
			"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6"},
		{"empty list of extensions", helloBody(TLS10, []int{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}, ""),
			"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6"},
		{"grease out", helloBody(TLS12, []int{0x0a0a, 5, 0xfafa},
			extension(0x1a1a, ""),
			extension(extSupportedGroups, vec16(u16s(0x2a2a, 29))),
			extension(0xdada, "x")),
			"771,5,10,29,", ""},
		{"looks like grease", helloBody(TLS12, []int{0x0a1a, 0x1b1b}), "771,2586-6939,,,", ""},
		{"point formats in order", helloBody(TLS12, []int{5}, extension(extPointFormats, vec8("\x02\x00\x01"))), "771,5,11,,2-0-1", ""},
		{"a type twice", helloBody(TLS12, []int{5}, extension(21, ""), extension(21, "")), "771,5,21-21,,", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := mustParse(t, tt.body)
			raw, hash := JA3(h)
			if raw != tt.raw || h.JA3Raw != raw || h.JA3 != hash {
				t.Errorf("JA3 = %q, %s; hello has %q, %s; want %q", raw, hash, h.JA3Raw, h.JA3, tt.raw)
			}
			if tt.hash != "" && hash != tt.hash {
				t.Errorf("JA3 of %q = %s, want %s", raw, hash, tt.hash)
			}
		})
	}
}

func TestJA3S(t *testing.T) {
	tests := []struct{ name, body, raw, hash string }{
		// The values are those that tshark, nDPI and Arkime give for real servers.
		{"TLS 1.3, legacy version", serverHelloBody(TLS12, testRandom, 0x1301, extension(extKeyShare, ""), extension(extSupportedVersions, u16s(TLS13))),
			"771,4865,51-43", "eb1d94daa7e0344597e756a1fb6e7054"},
		{"TLS 1.0, no extensions", serverHelloBody(TLS10, testRandom, 4), "769,4,", "53611273a714cb4789c8222932efd5a7"},
		{"TLS 1.2", serverHelloBody(TLS12, testRandom, 0xc02f, extension(23, ""), extension(0xff01, "\x00"), extension(11, vec8("\x00"))),
			"771,49199,23-65281-11", "1249fb68f48c0444718e4d3b48b27188"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ParseServerHello([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if raw, hash := JA3S(h); raw != tt.raw || hash != tt.hash || h.JA3S != hash || h.JA3SRaw != raw {
				t.Errorf("JA3S = %q, %s; hello has %q, %s; want %q, %s", raw, hash, h.JA3SRaw, h.JA3S, tt.raw, tt.hash)
			}
		})
	}
}

func TestJA4(t *testing.T) {
	const sortedCiphers = "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9"
	const sortedExtensions = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
	const algorithms = "0403,0804,0401,0503,0805,0501,0806,0601"
	tests := []struct {
		name string
		form func(*ClientHello) string
		body string
		want string
	}{
		{"specification", JA4, specHello(specAlgorithms), "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"no algorithms", JA4, specHello(nil), "t13d1516h2_8daaf6152771_6d807ffa2a79"},
		{"grease in algorithms", JA4, specHello(append([]int{0x0a0a}, specAlgorithms...)), "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"original order", JA4O, specHello(specAlgorithms), "t13d1516h2_acb858a92679_18f69afefd3d"},
		{"raw", JA4R, specHello(specAlgorithms), "t13d1516h2_" + sortedCiphers + "_" + sortedExtensions + "_" + algorithms},
		{"raw in original order", JA4RO, specHello(specAlgorithms),
			"t13d1516h2_1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035" +
				"_001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015_" + algorithms},
		{"nothing at all", JA4, helloBody(TLS12, nil), "t12i000000_000000000000_000000000000"},
		{"grease only", JA4, helloBody(TLS12, []int{0x0a0a}, extension(0x1a1a, "")), "t12i000000_000000000000_000000000000"},
		{"name only", JA4, helloBody(TLS12, []int{5}, sniExtension("a")), "t12d010100_" + string(appendHash12(nil, []byte("0005"))) + "_000000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.form(mustParse(t, tt.body)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestJA4Readable(t *testing.T) {
	hundred := make([]int, 100)
	many := make([]string, 100)
	for i := range hundred {
		hundred[i], many[i] = 0xc001+i, extension(1000+i, "")
	}
	tests := []struct{ name, body, want string }{
		{"version by extension", helloBody(TLS12, nil, versionsExtension(TLS11, TLS13, TLS12)), "t13i000100"},
		{"grease is no version", helloBody(TLS12, nil, versionsExtension(0xfafa, TLS11)), "t11i000100"},
		{"only grease", helloBody(TLS12, nil, versionsExtension(0xfafa)), "t12i000100"},
		{"unknown version wins", helloBody(TLS12, nil, versionsExtension(TLS13, 0xfb1a)), "t00i000100"},
		{"TLS 1.0", helloBody(TLS10, nil), "t10i000000"},
		{"SSL 3.0", helloBody(SSL30, nil), "ts3i000000"},
		{"SSL 2.0", helloBody(SSL20, nil), "ts2i000000"},
		{"no such version", helloBody(0x0399, nil), "t00i000000"},
		{"empty name counts", helloBody(TLS12, nil, extension(extServerName, "")), "t12d000100"},
		{"99 is the most", helloBody(TLS12, hundred, many...), "t12i999900"},
		{"scsv counts", helloBody(TLS12, []int{0x00ff, 0x5600}), "t12i020000"},
		{"alpn h2", helloBody(TLS12, nil, alpnExtension("h2", "http/1.1")), "t12i0001h2"},
		{"alpn http/1.1", helloBody(TLS12, nil, alpnExtension("http/1.1")), "t12i0001h1"},
		{"alpn of one character", helloBody(TLS12, nil, alpnExtension("h")), "t12i0001hh"},
		{"alpn empty name", helloBody(TLS12, nil, alpnExtension("")), "t12i000100"},
		{"alpn empty list", helloBody(TLS12, nil, alpnExtension()), "t12i000100"},
		{"alpn bytes", helloBody(TLS12, nil, alpnExtension("\xab\xcd")), "t12i0001ad"},
		{"alpn one byte", helloBody(TLS12, nil, alpnExtension("\xab")), "t12i0001ab"},
		{"alpn first end not alphanumeric", helloBody(TLS12, nil, alpnExtension("-a")), "t12i000121"},
		{"alpn last end not alphanumeric", helloBody(TLS12, nil, alpnExtension("a\x0a")), "t12i00016a"},
		{"alpn upper case", helloBody(TLS12, nil, alpnExtension("Z9")), "t12i0001Z9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, _ := strings.Cut(JA4(mustParse(t, tt.body)), "_"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
