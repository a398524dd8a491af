package tests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

// A said is one chunk that one side of a conversation says.
type said struct {
	side flow.Side
	data []byte
}

// An echo parser keeps all it is fed.
type echo struct{ got *[2]bytes.Buffer }

func (e *echo) Feed(_ *parsers.Context, side flow.Side, b []byte) { e.got[side].Write(b) }
func (*echo) Fin(*parsers.Context, flow.Side)                     {}
func (*echo) Rst(*parsers.Context)                                {}

// A captured file is a source.Reader as a pipeline.Source.
type captured struct {
	*source.Reader
	frame source.Frame
}

func (c *captured) Next(v *packet.View) error {
	err := c.Reader.Next(&c.frame)
	f := &c.frame
	*v = packet.View{Frame: f.Data, Time: f.Time, OrigLen: f.OrigLen, LinkType: packet.LinkType(f.LinkType), Dir: packet.CaptureDir(f.Dir)}
	return err
}

// carry writes a conversation into a capture and reads it back through a driver.
func carry(t *testing.T, mss int, chunks []said) (got [2]bytes.Buffer) {
	t.Helper()
	c := packettest.NewConversation("10.0.0.1:40000", "10.0.0.2:9000").MSS(mss).Handshake()
	for _, s := range chunks {
		c.Sends(s.side, string(s.data))
	}
	var file bytes.Buffer
	if err := packettest.WritePcap(&file, c.Close().Trace()); err != nil {
		t.Fatal(err)
	}
	r, err := source.New(&file)
	if err != nil {
		t.Fatal(err)
	}
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{parsers.Every("echo", func(flow.Key) parsers.SessionParser { return &echo{&got} })},
	})
	if err := pipeline.Replay(t.Context(), &captured{Reader: r}, d); err != nil {
		t.Fatal(err)
	}
	if s := d.Summary(); s.FlowsStarted != 1 || s.FlowsEnded[flow.EndFIN] != 1 {
		t.Errorf("%d flows started, %d ended by FIN, want 1 and 1", s.FlowsStarted, s.FlowsEnded[flow.EndFIN])
	}
	return got
}

// checkRoundTrip holds that each side's bytes come back as they were said.
func checkRoundTrip(t *testing.T, mss int, chunks []said) {
	t.Helper()
	var want [2]bytes.Buffer
	for _, s := range chunks {
		want[s.side].Write(s.data)
	}
	got := carry(t, mss, chunks)
	for side := range flow.Side(2) {
		if !bytes.Equal(got[side].Bytes(), want[side].Bytes()) {
			t.Errorf("%s: got %d bytes, want %d, or they differ\n got %.100x\nwant %.100x",
				side, got[side].Len(), want[side].Len(), got[side].Bytes(), want[side].Bytes())
		}
	}
}

// TestRoundTrip takes bytes through a capture file in memory, the source and a session
// driver, and holds that the same bytes come out.
func TestRoundTrip(t *testing.T) {
	from := func(side flow.Side, s string) said { return said{side, []byte(s)} }
	long := strings.Repeat("0123456789abcdef", 500)
	tests := []struct {
		name   string
		mss    int
		chunks []said
	}{
		{"single", 1460, []said{from(flow.Initiator, "hello")}},
		{"chunked", 1460, []said{from(flow.Initiator, "one "), from(flow.Initiator, "two "), from(flow.Initiator, "three")}},
		{"interleaved", 1460, []said{
			from(flow.Initiator, "ask"), from(flow.Responder, "answer"), from(flow.Initiator, "more"), from(flow.Responder, "last")}},
		{"many segments", 100, []said{from(flow.Initiator, long), from(flow.Responder, long)}},
		{"byte by byte", 1, []said{from(flow.Initiator, long[:300]), from(flow.Responder, long[:200])}},
		{"nothing", 1460, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkRoundTrip(t, tt.mss, tt.chunks) })
	}
	for i := range 64 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		var chunks []said
		for side := range flow.Side(2) {
			for range r.IntN(9) {
				chunks = append(chunks, said{side, randomBytes(r, r.IntN(256))})
			}
		}
		r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
		t.Run(fmt.Sprintf("random %d", i), func(t *testing.T) { checkRoundTrip(t, 1460, chunks) })
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
