package pipeline_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// packFrames writes frames as FuzzDrivers reads them: the time in ms since the frame before
// and the length, 16 bits each, then the bytes.
func packFrames(packets []packettest.Packet) (b []byte) {
	for _, v := range packettest.Trace(packets...) {
		b = binary.BigEndian.AppendUint16(b, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(v.Frame)))
		b = append(b, v.Frame...)
	}
	return b
}

// FuzzDrivers gives any frames at any times to every driver, whose counters must be
// conserved.
func FuzzDrivers(f *testing.F) {
	f.Add(uint8(0), packFrames(packettest.HTTPSession()))
	f.Add(uint8(1), packFrames(packettest.DNS()))
	f.Add(uint8(2), packFrames(busy()))
	f.Add(uint8(7), packFrames(packettest.LengthPrefixed()))
	f.Add(uint8(3), packFrames(packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload("0123456789abcdef0123456789abcdef").IPID(1).Fragments(16)))
	f.Fuzz(func(t *testing.T, how uint8, b []byte) {
		opt := lineOptions(func(*pipeline.SessionEvent[flow.Key]) {})
		opt.PoisonEndsFlow, opt.Monotonic = how&1 != 0, how&2 != 0
		if how&4 != 0 {
			opt.ClosedLinger, opt.MaxFlows = 0, 2
		}
		if how&8 != 0 {
			opt.Reassembly.Cap, opt.Reassembly.Overflow = 16, flow.DropFlow
		}
		fo := flowOptions{Options: opt, OnEvent: func(*flow.Event[flow.Key]) {}}
		drivers := []common{pipeline.NewFlowDriver(fo), pipeline.NewSessionDriver(opt), pipeline.NewDatagramDriver(opt)}
		v := packet.View{Time: packettest.Start, LinkType: packet.LinkEthernet}
		for len(b) >= 4 {
			n := min(int(binary.BigEndian.Uint16(b[2:])), len(b)-4)
			v.Time = v.Time.Add(time.Duration(int16(binary.BigEndian.Uint16(b))) * time.Millisecond)
			v.Frame, b = b[4:4+n], b[4+n:]
			for _, d := range drivers {
				d.Track(&v)
			}
		}
		for _, d := range drivers {
			d.Finish()
			s := d.Summary()
			if p, bytes := s.Unaccounted(); p != 0 || bytes != 0 {
				t.Errorf("%T: unaccounted: %d packets, %d bytes", d, p, bytes)
			}
		}
	})
}
