package reassembly

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestCorpus compares every stream of the corpus with what tshark and two plain
// replays made of it. Packets in tunnels and fragments are left to the whole
// program's tests: decoding them is another package's work.
func TestCorpus(t *testing.T) {
	root := needs.Corpus(t)
	files, err := filepath.Glob(filepath.Join(root, "*", "*.oracle-tcpstream.tsv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no oracles below %s: %v", root, err)
	}
	total := map[string]int{}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { checkOracle(t, f, total) })
	}
	t.Logf("streams compared, by verdict: %v", total)
	if total["solid"] == 0 {
		t.Error("no solid stream compared")
	}
}

// A direction names one direction of a flow as the oracle does.
type direction string

// An oracleRow is one direction in a tcpstream table, by column name.
type oracleRow map[string]string

func (r oracleRow) direction() direction {
	return direction(strings.Join([]string{r["src"], r["sport"], r["dst"], r["dport"]}, " "))
}

func checkOracle(t *testing.T, name string, total map[string]int) {
	c := replayCapture(t, captureOf(t, name))
	if c.fragments {
		t.Skip("has fragments")
	}
	nth := ordinals(t, strings.Replace(name, ".oracle-tcpstream.", ".oracle-conv.", 1))
	for _, row := range readTable(t, name) {
		d, i := row.direction(), nth[row["stream"]]
		if i >= len(c.streams[d]) {
			if !strings.Contains(name, "/encap/") {
				t.Errorf("%s: stream %s not found", d, row["stream"])
			}
			continue
		}
		total[row["verdict"]]++
		checkRow(t, row, c.streams[d][i])
	}
}

// ordinals says for each TCP stream of a capture how many streams with the same
// endpoints came before it.
func ordinals(t *testing.T, name string) map[string]int {
	nth, seen := map[string]int{}, map[direction]int{}
	for _, row := range readTable(t, name) {
		if row["proto"] != "tcp" {
			continue
		}
		nth[row["stream"]] = seen[row.direction()]
		seen[row.direction()]++
		row["src"], row["sport"], row["dst"], row["dport"] = row["dst"], row["dport"], row["src"], row["sport"]
		seen[row.direction()]++
	}
	return nth
}

func checkRow(t *testing.T, row oracleRow, h *hashes) {
	whole, first := h.whole.String(), h.first.String()
	want := func(what, got string, of ...string) {
		for _, w := range of {
			if got == w {
				return
			}
		}
		t.Errorf("stream %s %s (%s) %s: got %s, want %v", row["stream"], row["dir"], row["verdict"], what, got, of)
	}
	length := func(n, sum string) string { return row[n] + " " + row[sum] }
	switch row["verdict"] {
	case "solid", "solid-midstream":
		want("stream", whole, length("tshark_len", "tshark_sha256"))
	case "gap", "gap-agreed":
		want("up to the first hole", first, length("contiguous_len", "contiguous_sha256"))
	case "policy":
		want("stream", whole, length("bytes_present", "firstwins_sha256"), length("bytes_present", "lastwins_sha256"))
	}
}

// captureOf returns the capture that an oracle is about.
func captureOf(t *testing.T, oracle string) string {
	base := strings.TrimSuffix(oracle, ".oracle-tcpstream.tsv")
	for _, ext := range []string{".pcap", ".pcapng"} {
		if _, err := os.Stat(base + ext); err == nil {
			return base + ext
		}
	}
	t.Fatalf("no capture beside %s", oracle)
	return ""
}

