package packet_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

func TestDecodeFragments(t *testing.T) {
	tcp, udp6 := packettest.TCP(alice, bob).Flags("PA").MSS(9).Payload(strings.Repeat("x", 40)).IPID(77), packettest.UDP(alice6, bob6).Payload(strings.Repeat("x", 40)).IPID(77)
	tests := []struct {
		name    string
		p       packettest.Packet
		want    packet.Frag
		sport   uint16
		payload int
		hasTCP  bool
	}{
		{"first", tcp.Fragment(0, 32), packet.Frag{ID: 77, More: true, Proto: flow.ProtoTCP, Start: 34}, 40000, 8, true},
		{"first, half a header", tcp.Fragment(0, 8), packet.Frag{ID: 77, More: true, Proto: flow.ProtoTCP, Start: 34}, 40000, 0, false},
		{"first, options cut", tcp.MSS(9).Fragment(0, 24), packet.Frag{ID: 77, More: true, Proto: flow.ProtoTCP, Start: 34}, 40000, 0, false},
		{"middle", tcp.Fragment(8, 32), packet.Frag{ID: 77, Offset: 8, More: true, Proto: flow.ProtoTCP, Start: 34}, 0, 24, false},
		{"last", tcp.Fragment(32, 64), packet.Frag{ID: 77, Offset: 32, Proto: flow.ProtoTCP, Start: 34}, 0, 32, false},
		{"IPv6 first", udp6.Fragment(0, 16), packet.Frag{ID: 77, More: true, Proto: flow.ProtoUDP, Start: 62}, 40000, 8, false},
		{"IPv6 last", udp6.Fragment(16, 48), packet.Frag{ID: 77, Offset: 16, Proto: flow.ProtoUDP, Start: 62}, 0, 32, false},
		{"IPv6 behind another header", udp6.Ext(flow.ProtoHopByHop).Fragment(16, 48), packet.Frag{ID: 77, Offset: 16, Proto: flow.ProtoUDP, Start: 70}, 0, 32, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decode(t, tt.p)
			if got.Frag != tt.want || got.SrcPort != tt.sport || got.PayloadLen != tt.payload || got.HasTCP != tt.hasTCP {
				t.Errorf("got %+v, port %d, payload %d, TCP %v; want %+v, %d, %d, %v",
					got.Frag, got.SrcPort, got.PayloadLen, got.HasTCP, tt.want, tt.sport, tt.payload, tt.hasTCP)
			}
		})
	}
}

func TestDecodeBadFragments(t *testing.T) {
	udp, udp6 := packettest.UDP(alice, bob), packettest.UDP(alice6, bob6)
	tests := []struct {
		name string
		p    packettest.Packet
		want flow.Cause
	}{
		{"length 12, not the last", udp.RawFragment(0, true, make([]byte, 12)), flow.CauseMalformed},
		{"length 12, the last", udp.RawFragment(8, false, make([]byte, 12)), flow.Decoded},
		{"ends at 65535", udp.RawFragment(65528, false, make([]byte, 7)), flow.Decoded},
		{"ends at 65536", udp.RawFragment(65528, false, make([]byte, 8)), flow.CauseMalformed},
		{"IPv6 ends at 65536", udp6.RawFragment(65528, false, make([]byte, 8)), flow.CauseMalformed},
		{"first without ports", udp.RawFragment(0, true, nil), flow.CauseMalformed},
		{"later without data", udp.RawFragment(8, true, nil), flow.Decoded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d packet.Decoder
			var p packet.Packet
			v := tt.p.View()
			if got := d.Decode(&v, &p); got != tt.want {
				t.Errorf("Decode = %v, want %v", got, tt.want)
			}
		})
	}
}

// follow decodes the packet at the given time and gives it to f.
func follow(t *testing.T, f *packet.Fragments, p packettest.Packet, at time.Duration) (packet.Packet, packet.Account, packet.FragVerdict) {
	t.Helper()
	got := decode(t, p)
	got.Time = flow.Timestamp(at)
	account, verdict := f.Follow(&got)
	return got, account, verdict
}

