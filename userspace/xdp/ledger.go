package xdp

import (
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/gen"
)

// A ledger says what was written of flows that are in no map any more, so that another
// process that goes on with the maps counts every packet once (bpf/abi.h). It is memory
// of its map; one goroutine writes it.
type ledger struct {
	m      *gen.BPFFsLedger
	before gen.BPFFsTotal // what other processes had written when this one came
	told   [len(gen.BPFFsLedger{}.Unparsed)]gen.BPFFsTally
}

func newLedger(t *Table, m *ebpf.Map) (ledger, error) {
	l, err := mapArray[gen.BPFFsLedger](t, m, 1)
	if err != nil {
		return ledger{}, err
	}
	return ledger{m: &l[0]}, nil
}

func (l *ledger) current() uint64 {
	return atomic.LoadUint64(&l.m.Intent) & uint64(gen.BPFFsIntentFS_INTENT_TOTAL)
}

// settle finishes what a process that was killed had begun, and notes what there is.
func (l *ledger) settle(t *Table) {
	cur, slot := l.current(), uint32(atomic.LoadUint64(&l.m.Intent)>>gen.BPFFsIntentFS_INTENT_SLOT_SHIFT)
	h := Handle{t.slot(slot - 1), l.m.Generation}
	if slot != 0 && int(h.Slot) < t.Places() && !t.whole(h) {
		cur ^= uint64(gen.BPFFsIntentFS_INTENT_TOTAL) // it was freed, or nearly so
	}
	t.clearLeft()
	atomic.StoreUint64(&l.m.Intent, cur)
	l.before, l.told = l.m.Total[cur], l.m.Unparsed
}

// whole reports whether the place of a killed flow still has all that is to be written
// of it.
func (t *Table) whole(h Handle) bool {
	p := t.at(h.Slot)
	return p.live(h) && atomic.LoadUint64(&p.counts[0].Packets)&dead != 0
}

// enter adds n to the total while take removes from the maps what n counts. Slot is
// that of the place that take frees, as the kernel names it, +1; 0: none.
func (l *ledger) enter(n gen.BPFFsTotal, slot, generation uint32, take func() error) error {
	cur := l.current()
	sum := &l.m.Total[cur]
	l.m.Total[cur^1] = gen.BPFFsTotal{
		Packets: sum.Packets + n.Packets, Bytes: sum.Bytes + n.Bytes, Spilled: sum.Spilled + n.Spilled,
	}
	atomic.StoreUint32(&l.m.Generation, generation)
	atomic.StoreUint64(&l.m.Intent, cur|uint64(slot)<<gen.BPFFsIntentFS_INTENT_SLOT_SHIFT)
	if err := take(); err != nil {
		atomic.StoreUint64(&l.m.Intent, cur)
		return err
	}
	atomic.StoreUint64(&l.m.Intent, cur^1)
	return nil
}

// HandOver gives the place of a killed flow back as [Table.Free] does, once all that is to
// be known of it is written, and enters its packets in the ledger: a process that goes
// on with these maps, even after this one was killed, counts each packet once. It reports
// false for a flow that is gone or not killed.
func (e *Engine) HandOver(h Handle) bool {
	t := e.table
	if !t.whole(h) {
		return false
	}
	var n gen.BPFFsTotal
	p := t.at(h.Slot)
	for _, c := range p.counts {
		n.Packets += atomic.LoadUint64(&c.Packets) &^ dead
		n.Bytes += atomic.LoadUint64(&c.Bytes)
	}
	return e.ledger.enter(n, t.kernelSlot(h.Slot)+1, h.Generation, func() error { t.Free(h); return nil }) == nil
}
