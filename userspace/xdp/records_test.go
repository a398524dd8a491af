package xdp_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// TestPayloadSizes holds every size class of records, at its edges, with and without the
// start of the flow in the same record.
func TestPayloadSizes(t *testing.T) {
	e := load(t, xdp.Options{Replay: true, RingSize: 4 << 20})
	sizes := []int{0, 1, 192, 193, 1184, 1185, 1472, 1473, 4032, 4033, 5568, 5569, 8192, 20000, 64900}
	for i, n := range sizes {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bytes, first %t", n, first), func(t *testing.T) {
				payload := make([]byte, n)
				for j := range payload {
					payload[j] = byte(rand.Uint32())
				}
				seg := pt.TCP(fmt.Sprintf("192.0.2.1:%d", 1000+i), fmt.Sprintf("198.51.100.7:%d", 80)).Flags("PA").Seq(7)
				if first {
					seg = pt.TCP(fmt.Sprintf("192.0.2.2:%d", 1000+i), "198.51.100.7:80").Flags("PA").Seq(7)
				} else {
					replay(t, e, pt.Trace(seg))
					records(t, e)
				}
				replay(t, e, pt.Trace(seg.PayloadBytes(payload)))
				r := records(t, e)
				if len(r) != 1 || r[0].Start != first || r[0].Len != n {
					t.Fatalf("records %d, want one of %d bytes", len(r), n)
				}
				if !bytes.Equal([]byte(r[0].Data), payload) {
					t.Errorf("payload of %d bytes differs", len(r[0].Data))
				}
			})
		}
	}
	if c := counters(t, e); c.LoadFailed.Packets != 0 || c.RingDropped.Packets != 0 {
		t.Errorf("counters %+v: payload was lost", c)
	}
}

// TestStart holds what the first packet says of its flow.
func TestStart(t *testing.T) {
	e := load(t, xdp.Options{Replay: true})
	src, dst := flow.MAC{2, 0, 0, 0, 0, 1}, flow.MAC{2, 0, 0, 0, 0, 2}
	tests := []struct {
		name string
		p    pt.Packet
		key  flow.Key
		dir  flow.Direction
		want flow.Attributes
	}{
		{
			name: "vlan and macs",
			p:    pt.UDP("192.0.2.9:5000", "192.0.2.1:53").Payload("x").MACs(src, dst).VLAN(7).VLAN(9),
			key:  key("192.0.2.1:53", "192.0.2.9:5000", flow.ProtoUDP),
			dir:  flow.Reverse,
			want: flow.Attributes{HasMAC: true, MAC: [2]flow.MAC{src, dst}, VLANs: []uint16{9, 7}},
		},
		{
			name: "icmp echo",
			p:    pt.ICMP("192.0.2.1", "192.0.2.2").Type(8, 0).MACs(src, dst),
			key:  key("192.0.2.1:8", "192.0.2.2:0", flow.ProtoICMP),
			want: flow.Attributes{HasMAC: true, MAC: [2]flow.MAC{src, dst}, HasICMP: true, ICMPType: 8},
		},
		{
			name: "ipv6 with a label",
			p:    pt.UDP("[2001:db8::1]:5000", "[2001:db8::2]:53").Payload("x").FlowLabel(0xabcde).MACs(src, dst),
			key:  key("[2001:db8::1]:5000", "[2001:db8::2]:53", flow.ProtoUDP),
			want: flow.Attributes{HasMAC: true, MAC: [2]flow.MAC{src, dst}, FlowLabel: 0xabcde},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			replay(t, e, pt.Trace(tt.p))
			seen := false
			_, err := e.Ring(0).Read(0, func(r *xdp.Record) {
				seen = true
				if r.Start == nil {
					t.Fatal("no start in the first record")
				}
				a, w := r.Start.Attributes, tt.want
				if !slices.Equal(a.VLANs, w.VLANs) || a.MAC != w.MAC || a.HasMAC != w.HasMAC || a.HasICMP != w.HasICMP ||
					a.ICMPType != w.ICMPType || a.FlowLabel != w.FlowLabel || len(a.Tunnels) != 0 {
					t.Errorf("attributes %+v, want %+v", a, w)
				}
				if r.Start.Key != tt.key || r.Dir != tt.dir {
					t.Errorf("key %+v going %s, want %+v going %s", r.Start.Key, r.Dir, tt.key, tt.dir)
				}
			})
			if err != nil || !seen {
				t.Errorf("record seen %t, error %v", seen, err)
			}
		})
	}
}

