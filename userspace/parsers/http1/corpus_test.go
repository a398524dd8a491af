package http1_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
)

// oracles returns the captures that tshark found HTTP in, by its list of it.
func oracles(t *testing.T) (lists []string) {
	t.Helper()
	root := needs.Corpus(t)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".oracle-http.tsv") {
			lists = append(lists, path)
		}
		return err
	})
	if err != nil || len(lists) == 0 {
		t.Fatalf("no captures with HTTP in %s: %v", root, err)
	}
	return lists
}

// expected reads tshark's list: for each flow over TCP, one text a message.
func expected(t *testing.T, path string) map[string][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma, r.Comment, r.LazyQuotes = '\t', '#', true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	messages, column := make(map[string][]string), make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		at := func(name string) string { return row[column[name]] }
		if at("proto") == "tcp" {
			from, to := at("src")+":"+at("sport"), at("dst")+":"+at("dport")
			messages[pair(from, to)] = append(messages[pair(from, to)],
				fmt.Sprint(from, " ", at("kind"), " ", at("method"), at("status"), " ", at("uri"), " ", at("version")))
		}
	}
	return messages
}

// pair names a flow by its ends, either way round.
func pair(a, b string) string { return min(a, b) + " - " + max(a, b) }

// describe says of a message what expected says.
// whole is false when the message is cut short, which tshark does not tell.
func describe(m parsers.Message) (text string, whole bool) {
	switch m := m.(type) {
	case *http1.Request:
		return fmt.Sprint("request ", m.Method, " ", m.Target, " HTTP/", m.Version), !m.Incomplete
	case *http1.Response:
		return fmt.Sprint("response ", m.Status, "  HTTP/", m.Version), !m.Incomplete
	}
	return "?", true
}

// A wire plays the driver for the flows of a capture.
type wire struct {
	flows    map[string]*session // by pair
	all      []*session
	messages map[string][]string // by pair; those cut short are left out
	faults   map[string][]string // by pair: why messages may be missing
	truncate bool                // the packet in hand was not captured whole
	fragment bool                // there are IP fragments, which are passed over
}

// A session is one flow; its first direction is the initiator's.
type session struct {
	w      *wire
	parser http1.Parser
	ctx    parsers.Context
	ends   [2]string
	pair   string
	dirs   [2]direction
	known  bool
	over   bool
}

// A direction puts segments in order; of bytes sent twice the first copy counts.
type direction struct {
	started bool
	syn     bool
	fin     bool
	last    uint32 // of the stream, with fin
	next    uint32
	early   map[uint32][]byte
}

// segment takes one TCP segment.
func (w *wire) segment(net gopacket.Flow, tcp *layers.TCP) {
	from, to := fmt.Sprint(net.Src(), ":", uint16(tcp.SrcPort)), fmt.Sprint(net.Dst(), ":", uint16(tcp.DstPort))
	name := pair(from, to)
	s := w.flows[name]
	if s == nil || tcp.SYN && !tcp.ACK && s.dirs[0].started {
		s = &session{w: w, ends: [2]string{from, to}, pair: name}
		s.ctx.OnMessage = s.message
		w.flows[name], w.all = s, append(w.all, s)
	}
	if w.truncate {
		s.fault("not captured whole")
	}
	side := flow.Initiator
	if from != s.ends[0] {
		side = flow.Responder
	}
	s.segment(side, tcp)
}

func (s *session) fault(why string) {
	if !slices.Contains(s.w.faults[s.pair], why) {
		s.w.faults[s.pair] = append(s.w.faults[s.pair], why)
	}
}

func (s *session) message(side flow.Side, _ flow.Timestamp, m parsers.Message) {
	if text, whole := describe(m); whole {
		s.w.messages[s.pair] = append(s.w.messages[s.pair], s.ends[side]+" "+text)
	}
}

func (s *session) segment(side flow.Side, tcp *layers.TCP) {
	d, seq := &s.dirs[side], tcp.Seq
	if tcp.SYN {
		seq++
	}
	if !d.started && (tcp.SYN || len(tcp.Payload) > 0) {
		*d = direction{started: true, syn: tcp.SYN, next: seq, early: make(map[uint32][]byte)}
	}
	if len(tcp.Payload) > len(d.early[seq]) && int32(seq-d.next)+int32(len(tcp.Payload)) > 0 {
		d.early[seq] = tcp.Payload
	}
	if tcp.FIN {
		d.fin, d.last = true, seq+uint32(len(tcp.Payload))
	}
	s.drain(side)
	if d.fin && d.next == d.last && !s.over {
		s.parser.Fin(&s.ctx, side)
	}
}

// drain feeds what is in order.
func (s *session) drain(side flow.Side) {
	d := &s.dirs[side]
	for _, seq := range slices.SortedFunc(maps.Keys(d.early), func(a, b uint32) int { return int(int32(a - b)) }) {
		b := d.early[seq]
		if int32(seq-d.next) > 0 {
			return
		}
		delete(d.early, seq)
		if old := int(d.next - seq); old < len(b) {
			d.next += uint32(len(b) - old)
			s.feed(side, b[old:])
		}
	}
}