func readTable(t *testing.T, name string) (rows []oracleRow) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		switch {
		case strings.HasPrefix(line, "# "):
		case columns == nil:
			columns = fields
		default:
			row := oracleRow{}
			for i, f := range fields {
				row[columns[i]] = f
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// A digest is a running SHA-256 with its length.
type digest struct {
	hash.Hash
	n int64
}

func newDigest() digest { return digest{Hash: sha256.New()} }

func (d *digest) add(b []byte) {
	d.Write(b)
	d.n += int64(len(b))
}

func (d *digest) String() string {
	return strconv.FormatInt(d.n, 10) + " " + hex.EncodeToString(d.Sum(nil))
}

// hashes is one delivered stream: all of it, and what came before the first gap.
type hashes struct {
	whole, first digest
	gap          bool
}

// A capturedFlow is a flow of a capture and a Sink for it.
type capturedFlow struct {
	a    Assembler
	out  [2]*hashes
	syn  [2]flow.Seq
	syns [2]bool
	last flow.Timestamp
}

func (f *capturedFlow) Data(side flow.Side, b []byte) {
	h := f.out[side]
	h.whole.add(b)
	if !h.gap {
		h.first.add(b)
	}
}

func (f *capturedFlow) Gap(side flow.Side, n int64, cause flow.GapCause) { f.out[side].gap = true }
func (f *capturedFlow) End(flow.Side, flow.EndReason)                    {}
func (f *capturedFlow) Anomaly(*flow.Anomaly)                            {}

// A capture replays a file through one Shared, one flow per tuple and new SYN.
type capture struct {
	sh      *Shared
	flows   map[tuple]*capturedFlow
	all     []*capturedFlow
	streams map[direction][]*hashes

	fragments bool // some packets are fragments, and left out
}

type tuple struct {
	src, dst     string
	sport, dport uint16
}

func (k tuple) reverse() tuple { return tuple{k.dst, k.src, k.dport, k.sport} }

func (k tuple) direction() direction {
	return direction(fmt.Sprintf("%s %d %s %d", k.src, k.sport, k.dst, k.dport))
}

func replayCapture(t *testing.T, name string) *capture {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// tshark leaves urgent bytes in the stream.
	c := &capture{sh: NewShared(Options{Urgent: UrgentInline}), flows: map[tuple]*capturedFlow{}, streams: map[direction][]*hashes{}}
	if err := eachPacket(f, c.packet); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	for _, f := range c.all {
		f.a.Close(c.sh, flow.EndOfInput, f.last, f)
		for side := range f.a.stream {
			checkLaw(t, &f.a, flow.Side(side), f.out[side].whole.n)
		}
	}
	return c
}

// checkLaw checks that the bytes of a closed stream add up.
func checkLaw(t testing.TB, a *Assembler, side flow.Side, delivered int64) {
	t.Helper()
	var st flow.SideStats
	a.Stats(side, &st)
	x := &a.stream[side]
	span := x.max
	if x.has(known | finSeen) {
		span = max(span, x.fin)
	}
	got := st.StreamBytes + st.MissedBytes + st.CaptureMissedBytes + st.SkippedBytes + st.UrgentBytes
	if got != uint64(span) || st.StreamBytes != uint64(delivered) {
		t.Errorf("%v: accounted for %d of span %d, delivered %d: %+v", side, got, span, delivered, st)
	}
}

// eachPacket calls do with every packet of a pcap or pcapng file.
func eachPacket(f io.Reader, do func(link layers.LinkType, ci gopacket.CaptureInfo, b []byte)) error {
	r := bufio.NewReader(f)
	magic, err := r.Peek(4)
	if err != nil {
		return err
	}
	var next func() ([]byte, gopacket.CaptureInfo, error)
	var link func(i int) layers.LinkType
	if binary.LittleEndian.Uint32(magic) == 0x0a0d0d0a {
		ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return err
		}
		next = ng.ReadPacketData
		link = func(i int) layers.LinkType {
			in, _ := ng.Interface(i)
			return in.LinkType
		}
	} else {
		p, err := pcapgo.NewReader(r)
		if err != nil {
			return err
		}
		next = p.ReadPacketData
		link = func(int) layers.LinkType { return p.LinkType() }
	}
	for {
		b, ci, err := next()
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
		do(link(ci.InterfaceIndex), ci, b)
	}
}

// packet takes one frame: IP over Ethernet with VLANs, raw, cooked or null links.
func (c *capture) packet(link layers.LinkType, ci gopacket.CaptureInfo, b []byte) {
	ip, wire := network(link, b), ci.Length
	if ip == nil {
		return
	}
	if fragment(ip) {
		c.fragments = true
		return
	}
	wire -= len(b) - len(ip)
	k, segment, size := transport(ip, wire)
	if segment == nil || size < 20 {
		return
	}
	s, ok := tcpSegment(segment, size, flow.At(ci.Timestamp))
	if !ok {
		return
	}
	k.sport, k.dport = binary.BigEndian.Uint16(segment), binary.BigEndian.Uint16(segment[2:])
	c.segment(k, &s)
}

// network returns the IP packet in a frame, or nil.
func network(link layers.LinkType, b []byte) []byte {
	skip := 0
	switch link {
	case layers.LinkTypeEthernet:
		skip = 14
		for len(b) >= skip+4 && (binary.BigEndian.Uint16(b[skip-2:]) == 0x8100 || binary.BigEndian.Uint16(b[skip-2:]) == 0x88a8) {
			skip += 4
		}
	case layers.LinkTypeLinuxSLL:
		skip = 16
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		skip = 4
	case layers.LinkTypeRaw, 12, 14, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
	default:
		return nil
	}
	if len(b) <= skip {
		return nil
	}
	return b[skip:]
}

func fragment(ip []byte) bool {
	switch {
	case ip[0]>>4 == 4 && len(ip) >= 20:
		return binary.BigEndian.Uint16(ip[6:])&0x3fff != 0
	case ip[0]>>4 == 6 && len(ip) >= 40:
		return ip[6] == byte(layers.IPProtocolIPv6Fragment) || ip[6] == byte(layers.IPProtocolIPv6Destination)
	}
	return false
}

// transport returns the TCP part of an unfragmented IP packet of wire bytes on the
// wire, and its size there.
func transport(ip []byte, wire int) (k tuple, segment []byte, size int) {
	switch {
	case ip[0]>>4 == 4 && len(ip) >= 20 && ip[9] == 6:
		header := int(ip[0]&15) * 4
		size = cmp.Or(int(binary.BigEndian.Uint16(ip[2:])), wire) - header
		k = tuple{src: dotted(ip[12:16]), dst: dotted(ip[16:20])}
		return k, part(ip, header, size), size
	case ip[0]>>4 == 6 && len(ip) >= 40:
		var v6 layers.IPv6
		if v6.DecodeFromBytes(ip, gopacket.NilDecodeFeedback) != nil || v6.NextHeader != layers.IPProtocolTCP {
			return k, nil, 0
		}
		size = int(v6.Length)
		k = tuple{src: v6.SrcIP.String(), dst: v6.DstIP.String()}
		return k, part(ip, 40, size), size
	}
	return k, nil, 0
}

func dotted(b []byte) string { return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3]) }