// key makes a key of two endpoints that are in order.
func key(lo, hi string, proto flow.Proto) flow.Key {
	a, b := netip.MustParseAddrPort(lo), netip.MustParseAddrPort(hi)
	k := flow.Key{Lo: a.Addr().As16(), Hi: b.Addr().As16(), LoPort: a.Port(), HiPort: b.Port(), Proto: proto, IPVersion: 6}
	if a.Addr().Is4() {
		k.IPVersion = 4
	}
	return k
}

// TestTunnelStart holds the layers of encapsulation of a first packet.
func TestTunnelStart(t *testing.T) {
	e := load(t, xdp.Options{Replay: true})
	p := pt.TCP("192.0.2.1:1", "192.0.2.2:2").Flags("S").Via("198.51.100.1", "198.51.100.2").VXLAN(42)
	replay(t, e, pt.Trace(p))
	var got []flow.Tunnel
	if _, err := e.Ring(0).Read(0, func(r *xdp.Record) { got = slices.Clone(r.Start.Attributes.Tunnels) }); err != nil {
		t.Fatal(err)
	}
	want := []flow.Tunnel{{
		Kind: flow.TunnelVXLAN, HasID: true, ID: 42,
		Src: netip.MustParseAddr("198.51.100.1"), Dst: netip.MustParseAddr("198.51.100.2"),
	}}
	if !slices.Equal(got, want) {
		t.Errorf("tunnels %+v, want %+v", got, want)
	}
}

// TestControl holds which packets are told of under which control bits. A letter is a
// record with payload, in lower case without.
func TestControl(t *testing.T) {
	const i, r = flow.Initiator, flow.Responder
	trace := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").Handshake().
		Sends(i, "a").Sends(r, "b").Sends(i, "c").Sends(r, "d").Sends(i, "e").
		Acks(r).Acks(r).Close().Trace()
	tests := []struct {
		name string
		bits xdp.Control
		want string
	}{
		{"all", 0, "S S A Da Db Dc Dd De A A F F A"},
		{"no payload", xdp.NoPayload, "S S A D- D- D- D- D- A A F F A"},
		{"quiet", xdp.Quiet | xdp.NoPayload, "S S A D- D- A F F A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := load(t, xdp.Options{Replay: true, TCP: tt.bits})
			replay(t, e, trace)
			if got := letters(records(t, e)); got != tt.want {
				t.Errorf("records %q, want %q", got, tt.want)
			}
		})
	}
}

// letters writes records: the flag that matters, and the payload or - for one left out.
func letters(l []heard) string {
	var b bytes.Buffer
	for i, h := range l {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch {
		case h.Flags.Has(flow.SYN):
			b.WriteByte('S')
		case h.Flags.Has(flow.FIN):
			b.WriteByte('F')
		case h.Flags.Has(flow.RST):
			b.WriteByte('R')
		case h.Len > 0:
			b.WriteByte('D')
		default:
			b.WriteByte('A')
		}
		switch {
		case h.Data != "":
			b.WriteString(h.Data)
		case h.Len > 0:
			b.WriteByte('-')
		}
	}
	return b.String()
}

// TestVerdict stops the payload of one direction of a live flow.
func TestVerdict(t *testing.T) {
	e := load(t, xdp.Options{Replay: true})
	const i, r = flow.Initiator, flow.Responder
	c := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").Handshake().
		Sends(i, "one").Sends(r, "two").Sends(i, "three").Sends(r, "four")
	trace := c.Trace()
	replay(t, e, trace[:5])
	records(t, e)
	f := flows(e)[0]
	if !e.Table().SetControl(f.Handle, f.Initiator, xdp.NoPayload) {
		t.Fatal("the flow is gone")
	}
	replay(t, e, trace[5:])
	if got, want := letters(records(t, e)), "D- Dfour"; got != want {
		t.Errorf("records %q, want %q", got, want)
	}
	if !e.Table().ClearControl(f.Handle, f.Initiator, xdp.NoPayload) {
		t.Fatal("the flow is gone")
	}
	replay(t, e, c.Sends(i, "five").Trace()[7:])
	if got, want := letters(records(t, e)), "Dfive"; got != want {
		t.Errorf("records %q, want %q", got, want)
	}
	stale := f.Handle
	stale.Generation++
	if e.Table().SetControl(stale, flow.Forward, xdp.Quiet) || e.Table().Kill(stale) || e.Table().Free(stale) {
		t.Error("a handle of another generation was taken")
	}
}