func TestFragments(t *testing.T) {
	frags := packettest.UDP(alice, bob).Payload(strings.Repeat("x", 24)).TTL(9).Fragments(8)
	frags6 := packettest.UDP(alice6, bob6).Payload(strings.Repeat("x", 24)).Fragments(8)
	const tracked, waiting = packet.FragTracked, packet.FragWaiting
	type step struct {
		p       packettest.Packet
		at      time.Duration
		want    packet.FragVerdict
		account uint64 // packets that had waited
	}
	tests := []struct {
		name    string
		steps   []step
		orphans uint64
	}{
		{"in order", []step{{frags[0], 0, tracked, 0}, {frags[1], 1, tracked, 0}, {frags[3], 2, tracked, 0}}, 0},
		{"reverse", []step{{frags[3], 0, waiting, 0}, {frags[1], 1, waiting, 0}, {frags[0], 2, tracked, 2}, {frags[2], 3, tracked, 0}}, 0},
		{"IPv6", []step{{frags6[3], 0, waiting, 0}, {frags6[0], 2, tracked, 1}, {frags6[2], 3, tracked, 0}}, 0},
		{"another id", []step{{frags[0], 0, tracked, 0}, {frags[1].IPID(5), 1, waiting, 0}}, 1},
		{"the other direction", []step{{frags[0], 0, tracked, 0}, {packettest.UDP(bob, alice).Payload("x").RawFragment(8, false, []byte("x")), 1, waiting, 0}}, 1},
		{"another tunnel", []step{{frags[0].VXLAN(1), 0, tracked, 0}, {frags[1].VXLAN(2), 1, waiting, 0}, {frags[1].VXLAN(1), 1, tracked, 0}}, 1},
		{"just in time", []step{{frags[1], 0, waiting, 0}, {frags[0], 30*time.Second - 1, tracked, 1}}, 0},
		{"too late", []step{{frags[1], 0, waiting, 0}, {frags[0], 30 * time.Second, tracked, 0}}, 1},
		{"first too old", []step{{frags[0], 0, tracked, 0}, {frags[1], 30 * time.Second, waiting, 0}}, 1},
		{"the clock does not go back", []step{{frags[1], 50 * time.Second, waiting, 0}, {frags[0], time.Second, tracked, 1}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f packet.Fragments
			for i, s := range tt.steps {
				p, account, got := follow(t, &f, s.p, s.at)
				if got != s.want || account.Packets != s.account {
					t.Errorf("step %d: verdict %d, %d had waited; want %d, %d", i, got, account.Packets, s.want, s.account)
				}
				if got == tracked && (p.SrcPort != 40000 || p.DstPort != 443) {
					t.Errorf("step %d: ports %d, %d", i, p.SrcPort, p.DstPort)
				}
			}
			if n, _ := f.Expire(flow.MaxTimestamp); n != tt.orphans || f.Len() != 0 {
				t.Errorf("%d orphans, %d left; want %d, 0", n, f.Len(), tt.orphans)
			}
		})
	}
}

func TestFragmentsAccount(t *testing.T) {
	frags := packettest.UDP(alice, bob).Payload(strings.Repeat("x", 24)).Fragments(8)
	var f packet.Fragments
	follow(t, &f, frags[2].TTL(9).PadTo60(), 5)
	follow(t, &f, frags[1].TTL(7), 3)
	_, got, _ := follow(t, &f, frags[0], 8)
	want := packet.Account{Packets: 2, Bytes: 60 + 42, IPBytes: 28 + 28, PayloadBytes: 16, First: 3, Last: 5, TTLMin: 7, TTLMax: 9}
	if got != want {
		t.Errorf("Account = %+v, want %+v", got, want)
	}
}

