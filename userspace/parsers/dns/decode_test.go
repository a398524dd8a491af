package dns

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"
)

// parsed parses a message that has to be one.
func parsed(tb testing.TB, b []byte) *Message {
	tb.Helper()
	m, err := Parse(b)
	if err != nil {
		tb.Fatalf("Parse(%x): %v", b, err)
	}
	return m
}

func TestParse(t *testing.T) {
	m := parsed(t, answer())
	if m.ID != 0x1234 || m.Opcode != OpcodeQuery || m.Rcode != RcodeNoError || m.Flags != FlagQR|FlagRD|FlagRA || m.TruncatedParse {
		t.Errorf("header: %+v", m)
	}
	if got, want := m.Questions, []Question{{Name: "www.example.com", Type: TypeA, Class: ClassIN}}; !reflect.DeepEqual(got, want) {
		t.Errorf("questions = %v, want %v", got, want)
	}
	want := []Record{{Name: "www.example.com", Type: TypeCNAME, Class: ClassIN, TTL: 300, Data: "edge.example.net", Raw: "\x04edge\x07example\x03net\x00"}}
	for i := range 4 {
		want = append(want, Record{Name: "edge.example.net", Type: TypeA, Class: ClassIN, TTL: 60, Data: fmt.Sprintf("192.0.2.%d", i), Raw: "\xc0\x00\x02" + string(rune(i))})
	}
	if !reflect.DeepEqual(m.Answers, want) {
		t.Errorf("answers = %v, want %v", m.Answers, want)
	}
	if len(m.Authorities) != 0 || len(m.Additionals) != 1 {
		t.Errorf("authorities %v, additionals %v", m.Authorities, m.Additionals)
	}
	if e, ok := m.EDNS(); !ok || e != (EDNS{UDPSize: 1232}) {
		t.Errorf("EDNS() = %v, %v", e, ok)
	}
	if m.Wire != string(answer()) {
		t.Errorf("Wire = %x", m.Wire)
	}
}

