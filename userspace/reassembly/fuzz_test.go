package reassembly

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A failer is a test of package testing or rapid.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// A modelFlow feeds an assembler and a model for each side, and is the assembler's
// Sink: it checks every byte and every gap against the models as they come. When a
// hole is given up is the assembler's choice; what may be given up is not.
type modelFlow struct {
	t      failer
	a      Assembler
	sh     *Shared
	side   [2]*sideModel
	now    flow.Timestamp
	closed bool
}

// A sideModel is a model with what a flow adds: a FIN, an end, lost bytes.
type sideModel struct {
	*model
	fin    int64 // -1 for none
	ack    int64
	ended  bool
	missed int64
	gone   int64 // bytes given to gaps with capture cause
}

func newModelFlow(t failer, o Options) *modelFlow {
	f := &modelFlow{t: t, sh: NewShared(o)}
	for i := range f.side {
		f.side[i] = &sideModel{model: newModel(o.Overlap), fin: -1, ack: -1}
	}
	f.packet(flow.Initiator, flow.SYN, -1, nil, 0)
	f.packet(flow.Responder, flow.SYN|flow.ACK, -1, nil, 0)
	f.packet(flow.Initiator, flow.ACK, 0, nil, 0)
	return f
}

const modelISN = 1<<32 - 50

// packet sends data at off, of which lost more bytes were not captured.
func (f *modelFlow) packet(side flow.Side, flags flow.TCPFlags, off int64, data []byte, lost int) {
	peer := f.side[side.Other()]
	s := flow.Segment{Time: f.now, Len: len(data) + lost, Data: bytes.Clone(data), Capture: lost > 0}
	s.Seq = flow.Seq(uint32(modelISN + 1 + off))
	s.Flags, s.Window = flags, 65535
	if flags&flow.ACK != 0 {
		peer.ack = max(peer.ack, peer.next)
		s.Ack = flow.Seq(uint32(modelISN + 1 + peer.ack))
	}
	f.expect(f.side[side], &s, off)
	f.a.Segment(f.sh, side, &s, f)
	clear(s.Data)
	f.settled()
}

// expect tells the model of a packet that is about to be sent.
func (f *modelFlow) expect(m *sideModel, s *flow.Segment, off int64) {
	if s.Flags&(flow.SYN|flow.RST) != 0 || s.Len <= 1 && off == m.max-1 && m.ack >= m.max && s.Flags&flow.FIN == 0 {
		return // a keepalive
	}
	end := off + int64(s.Len)
	if s.Len > 0 && end <= 0 {
		return // before the SYN
	}
	data, to := s.Data, end
	if m.fin >= 0 && to > m.fin {
		to = max(m.fin, off)
		data = data[:min(int64(len(data)), to-off)]
	}
	if off < to { // not all of it beyond the FIN
		m.take(off, data, to)
	}
	if s.Flags&flow.FIN != 0 && m.fin < 0 && !m.ended && end >= m.next {
		m.setFIN(end)
	}
}

// take is segment for a payload whose bytes from off+len(data) to end were lost.
func (m *sideModel) take(off int64, data []byte, end int64) {
	if end <= m.next {
		return
	}
	// The extent of the segment reaches over what was lost.
	m.segmentExtent(off, data, end)
	for at := max(off+int64(len(data)), m.next); at < end; at++ {
		if !has(m.cells, at) {
			m.lost[at] = true
		}
	}
	for i := range data {
		delete(m.lost, off+int64(i))
	}
	m.max = max(m.max, end)
}

func (m *sideModel) setFIN(fin int64) {
	m.fin = fin
	for at := range m.cells {
		if at >= fin {
			delete(m.cells, at)
		}
	}
	for at := range m.lost {
		if at >= fin {
			delete(m.lost, at)
		}
	}
	m.max = m.next
	for at := range m.cells {
		m.max = max(m.max, at+1)
	}
	for at := range m.lost {
		m.max = max(m.max, at+1)
	}
}

func (f *modelFlow) Data(side flow.Side, b []byte) {
	m := f.side[side]
	if len(b) == 0 || m.ended {
		f.t.Fatalf("%v: %d bytes of data, ended %v", side, len(b), m.ended)
	}
	for i, c := range b {
		q, ok := m.cells[m.next]
		if !ok || q.b != c {
			f.t.Fatalf("%v: byte %d (%d of the call) is %q, want %q (known %v)", side, m.next, i, c, q.b, ok)
		}
		delete(m.cells, m.next)
		m.next++
	}
}

func (f *modelFlow) Gap(side flow.Side, n int64, cause flow.GapCause) {
	m := f.side[side]
	if n <= 0 || m.ended {
		f.t.Fatalf("%v: gap of %d, ended %v", side, n, m.ended)
	}
	for range n {
		if has(m.cells, m.next) || m.lost[m.next] != (cause == flow.GapCapture) {
			f.t.Fatalf("%v: gap (%v) over byte %d, held %v, lost %v", side, cause, m.next, has(m.cells, m.next), m.lost[m.next])
		}
		delete(m.lost, m.next)
		m.next++
	}
	m.max = max(m.max, m.next)
	if cause == flow.GapCapture {
		m.gone += n
	} else {
		m.missed += n
	}
}