func TestFragmentsFull(t *testing.T) {
	var f packet.Fragments
	late := packettest.UDP(alice, bob).RawFragment(8, false, []byte("x"))
	for i := range 4096 {
		if _, _, got := follow(t, &f, late.IPID(uint16(i)), 0); got != packet.FragWaiting {
			t.Fatalf("datagram %d: verdict %d, want waiting", i, got)
		}
	}
	if _, _, got := follow(t, &f, late.IPID(9999), 1); got != packet.FragOrphan || f.Full() != 1 {
		t.Errorf("a later fragment: verdict %d, full %d; want orphan, 1", got, f.Full())
	}
	first := packettest.UDP(alice, bob).RawFragment(0, true, make([]byte, 8)).IPID(9999)
	if _, _, got := follow(t, &f, first, 1); got != packet.FragTracked || f.Full() != 2 {
		t.Errorf("a first fragment: verdict %d, full %d; want tracked, 2", got, f.Full())
	}
	if n, b := f.Expire(flow.Timestamp(30 * time.Second)); n != 4096 || b != 4096*35 {
		t.Errorf("Expire = %d packets, %d bytes, want 4096, %d", n, b, 4096*35)
	}
	if _, _, got := follow(t, &f, late, 31*time.Second); got != packet.FragWaiting || f.Len() != 1 {
		t.Errorf("after expiry: verdict %d, %d entries", got, f.Len())
	}
}

// Whatever comes in whatever order: every fragment is tracked, an orphan, or waits and
// becomes one of them. Packets and bytes add up.
func TestFragmentsConserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f packet.Fragments
		var seen, accounted, orphans uint64
		at := flow.Timestamp(0)
		for range rapid.IntRange(0, 80).Draw(t, "fragments") {
			at += flow.Timestamp(rapid.IntRange(0, 10).Draw(t, "seconds")) * 1e9
			p := packet.Packet{Time: at, WireLen: 60, Proto: flow.ProtoUDP, IPVersion: 4}
			p.Frag = packet.Frag{ID: rapid.Uint32Range(1, 5).Draw(t, "id"), Offset: 8 * rapid.Uint16Range(0, 2).Draw(t, "offset"), More: true}
			seen++
			account, verdict := f.Follow(&p)
			accounted += account.Packets
			switch verdict {
			case packet.FragTracked:
				accounted++
			case packet.FragOrphan:
				orphans++
			}
			if n := rapid.IntRange(0, 3).Draw(t, "sweep"); n == 0 {
				n, b := f.Expire(at)
				orphans += n
				if b != n*60 {
					t.Fatalf("%d orphans have %d bytes", n, b)
				}
			}
		}
		n, _ := f.Expire(flow.MaxTimestamp)
		if orphans += n; seen != accounted+orphans {
			t.Fatalf("%d seen, %d accounted, %d orphans", seen, accounted, orphans)
		}
	})
}

func TestFragmentsDoNotAllocate(t *testing.T) {
	var f packet.Fragments
	p := packet.Packet{WireLen: 60, Proto: flow.ProtoUDP, IPVersion: 4, Frag: packet.Frag{Offset: 8}}
	f.Follow(&p)
	if n := testing.AllocsPerRun(10000, func() {
		p.Time += 1e9
		p.Frag.ID++
		f.Follow(&p)
	}); n != 0 {
		t.Errorf("Follow: %v allocations", n)
	}
}

// defragSteps reads fragments from words like "0:abcdefgh+ 8:ij": offset, data, and + for
// more to come.
func defragSteps(t testing.TB, s string) []packet.Fragment {
	t.Helper()
	var list []packet.Fragment
	for _, word := range strings.Fields(s) {
		f := packet.Fragment{Key: packet.FragKey{ID: 1, IPVersion: 4, Proto: flow.ProtoUDP}, Proto: flow.ProtoUDP}
		var data string
		if _, err := fmt.Sscanf(word, "%d:%s", &f.Offset, &data); err != nil {
			t.Fatalf("bad fragment %q: %v", word, err)
		}
		f.More = strings.HasSuffix(data, "+")
		f.Data = []byte(strings.TrimSuffix(data, "+"))
		f.Len = len(f.Data)
		list = append(list, f)
	}
	return list
}

