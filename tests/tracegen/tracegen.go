package tracegen

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// A Kind is a mix of traffic.
type Kind string

// The kinds.
const (
	// Fat is few TCP flows with much payload, which no parser knows.
	Fat Kind = "fat"
	// Short is many TCP flows of about ten small packets, and some UDP.
	Short Kind = "short"
	// Web is HTTP, TLS and DNS over IPv4 and IPv6.
	Web Kind = "web"
	// Disorder is Web with segments lost and sent again, reordered, duplicated and
	// tunnelled, and opaque flows of which segments are missing for good.
	Disorder Kind = "disorder"
)

// Kinds are all kinds.
var Kinds = []Kind{Fat, Short, Web, Disorder}

// Epoch is the time of the first frame of every trace.
var Epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Options say what to write.
type Options struct {
	Kind  Kind
	Seed  uint64
	Flows int // how many; 0: as many as Kind has at full size
	// Bytes is the payload of each fat flow; 0: 128 MiB.
	Bytes int64
}

// A profile is what a kind is made of.
type profile struct {
	flows  int           // at full size
	open   int           // at once
	step   time.Duration // between two frames
	talks  []weighted
	damage damage
}

// A weighted says how many of a hundred flows a maker makes.
type weighted struct {
	percent int
	make    func(*maker) *talk
}

var profiles = map[Kind]profile{
	Fat:   {flows: 16, open: 16, step: time.Microsecond, talks: []weighted{{100, fatTalk}}},
	Short: {flows: 500_000, open: 20_000, step: 5 * time.Microsecond, talks: []weighted{{90, shortTalk}, {10, datagrams}}},
	Web: {flows: 20_000, open: 2_000, step: 2 * time.Microsecond,
		talks: []weighted{{40, httpTalk}, {40, tlsTalk}, {20, dnsTalk}}},
	Disorder: {flows: 10_000, open: 2_000, step: 2 * time.Microsecond,
		talks:  []weighted{{30, httpTalk}, {30, tlsTalk}, {15, dnsTalk}, {25, opaqueTalk}},
		damage: damage{resent: 2, swapped: 3, doubled: 2, missing: 1, tunnelled: 40}},
}

// Write writes a pcap file with nanoseconds to w and returns the truth about it, its
// flows in the order in which they begin.
func Write(w io.Writer, o Options) ([]*Flow, error) {
	p, ok := profiles[o.Kind]
	if !ok {
		return nil, fmt.Errorf("kind %q is unknown: use one of %v", o.Kind, Kinds)
	}
	if o.Flows == 0 {
		o.Flows = p.flows
	}
	if o.Bytes == 0 {
		o.Bytes = 128 << 20
	}
	buf := bufio.NewWriterSize(w, 1<<20)
	g := &generator{profile: p, out: newWriter(buf), maker: newMaker(o)}
	if err := g.run(o.Flows); err != nil {
		return nil, err
	}
	return g.truth, buf.Flush()
}

// A generator lets many talks go on at once.
type generator struct {
	profile
	out   *writer
	maker *maker
	now   time.Duration
	live  []*talk
	truth []*Flow
}

func (g *generator) run(flows int) error {
	for began := 0; began < flows || len(g.live) > 0; {
		if began < flows && len(g.live) < g.open {
			g.live = append(g.live, g.begin())
			began++
		}
		if err := g.one(); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a talk of the mix.
func (g *generator) begin() *talk {
	n := g.maker.IntN(100)
	for _, w := range g.talks {
		if n -= w.percent; n < 0 {
			t := w.make(g.maker)
			t.lane.begin(g.maker, &g.damage)
			return t
		}
	}
	panic("the percentages of the mix are not 100")
}

// one writes the next frame of some talk.
func (g *generator) one() error {
	i := g.maker.IntN(len(g.live))
	t := g.live[i]
	p, ok := t.lane.next(g.maker, t)
	if !ok {
		t.finish()
		last := len(g.live) - 1
		g.live[i], g.live = g.live[last], g.live[:last]
		return nil
	}
	if t.truth.packets() == 0 {
		g.truth = append(g.truth, t.truth)
	}
	err := g.out.frame(g.now, t, &p)
	g.now += g.step
	return err
}

// A maker draws what is in a trace.
type maker struct {
	*rand.Rand
	opt    Options
	serial uint32 // of the next flow
	noise  []byte // opaque payload is cut out of it
}

func newMaker(o Options) *maker {
	m := &maker{Rand: rand.New(rand.NewPCG(o.Seed, 1)), opt: o, noise: make([]byte, 1<<20)}
	for i := range m.noise {
		m.noise[i] = byte(m.Uint32()) | 0x80 // looks like no protocol
	}
	return m
}

// bytes returns n opaque bytes, n being at most a megabyte.
func (m *maker) bytes(n int) []byte {
	off := m.IntN(len(m.noise) - n + 1)
	return m.noise[off : off+n]
}

// between draws from a to b.
func (m *maker) between(a, b int) int { return a + m.IntN(b-a+1) }
