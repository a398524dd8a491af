package xdp

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// loadLive loads an engine that takes time from the clock, as one that is attached does,
// and so waits for running programs.
func loadLive(t *testing.T, opt Options) *Engine {
	t.Helper()
	needs.Root(t)
	opt.UDP = Quiet | NoPayload
	if opt.RingSize == 0 {
		opt.RingSize = 1 << 20
	}
	e, err := Load(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// udpFrame is a frame of flow n, of 60 bytes.
func udpFrame(n int) []byte {
	b := pt.UDP("10.0.0.1:1000", "10.1.0.0:53").Payload("0123456789abcdef").View().Frame
	binary.BigEndian.PutUint32(b[30:], 0x0a010000+uint32(n))
	return b
}

// send gives a frame to the program; any number of goroutines may.
func send(t *testing.T, e *Engine, frame []byte) {
	if _, err := e.coll.Programs["flowscope_xdp"].Run(&ebpf.RunOptions{Data: frame}); err != nil {
		t.Error(err)
	}
}

// An account adds up flows by key.
type account map[flow.Key]Tally

func (a account) add(k flow.Key, dir *[2]Counts) {
	sum := a[k]
	for i := range dir {
		sum.Packets += dir[i].Packets
		sum.Bytes += dir[i].Bytes
	}
	a[k] = sum
}

func (a account) total() (sum Tally) {
	for _, n := range a {
		sum.Packets += n.Packets
		sum.Bytes += n.Bytes
	}
	return sum
}

// take kills, waits, reads and frees every flow of the table.
func (a account) take(t *testing.T, e *Engine) (taken int) {
	t.Helper()
	var l []Handle
	for at := 0; ; {
		at = e.Table().Scan(at, 1024, func(p Place) {
			if !p.Dead() {
				e.Table().Kill(p.Handle())
			}
			l = append(l, p.Handle())
		})
		if at == 0 {
			break
		}
	}
	if err := e.Grace(); err != nil {
		t.Fatal(err)
	}
	var f Flow
	for _, h := range l {
		if !e.Table().Read(h, &f) {
			t.Fatalf("flow %+v is gone before it was freed", h)
		}
		a.add(f.Key, &f.Dir)
		if !e.Table().Free(h) {
			t.Fatalf("place of %+v cannot be freed", h)
		}
	}
	return len(l)
}

func (a account) drain(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.DrainSpill(func(s *Spilled) { a.add(s.Key, &s.Dir) }); err != nil {
		t.Fatal(err)
	}
}

// TestClaimRace lets all CPUs meet at new flows: every packet is counted once, whatever
// place it found.
func TestClaimRace(t *testing.T) {
	e := loadLive(t, Options{MaxFlows: 1 << 15})
	const flows, senders = 20_000, 4
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			frame := udpFrame(0)
			for n := range flows {
				binary.BigEndian.PutUint32(frame[30:], 0x0a010000+uint32(n))
				send(t, e, frame)
			}
		})
	}
	wg.Wait()
	a := account{}
	places := a.take(t, e)
	a.drain(t, e)
	size := uint64(len(udpFrame(0)))
	if len(a) != flows {
		t.Errorf("%d flows, want %d", len(a), flows)
	}
	for k, n := range a {
		if want := (Tally{senders, senders * size}); n != want {
			t.Errorf("flow %+v has %v, want %v", k, n, want)
		}
	}
	t.Logf("%d flows in %d places", flows, places)
}

// TestTakeUnderLoad takes and frees flows while packets of theirs come in: none is lost,
// none counted twice.
func TestTakeUnderLoad(t *testing.T) {
	e := loadLive(t, Options{MaxFlows: 256})
	const flows, senders = 50, 2
	var stop atomic.Bool
	var sent atomic.Uint64
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			frame := udpFrame(0)
			for n := 0; !stop.Load(); n++ {
				binary.BigEndian.PutUint32(frame[30:], 0x0a010000+uint32(n%flows))
				send(t, e, frame)
				sent.Add(1)
			}
		})
	}
	a := account{}
	rounds, taken := 0, 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); rounds++ {
		taken += a.take(t, e)
	}
	stop.Store(true)
	wg.Wait()
	taken += a.take(t, e)
	a.drain(t, e)
	want := Tally{sent.Load(), sent.Load() * uint64(len(udpFrame(0)))}
	if got := a.total(); got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
	if c, err := e.Counters(); err != nil || c.Tracked != want || c.Seen != want {
		t.Errorf("counters %+v, error %v; want %v tracked", c, err, want)
	}
	t.Logf("%d packets; %d flows taken in %d rounds", want.Packets, taken, rounds)
}

// TestTableFull sends more flows than there are places and spill accounts: each packet is
// in a place, in a spill account, or counted as table_full.
func TestTableFull(t *testing.T) {
	e := loadLive(t, Options{MaxFlows: 64, SpillFlows: 128})
	const flows, rounds = 1000, 3
	frame := udpFrame(0)
	a := account{}
	for range rounds {
		for n := range flows {
			binary.BigEndian.PutUint32(frame[30:], 0x0a010000+uint32(n))
			send(t, e, frame)
		}
	}
	places := a.take(t, e)
	inTable := a.total()
	a.drain(t, e)
	c, err := e.Counters()
	if err != nil {
		t.Fatal(err)
	}
	all := uint64(flows * rounds)
	if got := a.total(); got != c.Tracked || c.Tracked.Packets+c.Unparsed[flow.CauseTableFull].Packets != all {
		t.Errorf("table and spill hold %v; tracked %v, table full %v; want %d in all",
			got, c.Tracked, c.Unparsed[flow.CauseTableFull], all)
	}
	if c.Spilled.Packets != c.Tracked.Packets-inTable.Packets || c.Spilled.Packets == 0 {
		t.Errorf("spilled %v, want what is not in the table", c.Spilled)
	}
	if places < 64 {
		t.Errorf("%d places, want at least 64", places)
	}
	a = account{}
	send(t, e, frame)
	a.drain(t, e)
	if got := a.total(); got != (Tally{}) {
		t.Errorf("after the table was emptied %v went to the spill map", got)
	}
}