func TestDefrag(t *testing.T) {
	tests := []struct {
		name   string
		frags  string
		v4, v6 string // whole datagram, or !conflict, or ... when it is not whole
	}{
		{"in order", "0:abcdefgh+ 8:ij", "abcdefghij", "abcdefghij"},
		{"reverse", "16:q 8:ijklmnop+ 0:abcdefgh+", "abcdefghijklmnopq", "abcdefghijklmnopq"},
		{"hole", "0:abcdefgh+ 16:q", "...", "..."},
		{"no last", "0:abcdefgh+ 8:ijklmnop+", "...", "..."},
		{"copy", "0:abcdefgh+ 0:abcdefgh+ 8:ij", "abcdefghij", "abcdefghij"},
		{"copy of another content", "0:abcdefgh+ 0:abcdeFgh+ 8:ij", "!1", "!1"},
		{"overlap, equal", "0:abcdefghijklmnop+ 8:ijklmnopqr", "abcdefghijklmnopqr", "!8"},
		{"overlap, different", "0:abcdefghijklmnop+ 8:ijklmnOPqr", "!2", "!2"},
		{"inside another, equal", "0:abcdefghijklmnop+ 8:ijklmnop+ 16:q", "abcdefghijklmnopq", "!8"},
		{"around another, equal", "8:ijklmnop+ 0:abcdefghijklmnopqrstuvwx+ 24:y", "abcdefghijklmnopqrstuvwxy", "!8"},
		{"bridge over a hole", "0:abcdefgh+ 16:qrstuvwx+ 0:abcdefghijklmnopqrstuvwx+ 24:y", "abcdefghijklmnopqrstuvwxy", "!16"},
		{"data behind the end", "8:ij 16:q+", "!7", "!7"},
		{"end before data", "16:qrstuvwx+ 8:ij", "!14", "!14"},
		{"another end", "8:ij 8:ijk 0:abcdefgh+", "!1", "!1"},
		{"the end again", "8:ij 8:ij 0:abcdefgh+", "abcdefghij", "abcdefghij"},
		{"after a conflict nothing comes", "0:abcdefgh+ 0:Abcdefgh+ 0:abcdefgh+ 8:ij", "!1", "!1"},
	}
	for _, tt := range tests {
		for version, want := range map[uint8]string{4: tt.v4, 6: tt.v6} {
			t.Run(fmt.Sprintf("%s/v%d", tt.name, version), func(t *testing.T) {
				if got := defragAll(t, tt.frags, version); got != want {
					t.Errorf("%s: got %q, want %q", tt.frags, got, want)
				}
			})
		}
	}
}

// defragAll returns what the fragments of one datagram come to.
func defragAll(t testing.TB, frags string, version uint8) string {
	t.Helper()
	var d packet.Defrag
	got := "..."
	for _, f := range defragSteps(t, frags) {
		f.Key.IPVersion = version
		switch g, verdict := d.Insert(&f); verdict {
		case packet.DefragComplete:
			got = string(g.Data)
		case packet.DefragOverlap:
			got = fmt.Sprintf("!%d", g.Conflict)
		}
	}
	return got
}

