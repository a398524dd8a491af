package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"pgregory.net/rapid"
)

// captures lists the capture files below dir.
func captures(tb testing.TB, dir string) (l []string) {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); ext == ".pcap" || ext == ".pcapng" {
			l = append(l, path)
		}
		return err
	})
	if err != nil || len(l) == 0 {
		tb.Fatalf("%d captures in %s, error %v", len(l), dir, err)
	}
	return l
}

// theirs reads a capture with pcapgo. ok is false for a file it refuses.
func theirs(file []byte) (l []Frame, ok bool) {
	var src gopacket.PacketDataSource
	var link func(gopacket.CaptureInfo) layers.LinkType
	if bytes.HasPrefix(file, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, false
		}
		src = r
		link = func(ci gopacket.CaptureInfo) layers.LinkType { return ci.AncillaryData[0].(layers.LinkType) }
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil, false
		}
		src = r
		link = func(gopacket.CaptureInfo) layers.LinkType { return r.LinkType() }
	}
	for {
		data, ci, err := src.ReadPacketData()
		if err == io.EOF {
			return l, true
		}
		if err != nil {
			return l, false
		}
		l = append(l, Frame{Data: data, Time: flow.At(ci.Timestamp), OrigLen: ci.Length, LinkType: uint16(link(ci))})
	}
}

// differ says where two lists of frames differ, "" if they do not. Direction is left
// out: pcapgo does not read it.
func differ(got, want []Frame) string {
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if !bytes.Equal(g.Data, w.Data) || g.Time != w.Time || g.OrigLen != w.OrigLen || g.LinkType != w.LinkType {
			return fmt.Sprintf("frame %d: got %+v, want %+v", i, g, w)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d frames, want %d", len(got), len(want))
	}
	return ""
}

// disputed are captures that pcapgo reads wrong, and why we say so.
var disputed = map[string]string{
	"ndpi-fuzz-2021-06-07-c6c72a0a56.pcap": "microseconds are -1404616: pcapgo wraps them at 32 bits, tshark and argus subtract as we do",
}

// TestCorpusLikePcapgo holds that every real capture gives the frames that pcapgo
// reads from it.
func TestCorpusLikePcapgo(t *testing.T) {
	compared := 0
	for _, path := range captures(t, needs.Corpus(t)) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(file)
			var link *LinkTypeError
			if errors.As(err, &link) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			want, ok := theirs(file)
			if !ok {
				t.Skipf("pcapgo does not read it; %d frames", len(got))
			}
			if why, ok := disputed[filepath.Base(path)]; ok {
				t.Skip(why)
			}
			compared++
			if d := differ(got, want); d != "" {
				t.Error(d)
			}
		})
	}
	t.Logf("%d captures compared", compared)
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// TestCorpusLikeOracle holds the number of frames and their bytes against tshark's.
func TestCorpusLikeOracle(t *testing.T) {
	for _, path := range captures(t, needs.Corpus(t)) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want := summary(t, path)
			r, err := Open(path)
			var link *LinkTypeError
			if errors.As(err, &link) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var frames, bytes, captured int
			for f, err := range r.Frames() {
				if err != nil {
					t.Fatal(err)
				}
				frames, captured = frames+1, captured+len(f.Data)
				bytes += min(f.OrigLen, math.MaxInt32) // tshark holds no more
			}
			for _, c := range []struct {
				key string
				got int
			}{{"frames", frames}, {"wire_bytes", bytes}, {"captured_bytes", captured}} {
				if got := fmt.Sprint(c.got); got != want[c.key] {
					t.Errorf("%s = %s, want %s", c.key, got, want[c.key])
				}
			}
		})
	}
}

// summary reads the key-value oracle beside a capture.
func summary(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".oracle-summary.tsv")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			m[k] = v
		}
	}
	return m
}

// TestWrittenByPcapgo holds that what pcapgo writes is read back, whatever it is.
func TestWrittenByPcapgo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pc, pcNanos, ng bytes.Buffer
		w, n := pcapgo.NewWriter(&pc), pcapgo.NewWriterNanos(&pcNanos)
		g, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
		if err := errors.Join(err, w.WriteFileHeader(1<<18, layers.LinkTypeEthernet), n.WriteFileHeader(1<<18, layers.LinkTypeEthernet)); err != nil {
			t.Fatal(err)
		}
		var want, wantNanos []Frame
		for range rapid.IntRange(0, 20).Draw(t, "frames") {
			data := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "data")
			at := flow.Timestamp(rapid.Int64Range(0, 4e18).Draw(t, "time"))
			f := Frame{Data: data, Time: at, OrigLen: len(data) + rapid.IntRange(0, 100).Draw(t, "cut"), LinkType: LinkEthernet}
			ci := gopacket.CaptureInfo{Timestamp: at.Time(), CaptureLength: len(data), Length: f.OrigLen}
			if err := errors.Join(w.WritePacket(ci, data), n.WritePacket(ci, data), g.WritePacket(ci, data)); err != nil {
				t.Fatal(err)
			}
			wantNanos = append(wantNanos, f)
			f.Time -= f.Time % flow.Timestamp(time.Microsecond)
			want = append(want, f)
		}
		if err := g.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			file []byte
			want []Frame
		}{{"pcap", pc.Bytes(), want}, {"pcap nanos", pcNanos.Bytes(), wantNanos}, {"pcapng", ng.Bytes(), wantNanos}} {
			got, err := read(c.file)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if d := differ(got, c.want); d != "" {
				t.Errorf("%s: %s", c.name, d)
			}
		}
	})
}
