package decode

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

// check decodes v in both engines and compares whole packets. linear: see decode.
func (k *kernel) check(t testing.TB, d *packet.Decoder, v *packet.View, linear int) {
	t.Helper()
	want := userspace(d, v)
	got := normal(k.decode(t, v, linear))
	if want.Cause != 0 {
		got.Time = want.Time
	}
	if got != want {
		t.Fatalf("frame of link type %d, %d of %d bytes, %d of them linear: %x%s",
			v.LinkType, len(v.Frame), v.WireLen(), linear, v.Frame, differences(got, want))
	}
}

// TestCorpusAgrees decodes every frame of the corpus.
func TestCorpusAgrees(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	for _, path := range captures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) { k.checkCapture(t, path) })
	}
}

func (k *kernel) checkCapture(t *testing.T, path string) {
	r, err := source.Open(path)
	if err != nil {
		t.Skipf("not a capture that replays: %v", err)
	}
	defer r.Close()
	var f source.Frame
	var d packet.Decoder
	for n := 0; ; n++ {
		if err := r.Next(&f); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 {
				t.Skipf("stopped after %d frames: %v", n, err)
			}
			return
		}
		v := packet.View{Frame: f.Data[:min(len(f.Data), maxFrame)], Time: f.Time, OrigLen: f.OrigLen, LinkType: packet.LinkType(f.LinkType)}
		k.check(t, &d, &v, 0)
	}
}

// captures lists the captures below FLOWSCOPE_CORPUS.
func captures(t testing.TB) []string {
	root := os.Getenv("FLOWSCOPE_CORPUS")
	if root == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("FLOWSCOPE_CORPUS is not set")
		}
		t.Skip("FLOWSCOPE_CORPUS is not set: no captures to decode")
	}
	var l []string
	for _, pattern := range []string{"*/*.pcap", "*/*.pcapng", "*/*.cap"} {
		m, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, m...)
	}
	if len(l) == 0 {
		t.Fatalf("no captures in %s", root)
	}
	return l
}

// TestPacketsAgree decodes a packet for each rule, whole, cut at every byte, and with
// every part of it outside the linear part of the frame.
func TestPacketsAgree(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	var d packet.Decoder
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			v := s.packet.View()
			k.check(t, &d, &v, 0)
			whole := v.Frame
			for n := range len(whole) {
				cut := v
				cut.Frame = whole[:n]
				k.check(t, &d, &cut, 0)
				k.check(t, &d, &v, max(n, 1))
			}
		})
	}
}