func (f *modelFlow) End(side flow.Side, reason flow.EndReason) {
	m := f.side[side]
	if m.ended {
		f.t.Fatalf("%v: second End", side)
	}
	if !f.closed && (reason != flow.EndFIN || m.next != m.fin) {
		f.t.Fatalf("%v: ended by %v at %d, FIN at %d", side, reason, m.next, m.fin)
	}
	m.ended = true
}

func (f *modelFlow) Anomaly(*flow.Anomaly) {}

// settled checks that nothing is kept back after a packet.
func (f *modelFlow) settled() {
	for side, m := range f.side {
		if has(m.cells, m.next) || m.lost[m.next] {
			f.t.Fatalf("%v: byte %d is there and not delivered", flow.Side(side), m.next)
		}
		if m.fin >= 0 && m.next >= m.fin && !m.ended {
			f.t.Fatalf("%v: FIN at %d reached and not ended", flow.Side(side), m.fin)
		}
		checkStream(f.t, f.sh, &f.a.stream[side])
	}
}

// close checks that everything came out and adds up.
func (f *modelFlow) close() {
	f.closed = true
	f.a.Close(f.sh, flow.EndOfInput, f.now, f)
	for side, m := range f.side {
		if len(m.cells) > 0 || len(m.lost) > 0 || !m.ended {
			f.t.Fatalf("%v: %d bytes and %d lost ones left, ended %v", flow.Side(side), len(m.cells), len(m.lost), m.ended)
		}
		var st flow.SideStats
		f.a.Stats(flow.Side(side), &st)
		if st.StreamBytes != uint64(m.next-m.missed-m.gone) || st.MissedBytes != uint64(m.missed) ||
			st.CaptureMissedBytes != uint64(m.gone) || st.OverlapConflictBytes != uint64(m.conflict) {
			f.t.Fatalf("%v: %+v; model next %d, missed %d, lost %d, conflict %d", flow.Side(side), st, m.next, m.missed, m.gone, m.conflict)
		}
	}
	f.a.Release(f.sh)
	if used, idle := f.sh.mem.Used(), f.sh.pooled(); used != idle {
		f.t.Fatalf("%d bytes in use after release, %d in the pools", used, idle)
	}
}

// step takes one operation of five bytes.
func (f *modelFlow) step(op []byte) {
	side := flow.Side(op[0] & 1)
	m := f.side[side]
	off := m.next + int64(int8(op[1]))
	n := int64(op[2]&63) + 1
	data := pattern(max(off, 0), max(off, 0)+n, op[3]&1 != 0)
	off = max(off, 0)
	flags := flow.ACK
	switch op[0] >> 1 & 15 {
	case 0:
		f.packet(side, flags|flow.FIN, off, data[:n/2], 0)
	case 1:
		f.packet(side, flags, m.max, nil, 0)
	case 2:
		f.side[side].ack = max(m.ack, m.max) // what the peer's next packet says
		f.packet(side.Other(), flags, f.side[side.Other()].max, nil, 0)
	case 3:
		f.now = f.now.Add(time.Duration(op[4]) * 20 * time.Millisecond)
		f.packet(side, flags, m.max, nil, 0)
	case 4:
		k := int(n) * int(op[4]) / 256
		f.packet(side, flags, off, data[:k], int(n)-k)
	case 5:
		f.packet(side, flow.RST, off, data, 0)
	default:
		f.packet(side, flags, off, data, 0)
	}
}

// segmentExtent is segment for data that is only the start of a segment up to end.
func (m *model) segmentExtent(off int64, data []byte, end int64) {
	m.extentEnd = end
	m.segment(off, data)
	m.extentEnd = 0
}

// FuzzAssembler runs operations against the model.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 0}, []byte("\x0c\x05\x05\x00\x00\x0c\x00\x05\x00\x00"))
	f.Add([]byte{3, 1}, []byte("\x0c\x05\x05\x00\x00\x0c\x03\x09\x01\x00\x08\x0a\x20\x00\x80\x00\x00\x10\x00\x00"))
	f.Add([]byte{1, 2}, []byte("\x0d\x05\x05\x00\x00\x04\x00\x00\x00\x00\x06\x00\x00\x00\xff\x0d\x20\x05\x00\x00"))
	// A keepalive is told by what lies before the FIN, not by a second FIN behind it.
	f.Add([]byte("00"), []byte("\r\x00\f\x00\x00\x01+\x01\x00\x00\x01h\x00\x00\x00\r\xf9\xd9\x00\x00\x05\x00\x00\x00\x00\r\x18\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, options, ops []byte) {
		if len(options) < 2 || len(ops) > 2000 {
			return
		}
		o := Options{Overlap: policies[int(options[0])%len(policies)], Cap: 128 << (options[1] & 7), MaxRuns: 1 + int(options[1]>>3)}
		if options[0]&0x80 != 0 {
			o.Grace = -1
		}
		m := newModelFlow(t, o)
		for ; len(ops) >= 5; ops = ops[5:] {
			m.step(ops[:5])
		}
		m.close()
	})
}

// TestModel runs random operations against the model, so that every test run does
// some of what the fuzzer does.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelFlow(t, Options{
			Overlap: rapid.SampledFrom(policies).Draw(t, "policy"),
			Cap:     rapid.IntRange(1, 2000).Draw(t, "cap"),
			MaxRuns: rapid.IntRange(1, 20).Draw(t, "runs"),
		})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.step(rapid.SliceOfN(rapid.Byte(), 5, 5).Draw(t, "op"))
		}
		m.close()
	})
}
