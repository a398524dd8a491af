package decode

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/tests/decode/gen"
	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

// check decodes v in both engines and compares whole packets. linear: see decode.
func (k *kernel) check(t rapid.TB, d *packet.Decoder, v *packet.View, linear int) {
	t.Helper()
	want := userspace(d, v)
	got := normal(k.decode(t, v, linear))
	if want.Cause != 0 {
		got.Time = want.Time
	}
	if got != want {
		t.Fatalf("frame of link type %d, %d of %d bytes, %d of them linear: %x%s",
			v.LinkType, len(v.Frame), v.WireLen(), linear, v.Frame, differences(got, want))
	}
}

// TestCorpusAgrees decodes every frame of the corpus.
func TestCorpusAgrees(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	for _, path := range captures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) { k.checkCapture(t, path) })
	}
}

func (k *kernel) checkCapture(t *testing.T, path string) {
	var d packet.Decoder
	eachFrame(t, path, func(v *packet.View) { k.check(t, &d, v, 0) })
}

// refused are the captures whose link type is not one of the contract.
var refused = map[string]bool{
	"arkime-icmp-frame-relay.pcap": true,
	"tcpdump-mpls-traceroute.pcap": true,
}

// eachFrame calls f with the frames of a capture, to its end. One that is refused has
// none.
func eachFrame(t *testing.T, path string, f func(*packet.View)) {
	t.Helper()
	r, err := source.Open(path)
	if refused[filepath.Base(path)] {
		if err == nil {
			t.Error("not refused any more")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var frame source.Frame
	for n := 0; ; n++ {
		if err := r.Next(&frame); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("stopped after %d frames: %v", n, err)
		}
		f(&packet.View{
			Frame: frame.Data[:min(len(frame.Data), maxFrame)], Time: frame.Time, OrigLen: frame.OrigLen,
			LinkType: packet.LinkType(frame.LinkType),
		})
	}
}

// captures lists the real captures.
func captures(t testing.TB) []string {
	root := needs.Corpus(t)
	var l []string
	for _, pattern := range []string{"*/*.pcap", "*/*.pcapng", "*/*.cap"} {
		m, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, m...)
	}
	if len(l) == 0 {
		t.Fatalf("no captures in %s", root)
	}
	return l
}

// TestPacketsAgree decodes a packet for each rule, whole and cut at every byte.
func TestPacketsAgree(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	var d packet.Decoder
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			v := s.packet.View()
			whole := v.Frame
			for n := range len(whole) + 1 {
				v.Frame = whole[:n]
				k.check(t, &d, &v, 0)
			}
		})
	}
}

// TestSplitFramesAgree decodes them with every part of them outside the linear part.
func TestSplitFramesAgree(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	if !k.splits(t) {
		t.Skip("this kernel does not let a test run split a frame (Linux 6.18 does)")
	}
	var d packet.Decoder
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			v := s.packet.View()
			for n := etherLen; n < len(v.Frame); n++ {
				k.check(t, &d, &v, n)
			}
		})
	}
}

// TestLargeFramesAgree decodes frames that do not fit into one buffer.
func TestLargeFramesAgree(t *testing.T) {
	if err := features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes); err != nil {
		t.Skipf("no XDP frames of several buffers (Linux 5.18 has them): %v", err)
	}
	k := load(t, knobs{"fs_replay": uint8(1)})
	var d packet.Decoder
	for _, n := range []int{1500, 3000, 3500, 4096, 9000, 60000} {
		payload := make([]byte, n)
		for _, p := range []packettest.Packet{tcp4().PayloadBytes(payload), udp6().PayloadBytes(payload).VLAN(1, 2), udp4().PayloadBytes(payload).VXLAN(7)} {
			v := p.View()
			k.check(t, &d, &v, 0)
		}
	}
}

// TestVerifier says how much work the programs are for the verifier, which gives up after
// a million instructions.
func TestVerifier(t *testing.T) {
	const enough = 250_000
	k := load(t, nil)
	for name, p := range map[string]*ebpf.Program{
		"decode_xdp": k.objects.DecodeXdp, "decode_tc": k.objects.DecodeTc, "follow_xdp": k.objects.FollowXdp, "parse_xdp": k.objects.ParseXdp,
	} {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		if !ok {
			t.Skip("this kernel does not tell (Linux 5.16 does)")
		}
		t.Logf("%s: %d instructions verified", name, n)
		if n > enough {
			t.Errorf("%s: %d instructions verified, want at most %d", name, n, enough)
		}
	}
}

