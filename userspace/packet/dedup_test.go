package packet_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// dedupViews reads frames from words like "a@0 b@5+": payload, time in µs, and + or
// - for going in or out.
func dedupViews(t *testing.T, s string) []packet.View {
	t.Helper()
	var views []packet.View
	for _, word := range strings.Fields(s) {
		name, at, ok := strings.Cut(word, "@")
		dir := packet.DirUnknown
		switch {
		case strings.HasSuffix(at, "+"):
			dir = packet.DirIn
		case strings.HasSuffix(at, "-"):
			dir = packet.DirOut
		}
		us, err := strconv.Atoi(strings.TrimRight(at, "+-"))
		if !ok || err != nil {
			t.Fatalf("bad frame %q", word)
		}
		v := packettest.UDP(alice, bob).Payload(name).View()
		v.Time, v.Dir = flow.Timestamp(us)*1000, dir
		views = append(views, v)
	}
	return views
}

func TestDedup(t *testing.T) {
	window := func(n int) *packet.Dedup { return packet.NewDedup(10*time.Microsecond, n) }
	tests := []struct {
		name   string
		d      *packet.Dedup
		frames string
		kept   string // 1 kept, 0 dropped
	}{
		{"inside the window", window(9), "a@0 a@5", "10"},
		{"exactly at the window", window(9), "a@0 a@10", "10"},
		{"outside the window", window(9), "a@0 a@11", "11"},
		{"another payload", window(9), "a@0 b@1", "11"},
		{"another length", window(9), "a@0 aa@1", "11"},
		{"a steady repeat keeps matching", window(9), "a@0 a@8 a@16 a@24 a@35", "10001"},
		{"an earlier time is inside", window(9), "a@100 a@0", "10"},
		{"newest time counts", window(9), "a@100 a@0 a@105", "100"},
		{"the ring forgets the oldest", window(2), "a@0 b@1 a@2 c@3 d@4 a@5", "110111"},
		{"as many as the capacity are remembered", window(2), "a@0 b@1 a@2", "110"},
		{"capacity 0 is 1", window(0), "a@0 a@1 b@2 a@3", "1011"},
		{"direction is not asked for", window(9), "a@0+ a@1+ a@2-", "100"},
		{"loopback: one out, one in", packet.LoopbackDedup(), "a@0- a@1+", "10"},
		{"loopback: one in, one out", packet.LoopbackDedup(), "a@0+ a@1-", "10"},
		{"loopback: sent twice", packet.LoopbackDedup(), "a@0- a@1+ a@2- a@3+", "1010"},
		{"loopback: sent twice, then both come in", packet.LoopbackDedup(), "a@0- a@1- a@2+ a@3+ a@4+", "11001"},
		{"loopback: outside the window", packet.LoopbackDedup(), "a@0- a@1001+", "11"},
		{"loopback: the first copy is too old", packet.LoopbackDedup(), "a@0- a@900- a@1100+ a@1101+", "1101"},
		{"loopback: no direction", packet.LoopbackDedup(), "a@0 a@1 a@2", "100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, v := range dedupViews(t, tt.frames) {
				if tt.d.Keep(&v) {
					got += "1"
				} else {
					got += "0"
				}
			}
			if got != tt.kept {
				t.Errorf("%s: kept %s, want %s", tt.frames, got, tt.kept)
			}
			if n := strings.Count(tt.kept, "0"); tt.d.Dropped() != uint64(n) {
				t.Errorf("Dropped() = %d, want %d", tt.d.Dropped(), n)
			}
		})
	}
}

func TestDedupBuffered(t *testing.T) {
	d := packet.NewDedup(time.Second, 3)
	for i, want := range []int{1, 2, 3, 3} {
		v := packettest.UDP(alice, bob).Payload(strconv.Itoa(i % 2)).View()
		d.Keep(&v)
		if d.Buffered() != want {
			t.Errorf("after %d frames Buffered() = %d, want %d", i+1, d.Buffered(), want)
		}
	}
	if v := packettest.UDP(alice, bob).Payload("0").View(); d.DroppedBytes() != 2*uint64(len(v.Frame)) {
		t.Errorf("DroppedBytes() = %d, want that of two frames of %d", d.DroppedBytes(), len(v.Frame))
	}
}

// A cooked header says the direction in bytes that differ between the copies.
func TestDedupCooked(t *testing.T) {
	for _, link := range []packet.LinkType{packet.LinkSLL, packet.LinkSLL2} {
		t.Run(fmt.Sprint(link), func(t *testing.T) {
			d := packet.LoopbackDedup()
			p := packettest.UDP(alice, bob).Payload("x").Link(link)
			for i, dir := range []packet.CaptureDir{packet.DirOut, packet.DirIn, packet.DirOut} {
				v := p.Dir(dir).View()
				v.Dir = packet.DirUnknown
				if got, want := d.Keep(&v), dir == packet.DirOut; got != want {
					t.Errorf("frame %d, %v: Keep = %v, want %v", i, dir, got, want)
				}
			}
		})
	}
}

// The ring and the index give the answer of a plain search.
func TestDedupAgainstSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 5).Draw(t, "capacity")
		d := packet.NewDedup(10, capacity)
		type seen struct {
			payload byte
			at      flow.Timestamp
		}
		var ring []seen
		now := flow.Timestamp(0)
		for range rapid.IntRange(0, 60).Draw(t, "frames") {
			now += flow.Timestamp(rapid.IntRange(0, 8).Draw(t, "step"))
			f := seen{rapid.Byte().Draw(t, "payload") % 4, now}
			want := true
			for _, r := range ring {
				want = want && (r.payload != f.payload || now-r.at > 10)
			}
			v := packet.View{Frame: []byte{f.payload}, Time: now}
			if got := d.Keep(&v); got != want {
				t.Fatalf("Keep(%v) after %v = %v, want %v", f, ring, got, want)
			}
			if ring = append(ring, f); len(ring) > capacity {
				ring = ring[1:]
			}
		}
	})
}

func TestDedupDoesNotAllocate(t *testing.T) {
	for name, d := range map[string]*packet.Dedup{"window": packet.NewDedup(time.Second, 16), "loopback": packet.LoopbackDedup()} {
		v := packettest.UDP(alice, bob).Payload("0123").Dir(packet.DirOut).View()
		if n := testing.AllocsPerRun(10000, func() {
			v.Time += 1000
			v.Frame[len(v.Frame)-1]++
			v.Frame[len(v.Frame)-2] += v.Frame[len(v.Frame)-1] & 3
			d.Keep(&v)
		}); n != 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}

func BenchmarkDedup(b *testing.B) {
	frames := make([][]byte, 1024)
	for i := range frames {
		frames[i] = packettest.UDP(alice, bob).PayloadBytes(make([]byte, 1458)).IPID(uint16(i)).Bytes()
	}
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			d := packet.NewDedup(time.Millisecond, packet.DefaultDedupCapacity)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			i := 0
			for b.Loop() {
				v := packet.View{Frame: frames[i%1024][:size], OrigLen: size, Time: flow.Timestamp(i) * 1000_000}
				d.Keep(&v)
				i++
			}
		})
	}
}
