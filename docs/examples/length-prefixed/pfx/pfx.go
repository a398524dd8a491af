// Package pfx reads a made-up protocol, as an example of how to write a parser.
//
// Both sides send frames. A frame begins with a marker that says how wide the
// length after it is, in network order:
//
//	"PFX2" length:16 payload
//	"PFX4" length:32 payload
package pfx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Name is the protocol's name.
const Name = "pfx"

// The parts of a frame, in bytes.
const (
	narrow    = "PFX2"
	wide      = "PFX4"
	markerLen = 4
	maxFrame  = 1 << 20
)

var errMarker = errors.New("unknown marker")

// A Frame is one frame of either side.
type Frame struct {
	Marker  string
	Payload string
}

// Parser returns "pfx".
func (*Frame) Parser() string { return Name }

// Kind returns "frame".
func (*Frame) Kind() string { return "frame" }

// LogValue says how long the frame is, not what is in it.
func (f *Frame) LogValue() slog.Value {
	return slog.GroupValue(slog.String("marker", f.Marker), slog.Int("length", len(f.Payload)))
}

// AppendJSON implements parsers.Message.
func (f *Frame) AppendJSON(b []byte) []byte {
	b = parsers.AppendJSONString(append(b, `{"marker":`...), f.Marker)
	b = strconv.AppendInt(append(b, `,"length":`...), int64(len(f.Payload)), 10)
	return append(b, '}')
}

// headerLen returns the length of the marker at the start of b and of the field
// after it; 0 when b is too short to tell.
func headerLen(b []byte) (int, error) {
	marker := string(b[:min(len(b), markerLen)])
	switch {
	case marker == narrow:
		return markerLen + 2, nil
	case marker == wide:
		return markerLen + 4, nil
	case strings.HasPrefix(narrow, marker) || strings.HasPrefix(wide, marker):
		return 0, nil
	}
	return 0, errMarker
}

// frameLen returns the length of the frame at the start of b, header included; 0
// when b is too short to tell.
func frameLen(b []byte) (int, error) {
	header, err := headerLen(b)
	if err != nil || header == 0 || len(b) < header {
		return 0, err
	}
	if header == markerLen+2 {
		return header + int(binary.BigEndian.Uint16(b[markerLen:])), nil
	}
	return header + int(binary.BigEndian.Uint32(b[markerLen:])), nil
}

// newFrame makes a message of a whole frame. It copies what it keeps.
func newFrame(b []byte) *Frame {
	header, _ := headerLen(b)
	return &Frame{Marker: string(b[:markerLen]), Payload: string(b[header:])}
}

// A Parser reads both sides of one flow.
type Parser struct {
	in [2]parsers.Split
}

// New returns the parser of one flow.
func New(flow.Key) parsers.SessionParser {
	p := new(Parser)
	for side := range p.in {
		p.in[side] = parsers.Split{Size: frameLen, Max: maxFrame}
	}
	return p
}

// Feed implements parsers.SessionParser. Where there should be a frame and is none,
// it looks for the next one.
func (p *Parser) Feed(c *parsers.Context, side flow.Side, b []byte) {
	for frame, err := range p.in[side].Elements(b) {
		if err != nil {
			p.in[side].Lose()
			continue
		}
		c.Emit(newFrame(frame))
	}
}

// Fin implements parsers.SessionParser. A frame that is not whole is no message.
func (p *Parser) Fin(*parsers.Context, flow.Side) {}

// Rst implements parsers.SessionParser.
func (p *Parser) Rst(*parsers.Context) {
	for side := range p.in {
		p.in[side].Lose()
	}
}

// Gap implements parsers.GapHandler. A frame with a hole is left out; when the hole
// hides where the next one begins, the marker will tell.
func (p *Parser) Gap(_ *parsers.Context, side flow.Side, n int64, _ flow.GapCause) bool {
	if !p.in[side].Gap(n) {
		p.in[side].Lose()
	}
	return true
}

// Probe tells the protocol by the marker, which both sides begin with.
func Probe(_ flow.Side, b []byte) parsers.Result {
	for _, marker := range []string{narrow, wide} {
		switch {
		case bytes.HasPrefix(b, []byte(marker)):
			return parsers.Yes
		case strings.HasPrefix(marker, string(b)):
			return parsers.More
		}
	}
	return parsers.No
}

// Protocol returns the protocol as drivers choose it.
func Protocol() parsers.Protocol {
	return parsers.Protocol{Name: Name, Ports: []uint16{9000}, Probe: Probe, NewSession: New}
}
