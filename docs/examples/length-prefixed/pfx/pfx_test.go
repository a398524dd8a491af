package pfx_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/docs/examples/length-prefixed/pfx"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// narrow and wide put a payload into a frame.
func narrow(payload string) string {
	return "PFX2" + string(binary.BigEndian.AppendUint16(nil, uint16(len(payload)))) + payload
}

func wide(payload string) string {
	return "PFX4" + string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

// got is the line of a frame.
func got(side flow.Side, marker string, length int) string {
	return fmt.Sprintf(`{"side":%q,"kind":"frame","pfx":{"marker":%q,"length":%d}}`, side, marker, length)
}

func TestParser(t *testing.T) {
	long := strings.Repeat("x", 700)
	parsertest.Run(t, pfx.New, parsertest.Script{
		parsertest.Initiator(narrow("hello") + narrow("") + wide(long)),
		parsertest.Responder(wide("world") + narrow("!")),
	},
		got(flow.Initiator, "PFX2", 5), got(flow.Initiator, "PFX2", 0), got(flow.Initiator, "PFX4", 700),
		got(flow.Responder, "PFX4", 5), got(flow.Responder, "PFX2", 1))
}

func TestGap(t *testing.T) {
	frame := wide("0123456789")
	tests := []struct {
		name   string
		script parsertest.Script
	}{
		{"inside a payload", parsertest.Script{
			parsertest.Initiator(frame[:10]), parsertest.Gap(flow.Initiator, 5, flow.GapNetwork), parsertest.Initiator(frame[15:] + narrow("a"))}},
		{"over the next header", parsertest.Script{
			parsertest.Initiator(frame[:10]), parsertest.Gap(flow.Initiator, 10, flow.GapNetwork), parsertest.Initiator("ayload" + narrow("a"))}},
		{"between frames", parsertest.Script{
			parsertest.Gap(flow.Initiator, 3, flow.GapCapture), parsertest.Initiator("2\x00\x01P" + narrow("a"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parsertest.Run(t, pfx.New, tt.script, got(flow.Initiator, "PFX2", 1)) })
	}
}

func TestUnknownMarker(t *testing.T) {
	stalled := parsertest.Script{parsertest.Initiator("PFX3" + strings.Repeat("x", 1<<20))}
	parsertest.Run(t, pfx.New, parsertest.Script{parsertest.Initiator("PFX3" + narrow("") + "PF")}, got(flow.Initiator, "PFX2", 0))
	parsertest.Bounded(t, pfx.New, 4<<10, stalled)
}

func TestGarbage(t *testing.T) {
	parsertest.Garbage(t, pfx.New, parsertest.Script{
		parsertest.Initiator(narrow("hello") + wide("there")),
		parsertest.Responder(wide("world")),
	})
}

func TestProbe(t *testing.T) {
	for in, want := range map[string]parsers.Result{
		narrow("x"): parsers.Yes, wide("x"): parsers.Yes, "PFX": parsers.More, "PFX3": parsers.No, "GET / HTTP/1.1": parsers.No,
	} {
		parsertest.Probe(t, pfx.Protocol(), flow.Initiator, in, want)
	}
}
