package pipeline

import (
	"context"
	"iter"
	"sync"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// maxChunks is how many chunks of a conversation wait for its reader.
const maxChunks = 64

// A ChunkKind says what a Chunk is.
type ChunkKind uint8

// The kinds.
const (
	ChunkBytes  ChunkKind = iota // ordered bytes of a side
	ChunkGap                     // bytes of a side that are missing
	ChunkClosed                  // the flow has ended, its linger over: the last chunk
)

// String returns "bytes", "gap" or "closed".
func (k ChunkKind) String() string {
	switch k {
	case ChunkBytes:
		return "bytes"
	case ChunkGap:
		return "gap"
	case ChunkClosed:
		return "closed"
	}
	return "unknown"
}

// A Chunk is a piece of a conversation. Fields beyond Kind and Time mean something for
// the kinds in their comments.
type Chunk struct {
	Kind   ChunkKind
	Time   flow.Timestamp
	Side   flow.Side      // ChunkBytes, ChunkGap: who sent it
	Bytes  []byte         // ChunkBytes; the receiver's
	N      int64          // ChunkGap
	Cause  flow.GapCause  // ChunkGap
	Reason flow.EndReason // ChunkClosed
}

// A WhenFull says what becomes of chunks while a reader is behind.
type WhenFull uint8

// Block makes the driver wait for the reader: for files. Drop leaves chunks out and
// puts a gap with capture cause in their place: for live traffic.
const (
	Block WhenFull = iota
	Drop
)

// A Conversation is the ordered bytes of both sides of one TCP flow, as its reader
// gets them.
type Conversation[K comparable] struct {
	Key K
	ID  uint64 // the flow's

	ctx    context.Context
	full   WhenFull
	chunks chan Chunk
	gone   chan struct{}                 // closed when the reader has returned
	lost   [2][flow.GapCapture + 1]int64 // dropped and not told of yet, by side and cause
}

// Chunks yields what comes, up to and with ChunkClosed. It ends without that when
// the context ends.
func (c *Conversation[K]) Chunks() iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		for {
			select {
			case <-c.ctx.Done():
				return
			case ch, ok := <-c.chunks:
				if !ok || !yield(ch) {
					return
				}
			}
		}
	}
}

// put hands ch to the reader, or drops it and remembers that.
func (c *Conversation[K]) put(ch Chunk) {
	if c.full == Block {
		c.send(ch)
		return
	}
	if len(c.chunks)+c.holes()+1 > maxChunks {
		c.drop(&ch)
		return
	}
	c.tell(ch.Time)
	c.chunks <- ch
}

// send waits for the reader, if there still is one.
func (c *Conversation[K]) send(ch Chunk) {
	select {
	case c.chunks <- ch:
	case <-c.gone:
	case <-c.ctx.Done():
	}
}

func (c *Conversation[K]) drop(ch *Chunk) {
	switch ch.Kind {
	case ChunkBytes:
		c.lost[ch.Side][flow.GapCapture] += int64(len(ch.Bytes))
	case ChunkGap:
		c.lost[ch.Side][ch.Cause] += ch.N
	}
}

// holes returns how many chunks it takes to tell of what was dropped.
func (c *Conversation[K]) holes() (n int) {
	for _, side := range c.lost {
		for _, bytes := range side {
			if bytes > 0 {
				n++
			}
		}
	}
	return n
}

// tell puts a gap in the place of what was dropped. There is room for it.
func (c *Conversation[K]) tell(ts flow.Timestamp) {
	for side := range c.lost {
		for cause, n := range c.lost[side] {
			if n > 0 {
				c.chunks <- Chunk{Kind: ChunkGap, Time: ts, Side: flow.Side(side), N: n, Cause: flow.GapCause(cause)}
			}
		}
		clear(c.lost[side][:])
	}
}

// close sends the last chunk and closes the channel.
func (c *Conversation[K]) close(ts flow.Timestamp, reason flow.EndReason) {
	last := Chunk{Kind: ChunkClosed, Time: ts, Reason: reason}
	if c.full == Block {
		c.send(last)
	} else {
		c.tell(ts)
		c.chunks <- last
	}
	close(c.chunks)
}

