package pipeline_test

import (
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// only returns the events that begin with one of the words.
func (r *recorder) only(words ...string) string {
	var l []string
	for _, e := range r.events {
		for _, w := range words {
			if strings.HasPrefix(e, w) {
				l = append(l, e)
			}
		}
	}
	return strings.Join(l, ", ")
}

// TestFragmentEvasion holds what a parser gets of a request whose IP fragments try to
// hide it. Each is counted in the flow, whatever becomes of the payload.
func TestFragmentEvasion(t *testing.T) {
	p := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload(request).IPID(7)
	l4 := p.L4()
	evil := append([]byte(nil), l4...)
	copy(evil[20:], "PUT /another")
	frag := func(off, end int) packettest.Packet { return p.Fragment(off, min(end, len(l4))) }
	tests := []struct {
		name      string
		fragments []packettest.Packet
		want      string
		lost      bool
	}{
		{"tiny: half a TCP header first", p.Fragments(8), "initiator http request", false},
		{"reverse", []packettest.Packet{frag(48, 99), frag(24, 48), frag(0, 24)}, "initiator http request", false},
		{"duplicate", []packettest.Packet{frag(0, 24), frag(0, 24), frag(24, 99), frag(24, 99)}, "initiator http request", false},
		{"overlap, same bytes", []packettest.Packet{frag(0, 40), frag(24, 99)}, "initiator http request", false},
		{"overlap, other bytes", []packettest.Packet{frag(0, 40), p.RawFragment(16, true, evil[16:48]), frag(48, 99)}, "anomaly fragment_overlap", true},
		{"second first fragment", []packettest.Packet{frag(0, 40), p.RawFragment(0, true, evil[:40]), frag(40, 99)}, "anomaly fragment_overlap", true},
		{"data behind the end", []packettest.Packet{frag(48, 99), p.RawFragment(120, true, evil[:16]), frag(0, 48)}, "anomaly fragment_overlap", true},
		{"one missing", []packettest.Packet{frag(0, 24), frag(48, 99)}, "", true},
		{"later ones only", []packettest.Packet{frag(24, 48), frag(48, 99)}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			s := replay(t, options(&r), append(open().list, tt.fragments...)...)
			if got := r.only("initiator", "anomaly"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if lost := r.records[0].Incomplete&flow.LostFragment != 0; lost != tt.lost {
				t.Errorf("record says fragment: %v, want %v", lost, tt.lost)
			}
			if n := r.records[0].Stats.Packets() + s.Unparsed[flow.CauseFragmentOrphan]; n != uint64(3+len(tt.fragments)) {
				t.Errorf("%d packets counted, want %d", n, 3+len(tt.fragments))
			}
		})
	}
}

// TestSnaplenOfWhatNobodyWants holds that a record says snaplen only where something was cut
// that was asked for.
func TestSnaplenOfWhatNobodyWants(t *testing.T) {
	text := strings.Repeat("nothing that anybody knows. ", 4)
	udp := packettest.UDP("10.0.0.1:1", "10.0.0.2:2").Payload(text)
	tcp := func(seq uint32) packettest.Packet {
		return packettest.TCP(hostA, hostB).Flags("PA").Seq(seq).Ack(5001).Payload(text)
	}
	both := open().a("PA", 1001, 5001, text).b("PA", 5001, 1001+uint32(len(text)), text).list
	last := tcp(1001 + uint32(len(text))).Snap(60)
	tests := []struct {
		name    string
		packets []packettest.Packet
		lost    bool
	}{
		{"datagram", []packettest.Packet{udp.Snap(60)}, true},
		{"datagrams nobody knows", []packettest.Packet{udp, udp, udp.Reply().Payload(text), udp.Snap(60)}, false},
		{"segment", append(open().list, tcp(1001).Snap(60)), true},
		{"segments nobody knows", append(both, last), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			replay(t, options(&r), tt.packets...)
			if lost := r.records[0].Incomplete&flow.LostSnaplen != 0; lost != tt.lost {
				t.Errorf("record says snaplen: %v, want %v", lost, tt.lost)
			}
		})
	}
	t.Run("but a hash wants all", func(t *testing.T) {
		var r recorder
		opt := options(&r)
		opt.StreamHash = true
		replay(t, opt, append(both, last)...)
		if r.records[0].Incomplete&flow.LostSnaplen == 0 {
			t.Error("record does not say snaplen")
		}
	})
}

// TestChaff holds what is made of packets that are meant for us and not for the receiver.
func TestChaff(t *testing.T) {
	const chaff = "GET /harmless.txt HTTP/1.1\r\nHost: example.org\r\n\r\n"
	fake := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload(chaff[:len(request)])
	real := packettest.TCP(hostA, hostB).Flags("PA").Seq(1001).Ack(5001).Payload(request)
	badSum := func(p packettest.Packet) packettest.Packet {
		return p.Edit(func(b []byte) { b[14+20+16] ^= 0xff })
	}
	verify := func(o *pipeline.Options[flow.Key]) { o.VerifyChecksums = true }
	keep := func(o *pipeline.Options[flow.Key]) { o.Reassembly = reassembly.Options{KeepDelivered: 4096} }
	none := func(*pipeline.Options[flow.Key]) {}
	tests := []struct {
		name    string
		set     func(*pipeline.Options[flow.Key])
		packets []packettest.Packet
		target  string // of the request that is told
		history string
		ttl     uint8
		odd     string
	}{
		// Nobody on the path knows how far a packet gets: what was first in order is
		// delivered, and the record shows the odd TTL.
		{"ttl chaff", none, []packettest.Packet{fake.TTL(1), real}, "", "ShADT", 1, ""},
		{"ttl chaff, delivered bytes kept", keep, []packettest.Packet{fake.TTL(1), real}, "", "ShADT", 1, "anomaly overlap_conflict"},
		{"ttl chaff behind the real one", none, []packettest.Packet{real, fake.TTL(1)}, "/index.html", "ShADT", 1, ""},
		{"bad checksum chaff, verified", verify, []packettest.Packet{badSum(fake), real}, "/index.html", "ShACD", 64, ""},
		{"bad checksum chaff, not verified", none, []packettest.Packet{badSum(fake), real}, "", "ShADT", 64, ""},
		{"bad checksum reset, verified", verify, []packettest.Packet{badSum(packettest.TCP(hostA, hostB).Flags("R").Seq(1001)), real}, "/index.html", "ShACD", 64, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			opt := options(&r)
			tt.set(&opt)
			target := ""
			handler := opt.Handler
			opt.Handler = func(e *pipeline.SessionEvent[flow.Key]) {
				if e.Message != nil && strings.Contains(string(e.Message.AppendJSON(nil)), "/index.html") {
					target = "/index.html"
				}
				handler(e)
			}
			replay(t, opt, append(open().list, tt.packets...)...)
			if target != tt.target {
				t.Errorf("request for %q, want %q", target, tt.target)
			}
			if got := r.only("anomaly overlap"); got != tt.odd {
				t.Errorf("anomalies %q, want %q", got, tt.odd)
			}
			if rec := r.records[0]; rec.History != tt.history || rec.Stats.Side[0].TTLMin != tt.ttl || rec.Stats.Side[0].Packets != 4 {
				t.Errorf("history %q, TTL from %d, %d packets; want %q, %d, 4", rec.History, rec.Stats.Side[0].TTLMin, rec.Stats.Side[0].Packets, tt.history, tt.ttl)
			}
		})
	}
}