func TestDefragLimits(t *testing.T) {
	key := packet.FragKey{IPVersion: 4, ID: 7}
	insert := func(d *packet.Defrag, f packet.Fragment) packet.DefragVerdict {
		if f.Key == (packet.FragKey{}) {
			f.Key = key
		}
		_, verdict := d.Insert(&f)
		return verdict
	}
	t.Run("64 fragments", func(t *testing.T) {
		var d packet.Defrag
		for i := range 64 {
			if got := insert(&d, packet.Fragment{Offset: 8 * i, More: true, Len: 8, Data: make([]byte, 8)}); got != packet.DefragWaiting {
				t.Fatalf("fragment %d: verdict %d", i, got)
			}
		}
		if got := insert(&d, packet.Fragment{Offset: 8 * 64, Len: 8, Data: make([]byte, 8)}); got != packet.DefragLost || d.Held() != 0 {
			t.Errorf("the 65th: verdict %d, %d bytes held; want lost, 0", got, d.Held())
		}
	})
	t.Run("the 64th completes", func(t *testing.T) {
		var d packet.Defrag
		for i := range 63 {
			insert(&d, packet.Fragment{Offset: 8 * i, More: true, Len: 8, Data: make([]byte, 8)})
		}
		if got := insert(&d, packet.Fragment{Offset: 8 * 63, Len: 8, Data: make([]byte, 8)}); got != packet.DefragComplete {
			t.Errorf("verdict %d, want complete", got)
		}
	})
	t.Run("cut by the snaplen", func(t *testing.T) {
		var d packet.Defrag
		var lost []packet.Datagram
		d.OnLost = func(g packet.Datagram) { g.Data = bytes.Clone(g.Data); lost = append(lost, g) }
		insert(&d, packet.Fragment{More: true, Len: 8, Data: []byte("abcdefgh"), Proto: flow.ProtoUDP})
		if got := insert(&d, packet.Fragment{Offset: 8, Len: 8, Data: make([]byte, 7)}); got != packet.DefragLost || d.Lost() != 1 {
			t.Errorf("verdict %d, lost %d; want lost, 1", got, d.Lost())
		}
		if len(lost) != 1 || string(lost[0].Data) != "abcdefgh" || lost[0].Key != key || lost[0].Proto != flow.ProtoUDP {
			t.Errorf("OnLost got %+v", lost)
		}
	})
	t.Run("copies of a whole one", func(t *testing.T) {
		first := packet.Fragment{More: true, Len: 8, Data: []byte("abcdefgh")}
		last, other := packet.Fragment{Offset: 8, Len: 2, Data: []byte("ij")}, packet.Fragment{Offset: 8, Len: 2, Data: []byte("iJ")}
		cut := packet.Fragment{More: true, Len: 8, Data: []byte("abcdefg")}
		for i, more := range [][]packet.Fragment{{first}, {last}, {first, first}, {other}, {last, cut}} {
			var d packet.Defrag
			var copies []bool
			d.OnLost = func(g packet.Datagram) { copies = append(copies, g.Copy) }
			for _, f := range append([]packet.Fragment{first, last}, more...) {
				insert(&d, f)
			}
			d.Expire(flow.MaxTimestamp)
			copied := i < 3
			if len(copies) != 1 || copies[0] != copied || (d.Lost() == 0) != copied {
				t.Errorf("%d: copies %v, %d lost; want one, %v", i, copies, d.Lost(), copied)
			}
		}
	})
	t.Run("copies long after", func(t *testing.T) {
		var d packet.Defrag
		f := packet.Fragment{More: true, Len: 8, Data: []byte("abcdefgh")}
		insert(&d, f)
		insert(&d, packet.Fragment{Offset: 8, Len: 2, Data: []byte("ij")})
		f.Time = f.Time.Add(30 * time.Second)
		insert(&d, f)
		if d.Expire(flow.MaxTimestamp); d.Lost() != 1 {
			t.Errorf("%d lost, want the new datagram of that name", d.Lost())
		}
	})
	t.Run("16 MiB", func(t *testing.T) {
		var d packet.Defrag
		waiting := 0
		for i := range 300 {
			f := packet.Fragment{Key: packet.FragKey{ID: uint32(i)}, Offset: 60000, More: true, Len: 800, Data: make([]byte, 800)}
			if insert(&d, f) == packet.DefragWaiting {
				waiting++
			}
			if d.Held() > 16<<20 {
				t.Fatalf("%d bytes held", d.Held())
			}
		}
		if waiting != 256 {
			t.Errorf("%d datagrams of 64 KiB held, want 256", waiting)
		}
	})
	t.Run("30 seconds", func(t *testing.T) {
		var d packet.Defrag
		insert(&d, packet.Fragment{More: true, Len: 8, Data: make([]byte, 8)})
		d.Expire(flow.Timestamp(30*time.Second) - 1)
		if d.Len() != 1 {
			t.Errorf("%d datagrams just before, want 1", d.Len())
		}
		d.Expire(flow.Timestamp(30 * time.Second))
		if d.Len() != 0 || d.Held() != 0 || d.Lost() != 1 {
			t.Errorf("%d datagrams, %d bytes, %d lost; want 0, 0, 1", d.Len(), d.Held(), d.Lost())
		}
	})
	t.Run("4096 datagrams", func(t *testing.T) {
		var d packet.Defrag
		for i := range 4096 {
			insert(&d, packet.Fragment{Key: packet.FragKey{ID: uint32(i)}, More: true, Len: 8, Data: make([]byte, 8)})
		}
		if got := insert(&d, packet.Fragment{Key: packet.FragKey{ID: 9999}, More: true, Len: 8, Data: make([]byte, 8)}); got != packet.DefragLost {
			t.Errorf("verdict %d, want lost", got)
		}
	})
}

