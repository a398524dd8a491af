package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// datagram is one UDP payload of a capture.
type datagram struct {
	key  flow.Key
	dir  flow.Direction
	at   flow.Timestamp
	data []byte
}

// datagrams decodes the UDP packets of a capture by gopacket, fragments left out.
func datagrams(tb testing.TB, path string) (l []datagram) {
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var src interface {
		gopacket.PacketDataSource
		LinkType() layers.LinkType
	}
	if filepath.Ext(path) == ".pcapng" {
		src, err = pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	} else {
		src, err = pcapgo.NewReader(f)
	}
	if err != nil {
		tb.Fatal(err)
	}
	for {
		data, ci, err := src.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return l
		}
		if err != nil {
			tb.Fatal(err)
		}
		p := gopacket.NewPacket(data, src.LinkType(), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		if d, ok := innermostUDP(p); ok {
			d.at = flow.At(ci.Timestamp)
			l = append(l, d)
		}
	}
}

// innermostUDP returns the payload of the last UDP layer of a packet.
func innermostUDP(p gopacket.Packet) (d datagram, ok bool) {
	var ip gopacket.NetworkLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			ip = l
		case *layers.IPv6:
			ip = l
		case *layers.UDP:
			if ip != nil {
				d, ok = newDatagram(ip, l), true
			}
		}
	}
	return d, ok
}

func newDatagram(ip gopacket.NetworkLayer, u *layers.UDP) datagram {
	src, _ := netip.AddrFromSlice(ip.NetworkFlow().Src().Raw())
	dst, _ := netip.AddrFromSlice(ip.NetworkFlow().Dst().Raw())
	d := datagram{data: u.Payload}
	k := flow.Key{Lo: src.As16(), Hi: dst.As16(), LoPort: uint16(u.SrcPort), HiPort: uint16(u.DstPort), Proto: flow.ProtoUDP, IPVersion: 4}
	if src.Is6() {
		k.IPVersion = 6
	}
	swapped := k
	swapped.Lo, swapped.Hi, swapped.LoPort, swapped.HiPort = k.Hi, k.Lo, k.HiPort, k.LoPort
	if d.key = k; swapped.Compare(k) < 0 {
		d.key, d.dir = swapped, flow.Reverse
	}
	return d
}

// differences are the messages on which we and tshark differ over UDP, by capture.
var differences = map[string]string{
	"zeek-quic-vector-max-size-crash": "noise on port 443 whose first label is of an unknown kind: no port speaks for DNS and the question is not valid",
	"zeek-ipv6-fragmented-dns":        "responses in IP fragments, which this test does not put together",
}

// TestCorpusOracle holds the messages of all UDP captures against tshark's: id, QR,
// opcode, rcode, counts and questions, as multisets.
func TestCorpusOracle(t *testing.T) {
	oracles, err := filepath.Glob(filepath.Join(needs.Corpus(t), "*", "*.oracle-dns.tsv"))
	if err != nil || len(oracles) == 0 {
		t.Fatalf("%d oracles, %v", len(oracles), err)
	}
	for _, path := range oracles {
		name := strings.TrimSuffix(filepath.Base(path), ".oracle-dns.tsv")
		t.Run(name, func(t *testing.T) {
			if why, ok := differences[name]; ok {
				t.Skip(why)
			}
			want := oracle(t, path)
			if len(want) == 0 {
				t.Skip("no DNS over UDP")
			}
			got := ours(t, strings.TrimSuffix(path, ".oracle-dns.tsv"))
			for _, l := range subtract(got, want) {
				t.Errorf("not in the oracle: %s", l)
			}
			for _, l := range subtract(want, got) {
				t.Errorf("only in the oracle: %s", l)
			}
		})
	}
}

// subtract returns what is in a and not in b, both being multisets.
func subtract(a, b []string) []string {
	b = slices.Clone(b)
	var l []string
	for _, s := range a {
		if i := slices.Index(b, s); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			l = append(l, s)
		}
	}
	return l
}

// ours reads a capture with a Tap and writes each message as the oracle does.
func ours(t *testing.T, base string) (l []string) {
	path := base + ".pcap"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path = base + ".pcapng"
	}
	tap := NewTap(Options{}, func(_ flow.Key, _ flow.Direction, _ flow.Timestamp, m *Message) {
		if m.Is() != Unanswered {
			l = append(l, message(m))
		}
	})
	for _, d := range datagrams(t, path) {
		tap.Datagram(d.key, d.dir, d.at, d.data)
	}
	return l
}

// message writes what the oracle tells of a message, without the questions that are
// not readable.
func message(m *Message) string {
	rcode := ""
	if m.Is() == Response {
		rcode = strconv.Itoa(int(m.Rcode & headerRcodeMask))
	}
	h, _ := readHeader([]byte(m.Wire))
	s := fmt.Sprintf("id=%#04x qr=%t op=%d rcode=%s counts=%v", m.ID, m.Is() == Response, m.Opcode, rcode, h.counts)
	for _, q := range m.Questions {
		s += fmt.Sprintf(" %q/%d/%d", unescape(q.Name), q.Type, q.Class)
	}
	return s
}

// unescape turns a name of ours into tshark's, which escapes nothing.
func unescape(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			b = append(b, s[i])
		case s[i+1] == '.' || s[i+1] == '\\':
			i++
			b = append(b, s[i])
		default:
			n, _ := strconv.Atoi(s[i+1 : i+4])
			b, i = append(b, byte(n)), i+3
		}
	}
	if s == "." {
		return "<Root>"
	}
	return string(b)
}

// oracle reads the messages over UDP from tshark's list, which has a row for each
// question.
func oracle(t *testing.T, path string) (l []string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var column map[string]int
	last := ""
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case strings.HasPrefix(line, "# "):
			continue
		case column == nil:
			column = map[string]int{}
			for i, name := range f {
				column[name] = i
			}
			continue
		case f[column["proto"]] != "udp" || f[column["sport"]] == "":
			continue // TCP, or quoted in an ICMP error
		}
		at := func(name string) string { return f[column[name]] }
		if message := at("frame") + " " + at("stream"); message != last {
			last = message
			l = append(l, fmt.Sprintf("id=%s qr=%t op=%s rcode=%s counts=[%s %s %s %s]", at("id"), at("response") == "1",
				at("opcode"), at("rcode"), at("qdcount"), at("ancount"), at("nscount"), at("arcount")))
		}
		if name := at("qname"); name != "" && name != "<Name too long>" {
			class, _ := strconv.ParseUint(at("qclass"), 0, 16)
			l[len(l)-1] += fmt.Sprintf(" %q/%s/%d", name, at("qtype"), class)
		}
	}
	return l
}
