package xdp

import (
	"sync/atomic"
	"testing"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// TestLedgerAfterKill stops the freeing of a place at each store, as a kill may, and wants
// its packets either in the table or in the ledger afterwards.
func TestLedgerAfterKill(t *testing.T) {
	needs.Root(t)
	const packets, bytes = 5, 500
	left, free := uint64(gen.BPFFsIdFS_ID_LEFT), uint64(gen.BPFFsIdFS_ID_FREE)
	tests := []struct {
		name    string
		done    func(p *place)
		entered bool
	}{
		{"nothing", func(*place) {}, false},
		{"one line left", func(p *place) { *p.id[0] = left }, true},
		{"both left", func(p *place) { *p.id[0], *p.id[1] = left, left }, true},
		{"counts cleared", func(p *place) { *p.id[0], *p.id[1], *p.counts[0] = left, left, gen.BPFFsCounts{} }, true},
		{"second line free", func(p *place) { p.clear(); *p.id[0] = left }, true},
		{"freed", func(p *place) { p.clear() }, true},
		{"another flow's", func(p *place) {
			p.clear()
			p.cold.Generation++
			*p.id[0], *p.id[1] = uint64(gen.BPFFsIdFS_ID_LIVE), uint64(gen.BPFFsIdFS_ID_LIVE)
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Load(Options{MaxFlows: 100})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			h := Handle{Slot: 3, Generation: 7}
			p := e.table.at(h.Slot)
			p.cold.Generation = h.Generation
			*p.counts[0] = gen.BPFFsCounts{Packets: packets | dead, Bytes: bytes}
			*p.id[0], *p.id[1] = uint64(gen.BPFFsIdFS_ID_LIVE), uint64(gen.BPFFsIdFS_ID_LIVE)
			cutShort(e, h, tt.done)
			e.ledger.settle(e.table)
			want := gen.BPFFsTotal{}
			if tt.entered {
				want = gen.BPFFsTotal{Packets: packets, Bytes: bytes}
			}
			if e.ledger.before != want {
				t.Errorf("in the ledger %+v, want %+v", e.ledger.before, want)
			}
			if got := e.table.whole(h); got == tt.entered {
				t.Errorf("in the table: %v, in the ledger: %v", got, tt.entered)
			}
			if id := atomic.LoadUint64(p.id[0]); tt.entered && tt.name != "another flow's" && id != free {
				t.Errorf("the place's state is %d, want it to be free", id)
			}
		})
	}
}

// cutShort enters the place in the ledger, and never gets beyond done.
func cutShort(e *Engine, h Handle, done func(*place)) {
	defer func() { _ = recover() }()
	n := gen.BPFFsTotal{Packets: 5, Bytes: 500}
	_ = e.ledger.enter(n, e.table.kernelSlot(h.Slot)+1, h.Generation, func() error {
		p := e.table.at(h.Slot)
		done(&p)
		panic("killed")
	})
}
