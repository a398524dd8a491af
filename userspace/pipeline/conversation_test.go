package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

type conversation = pipeline.Conversation[flow.Key]

func conversationOptions() pipeline.Options[flow.Key] {
	return pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}
}

// word writes a chunk as a word or two.
func word(c pipeline.Chunk) string {
	switch c.Kind {
	case pipeline.ChunkBytes:
		return fmt.Sprintf("%s %s", c.Side, c.Bytes)
	case pipeline.ChunkGap:
		return fmt.Sprintf("gap %s %d %s", c.Side, c.N, c.Cause)
	}
	return fmt.Sprintf("%s %s", c.Kind, c.Reason)
}

// A listener collects the words of conversations by flow.
type listener struct {
	mu    sync.Mutex
	words map[flow.Key][]string
}

func (l *listener) read(_ context.Context, c *conversation) {
	for ch := range c.Chunks() {
		l.mu.Lock()
		if l.words == nil {
			l.words = map[flow.Key][]string{}
		}
		l.words[c.Key] = append(l.words[c.Key], word(ch))
		l.mu.Unlock()
	}
}

func TestConversation(t *testing.T) {
	tests := []struct {
		name    string
		packets []packettest.Packet
		want    []string
	}{
		{"both sides", open().a("PA", 1001, 5001, "ask").b("PA", 5001, 1004, "answer").a("FA", 1004, 5007, "").b("FA", 5007, 1005, "").a("A", 1005, 5008, "").list,
			[]string{"initiator ask", "responder answer", "closed fin"}},
		{"really in order", open().a("PA", 1004, 5001, "def").b("PA", 5001, 1001, "xyz").a("PA", 1001, 5001, "abc").list,
			[]string{"responder xyz", "initiator abc", "initiator def", "closed end_of_input"}},
		{"a gap", open().a("PA", 1001, 5001, "abc").a("PA", 1009, 5001, "ijk").list,
			[]string{"initiator abc", "gap initiator 5 network", "initiator ijk", "closed end_of_input"}},
		{"a reset", open().a("PA", 1001, 5001, "abc").a("R", 1004, 0, "").list,
			[]string{"initiator abc", "closed rst"}},
		{"no payload", open().list, nil},
	}
	for _, tt := range tests {
		for _, full := range []pipeline.WhenFull{pipeline.Block, pipeline.Drop} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, full), func(t *testing.T) {
				var l listener
				c := pipeline.NewConversations(t.Context(), conversationOptions(), full, l.read)
				if err := pipeline.Replay(t.Context(), trace(tt.packets...), c); err != nil {
					t.Fatal(err)
				}
				if got := l.words[keyOf(t)]; !slices.Equal(got, tt.want) {
					t.Errorf("chunks\n got %q\nwant %q", got, tt.want)
				}
			})
		}
	}
}

// many is a flow whose initiator sends n segments of 4 bytes.
func many(n int) []packettest.Packet {
	c := open()
	for i := range n {
		c.a("PA", 1001+4*uint32(i), 5001, fmt.Sprintf("%04d", i))
	}
	return c.list
}

// TestConversationBlocks holds that with Block nothing is lost, and no more waits
// than the limit.
func TestConversationBlocks(t *testing.T) {
	const segments = 500
	start, tracked := make(chan struct{}), make(chan int, segments)
	var got []string
	c := pipeline.NewConversations(t.Context(), conversationOptions(), pipeline.Block, func(_ context.Context, v *conversation) {
		<-start
		for ch := range v.Chunks() {
			got = append(got, word(ch))
		}
	})
	done := make(chan struct{})
	go func() {
		for i, v := range packettest.Trace(many(segments)...) {
			c.Track(&v)
			tracked <- i
		}
		c.Finish()
		close(done)
	}()
	for range 3 + 64 {
		<-tracked
	}
	select {
	case i := <-tracked:
		t.Errorf("packet %d was tracked though 64 chunks wait", i)
	case <-time.After(20 * time.Millisecond):
	}
	close(start)
	go func() {
		for range tracked {
		}
	}()
	<-done
	close(tracked)
	if len(got) != segments+1 || got[0] != "initiator 0000" || got[segments] != "closed end_of_input" {
		t.Errorf("%d chunks, want %d and the end", len(got), segments)
	}
}

