package tls

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// corpus returns the captures that have an oracle with the suffix.
func corpus(t *testing.T, suffix string) (captures []string) {
	t.Helper()
	root := needs.Corpus(t)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if base, ok := strings.CutSuffix(path, suffix); ok {
			captures = append(captures, base)
		}
		return err
	})
	if err != nil || len(captures) == 0 {
		t.Fatalf("no %s in %s: %v", suffix, root, err)
	}
	return captures
}

// endpoints name one direction of a TCP flow.
type endpoints struct{ src, sport, dst, dport string }

func (e endpoints) String() string {
	return strings.Join([]string{e.src, e.sport, e.dst, e.dport}, " ")
}

func (e endpoints) reverse() endpoints { return endpoints{e.dst, e.dport, e.src, e.sport} }

// A seen is what one direction of a flow said.
type seen struct {
	from    endpoints
	message parsers.Message
}

// messagesOf reads all TLS in the TCP flows of a capture. A side's parsing begins at
// the first segment that the probe knows, so that it is also found after STARTTLS
// and CONNECT; before that, segments are passed over.
func messagesOf(t *testing.T, base string) (all []seen) {
	t.Helper()
	flows := make(map[endpoints]*tcpFlow)
	eachTCP(t, base, func(e endpoints, tcp *layers.TCP) {
		f := flows[e]
		if f == nil || tcp.SYN && !tcp.ACK && f.closed {
			f = &tcpFlow{forward: e, out: func(s seen) { all = append(all, s) }}
			flows[e], flows[e.reverse()] = f, f
		}
		f.segment(e, tcp)
	})
	return all
}

// eachTCP calls f for each TCP segment of a capture, innermost ones in tunnels.
func eachTCP(t *testing.T, base string, f func(endpoints, *layers.TCP)) {
	t.Helper()
	path := base + ".pcap"
	if _, err := os.Stat(path); err != nil {
		path += "ng"
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	source, err := openCapture(bufio.NewReader(file))
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	for {
		data, _, err := source.ReadPacketData()
		if err != nil {
			break
		}
		p := gopacket.NewPacket(data, source.LinkType(), gopacket.Lazy)
		var e endpoints
		for _, l := range p.Layers() {
			switch l := l.(type) {
			case gopacket.NetworkLayer:
				e.src, e.dst = l.NetworkFlow().Src().String(), l.NetworkFlow().Dst().String()
			case *layers.TCP:
				e.sport, e.dport = fmt.Sprint(uint16(l.SrcPort)), fmt.Sprint(uint16(l.DstPort))
				f(e, l)
			}
		}
	}
}

type capture interface {
	gopacket.PacketDataSource
	LinkType() layers.LinkType
}

func openCapture(r *bufio.Reader) (capture, error) {
	if magic, _ := r.Peek(4); bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		return pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: false})
	}
	return pcapgo.NewReader(r)
}

// A tcpFlow puts the segments of a flow in order, the first copy of a byte counting,
// and feeds a parser.
type tcpFlow struct {
	forward endpoints
	closed  bool
	out     func(seen)
	halves  [2]tcpHalf
	parser  *Parser
	ctx     parsers.Context
}

type tcpHalf struct {
	known   bool // next is
	next    uint32
	held    map[uint32][]byte
	started bool
}

func (f *tcpFlow) segment(e endpoints, tcp *layers.TCP) {
	side := flow.Initiator
	if e != f.forward {
		side = flow.Responder
	}
	f.closed = f.closed || tcp.FIN || tcp.RST
	h := &f.halves[side]
	seq := tcp.Seq
	if tcp.SYN {
		seq++
	}
	if !h.known {
		h.known, h.next, h.held = true, seq, make(map[uint32][]byte)
	}
	if len(tcp.Payload) > 0 && len(h.held[seq]) < len(tcp.Payload) {
		h.held[seq] = bytes.Clone(tcp.Payload)
	}
	for f.deliver(side, h) {
	}
}

// deliver feeds one held segment that is due and reports whether there was one.
func (f *tcpFlow) deliver(side flow.Side, h *tcpHalf) bool {
	for seq, b := range h.held {
		if old := int32(h.next - seq); old >= 0 {
			delete(h.held, seq)
			if int(old) < len(b) {
				h.next += uint32(len(b)) - uint32(old)
				f.feed(side, h, b[old:])
			}
			return true
		}
	}
	return false
}

