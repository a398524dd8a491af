package decode

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/tests/decode/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// noFragment is FS_FOLLOW_NONE of decode.bpf.c.
const noFragment = 99

// A fate is what becomes of one fragment: the flow it belongs to, as a directed key, and
// what waited for it.
type fate struct {
	verdict packet.FragVerdict
	key     flow.Key
	waited  packet.Account
}

// A follower gives fragments to both engines.
type follower struct {
	k          *kernel
	d          packet.Decoder
	user       packet.Fragments
	kernelLost [2]uint64 // orphans: packets, bytes
	kernelFull uint64
}

func newFollower(k *kernel, t rapid.TB) *follower {
	f := &follower{k: k}
	f.reset(t)
	return f
}

// reset lets both engines forget what they know.
func (f *follower) reset(t rapid.TB) {
	f.age(t, math.MaxInt64)
	if err := f.k.objects.FsFragClock.Set(int64(0)); err != nil {
		t.Fatal(err)
	}
	f.user, f.kernelLost, f.kernelFull = packet.Fragments{}, [2]uint64{}, 0
}

// age moves the clock of the kernel's datagrams to now.
func (f *follower) age(t rapid.TB, now flow.Timestamp) {
	frame := make([]byte, etherLen)
	binary.NativeEndian.PutUint64(frame, uint64(now))
	f.k.run(t, f.k.objects.AgeXdp, &ebpf.RunOptions{Data: frame})
	f.note(f.answer(t))
}

func (f *follower) answer(t rapid.TB) *gen.DecodeFollowed {
	var a gen.DecodeFollowed
	if err := f.k.objects.Follows.Lookup(uint32(0), &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

// note adds up what the kernel gave up.
func (f *follower) note(a *gen.DecodeFollowed) {
	f.kernelLost[0] += a.Followed.OrphanPackets
	f.kernelLost[1] += a.Followed.OrphanBytes
	f.kernelFull += a.Followed.Full
}

// userspace says what becomes of v; ok is false for what is no fragment.
func (f *follower) userspace(v *packet.View) (_ fate, ok bool) {
	var p packet.Packet
	if f.d.Decode(v, &p) != flow.Decoded || !p.IsFragment() {
		return fate{}, false
	}
	waited, verdict := f.user.Follow(&p)
	return fate{verdict, directed(&p, verdict), waited}, true
}

// directed returns the key of a tracked fragment.
func directed(p *packet.Packet, verdict packet.FragVerdict) flow.Key {
	if verdict != packet.FragTracked {
		return flow.Key{}
	}
	var x packet.Extracted[flow.Key]
	packet.FiveTuple{Directional: true}.Extract(p, &x)
	return x.Key
}

// kernel is the same for the other engine.
func (f *follower) kernel(t rapid.TB, v *packet.View) (_ fate, ok bool) {
	f.k.feed(t, f.k.objects.FollowXdp, v, 0)
	a := f.answer(t)
	f.note(a)
	if a.Verdict == noFragment {
		return fate{}, false
	}
	c, w := &a.Packet, &a.Followed.Waited
	got := fate{verdict: packet.FragVerdict(a.Verdict)}
	if got.verdict == packet.FragTracked {
		got.key = flow.Key{
			Lo: address(c.IpVersion, c.Src.B), Hi: address(c.IpVersion, c.Dst.B), LoPort: c.Sport, HiPort: c.Dport,
			Proto: flow.Proto(c.Proto), IPVersion: c.IpVersion, Directional: true,
		}
	}
	got.waited = packet.Account{
		Packets: w.Packets, Bytes: w.Bytes, IPBytes: w.IpBytes, PayloadBytes: w.PayloadBytes,
		First: flow.Timestamp(w.First), Last: flow.Timestamp(w.Last), TTLMin: w.TtlMin, TTLMax: w.TtlMax,
	}
	return got, true
}

// check gives v to both engines.
func (f *follower) check(t rapid.TB, v *packet.View) {
	t.Helper()
	want, isFragment := f.userspace(v)
	got, ok := f.kernel(t, v)
	if ok != isFragment || got != want {
		t.Fatalf("frame %x at %v\nkernel    %v %+v\nuserspace %v %+v", v.Frame, v.Time, ok, got, isFragment, want)
	}
}

// finish ends the input and compares what was lost.
func (f *follower) finish(t rapid.TB) {
	t.Helper()
	f.age(t, math.MaxInt64)
	packets, bytes := f.user.Expire(math.MaxInt64)
	if want := [2]uint64{packets, bytes}; f.kernelLost != want {
		t.Errorf("orphans of the kernel %v, of userspace %v", f.kernelLost, want)
	}
	if want := f.user.Full(); f.kernelFull != want {
		t.Errorf("found full in the kernel %d times, in userspace %d", f.kernelFull, want)
	}
}

func TestFragmentsOfCorpusAgree(t *testing.T) {
	f := newFollower(load(t, knobs{"fs_replay": uint8(1)}), t)
	for _, path := range captures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f.reset(t)
			eachFrame(t, path, func(v *packet.View) { f.check(t, v) })
			f.finish(t)
		})
	}
}