func TestHeader(t *testing.T) {
	tests := []struct {
		name string
		msg  []byte
		want error
	}{
		{"11 bytes", make([]byte, 11), ErrShort},
		{"nothing", nil, ErrShort},
		{"12 bytes", make([]byte, 12), nil},
		{"opcode 6", msg(1, 6<<11).bytes(), nil},
		{"opcode 7", msg(1, 7<<11).bytes(), ErrOpcode},
		{"opcode 15", msg(1, 0xffff).bytes(), ErrOpcode},
		{"questions that just fit", msg(1, 0).count(0, 13104).bytes(), nil},
		{"questions that do not fit", msg(1, 0).count(0, 13105).bytes(), ErrCounts},
		{"records that do not fit", msg(1, 0).count(1, 2000).count(2, 2000).count(3, 2000).bytes(), ErrCounts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse(tt.msg); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRcode(t *testing.T) {
	m := parsed(t, msg(1, 0x8003).additional(".", TypeOPT, 4096, 1<<24|optDO, nil).bytes())
	if m.Rcode != 0x13 {
		t.Errorf("rcode = %d, want 19: 1 from EDNS, 3 from the header", m.Rcode)
	}
	if e, _ := m.EDNS(); !e.DO || e.UDPSize != 4096 {
		t.Errorf("EDNS() = %+v", e)
	}
	m = parsed(t, msg(1, 0x8003).record(1, ".", TypeOPT, 4096, 1<<24, nil).bytes())
	if m.Rcode != RcodeNXDomain {
		t.Errorf("rcode = %d with OPT among the answers, want 3", m.Rcode)
	}
}

// TestNames has names on the wire, each in a question behind one for "a.bc".
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	label := string(rune(63)) + long
	tests := []struct {
		name, wire string
		want       string // empty: refused
	}{
		{"root", "\x00", "."},
		{"case is kept", "\x03wWw\x00", "wWw"},
		{"pointer", "\xc0\x0c", "a.bc"},
		{"label and pointer", "\x01x\xc0\x0c", "x.a.bc"},
		{"pointer into a name", "\x01x\xc0\x0e", "x.bc"},
		{"pointer to a root", "\x01x\xc0\x11", "x"},
		{"dot in a label", "\x03a.b\x01c\x00", `a\.b.c`},
		{"backslash", "\x03a\\b\x00", `a\\b`},
		{"space, control, high bytes", "\x05 \x00\x7f\xc3\xa9\x00", `\032\000\127\195\169`},
		{"quotes and other marks stay", "\x04\"@$;\x00", `"@$;`},
		{"label of 63", label + "\x00", long},
		{"name of 255", label + label + label + "\x3d" + long[:61] + "\x00", long + "." + long + "." + long + "." + long[:61]},
		{"name of 256", label + label + label + "\x3e" + long[:62] + "\x00", ""},
		{"name of 255 by pointer", label + label + label + "\x38" + long[:56] + "\xc0\x0c", long + "." + long + "." + long + "." + long[:56] + ".a.bc"},
		{"name of 256 by pointer", label + label + label + "\x39" + long[:57] + "\xc0\x0c", ""},
		{"label of 64", "\x40" + long + "x\x00", ""},
		{"extended label", "\x41\x08abcdefgh\x00", ""},
		{"label type 0x80", "\x80\x00", ""},
		{"pointer to itself", "\xc0\x16", ""},
		{"pointer to its own label", "\x01x\xc0\x16", ""},
		{"pointer forward", "\xc0\x20", ""},
		{"pointer beyond the end", "\xff\xff", ""},
		{"pointer into the header", "\xc0\x04", ""},
		{"pointer cut", "\xc0", ""},
		{"label cut", "\x05abc", ""},
		{"no end", "\x03abc", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := msg(1, 0).question("a.bc", TypeA, ClassIN).count(0, 1).raw(tt.wire)
			if tt.want != "" {
				b.u16(uint16(TypeTXT), uint16(ClassIN))
			}
			m := parsed(t, b.bytes())
			want := []Question{{Name: "a.bc", Type: TypeA, Class: ClassIN}}
			if tt.want != "" {
				want = append(want, Question{Name: tt.want, Type: TypeTXT, Class: ClassIN})
			}
			if !reflect.DeepEqual(m.Questions, want) || m.TruncatedParse != (tt.want == "") {
				t.Errorf("questions = %v, truncated %v; want %v", m.Questions, m.TruncatedParse, want)
			}
		})
	}
}

func TestPointerLoopOfTwo(t *testing.T) {
	// Each of the two names is a pointer to the other; one of them leads forward.
	b := msg(1, 0).count(0, 2).raw("\xc0\x12").u16(1, 1).raw("\xc0\x0c").u16(1, 1)
	if m := parsed(t, b.bytes()); len(m.Questions) != 0 || !m.TruncatedParse {
		t.Errorf("questions = %v, truncated %v; want none, true", m.Questions, m.TruncatedParse)
	}
}

// TestPointerChain has names of which each is a pointer to the one before.
func TestPointerChain(t *testing.T) {
	b := msg(1, 0).question("a", TypeA, ClassIN)
	last := headerLen
	for range maxPointers + 1 {
		here := len(b.b)
		b.count(0, 1).u16(0xc000|uint16(last), uint16(TypeA), uint16(ClassIN))
		last = here
	}
	m := parsed(t, b.bytes())
	if len(m.Questions) != 1+maxPointers || !m.TruncatedParse {
		t.Fatalf("%d questions, truncated %v; want %d, true", len(m.Questions), m.TruncatedParse, 1+maxPointers)
	}
	for i, q := range m.Questions {
		if q.Name != "a" {
			t.Errorf("name %d = %q, want a", i, q.Name)
		}
	}
}

func TestRecordLimit(t *testing.T) {
	for _, n := range []int{maxRecords, maxRecords + 1} {
		b := msg(1, 0x8000)
		for range n {
			b.answer(".", TypeNS, 0, []byte{0})
		}
		m := parsed(t, b.bytes())
		if len(m.Answers) != min(n, maxRecords) || m.TruncatedParse != (n > maxRecords) {
			t.Errorf("%d records: %d answers, truncated %v", n, len(m.Answers), m.TruncatedParse)
		}
	}
}

// TestTextLimit has records that name a long name again and again, so that little on
// the wire is much text.
func TestTextLimit(t *testing.T) {
	b := msg(1, 0x8000)
	label := "\x3f" + strings.Repeat("\x00", 63)
	long := len(b.b)
	b.count(0, 1).raw(label+label+label+"\x00").u16(1, 1)
	for range 4000 {
		b.count(1, 1).raw("\x00").u16(uint16(TypeMX), 1, 0, 0, 4, 10, 0xc000|uint16(long))
	}
	m := parsed(t, b.bytes())
	if !m.TruncatedParse || m.text > maxText+4*maxNameLen+16 {
		t.Errorf("truncated %v, %d bytes of text", m.TruncatedParse, m.text)
	}
	if want := "10 " + m.Questions[0].Name; m.Answers[0].Data != want || len(m.Answers) < 1000 {
		t.Errorf("%d answers, the first %q", len(m.Answers), m.Answers[0].Data)
	}
}

// TestCutEverywhere holds that a cut message gives the whole records before the cut.
func TestCutEverywhere(t *testing.T) {
	whole := parsed(t, answer())
	for n := headerLen; n < len(answer()); n++ {
		m := parsed(t, answer()[:n])
		if !m.TruncatedParse {
			t.Errorf("cut at %d: not marked", n)
		}
		got := slices.Concat(m.Answers, m.Authorities, m.Additionals)
		want := slices.Concat(whole.Answers, whole.Authorities, whole.Additionals)[:len(got)]
		if !slices.Equal(got, want) || !slices.Equal(m.Questions, whole.Questions[:len(m.Questions)]) {
			t.Errorf("cut at %d: %v %v", n, m.Questions, got)
		}
	}
}

func TestTrailingBytesAreIgnored(t *testing.T) {
	m := parsed(t, msg(1, 0).question("a", TypeA, ClassIN).raw("xyz").bytes())
	if m.TruncatedParse || len(m.Questions) != 1 {
		t.Errorf("%+v", m)
	}
}

func TestData(t *testing.T) {
	wire := func(name string) string { return string(msg(0, 0).nameBytes(name)) }
	tests := []struct {
		name string
		typ  Type
		data string
		want string
	}{
		{"A", TypeA, "\xc0\x00\x02\x01", "192.0.2.1"},
		{"A too long", TypeA, "\xc0\x00\x02\x01\x00", `\# 5 c000020100`},
		{"A with 16 bytes", TypeA, strings.Repeat("\x00", 16), `\# 16 ` + strings.Repeat("00", 16)},
		{"A without data, as in an update", TypeA, "", `\# 0`},
		{"AAAA", TypeAAAA, "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01", "2001:db8::1"},
		{"AAAA of a mapped address", TypeAAAA, strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01", "::ffff:192.0.2.1"},
		{"AAAA with 4 bytes", TypeAAAA, "\x01\x02\x03\x04", `\# 4 01020304`},
		{"CNAME", TypeCNAME, wire("a.example"), "a.example"},
		{"CNAME, compressed", TypeCNAME, "\x01b\xc0\x0c", "b.owner.example"},
		{"NS, known name", TypeNS, "\xc0\x0c", "owner.example"},
		{"PTR, root", TypePTR, "\x00", "."},
		{"PTR and more", TypePTR, "\x01a\x00\x00", `\# 4 01610000`},
		{"NS that leaves its data", TypeNS, "\x03a", `\# 2 0361`},
		{"MX", TypeMX, "\x00\x0a" + wire("mx.example"), "10 mx.example"},
		{"MX, known name", TypeMX, "\x00\x0a\xc0\x0c", "10 owner.example"},
		{"MX cut", TypeMX, "\x00", `\# 1 00`},
		{"MX and more", TypeMX, "\x00\x0a\x00\x00", `\# 4 000a0000`},
		{"TXT", TypeTXT, "\x03a b", `"a b"`},
		{"TXT, several", TypeTXT, "\x01a\x00\x04\"\\\n\xff", `"a" "" "\"\\\010\255"`},
		{"TXT cut", TypeTXT, "\x05ab", `\# 3 056162`},
		{"TXT empty", TypeTXT, "", `\# 0`},
		{"SOA", TypeSOA, wire("ns.example") + wire("john.doe.example") + "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\xff\xff\xff\xff", "ns.example john.doe.example 1 2 3 4 4294967295"},
		{"SOA cut", TypeSOA, "\x00\x00\x00\x00\x00\x01", `\# 6 000000000001`},
		{"SRV", TypeSRV, "\x00\x01\x00\x02\x14\xe9" + wire("host.local"), "1 2 5353 host.local"},
		{"CAA", TypeCAA, "\x80\x05issueca.example; a=\"b\"", `128 issue "ca.example; a=\"b\""`},
		{"CAA without value", TypeCAA, "\x00\x05issue", `0 issue ""`},
		{"CAA without tag", TypeCAA, "\x00\x00abc", `\# 5 0000616263`},
		{"CAA, bad tag", TypeCAA, "\x00\x02a ", `\# 4 00026120`},
		{"DS", TypeDS, "\xec\x45\x05\x01\xab\xcd", "60485 5 1 abcd"},
		{"DS cut", TypeDS, "\xec\x45\x05\x01", `\# 4 ec450501`},
		{"DNSKEY", TypeDNSKEY, "\x01\x01\x03\x08\x01\x02\x03\x04", "257 3 8 AQIDBA=="},
		{"SVCB, alias", TypeSVCB, "\x00\x00" + wire("pool.example"), "0 pool.example"},
		{"HTTPS", TypeHTTPS, "\x00\x01\x00" +
			"\x00\x00\x00\x04\x00\x01\x00\x03" + // mandatory
			"\x00\x01\x00\x06\x02h3\x02h2" +
			"\x00\x02\x00\x00" +
			"\x00\x03\x00\x02\x01\xbb" +
			"\x00\x04\x00\x08\xc0\x00\x02\x01\xc0\x00\x02\x02" +
			"\x00\x05\x00\x03abc" +
			"\x00\x06\x00\x10\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" +
			"\x00\x07\x00\x10/dns-query{?dns}" +
			"\xff\x00\x00\x02x\"" +
			"\xff\x01\x00\x00",
			`1 . mandatory=alpn,port alpn="h3,h2" no-default-alpn port=443 ipv4hint=192.0.2.1,192.0.2.2 ech=YWJj ipv6hint=2001:db8::1 dohpath="/dns-query{?dns}" key65280="x\"" key65281`},
		{"SVCB, comma in an id (RFC 9460 appendix D.2)", TypeSVCB, "\x00\x10" + wire("foo.example.org") + "\x00\x01\x00\x0c\x08f\\oo,bar\x02h2", `16 foo.example.org alpn="f\\\\oo\\,bar,h2"`},
		{"SVCB, keys out of order", TypeSVCB, "\x00\x01\x00\x00\x03\x00\x02\x01\xbb\x00\x02\x00\x00", `\# 13 00010000030002` + `01bb00020000`},
		{"SVCB, port of one byte", TypeSVCB, "\x00\x01\x00\x00\x03\x00\x01\x01", `\# 8 0001000003000101`},
		{"SVCB, hint of three bytes", TypeSVCB, "\x00\x01\x00\x00\x04\x00\x03\x01\x02\x03", `\# 10 00010000040003010203`},
		{"SVCB, parameter cut", TypeSVCB, "\x00\x01\x00\x00\x03\x00\x05\x01", `\# 8 0001000003000501`},
		{"unknown type", 65534, "\x01\x02", `\# 2 0102`},
		{"type with a mnemonic only", 46, "\x01\x02", `\# 2 0102`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := msg(1, 0x8000).question("owner.example", tt.typ, ClassIN).answer("owner.example", tt.typ, 7, []byte(tt.data))
			m := parsed(t, b.answer("owner.example", TypeA, 8, []byte{1, 2, 3, 4}).bytes())
			if len(m.Answers) != 2 || m.TruncatedParse || m.Answers[1].Data != "1.2.3.4" {
				t.Fatalf("answers = %v, truncated %v", m.Answers, m.TruncatedParse)
			}
			want := Record{Name: "owner.example", Type: tt.typ, Class: ClassIN, TTL: 7, Data: tt.want, Raw: tt.data}
			if got := m.Answers[0]; got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestOPT(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"none", "", "version=0 udp=1232 do"},
		{"nsid", "\x00\x03\x00\x02ns", `version=0 udp=1232 do nsid="ns"`},
		{"subnet", "\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02", "version=0 udp=1232 do subnet=192.0.2.0/24/0"},
		{"subnet 6", "\x00\x08\x00\x08\x00\x02\x20\x10\x20\x01\x0d\xb8", "version=0 udp=1232 do subnet=2001:db8::/32/16"},
		{"subnet of no family", "\x00\x08\x00\x04\x00\x03\x00\x00", "version=0 udp=1232 do opt8=00030000"},
		{"subnet too long", "\x00\x08\x00\x04\x00\x01\x21\x00", "version=0 udp=1232 do opt8=00012100"},
		{"cookie and padding", "\x00\x0a\x00\x02\xab\xcd\x00\x0c\x00\x03\x00\x00\x00", "version=0 udp=1232 do cookie=abcd padding=3"},
		{"keepalive", "\x00\x0b\x00\x02\x01\x00", "version=0 udp=1232 do tcp-keepalive=256"},
		{"error", "\x00\x0f\x00\x05\x00\x12bad", `version=0 udp=1232 do ede=18:"bad"`},
		{"other", "\xfd\xe9\x00\x01\xff", "version=0 udp=1232 do opt65001=ff"},
		{"cut", "\x00\x0a\x00\x09\x01", `\# 5 000a000901`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parsed(t, msg(1, 0).additional(".", TypeOPT, 1232, optDO, []byte(tt.data)).bytes())
			if got := m.Additionals[0].Data; got != tt.want {
				t.Errorf("data = %s, want %s", got, tt.want)
			}
		})
	}
}

// TestNameInBadData has data that begins with a good name and is bad behind it, and a
// pointer to that name.
func TestNameInBadData(t *testing.T) {
	b := msg(1, 0x8000).answer(".", TypeMX, 0, []byte("\x00\x01\x03abc\x00!"))
	name := len(b.b) - 6
	b.count(1, 1).u16(0xc000|uint16(name), uint16(TypeA), 1, 0, 0, 4).raw("\x01\x02\x03\x04")
	m := parsed(t, b.bytes())
	if len(m.Answers) != 2 || m.Answers[0].Data != `\# 8 00010361626300`+"21" || m.Answers[1].Name != "abc" {
		t.Errorf("answers = %v", m.Answers)
	}
}

func TestMDNSBits(t *testing.T) {
	b := msg(0, 0x8400).question("_http._tcp.local", TypePTR, ClassIN|mdnsTopBit).
		record(1, "h.local", TypeA, ClassIN|mdnsTopBit, 120, []byte{1, 2, 3, 4}).
		record(1, "h.local", TypeA, ClassIN, 120, []byte{1, 2, 3, 4}).
		additional(".", TypeOPT, 0x8000|1440, 0, nil).bytes()
	m, err := parse(b, MDNS)
	if err != nil {
		t.Fatal(err)
	}
	if q := m.Questions[0]; q.Class != ClassIN || !q.UnicastResponse {
		t.Errorf("question %+v", q)
	}
	if a := m.Answers; a[0].Class != ClassIN || !a[0].CacheFlush || a[1].Class != ClassIN || a[1].CacheFlush {
		t.Errorf("answers %+v", a)
	}
	if r := m.Additionals[0]; r.Class != 0x8000|1440 || r.CacheFlush {
		t.Errorf("OPT %+v", r)
	}
	if plain := parsed(t, b); plain.Questions[0].Class != ClassIN|mdnsTopBit {
		t.Errorf("class = %v outside mDNS", plain.Questions[0].Class)
	}
}

// TestParseKeepsNothing holds that a message does not change with what it was read
// from, nor with the next message.
func TestParseKeepsNothing(t *testing.T) {
	b := answer()
	m := parsed(t, b)
	before := string(m.AppendJSON(nil))
	for i := range b {
		b[i] = 0xdb
	}
	parsed(t, msg(9, 9).question("other.example", TypeAAAA, ClassIN).bytes())
	if after := string(m.AppendJSON(nil)); after != before || m.Wire != string(answer()) {
		t.Errorf("was %s\nnow %s", before, after)
	}
}

// TestLikeXNet builds messages with golang.org/x/net and reads them.
func TestLikeXNet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Map(rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z0-9_-]{1,20}`), 1, 5), func(l []string) dnsmessage.Name {
			return dnsmessage.MustNewName(strings.Join(l, ".") + ".")
		})
		names := rapid.SliceOfN(name, 1, 3).Draw(t, "names") // few, so that they are compressed
		some := rapid.SampledFrom(names)
		b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: rapid.Uint16().Draw(t, "id"), Response: true})
		b.EnableCompression()
		q := dnsmessage.Question{Name: some.Draw(t, "name"), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
		if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers()); err != nil {
			t.Fatal(err)
		}
		var want []Record
		for range rapid.IntRange(0, 12).Draw(t, "answers") {
			want = append(want, drawRecord(t, &b, some))
		}
		wire, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(wire)
		if err != nil || m.TruncatedParse || m.Questions[0].Name != strings.TrimSuffix(q.Name.String(), ".") {
			t.Fatalf("%+v, %v", m, err)
		}
		for i := range m.Answers {
			m.Answers[i].Raw = ""
		}
		if !slices.Equal(m.Answers, want) {
			t.Errorf("\n got %v\nwant %v", m.Answers, want)
		}
	})
}

// drawRecord adds a record to b and returns what is to be read.
func drawRecord(t *rapid.T, b *dnsmessage.Builder, some *rapid.Generator[dnsmessage.Name]) Record {
	text := func(n dnsmessage.Name) string { return strings.TrimSuffix(n.String(), ".") }
	owner, target, n := some.Draw(t, "owner"), some.Draw(t, "target"), rapid.Uint16().Draw(t, "number")
	h := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: rapid.Uint32().Draw(t, "ttl")}
	r := Record{Name: text(owner), Class: ClassIN, TTL: h.TTL}
	var err error
	switch rapid.IntRange(0, 4).Draw(t, "type") {
	case 0:
		err = b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: target})
		r.Type, r.Data = TypeCNAME, text(target)
	case 1:
		err = b.MXResource(h, dnsmessage.MXResource{Pref: n, MX: target})
		r.Type, r.Data = TypeMX, fmt.Sprintf("%d %s", n, text(target))
	case 2:
		err = b.SRVResource(h, dnsmessage.SRVResource{Priority: n, Weight: 1, Port: 2, Target: target})
		r.Type, r.Data = TypeSRV, fmt.Sprintf("%d 1 2 %s", n, text(target))
	case 3:
		err = b.SOAResource(h, dnsmessage.SOAResource{NS: target, MBox: owner, Serial: 1, Refresh: 2, Retry: 3, Expire: 4, MinTTL: 5})
		r.Type, r.Data = TypeSOA, fmt.Sprintf("%s %s 1 2 3 4 5", text(target), text(owner))
	case 4:
		err = b.TXTResource(h, dnsmessage.TXTResource{TXT: []string{"a", "b c"}})
		r.Type, r.Data = TypeTXT, `"a" "b c"`
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}