func (f *tcpFlow) feed(side flow.Side, h *tcpHalf, b []byte) {
	if !h.started && probe(side, b) != parsers.Yes && f.parser == nil {
		return
	}
	h.started = true
	if f.parser == nil {
		f.parser = New(Options{})
	}
	f.ctx.Side = side
	f.ctx.OnMessage = func(side flow.Side, _ flow.Timestamp, m parsers.Message) {
		e := f.forward
		if side == flow.Responder {
			e = e.reverse()
		}
		f.out(seen{e, m})
	}
	f.parser.Feed(&f.ctx, side, b)
}

// TestCorpusTShark compares every hello with what tshark says of it. tshark lists no
// hello in SSLv2 framing, and none of a flow whose port it takes for something else.
func TestCorpusTShark(t *testing.T) {
	hellos := 0
	for _, base := range corpus(t, ".oracle-tls.tsv") {
		t.Run(filepath.Base(base), func(t *testing.T) {
			want := tsharkHellos(t, base+".oracle-tls.tsv")
			got := make(map[string]bool)
			for _, s := range messagesOf(t, base) {
				if line := helloLine(s); line != "" && knowsFlow(want, s.from) {
					got[line] = true
				}
			}
			diffSets(t, got, want)
			hellos += len(want)
		})
	}
	t.Logf("%d different hellos", hellos)
}

// knowsFlow reports whether one of the lines is about a flow.
func knowsFlow(lines map[string]bool, e endpoints) bool {
	for l := range lines {
		if strings.HasPrefix(l, e.String()+" ") || strings.HasPrefix(l, e.reverse().String()+" ") {
			return true
		}
	}
	return false
}

func diffSets(t *testing.T, got, want map[string]bool) {
	t.Helper()
	for _, l := range slices.Sorted(maps.Keys(want)) {
		if !got[l] {
			t.Errorf("missing %s", l)
		}
	}
	for _, l := range slices.Sorted(maps.Keys(got)) {
		if !want[l] {
			t.Errorf("only ours %s", l)
		}
	}
}

// tsharkHellos reads the TCP rows of an oracle in the form of helloLine.
func tsharkHellos(t *testing.T, path string) map[string]bool {
	t.Helper()
	lines := make(map[string]bool)
	columns := map[string]int{}
	for row := range rows(t, path) {
		if len(columns) == 0 {
			for i, name := range row {
				columns[name] = i
			}
			continue
		}
		at := func(name string) string { return row[columns[name]] }
		if at("proto") != "tcp" {
			continue
		}
		fields := []string{at("src"), at("sport"), at("dst"), at("dport"), at("hello"), at("legacy_version"), at("supported_versions"), strings.ToLower(at("sni")), at("alpn"), at("ciphers")}
		if at("hello") == "client" {
			fields = append(fields, at("ja3"), at("ja3_full"))
		} else {
			fields = append(fields, at("ja3s"), at("ja3s_full"))
		}
		lines[strings.Join(fields, " ")] = true
	}
	return lines
}

// rows yields the fields of a table's lines, without its notes.
func rows(t *testing.T, path string) func(func([]string) bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func([]string) bool) {
		for l := range strings.Lines(string(b)) {
			if !strings.HasPrefix(l, "# ") && !yield(strings.Split(strings.TrimSuffix(l, "\n"), "\t")) {
				return
			}
		}
	}
}

func helloLine(s seen) string {
	fields := []string{s.from.String()}
	switch m := s.message.(type) {
	case *ClientHello:
		if m.RecordVersion == SSL20 {
			return ""
		}
		fields = append(fields, "client", hexList([]Version{m.Version}), hexList(m.SupportedVersions), m.SNI, strings.Join(m.ALPN, ","), hexList(m.Ciphers), m.JA3, m.JA3Raw)
	case *ServerHello:
		fields = append(fields, "server", hexList([]Version{m.LegacyVersion}), supported(m), "", m.ALPN, hexList([]Suite{m.Cipher}), m.JA3S, m.JA3SRaw)
	default:
		return ""
	}
	return strings.Join(fields, " ")
}