func TestDefragDoesNotAllocate(t *testing.T) {
	var d packet.Defrag
	a, b := packet.Fragment{Len: 1480, Data: make([]byte, 1480), More: true}, packet.Fragment{Offset: 1480, Len: 900, Data: make([]byte, 900)}
	if n := testing.AllocsPerRun(1000, func() {
		a.Key.ID++
		b.Key.ID++
		d.Insert(&a)
		if _, verdict := d.Insert(&b); verdict != packet.DefragComplete {
			t.Fatalf("verdict %d", verdict)
		}
	}); n != 0 {
		t.Errorf("Insert: %v allocations a datagram", n)
	}
}

// A datagram cut up, shuffled and repeated comes back as it was, and decodes as the
// packet did before it was cut.
func TestDefragRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packettest.TCP(alice, bob).Flags("PA").Seq(5).Timestamps(1, 2)
		if rapid.Bool().Draw(t, "IPv6") {
			p = packettest.TCP(alice6, bob6).Flags("PA").Seq(5).Timestamps(1, 2)
		}
		p = p.PayloadBytes(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "payload"))
		frags := p.Fragments(8 * rapid.IntRange(1, 8).Draw(t, "size/8"))
		if len(frags) == 1 {
			return
		}
		frags = append(frags, frags[rapid.IntRange(0, len(frags)-1).Draw(t, "copy")])
		var d packet.Decoder
		var f packet.Defrag
		whole := 0
		for _, i := range rapid.Permutation(indexes(len(frags))).Draw(t, "order") {
			v := frags[i].View()
			var got, want packet.Packet
			d.Decode(&v, &got)
			fr := got.Fragment(v.Frame)
			g, verdict := f.Insert(&fr)
			if verdict != packet.DefragComplete {
				continue
			}
			whole++
			if !bytes.Equal(g.Data, p.L4()) {
				t.Fatalf("datagram % x, want % x", g.Data, p.L4())
			}
			cause := got.DecodeL4(&g)
			v = p.View()
			d.Decode(&v, &want)
			if cause != flow.Decoded || got.TCP != want.TCP || got.SrcPort != want.SrcPort || got.Src != want.Src || got.IsFragment() ||
				!bytes.Equal(got.Payload(g.Data), want.Payload(v.Frame)) {
				t.Fatalf("DecodeL4 = %v, %+v, want %+v", cause, got, want)
			}
		}
		if len(frags) <= 64 && whole != 1 {
			t.Fatalf("%d whole datagrams from %d fragments", whole, len(frags))
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func TestDecodeL4(t *testing.T) {
	ext := append([]byte{byte(flow.ProtoUDP), 0, 1, 4, 0, 0, 0, 0}, packettest.UDP(alice6, bob6).Payload("x").L4()...)
	nested := append([]byte{byte(flow.ProtoUDP), 0, 0, 1, 0, 0, 0, 9}, packettest.UDP(alice6, bob6).Payload("x").L4()...)
	tests := []struct {
		name    string
		g       packet.Datagram
		want    flow.Cause
		proto   flow.Proto
		payload string
	}{
		{"UDP", packet.Datagram{Key: packet.FragKey{IPVersion: 4}, Proto: flow.ProtoUDP, Data: packettest.UDP(alice, bob).Payload("x").L4()}, flow.Decoded, flow.ProtoUDP, "x"},
		{"IPv6 with another header first", packet.Datagram{Key: packet.FragKey{IPVersion: 6}, Proto: flow.ProtoDstOpts, Data: ext}, flow.Decoded, flow.ProtoUDP, "x"},
		{"a fragment in it", packet.Datagram{Key: packet.FragKey{IPVersion: 6}, Proto: flow.ProtoFragment, Data: nested}, flow.CauseMalformed, 0, ""},
		{"half a TCP header", packet.Datagram{Key: packet.FragKey{IPVersion: 4}, Proto: flow.ProtoTCP, Data: make([]byte, 12)}, flow.CauseMalformed, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p packet.Packet
			got := p.DecodeL4(&tt.g)
			if got != tt.want || p.Proto != tt.proto || string(p.Payload(tt.g.Data)) != tt.payload {
				t.Errorf("DecodeL4 = %v, protocol %v, payload %q; want %v, %v, %q", got, p.Proto, p.Payload(tt.g.Data), tt.want, tt.proto, tt.payload)
			}
		})
	}
}

