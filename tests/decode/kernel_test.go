// Package decode holds the decoder in the kernel (bpf/parse.h) and the one in user
// space (userspace/packet) together: the same frame gives the same packet.
package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/tests/decode/gen"
	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

const (
	metaLen  = 24 // struct fs_replay_meta
	etherLen = 14 // the least that the kernel runs a program on
	maxFrame = 60000
)

// Bits of fs_packet.bits (enum fs_packet_bits).
const (
	bitTCP = 1 << iota
	bitCut
	bitSrcMAC
	bitDstMAC
	bitDecapDepth
	bitFragFirst
	bitFragLater
	bitFragMore
)

// A kernel is the loaded parser. It decodes one frame at a time.
type kernel struct {
	objects gen.DecodeObjects
	buf     []byte
}

// knobs are values of bpf/config.h by name.
type knobs map[string]any

// load loads the parser with its knobs set.
func load(t testing.TB, k knobs) *kernel {
	t.Helper()
	needs.Root(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatalf("raise the limit of locked memory: %v", err)
	}
	spec, err := gen.LoadDecode()
	if err != nil {
		t.Fatal(err)
	}
	withoutFragments(t, spec)
	for name, value := range k {
		if err := spec.Variables[name].Set(value); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
	}
	var kern kernel
	if err := spec.LoadAndAssign(&kern.objects, nil); err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			t.Fatalf("verifier: %+v", v)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { kern.objects.Close() })
	return &kern
}

// withoutFragments makes the programs loadable before Linux 5.18, which has no XDP frames of
// several buffers.
func withoutFragments(t testing.TB, spec *ebpf.CollectionSpec) {
	err := features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes)
	if err == nil {
		return
	}
	if !errors.Is(err, ebpf.ErrNotSupported) {
		t.Fatal(err)
	}
	if err := spec.Variables["fs_frags"].Set(uint8(0)); err != nil {
		t.Fatal(err)
	}
	for _, p := range spec.Programs {
		p.Flags &^= unix.BPF_F_XDP_HAS_FRAGS
	}
}

// An xdpMD is struct xdp_md, of which a test run reads the first three fields.
type xdpMD struct {
	Data, DataEnd, DataMeta           uint32
	IngressIf, RXQueueIndex, EgressIf uint32
}

// meta writes struct fs_replay_meta.
func meta(b []byte, v *packet.View) []byte {
	b = binary.NativeEndian.AppendUint64(b, uint64(v.Time))
	b = binary.NativeEndian.AppendUint32(b, uint32(v.WireLen()))
	b = binary.NativeEndian.AppendUint32(b, uint32(len(v.Frame)))
	b = binary.NativeEndian.AppendUint32(b, uint32(v.LinkType))
	return binary.NativeEndian.AppendUint32(b, 0)
}

// decode runs the XDP program, built for replay, on v; linear: see feed.
func (k *kernel) decode(t rapid.TB, v *packet.View, linear int) packet.Packet {
	t.Helper()
	k.feed(t, k.objects.DecodeXdp, v, linear)
	return k.answer(t, v)
}

// feed runs p on v with its metadata. Of the frame, linear bytes lie in the linear part;
// 0: as many as fit.
func (k *kernel) feed(t rapid.TB, p *ebpf.Program, v *packet.View, linear int) {
	t.Helper()
	k.buf = append(meta(k.buf[:0], v), v.Frame...)
	for len(k.buf) < metaLen+etherLen {
		k.buf = append(k.buf, 0xee)
	}
	end := len(k.buf)
	if linear > 0 {
		end = min(end, metaLen+max(linear, etherLen))
	}
	k.run(t, p, &ebpf.RunOptions{Data: k.buf, Context: xdpMD{Data: metaLen, DataEnd: uint32(end)}})
}

// splits reports whether the kernel lets a test run put part of a frame outside the linear
// part.
func (k *kernel) splits(t testing.TB) bool {
	_, err := k.objects.EmptyXdp.Run(&ebpf.RunOptions{Data: make([]byte, 100), Context: xdpMD{DataEnd: etherLen}})
	if err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Fatal(err)
	}
	return err == nil
}

// decodeLive runs the XDP program on a frame without metadata.
func (k *kernel) decodeLive(t rapid.TB, v *packet.View) packet.Packet {
	t.Helper()
	k.run(t, k.objects.DecodeXdp, &ebpf.RunOptions{Data: v.Frame})
	return k.answer(t, v)
}

// decodeTC runs the tc program.
func (k *kernel) decodeTC(t rapid.TB, v *packet.View) packet.Packet {
	t.Helper()
	k.run(t, k.objects.DecodeTc, &ebpf.RunOptions{Data: v.Frame})
	return k.answer(t, v)
}

// A skb is struct __sk_buff up to the last field that a test run reads.
type skb struct {
	_       [164]byte
	GSOSegs uint32
	_       [8]byte
	GSOSize uint32
	_       [12]byte
}

// decodeGSO runs the tc program on a frame that is to be cut into segs segments.
func (k *kernel) decodeGSO(t rapid.TB, v *packet.View, segs int) packet.Packet {
	t.Helper()
	k.run(t, k.objects.DecodeTc, &ebpf.RunOptions{Data: v.Frame, Context: skb{GSOSegs: uint32(segs), GSOSize: 1000}})
	return k.answer(t, v)
}

