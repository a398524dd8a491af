package tracker

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// corpus returns the files that match below the directory of real captures.
func corpus(t *testing.T, pattern string) []string {
	t.Helper()
	dir := needs.Corpus(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s below %s: %v", pattern, dir, err)
	}
	return files
}

// frames calls f with every frame of a capture.
func frames(t *testing.T, path string, f func(link layers.LinkType, ci gopacket.CaptureInfo, frame []byte)) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r interface {
		ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
		LinkType() layers.LinkType
	}
	if r, err = pcapgo.NewReader(bytes.NewReader(raw)); err != nil {
		if r, err = pcapgo.NewNgReader(bytes.NewReader(raw), pcapgo.DefaultNgReaderOptions); err != nil {
			t.Fatalf("open %s: %v", path, err)
		}
	}
	for {
		frame, ci, err := r.ReadPacketData()
		if err != nil {
			return
		}
		f(r.LinkType(), ci, frame)
	}
}

// replay runs a capture through a table, without reassembly, and returns what each
// flow left, in order of first packet.
func replay(t *testing.T, path string, o options) (recs []flow.Record) {
	t.Helper()
	o.Handler = func(f *testFlow, e *flow.Event[flow.Key]) {
		if e.Kind == flow.EventEnded {
			r := flow.Record{Key: f.Key}
			f.Fill(&r)
			r.Endpoint[0].IP, r.Endpoint[0].Port = f.Key.Source(f.InitiatorDir())
			r.Endpoint[1].IP, r.Endpoint[1].Port = f.Key.Source(f.InitiatorDir().Other())
			recs = append(recs, r)
		}
	}
	tb := New(o, nil)
	var dec packet.Decoder
	var pkt packet.Packet
	var x packet.Extracted[flow.Key]
	var number uint64
	frames(t, path, func(link layers.LinkType, ci gopacket.CaptureInfo, frame []byte) {
		number++
		v := packet.View{Frame: frame, Time: flow.At(ci.Timestamp), OrigLen: ci.Length, LinkType: packet.LinkType(link)}
		if dec.Decode(&v, &pkt) != flow.Decoded || (packet.FiveTuple{}).Extract(&pkt, &x) != flow.Decoded {
			return
		}
		in := Input[flow.Key]{
			Key: x.Key, Dir: x.Dir, Proto: pkt.Proto, Ports: [2]uint16{x.Key.LoPort, x.Key.HiPort}, Time: v.Time,
			Number: number, Packets: 1, Bytes: pkt.WireLen, IPBytes: pkt.IPLen, PayloadLen: pkt.PayloadLen, TTL: pkt.TTL,
		}
		if pkt.Proto == flow.ProtoTCP && pkt.HasTCP {
			seg := pkt.Segment(frame)
			seg.Time = v.Time
			in.Seg = &seg
		}
		tb.Finish(tb.Observe(&in), &in)
	})
	tb.EndAll(flow.EndOfInput)
	return recs
}

// zeekConns reads a conn.log: for each tuple, originator first, its lines.
func zeekConns(t *testing.T, path string) map[string][]map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	conns := make(map[string][]map[string]string)
	var fields []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if names, ok := strings.CutPrefix(sc.Text(), "#fields\t"); ok {
			fields = strings.Split(names, "\t")
		}
		if strings.HasPrefix(sc.Text(), "#") || fields == nil {
			continue
		}
		row := make(map[string]string)
		for i, v := range strings.Split(sc.Text(), "\t") {
			row[fields[i]] = strings.TrimPrefix(v, "-")
		}
		k := fmt.Sprint(row["proto"], " ", row["id.orig_h"], " ", row["id.orig_p"], " > ", row["id.resp_h"], " ", row["id.resp_p"])
		conns[k] = append(conns[k], row)
	}
	return conns
}

// TestZeekAgrees compares conn_state and history with what Zeek said of the same
// captures. Gaps are the reassembler's to report, so their letters are left out.
func TestZeekAgrees(t *testing.T) {
	noGaps := strings.NewReplacer("G", "", "g", "")
	var flows, same int
	for _, log := range corpus(t, "*.zeek-conn.log") {
		conns := zeekConns(t, log)
		for _, r := range replay(t, captureOf(t, log), options{}) {
			a, b := r.Endpoint[0], r.Endpoint[1]
			k := fmt.Sprintf("%v %v %d > %v %d", r.Key.Proto, a.IP, a.Port, b.IP, b.Port)
			if len(conns[k]) == 0 {
				if r.Key.Proto.HasPorts() {
					t.Logf("%s: %s %s %s: not in Zeek's log", filepath.Base(log), k, r.ConnState, r.History)
				}
				continue
			}
			want := conns[k][0]
			conns[k] = conns[k][1:]
			flows++
			if r.ConnState == want["conn_state"] && noGaps.Replace(r.History) == noGaps.Replace(want["history"]) {
				same++
				continue
			}
			t.Logf("%s: %s: %s %s, Zeek says %s %s", filepath.Base(log), k, r.ConnState, r.History, want["conn_state"], want["history"])
		}
		for k, left := range conns {
			for _, row := range left {
				t.Logf("%s: %s: Zeek alone has it, %s %s", filepath.Base(log), k, row["conn_state"], row["history"])
			}
		}
	}
	t.Logf("%d of %d flows agree", same, flows)
	if same*10 < flows*9 {
		t.Errorf("%d of %d flows agree, want nine in ten", same, flows)
	}
}

func captureOf(t *testing.T, log string) string {
	t.Helper()
	for _, ext := range []string{".pcap", ".pcapng"} {
		path := strings.TrimSuffix(log, ".zeek-conn.log") + ext
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("no capture for %s", log)
	return ""
}