// FuzzFragments gives both engines' fragment code any fragments of four datagrams, and
// holds Defrag against a map of bytes.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 0, 1, 8, 1, 0, 1, 0, 5, 2})
	f.Add(bytes.Repeat([]byte{1, 1, 1, 8, 3}, 70))
	f.Fuzz(func(t *testing.T, ops []byte) {
		df, fr := packet.Defrag{Size: 3}, packet.Fragments{Size: 3}
		models := map[uint32]map[int]byte{}
		for at := flow.Timestamp(0); len(ops) >= 5; ops, at = ops[5:], at+1e9 {
			id, off, more, n := uint32(ops[0]%4), 8*int(ops[1]), ops[2]&1 != 0, int(ops[3])
			if more {
				n &^= 7
			}
			f := packet.Fragment{
				Key: packet.FragKey{ID: id, IPVersion: 4 + ops[2]&2}, Offset: off, More: more, Len: n,
				Data: bytes.Repeat([]byte{ops[4] & 1}, n), Time: at,
			}
			p := packet.Packet{Time: at, WireLen: n, IPVersion: f.Key.IPVersion, Frag: packet.Frag{ID: id, Offset: uint16(off), More: more}}
			fr.Follow(&p)
			key := id<<1 | uint32(ops[2]&2>>1)
			checkDefrag(t, &df, &f, models, key)
		}
		fr.Expire(flow.MaxTimestamp)
		if df.Expire(flow.MaxTimestamp); df.Held() != 0 || df.Len() != 0 || fr.Len() != 0 {
			t.Fatalf("%d bytes, %d, %d datagrams left", df.Held(), df.Len(), fr.Len())
		}
	})
}

func checkDefrag(t *testing.T, d *packet.Defrag, f *packet.Fragment, models map[uint32]map[int]byte, key uint32) {
	t.Helper()
	m := models[key]
	if m == nil {
		m = map[int]byte{}
		models[key] = m
	}
	g, verdict := d.Insert(f)
	if verdict == packet.DefragOverlap && g.Conflict <= 0 {
		t.Fatalf("overlap of %d bytes", g.Conflict)
	}
	for i, b := range f.Data {
		m[f.Offset+i] = b
	}
	if verdict != packet.DefragComplete {
		return
	}
	for i, b := range g.Data {
		if want, ok := m[i]; !ok || b != want {
			t.Fatalf("byte %d of %d is %d, want %d (was there: %v)", i, len(g.Data), b, want, ok)
		}
	}
	delete(models, key)
}