// part returns what was captured of n bytes at off; nil when it is less than a TCP header.
func part(b []byte, off, n int) []byte {
	if len(b) < off+20 || n < 20 {
		return nil
	}
	return b[off:min(len(b), off+n)]
}

// tcpSegment decodes a TCP header with its options.
func tcpSegment(b []byte, size int, ts flow.Timestamp) (s flow.Segment, ok bool) {
	header := int(b[12]>>4) * 4
	if header < 20 || header > size {
		return s, false
	}
	s.Seq, s.Ack = flow.Seq(binary.BigEndian.Uint32(b[4:])), flow.Seq(binary.BigEndian.Uint32(b[8:]))
	s.Flags = flow.TCPFlags(b[13])
	s.Window, s.Urgent = binary.BigEndian.Uint16(b[14:]), binary.BigEndian.Uint16(b[18:])
	s.Time, s.Len = ts, size-header
	if len(b) > header {
		s.Data = b[header:]
	}
	s.Capture = len(s.Data) < s.Len
	var tcp layers.TCP
	if tcp.DecodeFromBytes(b, gopacket.NilDecodeFeedback) == nil {
		for _, o := range tcp.Options {
			option(&s, o)
		}
	}
	return s, true
}

func option(s *flow.Segment, o layers.TCPOption) {
	switch {
	case o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1:
		s.Options |= flow.OptWScale
		s.WScale = o.OptionData[0]
	case o.OptionType == layers.TCPOptionKindTimestamps && len(o.OptionData) == 8:
		s.Options |= flow.OptTimestamps
		s.TSVal = binary.BigEndian.Uint32(o.OptionData)
		s.TSEcr = binary.BigEndian.Uint32(o.OptionData[4:])
	}
}

// segment gives s to its flow. A SYN with another number starts a new one, as it
// does for tshark.
func (c *capture) segment(k tuple, s *flow.Segment) {
	f, side := c.flows[k], flow.Initiator
	if f == nil {
		if f = c.flows[k.reverse()]; f != nil {
			side = flow.Responder
		}
	}
	opens := s.Flags&(flow.SYN|flow.ACK) == flow.SYN
	if f == nil || opens && f.syns[side] && f.syn[side] != s.Seq {
		delete(c.flows, k.reverse())
		side, f = flow.Initiator, c.open(k)
	}
	if s.Flags&flow.SYN != 0 && !f.syns[side] {
		f.syn[side], f.syns[side] = s.Seq, true
	}
	f.last = s.Time
	data := bytes.Clone(s.Data)
	s.Data = data
	f.a.Segment(c.sh, side, s, f)
	clear(data)
}

func (c *capture) open(k tuple) *capturedFlow {
	f := &capturedFlow{out: [2]*hashes{
		{whole: newDigest(), first: newDigest()}, {whole: newDigest(), first: newDigest()},
	}}
	c.flows[k] = f
	c.all = append(c.all, f)
	for side, d := range []direction{k.direction(), k.reverse().direction()} {
		c.streams[d] = append(c.streams[d], f.out[side])
	}
	return f
}