// TestConversationDrops holds that with Drop the driver never waits, and that what
// was dropped is a gap of exactly its length.
func TestConversationDrops(t *testing.T) {
	const segments = 500
	start := make(chan struct{})
	var got []pipeline.Chunk
	c := pipeline.NewConversations(t.Context(), conversationOptions(), pipeline.Drop, func(_ context.Context, v *conversation) {
		<-start
		for ch := range v.Chunks() {
			got = append(got, ch)
		}
	})
	for _, v := range packettest.Trace(many(segments)...) {
		c.Track(&v)
	}
	close(start)
	c.Finish()
	if n := len(got); n != 64+2 {
		t.Fatalf("%d chunks, want 64, a gap and the end", n)
	}
	gap, last := got[64], got[65]
	if want := int64(4 * (segments - 64)); gap.Kind != pipeline.ChunkGap || gap.N != want || gap.Cause != flow.GapCapture {
		t.Errorf("chunk %+v, want a gap of %d bytes, capture", gap, want)
	}
	if last.Kind != pipeline.ChunkClosed {
		t.Errorf("last chunk %+v, want closed", last)
	}
}

// TestConversationGapThenBytes holds that bytes after dropped ones come after the gap.
func TestConversationGapThenBytes(t *testing.T) {
	step := make(chan struct{})
	var sum int64
	c := pipeline.NewConversations(t.Context(), conversationOptions(), pipeline.Drop, func(_ context.Context, v *conversation) {
		<-step
		for ch := range v.Chunks() {
			switch ch.Kind {
			case pipeline.ChunkBytes:
				if want := fmt.Sprintf("%04d", sum/4); string(ch.Bytes) != want {
					t.Errorf("bytes %q at offset %d, want %q", ch.Bytes, sum, want)
				}
				sum += int64(len(ch.Bytes))
			case pipeline.ChunkGap:
				sum += ch.N
			}
		}
	})
	for i, v := range packettest.Trace(many(300)...) {
		if c.Track(&v); i == 150 {
			close(step)
		}
	}
	c.Finish()
	if sum != 1200 {
		t.Errorf("bytes and gaps add up to %d, want 1200", sum)
	}
}

// TestConversationReaderLeaves holds that a reader that returns early does not stop the
// driver.
func TestConversationReaderLeaves(t *testing.T) {
	c := pipeline.NewConversations(t.Context(), conversationOptions(), pipeline.Block, func(_ context.Context, v *conversation) {
		for range v.Chunks() {
			return
		}
	})
	if err := pipeline.Replay(t.Context(), trace(many(300)...), c); err != nil {
		t.Fatal(err)
	}
	if s := c.Summary(); s.PacketsTracked != 303 {
		t.Errorf("%d packets tracked, want 303", s.PacketsTracked)
	}
}

// TestConversationLeaksNothing holds that all goroutines end with the context, also when
// nobody finishes the driver: a bubble with one left in it never ends.
func TestConversationLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running atomic.Int64
		var l listener
		c := pipeline.NewConversations(ctx, conversationOptions(), pipeline.Block, func(ctx context.Context, v *conversation) {
			running.Add(1)
			defer running.Add(-1)
			l.read(ctx, v)
		})
		for i := range 20 {
			from := fmt.Sprintf("10.0.0.1:%d", 1000+i)
			for _, v := range packettest.NewConversation(from, "10.0.0.2:80").Handshake().Request(strings.Repeat("x", 10)).Trace() {
				c.Track(&v)
			}
		}
		if synctest.Wait(); running.Load() != 20 {
			t.Errorf("%d readers run, want one for each of 20 flows", running.Load())
		}
		cancel()
		if synctest.Wait(); running.Load() != 0 {
			t.Errorf("%d readers are left", running.Load())
		}
	})
}

// TestConversationsHandler holds that the events of the flows can be had as well.
func TestConversationsHandler(t *testing.T) {
	var l teller
	opt := conversationOptions()
	opt.Handler = l.handle
	c := pipeline.NewConversations(t.Context(), opt, pipeline.Block, new(listener).read)
	if err := pipeline.Replay(t.Context(), trace(open().a("PA", 1001, 5001, "x").list...), c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"started", "state_change", "state_change", "established", "closed end_of_input"}; !slices.Equal(l.events, want) {
		t.Errorf("events %v, want %v", l.events, want)
	}
}