// TestChangedBytesAgree changes every header byte of every sample in several ways.
func TestChangedBytesAgree(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	var d packet.Decoder
	for _, s := range samples() {
		if s.name == "icmp type" || s.name == "icmp6 type" {
			continue // 512 of nearly the same
		}
		v := s.packet.View()
		for i, b := range v.Frame[:min(len(v.Frame), 128)] {
			for _, c := range []byte{0, b ^ 1, b ^ 0x80, b - 0x10, b + 0x10, 0xff} {
				v.Frame[i] = c
				k.check(t, &d, &v, 0)
			}
			v.Frame[i] = b
		}
	}
}

// TestHooksAgree runs the programs as they are attached, without the test clock: XDP, and
// tc. Only the time, which is the kernel's, is left out.
func TestHooksAgree(t *testing.T) {
	k := load(t, nil)
	hooks := []struct {
		name   string
		decode func(rapid.TB, *packet.View) packet.Packet
	}{
		{"xdp", k.decodeLive},
		{"tc", k.decodeTC},
	}
	var d packet.Decoder
	for _, h := range hooks {
		for _, s := range samples() {
			v := s.packet.View()
			if v.LinkType != packet.LinkEthernet {
				continue
			}
			t.Run(h.name+"/"+s.name, func(t *testing.T) {
				got, want := normal(h.decode(t, &v)), userspace(&d, &v)
				got.Time = want.Time
				if got != want {
					t.Errorf("frame %x%s", v.Frame, differences(got, want))
				}
			})
		}
	}
}

// TestSegments: a frame that the card will cut counts as what will be on the wire.
func TestSegments(t *testing.T) {
	const segs, size = 3, 1000
	k := load(t, nil)
	payload := make([]byte, segs*size)
	tests := []struct {
		name   string
		packet packettest.Packet
		header int // of each segment
		ip     int // of each segment's IP packet
	}{
		{"tcp", tcp4().PayloadBytes(payload), 54, 40 + size},
		{"tcp6 with options", tcp6().Timestamps(1, 2).PayloadBytes(payload), 86, 72 + size},
		{"in vxlan with vlan", tcp4().PayloadBytes(payload).VXLAN(7).VLAN(5), 108, 40 + size},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.packet.View()
			got := k.decodeGSO(t, &v, segs)
			if want := segs * (tt.header + size); got.WireLen != want {
				t.Errorf("%d bytes on the wire, want %d", got.WireLen, want)
			}
			if want := segs * tt.ip; got.IPLen != want {
				t.Errorf("%d IP bytes, want %d", got.IPLen, want)
			}
			if got.PayloadLen != len(payload) {
				t.Errorf("payload of %d bytes, want %d", got.PayloadLen, len(payload))
			}
		})
	}
}

// TestWithoutFragments loads the programs as for a kernel without multi-buffer XDP.
func TestWithoutFragments(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1), "fs_frags": uint8(0)})
	var d packet.Decoder
	for _, s := range samples() {
		v := s.packet.View()
		k.check(t, &d, &v, 0)
	}
}

// TestDecapAgrees opens only some kinds of tunnel, also on other ports.
func TestDecapAgrees(t *testing.T) {
	tests := []struct {
		name  string
		decap packet.Decap
	}{
		{"none", packet.DecapNone},
		{"mpls", packet.Decap{MPLS: true}},
		{"pppoe", packet.Decap{PPPoE: true}},
		{"gre", packet.Decap{GRE: true}},
		{"erspan", packet.Decap{ERSPAN: true}},
		{"pptp", packet.Decap{PPTP: true}},
		{"ipip", packet.Decap{IPIP: true}},
		{"teredo", packet.Decap{Teredo: true}},
		{"ayiya", packet.Decap{AYIYA: true}},
		{"vxlan", packet.Decap{VXLAN: packet.VXLANPorts}},
		{"vxlan and gre", packet.Decap{VXLAN: packet.VXLANPorts, GRE: true}},
		{"vxlan on gpe port alone", packet.Decap{VXLAN: packet.Ports{4790}}},
		{"vxlan on the port of gtpu", packet.Decap{VXLAN: packet.Ports{2152}, GTPU: packet.GTPUPorts}},
		{"geneve elsewhere", packet.Decap{Geneve: packet.Ports{4789, 6635, 1, 65535}, MPLS: true}},
		{"gtpu", packet.Decap{GTPU: packet.GTPUPorts}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := load(t, decapKnobs(tt.decap))
			d := packet.Decoder{Decap: tt.decap}
			for _, s := range samples() {
				v := s.packet.View()
				k.check(t, &d, &v, 0)
			}
		})
	}
}

