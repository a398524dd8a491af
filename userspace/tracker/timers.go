package tracker

import (
	"math"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const (
	tickShift  = 27   // a tick is 2^27 ns, 134 ms
	wheelTicks = 4096 // once round is nine minutes
	maxTick    = math.MaxInt64 >> tickShift
)

func tickOf(t flow.Timestamp) int64 { return int64(t) >> tickShift }

// Timers say which flow is due next. A flow has one timer, set to a time it cannot
// be due before; packets move a flow's deadline on without touching its timer, and
// the deadline is looked at again when the timer comes up. So a packet costs
// nothing here, and a flow is looked at about once in its timeout.
//
// Timers of the tick at hand, and of ticks that have passed, are in a heap. Later
// ones hang in the lists of a wheel, one list for a tick; those too far ahead for
// the wheel hang in its last list.
type timers struct {
	now    int64 // the tick at hand
	heads  [wheelTicks]uint32
	links  links // by slot
	parked int   // flows in the wheel
	due    queue
	wake   flow.Timestamp // nothing is due before
}

// A link holds a flow's neighbours in a list of the wheel, as slot + 1, and which
// list that is, + 1.
type link struct{ prev, next, list uint32 }

// Links are held in chunks like the flows of a slab, so that there are no more than those.
type links struct{ chunks []*[chunkLen]link }

// reach makes room for slot.
func (l *links) reach(slot uint32) {
	for int(slot>>chunkBits) >= len(l.chunks) {
		l.chunks = append(l.chunks, new([chunkLen]link))
	}
}

func (l *links) at(slot uint32) *link { return &l.chunks[slot>>chunkBits][slot%chunkLen] }

func (t *timers) empty() bool { return t.parked == 0 && t.due.len() == 0 }

// start sets the hands of an empty wheel to now.
func (t *timers) start(now flow.Timestamp) {
	t.now = tickOf(now)
	t.wake = flow.MaxTimestamp
}

// set sets the timer of e.slot.
func (t *timers) set(e entry) {
	t.links.reach(e.slot)
	tick := tickOf(e.at)
	if tick <= t.now {
		t.unlink(e.slot)
		t.due.set(e)
		t.wake = min(t.wake, e.at)
		return
	}
	t.due.remove(e.slot)
	list := uint32(min(tick, t.now+wheelTicks-1)) % wheelTicks
	if t.links.at(e.slot).list != list+1 {
		t.unlink(e.slot)
		t.link(e.slot, list)
	}
	t.wake = min(t.wake, t.nextTick())
}

// remove stops the timer of slot.
func (t *timers) remove(slot uint32) {
	t.due.remove(slot)
	t.unlink(slot)
}

func (t *timers) link(slot, list uint32) {
	next := t.heads[list]
	if next != 0 {
		t.links.at(next - 1).prev = slot + 1
	}
	*t.links.at(slot) = link{next: next, list: list + 1}
	t.heads[list] = slot + 1
	t.parked++
}

func (t *timers) unlink(slot uint32) {
	l := *t.links.at(slot)
	if l.list == 0 {
		return
	}
	if l.prev != 0 {
		t.links.at(l.prev - 1).next = l.next
	} else {
		t.heads[l.list-1] = l.next
	}
	if l.next != 0 {
		t.links.at(l.next - 1).prev = l.prev
	}
	*t.links.at(slot) = link{}
	t.parked--
}

// next returns the first flow whose timer is due at limit, leaving it set. Asked
// for again, the true deadline comes from fresh.
func (t *timers) next(limit flow.Timestamp, fresh func(slot uint32) entry) (entry, bool) {
	for {
		if t.due.len() > 0 && t.due.items[0].at <= limit {
			return t.due.items[0], true
		}
		if t.now >= tickOf(limit) {
			t.wake = t.soonest()
			return entry{}, false
		}
		t.turn(tickOf(limit), fresh)
	}
}

// turn moves the hands towards the tick to, by one tick if that matters.
func (t *timers) turn(to int64, fresh func(slot uint32) entry) {
	switch {
	case t.parked == 0:
		t.now = to
	case to-t.now >= wheelTicks:
		t.now = to
		for list := range t.heads {
			t.open(uint32(list), fresh)
		}
	default:
		t.now++
		t.open(uint32(t.now)%wheelTicks, fresh)
	}
}

// open takes the flows of a list to where their deadlines belong by now, which may
// be the same list.
func (t *timers) open(list uint32, fresh func(slot uint32) entry) {
	for at := t.heads[list]; at != 0; {
		slot := at - 1
		at = t.links.at(slot).next
		t.set(fresh(slot))
	}
}

// soonest returns a time before which nothing is due.
func (t *timers) soonest() flow.Timestamp {
	w := flow.MaxTimestamp
	if t.due.len() > 0 {
		w = t.due.items[0].at
	}
	if t.parked > 0 {
		w = min(w, t.nextTick())
	}
	return w
}

func (t *timers) nextTick() flow.Timestamp {
	if t.now >= maxTick {
		return flow.MaxTimestamp
	}
	return flow.Timestamp((t.now + 1) << tickShift)
}
