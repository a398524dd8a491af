package pipeline_test

import (
	"crypto/sha256"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// stray is a segment of B's before anything else is seen, as at the end of a flow
// that had the tuple before.
func stray(flags string, seq uint32, payload string) []packettest.Packet {
	return []packettest.Packet{packettest.TCP(hostB, hostA).Flags(flags).Seq(seq).Ack(900).Payload(payload)}
}

func TestStreamHash(t *testing.T) {
	urgent := packettest.TCP(hostA, hostB).Flags("PAU").Seq(1001).Ack(5001).Urgent(2).Payload("abc")
	tests := []struct {
		name    string
		packets []packettest.Packet
		a, b    string // what A and B sent, as hashed
	}{
		{"both sides", open().a("PA", 1001, 5001, "abc").b("PA", 5001, 1004, "xyz").list, "abc", "xyz"},
		{"reordered", open().a("PA", 1004, 5001, "def").a("A", 1001, 5001, "abc").list, "abcdef", ""},
		{"up to the first gap", open().a("PA", 1001, 5001, "abc").a("A", 1005, 5001, "efg").a("A", 1009, 5001, "i").list, "abc", ""},
		{"nothing before a gap", open().a("PA", 1002, 5001, "bc").list, "", ""},
		{"urgent byte", append(open().list, urgent), "abc", ""},
		{"sent after a reset", open().b("PA", 5001, 1001, "xyz").a("R", 1001, 0, "").b("PA", 5004, 1001, "uvw").list, "", "xyzuvw"},
		{"payload of the reset", open().a("PA", 1001, 5001, "abc").a("R", 1004, 0, "why").list, "abc", ""},
		{"beyond the cap", open().a("PA", 1011, 5001, "0123456789").a("A", 1001, 5001, "abcdefghij").list, "abcdefghij0123456789", ""},
		{"turned", append(stray("A", 7000, ""), open().a("PA", 1001, 5001, "abc").b("PA", 5001, 1004, "xyz").list...), "abc", "xyz"},
		{"turned while probing", append(stray("PA", 4998, "old"), open().a("PA", 1001, 5001, "abc").list...), "abc", "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			opt := options(&r)
			opt.StreamHash = true
			opt.Reassembly = reassembly.Options{Cap: 64}
			replay(t, opt, tt.packets...)
			if len(r.records) != 1 {
				t.Fatalf("%d flows, want 1", len(r.records))
			}
			rec := &r.records[0]
			if a := rec.Endpoint[flow.Initiator]; a.IP.String()+":54321" != hostA {
				t.Fatalf("the initiator is %v, want %s", a.IP, hostA)
			}
			for side, want := range []string{tt.a, tt.b} {
				if n, sum := rec.StreamHashed[side], rec.StreamHash[side]; n != int64(len(want)) || sum != sha256.Sum256([]byte(want)) {
					t.Errorf("%v: hash %x of %d bytes, want that of %q", flow.Side(side), sum, n, want)
				}
			}
		})
	}
}

// TestSessionTurned holds that a flow whose initiator becomes known late has its
// streams on the right sides.
func TestSessionTurned(t *testing.T) {
	list := open().a("PA", 1001, 5001, request).list
	var r recorder
	replay(t, options(&r), append(stray("PA", 4998, "old"), list...)...)
	r.check(t, "started", "syn_sent", "syn_received", "established", "initiator http request", "closed end_of_input")
	s := &r.records[0].Stats
	if i, p := s.Side[flow.Initiator].StreamBytes, s.Side[flow.Responder].StreamBytes; i != uint64(len(request)) || p != 3 {
		t.Errorf("streams of %d and %d bytes, want %d and 3", i, p, len(request))
	}
}