// TestFragmentsAgree gives both engines fragments of a few datagrams in any order, with
// gaps in time that let some of them expire, and times that go back.
func TestFragmentsAgree(t *testing.T) {
	f := newFollower(load(t, knobs{"fs_replay": uint8(1)}), t)
	frames := fragmentFrames()
	rapid.Check(t, func(t *rapid.T) {
		f.reset(t)
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "frames") {
			v := rapid.SampledFrom(frames).Draw(t, "frame").View()
			now += rapid.SampledFrom([]time.Duration{0, time.Millisecond, 10 * time.Second, 30 * time.Second, 31 * time.Second, -time.Second}).Draw(t, "later")
			v.Time = flow.Timestamp(now)
			f.check(t, &v)
		}
		f.finish(t)
	})
}

// fragmentFrames returns the fragments of datagrams that differ in one part of their key
// each, and packets that are none.
func fragmentFrames() []pt.Packet {
	long := "0123456789abcdef0123456789abcdef0123456789abcdef"
	datagrams := []pt.Packet{
		udp4().IPID(1).Payload(long),
		udp4().IPID(2).Payload(long).TTL(9),
		pt.UDP(v4bp, v4ap).IPID(1).Payload(long),
		tcp4().IPID(1).Payload(long),
		pt.ICMP(v4a, v4b).IPID(1).Payload(long),
		udp6().IPID(1).Payload(long),
		tcp6().IPID(1).Payload(long).TTL(3),
		pt.ICMP(v6a, v6b).Type(3, 1).IPID(1).Payload(long),
	}
	l := []pt.Packet{tcp4(), udp6()}
	for _, d := range datagrams {
		for _, p := range d.Fragments(24) {
			l = append(l, p, p.VXLAN(1), p.VXLAN(2), p.VLAN(5))
		}
	}
	return l
}

// TestFullFragmentTable opens more datagrams than there is room for: a first fragment is
// tracked all the same, a later one is an orphan at once.
func TestFullFragmentTable(t *testing.T) {
	f := newFollower(load(t, knobs{"fs_replay": uint8(1)}), t)
	const datagrams = 6000
	p := udp4().Payload("0123456789abcdef0123456789abcdef").Fragments(24)
	verdicts := map[packet.FragVerdict]int{}
	for id := range datagrams {
		later := p[1].IPID(uint16(id)).View()
		later.Time = 1
		got, ok := f.kernel(t, &later)
		if !ok {
			t.Fatal("not taken for a fragment")
		}
		verdicts[got.verdict]++
	}
	if verdicts[packet.FragWaiting] < 4096 || verdicts[packet.FragOrphan] == 0 || verdicts[packet.FragTracked] != 0 {
		t.Errorf("later fragments without first: %v, want at least 4096 waiting, then orphans", verdicts)
	}
	if f.kernelFull != uint64(verdicts[packet.FragOrphan]) {
		t.Errorf("found full %d times, want %d", f.kernelFull, verdicts[packet.FragOrphan])
	}
	first := p[0].IPID(datagrams + 1).View()
	first.Time = 1
	if got, _ := f.kernel(t, &first); got.verdict != packet.FragTracked {
		t.Errorf("first fragment: verdict %d, want tracked", got.verdict)
	}
	f.age(t, math.MaxInt64)
	if got, want := f.kernelLost[0], uint64(verdicts[packet.FragWaiting]); got != want {
		t.Errorf("orphans in the end %d, want %d", got, want)
	}
}
