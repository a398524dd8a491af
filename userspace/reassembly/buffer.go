package reassembly

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// A Buffer collects the ordered bytes of one side until they are taken. Unlike an
// [Assembler] it counts waiting bytes against the cap, and overflows when nobody
// takes them: SlidingWindow drops the oldest bytes, DropFlow poisons the buffer.
//
// Bytes on both sides of a gap follow one another; Diagnostics tells how many are
// missing. Who must know where uses an Assembler.
type Buffer struct {
	// OnAnomaly, if set, takes what is odd about the side; its argument is
	// valid only during the call.
	OnAnomaly func(a *flow.Anomaly)

	sh       *Shared
	a        Assembler
	side     flow.Side
	now      flow.Timestamp
	buf      []byte
	head     int // start of what waits in buf
	peak     int
	dropped  int64
	poisoned bool
}

// NewBuffer returns a buffer for what side sends.
func NewBuffer(sh *Shared, side flow.Side) *Buffer {
	b := &Buffer{sh: sh, side: side}
	b.a.stream[side.Other()].flags |= skipping
	return b
}

// BufferFactory returns what makes a buffer for each side of each flow, all with
// the given options and one account. The buffers belong to one goroutine.
func BufferFactory[K comparable](o Options) func(key K, side flow.Side) *Buffer {
	sh := NewShared(o)
	return func(_ K, side flow.Side) *Buffer { return NewBuffer(sh, side) }
}

// Segment takes a packet that the buffer's side sent.
func (b *Buffer) Segment(s *flow.Segment) { b.feed(b.side, s) }

// Peer takes a packet of the other side, of which only the header matters: its
// ACKs and windows say which holes will not fill any more and what is out of window.
func (b *Buffer) Peer(s *flow.Segment) { b.feed(b.side.Other(), s) }

func (b *Buffer) feed(side flow.Side, s *flow.Segment) {
	if b.poisoned {
		return
	}
	b.now = s.Time
	b.sh.waiting = b.Len()
	b.a.Segment(b.sh, side, s, (*pull)(b))
	b.settle()
}

// settle reports what the last call brought to light.
func (b *Buffer) settle() {
	o := op{a: &b.a, sh: b.sh, sink: (*pull)(b), now: b.now}
	o.watermark(b.side)
	o.report()
	b.sh.waiting = 0
}

// Fin says that the flow ended in order: what is held comes out.
func (b *Buffer) Fin() { b.close(flow.EndFIN) }

// Rst says that the flow was aborted: what is held comes out.
func (b *Buffer) Rst() { b.close(flow.EndRST) }

func (b *Buffer) close(reason flow.EndReason) {
	b.sh.waiting = b.Len()
	b.a.Close(b.sh, reason, b.now, (*pull)(b))
	b.settle()
}

// Len returns how many bytes wait.
func (b *Buffer) Len() int { return len(b.buf) - b.head }

// Take returns the bytes that wait, which are the caller's from then on, and
// empties the buffer. The position in the stream stays.
func (b *Buffer) Take() []byte {
	t := b.buf[b.head:]
	b.buf, b.head = nil, 0
	return t
}

// Poisoned reports whether the side was given up at its cap (flow.DropFlow).
func (b *Buffer) Poisoned() bool { return b.poisoned }

// HighWatermark returns the most bytes that ever waited.
func (b *Buffer) HighWatermark() int { return b.peak }

// Ended reports whether the stream is over.
func (b *Buffer) Ended() bool { return b.a.Ended(b.side) }

// Diagnostics returns the counters of the side. Bytes that the cap cost are part of
// its stream bytes.
func (b *Buffer) Diagnostics() (st flow.SideStats) {
	b.a.Stats(b.side, &st)
	st.ReassemblyDroppedOversizeBytes += uint64(b.dropped)
	st.ReassemblyHighWatermark = uint64(b.peak)
	return st
}

// Release gives the memory of the buffer back for use by others. Call it last.
func (b *Buffer) Release() {
	b.a.Release(b.sh)
	b.buf, b.head = nil, 0
}

// pull is a Buffer as the Sink of its assembler.
type pull Buffer

// Data appends d, which may overflow the buffer (SEMANTICS.md §5.4).
func (p *pull) Data(side flow.Side, d []byte) {
	b := (*Buffer)(p)
	if side != b.side || b.poisoned {
		return
	}
	over := b.Len() + len(d) - b.sh.opt.Cap
	switch {
	case over <= 0:
		b.append(d)
	case b.sh.opt.Overflow == flow.DropFlow:
		b.overflow(len(d))
		b.poison()
	default:
		b.overflow(over)
		rest := max(over-b.Len(), 0)
		b.discard(over - rest)
		b.append(d[rest:])
	}
	b.peak = max(b.peak, b.Len())
	b.sh.waiting = b.Len()
}

func (b *Buffer) overflow(n int) {
	b.dropped += int64(n)
	r := b.sh.report.of(b.side)
	r.overflowed = true
	r.overflow += int64(n)
}

func (b *Buffer) poison() {
	b.poisoned = true
	b.buf, b.head = nil, 0
}

// append adds d, first moving what waits to the front if that makes room.
func (b *Buffer) append(d []byte) {
	if b.head > 0 && len(b.buf)+len(d) > cap(b.buf) {
		b.buf = b.buf[:copy(b.buf, b.buf[b.head:])]
		b.head = 0
	}
	b.buf = append(b.buf, d...)
}

// discard drops the n oldest bytes.
func (b *Buffer) discard(n int) {
	if b.head += n; b.head == len(b.buf) {
		b.buf, b.head = b.buf[:0], 0
	}
}

// Gap is in the counters.
func (p *pull) Gap(flow.Side, int64, flow.GapCause) {}

// End notes that the assembler gave the flow up.
func (p *pull) End(side flow.Side, reason flow.EndReason) {
	if reason == flow.EndBufferOverflow {
		(*Buffer)(p).poison()
	}
}

// Anomaly hands on what is about this side.
func (p *pull) Anomaly(a *flow.Anomaly) {
	if p.OnAnomaly != nil && (a.Side == p.side || !a.Kind.HasSide()) {
		p.OnAnomaly(a)
	}
}