// Conversations is a driver that gives each TCP flow with payload a reader of its own,
// on a goroutine of its own. The driver itself belongs to one goroutine. The
// goroutines end with the context, or once Finish was called.
type Conversations[K comparable] struct {
	d       *SessionDriver[K]
	ctx     context.Context
	full    WhenFull
	read    func(ctx context.Context, c *Conversation[K])
	open    map[uint64]*Conversation[K] // by flow
	user    func(e *SessionEvent[K])
	readers sync.WaitGroup
}

// NewConversations returns a driver that calls read, on a new goroutine, when the
// first payload of a flow comes. Options.Protocols does not concern it; its Handler
// is called as that of a SessionDriver is.
func NewConversations[K comparable](ctx context.Context, opt Options[K], full WhenFull, read func(ctx context.Context, c *Conversation[K])) *Conversations[K] {
	c := &Conversations[K]{ctx: ctx, full: full, read: read, open: map[uint64]*Conversation[K]{}, user: opt.Handler}
	opt.Handler = c.event
	opt.Protocols = []parsers.Protocol{parsers.Every("", func(flow.Key) parsers.SessionParser { return &listener[K]{c: c} })}
	c.d = NewSessionDriver(opt)
	return c
}

// Track takes one frame. With Block it waits for readers that are behind.
func (c *Conversations[K]) Track(v *packet.View) { c.d.Track(v) }

// Sweep ends what is due by now, a packet time.
func (c *Conversations[K]) Sweep(now flow.Timestamp) { c.d.Sweep(now) }

// Finish ends all flows, and waits until every reader has returned.
func (c *Conversations[K]) Finish() {
	c.d.Finish()
	c.readers.Wait()
}

// Summary returns the counters so far.
func (c *Conversations[K]) Summary() flow.Summary { return c.d.Summary() }

func (c *Conversations[K]) event(e *SessionEvent[K]) {
	if c.user != nil {
		c.user(e)
	}
	if e.Kind != Closed {
		return
	}
	if v := c.open[e.ID]; v != nil {
		v.close(e.Time, e.Record.Reason)
		delete(c.open, e.ID)
	}
}

// begin starts the reader of the flow in hand.
func (c *Conversations[K]) begin() *Conversation[K] {
	room := maxChunks
	if c.full == Drop {
		room += len(Conversation[K]{}.lost)*len(Conversation[K]{}.lost[0]) + 1 // what is told at the end
	}
	f := c.d.w.cur
	v := &Conversation[K]{
		Key: f.Key, ID: f.ID(), ctx: c.ctx, full: c.full,
		chunks: make(chan Chunk, room), gone: make(chan struct{}),
	}
	c.open[v.ID] = v
	c.readers.Go(func() {
		defer close(v.gone)
		c.read(c.ctx, v)
	})
	return v
}

// A listener is the parser of a conversation: it hands on what it is fed.
type listener[K comparable] struct {
	c *Conversations[K]
	v *Conversation[K]
}

func (l *listener[K]) conversation() *Conversation[K] {
	if l.v == nil {
		l.v = l.c.begin()
	}
	return l.v
}

// Feed implements parsers.SessionParser.
func (l *listener[K]) Feed(c *parsers.Context, side flow.Side, b []byte) {
	l.conversation().put(Chunk{Kind: ChunkBytes, Time: c.Time, Side: side, Bytes: append([]byte(nil), b...)})
}

// Gap implements parsers.GapHandler.
func (l *listener[K]) Gap(c *parsers.Context, side flow.Side, n int64, cause flow.GapCause) bool {
	l.conversation().put(Chunk{Kind: ChunkGap, Time: c.Time, Side: side, N: n, Cause: cause})
	return true
}

// Fin implements parsers.SessionParser. A conversation ends with its flow.
func (*listener[K]) Fin(*parsers.Context, flow.Side) {}

// Rst implements parsers.SessionParser.
func (*listener[K]) Rst(*parsers.Context) {}