// TestPortReuse opens a second connection on the tuple of one that is over, or not. In a
// replay it is user space that says so.
func TestPortReuse(t *testing.T) {
	old := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").ISN(100, 200).Handshake().Request("x").Close()
	open := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").ISN(100, 200).Handshake().Request("x")
	again := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").ISN(5000, 6000).Handshake()
	tests := []struct {
		name          string
		first, second []packet.View
		closed        bool // by user space
		want          int  // flows
	}{
		{"after close", old.Trace(), again.Trace(), true, 2},
		{"after close, same SYN again", old.Trace(), old.Trace()[:1], true, 1},
		{"while open", open.Trace(), again.Trace()[:1], false, 1},
		{"session over", open.Trace(), again.Trace(), true, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := load(t, xdp.Options{Replay: true})
			replay(t, e, tt.first)
			if tt.closed && !e.Table().Close(flows(e)[0].Handle) {
				t.Fatal("the flow is gone")
			}
			before := flows(e)[0].Handle
			records(t, e)
			replay(t, e, tt.second)
			checkReplaced(t, e, before, tt.want == 2)
			l := flows(e)
			if len(l) != tt.want {
				t.Fatalf("%d flows, want %d", len(l), tt.want)
			}
			var packets uint64
			for i := range l {
				packets += l[i].Dir[0].Packets + l[i].Dir[1].Packets
			}
			if want := uint64(len(tt.first) + len(tt.second)); packets != want {
				t.Errorf("%d packets, want %d", packets, want)
			}
		})
	}
}