// supported returns the version of a ServerHello's extension, if it has one.
func supported(h *ServerHello) string {
	if !slices.Contains(h.Extensions, extSupportedVersions) {
		return ""
	}
	return hexList([]Version{h.Version})
}

func hexList[T ~uint16](l []T) string {
	var s []string
	for _, v := range l {
		s = append(s, fmt.Sprintf("0x%04x", uint16(v)))
	}
	return strings.Join(s, ",")
}

var (
	ndpiFlow  = regexp.MustCompile(`TCP \[?([0-9a-fA-F.:]+?)\]?:(\d+) <?-> \[?([0-9a-fA-F.:]+?)\]?:(\d+) `)
	ndpiField = regexp.MustCompile(`\[(JA3C|JA3S|JA4): ([^\]]*)\]`)
)

// TestCorpusNDPI compares fingerprints with those that nDPI gives, JA4 by comparableJA4.
func TestCorpusNDPI(t *testing.T) {
	compared := 0
	for _, base := range corpus(t, ".ndpi.txt") {
		t.Run(filepath.Base(base), func(t *testing.T) {
			got := fingerprintsOf(t, base)
			for line := range rows(t, base+".ndpi.txt") {
				l := strings.Join(line, "\t")
				m := ndpiFlow.FindStringSubmatch(l)
				if m == nil {
					continue
				}
				e := endpoints{m[1], m[2], m[3], m[4]}
				for _, f := range ndpiField.FindAllStringSubmatch(l, -1) {
					compared++
					want := f[1] + " " + comparableJA4(strings.TrimSuffix(f[2], " (WEAK)"))
					if both := slices.Concat(got[e], got[e.reverse()]); !slices.Contains(both, want) {
						t.Errorf("%v: got %q, want %s", e, both, want)
					}
				}
			}
		})
	}
	t.Logf("%d fingerprints", compared)
}

// comparableJA4 masks the three characters of a JA4 that nDPI fills in its own way: the
// name flag says there whether the name is known, from DNS or a certificate too, and
// the protocol is often the first two characters of the first name.
func comparableJA4(s string) string {
	if len(s) != len("t13d1516h2_8daaf6152771_e5627efa2ab1") {
		return s
	}
	return s[:3] + "?" + s[4:8] + "??" + s[10:]
}

// fingerprintsOf returns the fingerprints in a capture by direction, named as nDPI
// does.
func fingerprintsOf(t *testing.T, base string) map[endpoints][]string {
	t.Helper()
	got := make(map[endpoints][]string)
	for _, s := range messagesOf(t, base) {
		switch m := s.message.(type) {
		case *ClientHello:
			got[s.from] = append(got[s.from], "JA3C "+m.JA3, "JA4 "+comparableJA4(m.JA4))
		case *ServerHello:
			got[s.from] = append(got[s.from], "JA3S "+m.JA3S)
		}
	}
	return got
}

// TestCorpusFoxIO compares all forms of JA4 with those of its authors.
func TestCorpusFoxIO(t *testing.T) {
	for _, base := range corpus(t, ".ja4.json") {
		t.Run(filepath.Base(base), func(t *testing.T) {
			var streams []map[string]any
			readJSON(t, base+".ja4.json", &streams)
			got := make(map[endpoints][]string)
			for _, s := range messagesOf(t, base) {
				if m, ok := s.message.(*ClientHello); ok {
					got[s.from] = []string{"JA4 " + m.JA4, "JA4_r " + JA4R(m), "JA4_o " + JA4O(m), "JA4_ro " + JA4RO(m)}
				}
			}
			for _, s := range streams {
				e := endpoints{fmt.Sprint(s["src"]), fmt.Sprint(s["srcport"]), fmt.Sprint(s["dst"]), fmt.Sprint(s["dstport"])}
				for k, v := range s {
					name, _, numbered := strings.Cut(k, ".")
					if want := fmt.Sprint(name, " ", v); numbered && !slices.Contains(got[e], want) {
						t.Errorf("%v: got %v, want %s", e, got[e], want)
					}
				}
			}
		})
	}
}