// decapKnobs returns the knobs that make the kernel open what d opens.
func decapKnobs(d packet.Decap) knobs {
	var kinds uint32
	var mask uint64
	var list [15]gen.DecodeFsTunnelPort
	n := 0
	enable := func(kind flow.TunnelKind, on bool, ports ...uint16) {
		if !on {
			return
		}
		kinds |= 1 << kind
		for _, p := range ports {
			if p != 0 {
				list[n] = gen.DecodeFsTunnelPort{Port: p, Kind: uint16(kind)}
				mask |= 1 << (p & 63)
				n++
			}
		}
	}
	enable(flow.TunnelMPLS, d.MPLS, 6635)
	enable(flow.TunnelPPPoE, d.PPPoE)
	enable(flow.TunnelGRE, d.GRE)
	enable(flow.TunnelERSPAN, d.ERSPAN)
	enable(flow.TunnelPPTP, d.PPTP)
	enable(flow.TunnelIPIP, d.IPIP)
	enable(flow.TunnelTeredo, d.Teredo, 3544)
	enable(flow.TunnelAYIYA, d.AYIYA, 5072)
	enable(flow.TunnelVXLAN, d.VXLAN != packet.Ports{}, d.VXLAN[:]...)
	enable(flow.TunnelGeneve, d.Geneve != packet.Ports{}, d.Geneve[:]...)
	enable(flow.TunnelGTPU, d.GTPU != packet.Ports{}, d.GTPU[:]...)
	return knobs{"fs_replay": uint8(1), "fs_decap": kinds, "fs_tunnel_ports": list, "fs_tunnel_port_mask": mask}
}

// TestWrapsAgree puts packets into tunnels into tunnels, of any kinds in any order, then
// changes some bytes and cuts the frame.
func TestWrapsAgree(t *testing.T) {
	k := load(t, knobs{"fs_replay": uint8(1)})
	inner := []packettest.Packet{
		tcp4(), tcp6(), udp4(), udp6(), packettest.ICMP(v4a, v4b), tcp4().IPOptions(1, 1), tcp4().PadTo60(),
		tcp4().Payload("12345678").Edit(fragment(0, true)), tcp6().AtomicFragment(5), udp6().Ext(flow.ProtoDstOpts, 1, 2, 3),
	}
	rapid.Check(t, func(t *rapid.T) {
		var d packet.Decoder
		p := rapid.SampledFrom(inner).Draw(t, "inner")
		for _, w := range rapid.SliceOfN(rapid.SampledFrom(wraps), 0, 6).Draw(t, "wraps") {
			p = w.wrap(p)
		}
		v := p.View()
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			v.Frame[rapid.IntRange(0, len(v.Frame)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		if rapid.Bool().Draw(t, "cut") {
			v.Frame = v.Frame[:rapid.IntRange(0, len(v.Frame)).Draw(t, "captured")]
		}
		k.check(t, &d, &v, 0)
	})
}

// A wrapping puts a packet into something.
type wrapping struct {
	name string
	wrap func(packettest.Packet) packettest.Packet
}

// String names w where a property fails.
func (w wrapping) String() string { return w.name }

var wraps = []wrapping{
	{"vlan", func(p packettest.Packet) packettest.Packet { return p.VLAN(7) }},
	{"qinq", func(p packettest.Packet) packettest.Packet { return p.QinQ(8) }},
	{"mpls", func(p packettest.Packet) packettest.Packet { return p.MPLS(17, 18) }},
	{"pseudowire", func(p packettest.Packet) packettest.Packet { return p.MPLSEthernet(false, 17) }},
	{"control word", func(p packettest.Packet) packettest.Packet { return p.MPLSEthernet(true, 17) }},
	{"pppoe", func(p packettest.Packet) packettest.Packet { return p.PPPoE(9) }},
	{"vxlan", func(p packettest.Packet) packettest.Packet { return p.VXLAN(1) }},
	{"vxlan 6", func(p packettest.Packet) packettest.Packet { return p.Via(v6a, v6b).VXLAN(1).Via("", "") }},
	{"vxlan gpe", func(p packettest.Packet) packettest.Packet { return p.VXLANGPE(2) }},
	{"geneve", func(p packettest.Packet) packettest.Packet { return p.Geneve(3, 1, 2, 3, 4) }},
	{"gtpu", func(p packettest.Packet) packettest.Packet { return p.GTPU(4, []byte{1, 2, 3}) }},
	{"gre", func(p packettest.Packet) packettest.Packet { return p.GRE("CKS", 5) }},
	{"nvgre", func(p packettest.Packet) packettest.Packet { return p.GREEthernet("K", 6) }},
	{"erspan 1", func(p packettest.Packet) packettest.Packet { return p.ERSPAN(1, 0) }},
	{"erspan 3", func(p packettest.Packet) packettest.Packet { return p.ERSPAN(3, 7) }},
	{"pptp", func(p packettest.Packet) packettest.Packet { return p.PPTP(8) }},
	{"ipip", func(p packettest.Packet) packettest.Packet { return p.IPIP() }},
	{"teredo", func(p packettest.Packet) packettest.Packet { return p.InUDP(3544, nil, false) }},
	{"ayiya", func(p packettest.Packet) packettest.Packet { return p.InUDP(5072, ayiya(1, 41), false) }},
}