// checkReplaced looks at the first record for what it says of the flow before.
func checkReplaced(t *testing.T, e *xdp.Engine, before xdp.Handle, want bool) {
	t.Helper()
	n := 0
	_, err := e.Ring(0).Read(0, func(r *xdp.Record) {
		if n++; n > 1 {
			return
		}
		got := r.Start != nil && r.Start.HasReplaced
		if got != want || want && r.Start.Replaces != before {
			t.Errorf("first record replaces %t: %+v, want %t: %+v", got, r.Start, want, before)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRingFull fills the ring: counters stay exact, what was lost is said with the next
// record, and flows whose start was lost get it late.
func TestRingFull(t *testing.T) {
	e := load(t, xdp.Options{Replay: true, RingSize: 4096})
	payload := make([]byte, 1000)
	seg := func(port, seq int) []packet.View {
		return pt.Trace(pt.TCP(fmt.Sprintf("192.0.2.1:%d", port), "192.0.2.2:80").Flags("A").Seq(uint32(seq)).PayloadBytes(payload))
	}
	for i := range 10 {
		replay(t, e, seg(1, 1000*i))
	}
	replay(t, e, seg(2, 0))
	if n := len(records(t, e)); n != 2 {
		t.Fatalf("%d records in a ring of 4096 bytes, want 2", n)
	}
	replay(t, e, seg(1, 10000))
	replay(t, e, seg(2, 1000))
	var lost []uint32
	var late []bool
	_, err := e.Ring(0).Read(0, func(r *xdp.Record) {
		lost = append(lost, r.LostBytes)
		late = append(late, r.Lost && r.Start != nil && r.Start.Late)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lost, []uint32{8000, 1000}) || !slices.Equal(late, []bool{false, true}) {
		t.Errorf("lost bytes %v, late starts %v; want 8000 and 1000, the second late", lost, late)
	}
	c := counters(t, e)
	if c.RingDropped != (xdp.Tally{Packets: 9, Bytes: 9000}) || c.RingRecords.Packets != 4 || c.Tracked.Packets != 13 {
		t.Errorf("counters %+v, want 9 records of 9000 bytes dropped, 4 sent, 13 packets tracked", c)
	}
	for _, f := range flows(e) {
		if f.Dir[0].Lost || f.Dir[1].Lost {
			t.Errorf("flow %+v: what was told is still owed", f)
		}
	}
}

// TestFragments sends datagrams in fragments, in order and with the first one last.
func TestFragments(t *testing.T) {
	whole := pt.UDP("192.0.2.1:1000", "192.0.2.2:53").PayloadBytes(make([]byte, 3000)).IPID(7)
	tests := []struct {
		name    string
		order   []int
		unknown int // fragments told of before their flow is known
	}{
		{"in order", []int{0, 1, 2}, 0},
		{"first one last", []int{2, 1, 0}, 2},
		{"first one missing", []int{1, 2}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := load(t, xdp.Options{Replay: true})
			parts := whole.Fragments(1200)
			var trace []packet.View
			for _, i := range tt.order {
				trace = append(trace, pt.Trace(parts[i])...)
			}
			replay(t, e, trace)
			if err := e.AgeFragments(flow.MaxTimestamp); err != nil {
				t.Fatal(err)
			}
			checkFragments(t, e, len(tt.order), tt.unknown)
		})
	}
}

func checkFragments(t *testing.T, e *xdp.Engine, sent, unknown int) {
	t.Helper()
	bytes, without := 0, 0
	n, err := e.Ring(0).Read(0, func(r *xdp.Record) {
		if r.Kind != xdp.Fragment || r.Fragment == nil || r.Fragment.ID != 7 || len(r.Payload) != r.PayloadLen {
			t.Errorf("record %+v, want a fragment", r)
			return
		}
		bytes += len(r.Payload)
		if !r.HasFlow {
			without++
		}
	})
	if err != nil || n != sent || without != unknown {
		t.Errorf("%d records, %d without a flow, error %v; want %d and %d", n, without, err, sent, unknown)
	}
	c := counters(t, e)
	orphans := c.Unparsed[flow.CauseFragmentOrphan].Packets
	if c.Seen.Packets != uint64(sent) || c.Tracked.Packets+orphans != c.Seen.Packets {
		t.Errorf("seen %d, tracked %d, orphans %d", c.Seen.Packets, c.Tracked.Packets, orphans)
	}
	if sent < 3 {
		if orphans != uint64(sent) || len(flows(e)) != 0 {
			t.Errorf("%d orphans, %d flows; want %d and none", orphans, len(flows(e)), sent)
		}
		return
	}
	l := flows(e)
	if len(l) != 1 || l[0].Dir[0].Packets != 3 || l[0].Dir[0].PayloadBytes != 3000 || bytes != 3008 {
		t.Errorf("flows %+v, %d bytes in fragments; want one of 3 packets and 3000 bytes of payload", l, bytes)
	}
}

// TestRingReadAllocates holds that reading the ring does not.
func TestRingReadAllocates(t *testing.T) {
	e := load(t, xdp.Options{Replay: true, RingSize: 8 << 20})
	trace := pt.NewConversation("192.0.2.1:1000", "192.0.2.2:80").Handshake().Request("GET").Response("200").Trace()
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		k, err := e.Ring(0).Read(time.Microsecond, func(r *xdp.Record) { n += r.PayloadLen })
		if err != nil {
			t.Fatal(err)
		}
		n += k
	})
	if allocs != 0 {
		t.Errorf("%v allocations to find the ring empty", allocs)
	}
	for range 200 {
		replay(t, e, trace)
	}
	allocs = testing.AllocsPerRun(1, func() {
		if _, err := e.Ring(0).Read(0, func(r *xdp.Record) { n += r.PayloadLen }); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 || n == 0 {
		t.Errorf("%v allocations to read %d", allocs, n)
	}
	scan := func() { e.Table().Scan(0, e.Table().Places(), func(p xdp.Place) { n += int(p.Last() & 1) }) }
	if allocs := testing.AllocsPerRun(10, scan); allocs != 0 {
		t.Errorf("%v allocations to scan the table", allocs)
	}
}