// TestCorpusArkime compares fingerprints and certificates with those of Arkime.
func TestCorpusArkime(t *testing.T) {
	for _, base := range corpus(t, ".arkime.json") {
		t.Run(filepath.Base(base), func(t *testing.T) {
			var file struct {
				Sessions []struct {
					Body arkimeBody
				} `json:"sessions3"`
			}
			readJSON(t, base+".arkime.json", &file)
			got := arkimeForm(messagesOf(t, base))
			for _, s := range file.Sessions {
				for _, want := range s.Body.lines() {
					if !got[want] {
						t.Errorf("missing %s", want)
					}
				}
			}
		})
	}
}

type arkimeBody struct {
	TLS struct {
		JA3, JA3S, JA4, JA3String, JA3SString, Cipher []string
	}
	Cert []struct {
		Alt                 []string
		NotBefore, NotAfter int64 // ms
	}
}

func (b arkimeBody) lines() (l []string) {
	add := func(name string, values []string) {
		for _, v := range values {
			l = append(l, name+" "+v)
		}
	}
	add("ja3", b.TLS.JA3)
	add("ja3string", b.TLS.JA3String)
	add("ja3s", b.TLS.JA3S)
	add("ja3sstring", b.TLS.JA3SString)
	add("ja4", b.TLS.JA4)
	add("cipher", b.TLS.Cipher)
	for _, c := range b.Cert {
		slices.Sort(c.Alt)
		l = append(l, fmt.Sprintf("cert %v %d %d", c.Alt, c.NotBefore, c.NotAfter))
	}
	return l
}

// arkimeForm renders messages as arkimeBody does.
func arkimeForm(messages []seen) map[string]bool {
	got := make(map[string]bool)
	for _, s := range messages {
		switch m := s.message.(type) {
		case *ClientHello:
			got["ja3 "+m.JA3], got["ja3string "+m.JA3Raw], got["ja4 "+m.JA4] = true, true, true
		case *ServerHello:
			got["ja3s "+m.JA3S], got["ja3sstring "+m.JA3SRaw], got["cipher "+m.Cipher.Name()] = true, true, true
		case *Certificate:
			for _, c := range m.Chain {
				names := slices.Clone(c.Names)
				slices.Sort(names)
				got[fmt.Sprintf("cert %v %d %d", slices.Compact(names), c.NotBefore.UnixMilli(), c.NotAfter.UnixMilli())] = true
			}
		}
	}
	return got
}

// TestCorpusZeek compares ciphers, names and certificate hashes with Zeek's, for TLS
// over TCP.
func TestCorpusZeek(t *testing.T) {
	for _, base := range corpus(t, ".zeek-ssl.log") {
		t.Run(filepath.Base(base), func(t *testing.T) {
			got := zeekForm(messagesOf(t, base))
			var columns []string
			for row := range rows(t, base+".zeek-ssl.log") {
				if row[0] == "#fields" {
					columns = row[1:]
				}
				at := func(name string) string { return row[slices.Index(columns, name)] }
				if strings.HasPrefix(row[0], "#") || strings.Contains(at("version"), "13") && strings.Contains(base, "quic") {
					continue
				}
				for _, name := range []string{"version", "cipher", "server_name", "cert_chain_fps", "subject", "issuer"} {
					if slices.Contains(columns, name) && !slices.Contains(got, name+" "+at(name)) && at(name) != "-" {
						t.Errorf("got %q, want %s %s", got, name, at(name))
					}
				}
			}
		})
	}
}

// zeekForm renders messages as the fields of ssl.log.
func zeekForm(messages []seen) (got []string) {
	versions := map[Version]string{SSL30: "SSLv3", TLS10: "TLSv10", TLS11: "TLSv11", TLS12: "TLSv12", TLS13: "TLSv13"}
	for _, s := range messages {
		switch m := s.message.(type) {
		case *ClientHello:
			got = append(got, "server_name "+m.SNI)
		case *ServerHello:
			got = append(got, "version "+versions[m.Version], "cipher "+m.Cipher.Name())
		case *Certificate:
			var hashes []string
			for _, c := range m.Chain {
				hashes = append(hashes, fmt.Sprintf("%x", c.SHA256))
				got = append(got, "subject "+c.Subject, "issuer "+c.Issuer)
			}
			got = append(got, "cert_chain_fps "+strings.Join(hashes, ","))
		}
	}
	return got
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil && err != io.EOF {
		t.Fatalf("read %s: %v", path, err)
	}
}
