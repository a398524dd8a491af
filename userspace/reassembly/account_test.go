package reassembly

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An auditor is a Sink that holds the promises of Sink, for any input.
type auditor struct {
	t     *testing.T
	a     *Assembler
	sh    *Shared
	bytes [2]int64
	gaps  [2]int64
	ended [2]bool
	skip  byte // says which Data call skips, and what
}

func (d *auditor) Data(side flow.Side, b []byte) {
	if len(b) == 0 || d.ended[side] {
		d.t.Fatalf("%v: %d bytes, ended %v", side, len(b), d.ended[side])
	}
	d.bytes[side] += int64(len(b))
	switch d.skip--; d.skip {
	case 1:
		d.a.Skip(d.sh, d)
	case 2:
		d.a.SkipSide(d.sh, side.Other(), d)
	}
}

func (d *auditor) Gap(side flow.Side, n int64, _ flow.GapCause) {
	if n <= 0 || d.ended[side] {
		d.t.Fatalf("%v: gap of %d, ended %v", side, n, d.ended[side])
	}
	d.gaps[side] += n
}

func (d *auditor) End(side flow.Side, reason flow.EndReason) {
	if d.ended[side] || reason == flow.EndNone {
		d.t.Fatalf("%v: ended twice, or for no reason (%v)", side, reason)
	}
	d.ended[side] = true
}

func (d *auditor) Anomaly(a *flow.Anomaly) {
	if !a.Kind.TableWide() && a.Count == 0 && a.Bytes == 0 && a.Kind != flow.AnomalyBufferOverflow {
		d.t.Fatalf("empty anomaly %+v", a)
	}
}

// auditOptions makes options of four bytes.
func auditOptions(b []byte) Options {
	return Options{
		Cap: 1 + int(b[0])*8, MaxRuns: 1 + int(b[1]&15), Overflow: flow.Overflow(b[1] >> 4 & 1),
		Overlap: policies[int(b[1]>>5)%len(policies)], Urgent: UrgentMode(b[2] & 3), PAWS: PAWSMode(b[2]>>2) % 3,
		Grace: time.Duration(int8(b[2])) * time.Millisecond, KeepDelivered: int(b[3] & 31),
		Memory: NewMemory(int64(b[3]>>5)*600 + 1),
	}
}

// packet makes any packet of eight bytes: header bits that make no sense are the point.
func (d *auditor) packet(op []byte, now *flow.Timestamp, payload []byte) {
	side := flow.Side(op[0] & 1)
	x, y := &d.a.stream[side], &d.a.stream[side.Other()]
	s := flow.Segment{}
	s.Flags = flow.TCPFlags(op[1])
	s.Seq = x.base + flow.Seq(uint32(x.next)) + flow.Seq(int32(int8(op[2])))
	s.Ack = y.base + flow.Seq(uint32(y.max)) + flow.Seq(int32(int8(op[3])))
	if op[0]&0xe0 == 0xe0 { // far off
		s.Seq += flow.Seq(binary.BigEndian.Uint32(op[4:]))
		s.Ack += flow.Seq(binary.LittleEndian.Uint32(op[4:]))
	}
	s.Window, s.Urgent = uint16(op[4]), uint16(op[5]&63)
	s.Options = flow.TCPOptions(op[6])
	s.WScale, s.TSVal = op[6]>>3, uint32(op[4])<<op[0]
	s.Len = int(op[7] & 63)
	s.Data = payload[:s.Len*int(op[5]>>6)/3]
	s.Unwanted = op[0]&2 != 0
	*now += flow.Timestamp(int64(int8(op[0]))) * 5e6
	s.Time = *now
	d.a.Segment(d.sh, side, &s, d)
}

// FuzzAccount gives packets of any kind to assemblers with any options: nothing
// panics or hangs, memory stays under its limit, and the account of each side
// (SEMANTICS.md §5.5) is right in the end.
func FuzzAccount(f *testing.F) {
	f.Add([]byte{20, 0x13, 0, 0xe8}, []byte("\x00\x02\x00\x00\x09\x00\x08\x00\x00\x10\x05\x00\xff\xc0\x00\x09"))
	f.Add([]byte{2, 0x02, 1, 0x25}, []byte("\x00\x02\x00\x00\x09\xc0\x08\x09\x01\x12\x00\x08\xff\xc0\x00\x00\x00\x30\x09\x00\xff\xc5\x00\x19"))
	f.Add([]byte{9, 0x71, 2, 0x41}, []byte("\x00\x10\x09\x00\x09\xc0\x00\x09\x00\x11\x05\x00\xff\x80\x00\x0f\xe1\x10\x00\x00\xff\xc5\x00\x19"))
	f.Fuzz(func(t *testing.T, options, ops []byte) {
		if len(options) < 4 || len(ops) > 4000 {
			return
		}
		var a Assembler
		var now flow.Timestamp
		sh := NewShared(auditOptions(options))
		d := &auditor{t: t, a: &a, sh: sh, skip: options[3] ^ options[0]}
		payload := pattern(0, 64, options[0]&1 != 0)
		for ; len(ops) >= 8; ops = ops[8:] {
			d.packet(ops, &now, payload)
			checkStream(t, sh, &a.stream[0])
			checkStream(t, sh, &a.stream[1])
			if used := sh.mem.Used(); used > sh.mem.Limit() {
				t.Fatalf("%d bytes used, limit %d", used, sh.mem.Limit())
			}
		}
		a.Close(sh, flow.EndReason(1+int(options[2])%(flow.EndReasons-1)), now, d)
		for side := range d.bytes {
			checkLaw(t, &a, flow.Side(side), d.bytes[side])
			if !d.ended[side] {
				t.Fatalf("%v: no End", flow.Side(side))
			}
		}
		a.Release(sh)
		if used := sh.mem.Used(); used != sh.pooled() {
			t.Fatalf("%d bytes used in the end, %d pooled", used, sh.pooled())
		}
	})
}