func (k *kernel) run(t rapid.TB, p *ebpf.Program, o *ebpf.RunOptions) {
	t.Helper()
	if _, err := p.Run(o); err != nil {
		t.Fatalf("run on %d bytes %x: %v", len(o.Data), o.Data, err)
	}
}

// answer returns what the last run decoded v to, with time and lengths of the frame as
// the program saw them.
func (k *kernel) answer(t rapid.TB, v *packet.View) packet.Packet {
	t.Helper()
	var a gen.DecodeAnswer
	if err := k.objects.Answers.Lookup(uint32(0), &a); err != nil {
		t.Fatal(err)
	}
	if a.Cause != 0 {
		return packet.Packet{Cause: flow.Cause(a.Cause), WireLen: int(a.Packet.WireLen)}
	}
	return toPacket(&a, v.Frame)
}

// toPacket says a kernel answer in the words of user space.
func toPacket(a *gen.DecodeAnswer, frame []byte) packet.Packet {
	c := &a.Packet
	p := packet.Packet{
		Time: flow.Timestamp(c.Time), WireLen: int(c.WireLen), IPLen: int(c.IpLen),
		IPOff: int(c.L3Off), L4Off: int(c.L4Off),
		PayloadOff: int(c.PayloadOff), PayloadCap: int(c.PayloadCap), PayloadLen: int(c.PayloadLen),
		Src: address(c.IpVersion, c.Src.B), Dst: address(c.IpVersion, c.Dst.B),
		SrcPort: c.Sport, DstPort: c.Dport,
		FlowLabel: c.FlowLabel, IPVersion: c.IpVersion, Proto: flow.Proto(c.Proto), TTL: c.Ttl,
		ICMPType: c.IcmpType, ICMPCode: c.IcmpCode,
		HasMAC: c.Bits&bitSrcMAC != 0, HasTCP: c.Bits&bitTCP != 0, Cut: c.Bits&bitCut != 0,
		DecapDepth: c.Bits&bitDecapDepth != 0, NVLANs: c.N_vlans, NTunnels: c.N_tunnels,
		Frag: packet.Frag{
			ID: c.FragId, Offset: c.FragOff, More: c.Bits&bitFragMore != 0, Proto: flow.Proto(c.FragProto), Start: int(c.FragStart),
		},
		VLANs: c.Vlans,
	}
	if p.HasMAC {
		p.SrcMAC = flow.MAC(frame[c.SrcMacOff:])
	}
	if c.Bits&bitDstMAC != 0 {
		p.DstMAC = flow.MAC(frame)
	}
	if p.HasTCP {
		p.TCP = toTCP(a)
	}
	for i, l := range a.Tunnels.Layer {
		p.Tunnels[i] = packet.Tunnel{
			Src: l.Src, Dst: l.Dst, ID: l.Id, Kind: flow.TunnelKind(l.Kind), HasID: l.HasId != 0, IPVersion: l.IpVersion,
		}
	}
	return p
}

func toTCP(a *gen.DecodeAnswer) packet.TCP {
	return packet.TCP{
		Seq: flow.Seq(a.Packet.Seq), Ack: flow.Seq(a.Packet.Ack), Window: a.Packet.Window, Urgent: a.Packet.Urgent,
		Flags: flow.TCPFlags(a.Packet.TcpFlags), Options: flow.TCPOptions(a.Options.Bits),
		WScale: a.Options.Wscale, MSS: a.Options.Mss, TSVal: a.Options.Tsval, TSEcr: a.Options.Tsecr,
	}
}

// address returns the IPv4-mapped form that user space has.
func address(version uint8, b [16]byte) [16]byte {
	if version == 4 && bytes.Equal(b[4:], make([]byte, 12)) {
		return flow.MapV4([4]byte(b[:4]))
	}
	return b
}

// userspace decodes v with the decoder in Go, and says it the way answers are: ICMP has
// the words of its key as ports, and what has no meaning is zero.
func userspace(d *packet.Decoder, v *packet.View) packet.Packet {
	var p packet.Packet
	if d.Decode(v, &p) != flow.Decoded {
		return packet.Packet{Cause: p.Cause, WireLen: p.WireLen}
	}
	if p.HasICMP() {
		var x packet.Extracted[flow.Key]
		packet.FiveTuple{Directional: true}.Extract(&p, &x)
		p.SrcPort, p.DstPort = x.Key.LoPort, x.Key.HiPort
	}
	return normal(p)
}

// normal zeroes the fields that have no meaning in p, and the direction of capture, which
// the kernel does not read.
func normal(p packet.Packet) packet.Packet {
	p.Dir = packet.DirUnknown
	if !p.HasMAC {
		p.SrcMAC, p.DstMAC = flow.MAC{}, flow.MAC{}
	}
	if !p.HasTCP {
		p.TCP = packet.TCP{}
	}
	clear(p.VLANs[p.NVLANs:])
	clear(p.Tunnels[p.NTunnels:])
	return p
}

// differences lists the fields in which two packets differ.
func differences(got, want packet.Packet) string {
	var b strings.Builder
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if x, y := g.Field(i).Interface(), w.Field(i).Interface(); x != y {
			fmt.Fprintf(&b, "\n%s: kernel %+v, userspace %+v", g.Type().Field(i).Name, x, y)
		}
	}
	return b.String()
}