// end reports holes as gaps and ends both streams.
func (s *session) end() {
	for side := range flow.Side(2) {
		for d := &s.dirs[side]; len(d.early) > 0; s.drain(side) {
			first := slices.MinFunc(slices.Collect(maps.Keys(d.early)), func(a, b uint32) int { return int(int32(a - b)) })
			s.gap(side, int64(first-d.next))
			d.next = first
		}
	}
	if !s.over {
		s.parser.Fin(&s.ctx, flow.Initiator)
		s.parser.Fin(&s.ctx, flow.Responder)
	}
}

func (s *session) gap(side flow.Side, n int64) {
	s.fault("gap")
	if !s.over && !s.parser.Gap(&s.ctx, side, n, flow.GapNetwork) {
		s.over = true
	}
}

// feed looks for HTTP anew in each chunk until it is there, so that what comes
// after another protocol is found too.
func (s *session) feed(side flow.Side, b []byte) {
	s.known = s.known || http1.Probe(side, b) == parsers.Yes
	if !s.known || s.over {
		return
	}
	s.ctx.Side = side
	s.parser.Feed(&s.ctx, side, b)
	v, reason, _ := s.ctx.TakeVerdict()
	s.over = v != parsers.Continue
	if v == parsers.Poisoned {
		s.fault("poisoned: " + reason)
	}
}

// read plays the capture that path lists the messages of.
func (w *wire) read(t *testing.T, path string) {
	t.Helper()
	source := capture(t, path)
	for {
		data, info, err := source.ReadPacketData()
		if err != nil {
			break // some captures are cut
		}
		w.truncate = info.CaptureLength < info.Length
		p := gopacket.NewPacket(data, source.LinkType(), gopacket.Lazy)
		segments(p, w.segment)
		w.fragment = w.fragment || p.Layer(gopacket.LayerTypeFragment) != nil
	}
	for _, s := range w.all {
		s.end()
		if w.fragment {
			s.fault("fragments")
		}
		if !s.dirs[0].syn || !s.dirs[1].syn {
			s.fault("begins in the middle")
		}
	}
}

// segments calls f for each TCP segment in a packet, inner ones too.
func segments(p gopacket.Packet, f func(gopacket.Flow, *layers.TCP)) {
	var net gopacket.Flow
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case gopacket.NetworkLayer:
			net = l.NetworkFlow()
		case *layers.TCP:
			f(net, l)
		}
	}
}

type packets interface {
	gopacket.PacketDataSource
	LinkType() layers.LinkType
}

// capture opens the capture beside an oracle's list.
func capture(t *testing.T, path string) packets {
	t.Helper()
	base := strings.TrimSuffix(path, ".oracle-http.tsv")
	b, err := os.ReadFile(base + ".pcap")
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(base + ".pcapng")
	}
	if err != nil {
		t.Fatal(err)
	}
	var p packets
	if bytes.HasPrefix(b, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		p, err = pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: false})
	} else {
		p, err = pcapgo.NewReader(bufio.NewReader(bytes.NewReader(b)))
	}
	if err != nil {
		t.Fatalf("open %s: %v", base, err)
	}
	return p
}

// TestCorpus wants what tshark saw in every flow that was captured from its
// beginning without loss, and no poison there; elsewhere it shows the differences.
func TestCorpus(t *testing.T) {
	for _, path := range oracles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".oracle-http.tsv"), func(t *testing.T) {
			w := &wire{flows: make(map[string]*session), messages: make(map[string][]string), faults: make(map[string][]string)}
			w.read(t, path)
			want := expected(t, path)
			for name := range w.flows {
				compare(t, name, w.messages[name], want[name], w.faults[name])
			}
			for name, messages := range want {
				if w.flows[name] == nil {
					t.Logf("%s: not decoded here: %d messages", name, len(messages))
				}
			}
		})
	}
}

func compare(t *testing.T, name string, got, want, faults []string) {
	t.Helper()
	missing, extra := difference(want, got), difference(got, want)
	if len(missing)+len(extra) == 0 && len(faults) == 0 {
		return
	}
	report := t.Errorf
	if len(faults) > 0 && !(len(faults) == 1 && strings.HasPrefix(faults[0], "poisoned")) {
		report = t.Logf
	}
	report("%s: faults %q\n missing %s\n extra %s", name, faults, strings.Join(missing, "\n  "), strings.Join(extra, "\n  "))
}

// difference returns what is in a and not in b, counting repeats.
func difference(a, b []string) (only []string) {
	b = slices.Clone(b)
	for _, s := range a {
		if i := slices.Index(b, s); i >= 0 {
			b[i] = ""
			continue
		}
		only = append(only, s)
	}
	return only
}
