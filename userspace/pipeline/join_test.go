package pipeline_test

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestSessionJoined holds that streams whose start was not seen are taken up where a
// segment begins a message, and only those.
func TestSessionJoined(t *testing.T) {
	const body = "\x01he rest of a body"
	q, p := uint32(len(request)), uint32(len(response))
	tests := []struct {
		name string
		talk *talk
		want string // the messages
	}{
		{"both in a message", new(talk).a("A", 900, 5000, body).b("PA", 5000, 918, body).
			a("PA", 918, 5018, request).b("PA", 5018, 918+q, response), "initiator request, responder response"},
		{"in what could be a message", new(talk).b("A", 5000, 900, "the rest of a body").
			a("PA", 900, 5018, request).b("PA", 5018, 900+q, response), "responder request, initiator response"},
		{"responder in a body", new(talk).a("PA", 900, 5000, request).b("A", 5000, 900+q, body).
			a("PA", 900+q, 5018, request).b("PA", 5018, 900+2*q, response), "initiator request, initiator request, responder response"},
		{"initiator after the responder", new(talk).a("A", 900, 5000, body).b("PA", 5000, 918, response).
			a("PA", 918, 5000+p, request), "responder response, initiator request"},
		{"behind a keepalive", new(talk).a("A", 900, 5000, "\x00").b("A", 5000, 901, "").
			a("PA", 901, 5000, request), "initiator request"},
		{"behind a gap", open().a("A", 1002, 5001, body).b("A", 5001, 1020, "").a("PA", 1020, 5001, request).
			a("FA", 1020+q, 5001, "").b("FA", 5001, 1021+q, "").a("A", 1021+q, 5002, ""), "initiator request"},
		{"in the middle of a segment", new(talk).a("PA", 900, 5000, body+request), ""},
		{"seen from the start", open().a("PA", 1001, 5001, body).a("PA", 1019, 5001, request), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			opt := options(&r)
			replay(t, opt, tt.talk.list...)
			var got []string
			for _, e := range r.events {
				if side, kind, ok := strings.Cut(e, " http "); ok {
					got = append(got, side+" "+kind)
				}
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("messages %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSessionJoinedGivesUp holds that a stream joined in the middle is not probed for
// ever.
func TestSessionJoinedGivesUp(t *testing.T) {
	const chunk = "this is nothing that anybody knows, and it is longer than what is probed"
	var c talk
	for i := range uint32(20) {
		c.a("PA", 900+i*uint32(len(chunk)), 5000+i*uint32(len(chunk)), chunk)
		c.b("PA", 5000+i*uint32(len(chunk)), 900+(i+1)*uint32(len(chunk)), chunk)
	}
	var r recorder
	replay(t, options(&r), c.list...)
	for side, s := range r.records[0].Stats.Side {
		if s.SkippedBytes == 0 || s.StreamBytes < 16*uint64(len(chunk)) {
			t.Errorf("%v: %d bytes taken, %d skipped; want some of both, 16 segments taken", flow.Side(side), s.StreamBytes, s.SkippedBytes)
		}
	}
}
