package pipeline_test

import (
	"crypto/sha256"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

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
