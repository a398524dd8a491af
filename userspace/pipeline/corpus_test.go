package pipeline_test

import (
	"crypto/sha256"
	"hash"
	"path/filepath"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

// captures returns the real captures.
func captures(t *testing.T) (l []string) {
	t.Helper()
	root := needs.Corpus(t)
	for _, pattern := range []string{"*.pcap", "*.pcapng", "*.cap"} {
		files, err := filepath.Glob(filepath.Join(root, "*", pattern))
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, files...)
	}
	if len(l) == 0 {
		t.Fatalf("no captures in %s", root)
	}
	return l
}

// openFile returns a capture as a source, nil for one that is no capture or of a link
// type that is refused.
func openFile(path string) *captureFile {
	r, err := source.Open(path)
	if err != nil {
		return nil
	}
	return &captureFile{Reader: r}
}

// A sided is one side of one flow.
type sided struct {
	id   uint64
	side flow.Side
}

// sums are hashes of what the sides of flows sent.
type sums map[sided]hash.Hash

func (s sums) write(id uint64, side flow.Side, b []byte) {
	k := sided{id, side}
	if s[k] == nil {
		s[k] = sha256.New()
	}
	s[k].Write(b)
}

func (s sums) text() map[sided]string {
	m := map[sided]string{}
	for k, h := range s {
		m[k] = string(h.Sum(nil))
	}
	return m
}

// A summing parser hashes all it is fed, and goes on after gaps.
type summing struct{ sums sums }

func (p *summing) Feed(c *parsers.Context, side flow.Side, b []byte) { p.sums.write(c.ID, side, b) }
func (*summing) Fin(*parsers.Context, flow.Side)                     {}
func (*summing) Rst(*parsers.Context)                                {}
func (*summing) Gap(*parsers.Context, flow.Side, int64, flow.GapCause) bool {
	return true
}

// pushed are the bytes that a session driver feeds.
func pushed(t *testing.T, path string) (sums, flow.Summary) {
	s := sums{}
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{parsers.Every("sum", func(flow.Key) parsers.SessionParser { return &summing{s} })},
	})
	replayCapture(t, path, d)
	return s, d.Summary()
}

// pulled are the bytes that a flow driver is drained of.
func pulled(t *testing.T, path string) (sums, flow.Summary) {
	s := sums{}
	opt := flowOptions{Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}}
	opt.Reassembly.Cap = -1
	var d *flowDriver
	opt.OnEvent = func(e *flow.Event[flow.Key]) {
		if e.Kind != flow.EventPacket && e.Kind != flow.EventEnded {
			return
		}
		for side := range flow.Side(2) {
			if b := d.Drain(e.FlowKey, side); len(b) > 0 {
				s.write(e.ID, side, b)
			}
		}
	}
	d = pipeline.NewFlowDriver(opt)
	replayCapture(t, path, d)
	return s, d.Summary()
}

func replayCapture(t *testing.T, path string, d pipeline.Driver) {
	t.Helper()
	src := openFile(path)
	if src == nil {
		d.Finish()
		return
	}
	defer src.Close()
	_ = pipeline.Replay(t.Context(), src, d) // a file that is cut short is an error, and a case too
}

// TestCorpus holds for real captures that both ways to get at the bytes of a stream, pushed
// and pulled, give the same, and that every driver accounts for every frame.
func TestCorpus(t *testing.T) {
	streams := 0
	for _, path := range captures(t) {
		t.Run(filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path)), func(t *testing.T) {
			push, ps := pushed(t, path)
			pull, fs := pulled(t, path)
			want, got := push.text(), pull.text()
			for k, sum := range want {
				if streams++; got[k] != sum {
					t.Errorf("flow %016x %s: pulled bytes differ from those pushed", k.id, k.side)
				}
			}
			for k := range got {
				if _, ok := want[k]; !ok {
					t.Errorf("flow %016x %s: bytes were pulled, none pushed", k.id, k.side)
				}
			}
			for driver, s := range map[string]flow.Summary{"session": ps, "flow": fs} {
				if p, b := s.Unaccounted(); p != 0 || b != 0 {
					t.Errorf("%s driver: unaccounted: %d packets, %d bytes", driver, p, b)
				}
			}
			if ps.FlowsStarted != fs.FlowsStarted || ps.FlowsEnded != fs.FlowsEnded || ps.PacketsTracked != fs.PacketsTracked {
				t.Errorf("session driver: %d flows, %v; flow driver: %d, %v", ps.FlowsStarted, ps.FlowsEnded, fs.FlowsStarted, fs.FlowsEnded)
			}
		})
	}
	t.Logf("%d streams compared", streams)
}
