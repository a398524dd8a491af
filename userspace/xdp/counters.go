package xdp

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Tally counts packets (or records) and their bytes.
type Tally struct{ Packets, Bytes uint64 }

// Counters are those of all flows together, all CPUs added up. Seen = Tracked + the sum
// of Unparsed, once no fragment waits for the first of its datagram (see
// [Engine.AgeFragments]); Spilled is a part of Tracked.
type Counters struct {
	Seen, Tracked Tally
	// Spilled packets were accounted for outside the table; those of LostRace
	// because another CPU was too slow in claiming their flow's place.
	Spilled, LostRace Tally
	Claimed           uint64 // flows that got a place
	RingRecords       Tally  // that went into the rings, with the bytes they take there
	RingPayload       Tally  // those with payload, and its bytes
	RingDropped       Tally  // that found no room, with their payload
	LoadFailed        Tally  // payload that could not be read from its frame
	FragmentsFull     Tally  // fragments of datagrams there was no room for
	DecapDepth        Tally  // tracked outside a tunnel too many
	Unparsed          [flow.Causes]Tally
}

// Counters reads the counters, since the maps were made. After another process, with
// [Options.Reuse], they are those of what that one has not written.
func (e *Engine) Counters() (Counters, error) {
	c, err := readCounters(e.coll.Maps["counters"])
	if err == nil {
		e.ledger.deduct(&c)
	}
	return c, err
}

// deduct takes off what other processes have written.
func (l *ledger) deduct(c *Counters) {
	for _, t := range []*Tally{&c.Seen, &c.Tracked} {
		t.Packets -= l.before.Packets
		t.Bytes -= l.before.Bytes
	}
	c.Spilled.Packets -= l.before.Spilled
	for cause := range c.Unparsed {
		told := &l.told[cause]
		for _, t := range []*Tally{&c.Seen, &c.Unparsed[cause]} {
			t.Packets -= told.Packets
			t.Bytes -= told.Bytes
		}
	}
}

func readCounters(m *ebpf.Map) (c Counters, err error) {
	for what, to := range map[gen.BPFFsCounter]*Tally{
		gen.BPFFsCounterFS_COUNT_SEEN:           &c.Seen,
		gen.BPFFsCounterFS_COUNT_TRACKED:        &c.Tracked,
		gen.BPFFsCounterFS_COUNT_SPILLED:        &c.Spilled,
		gen.BPFFsCounterFS_COUNT_LOST_RACE:      &c.LostRace,
		gen.BPFFsCounterFS_COUNT_RING_RECORDS:   &c.RingRecords,
		gen.BPFFsCounterFS_COUNT_RING_PAYLOAD:   &c.RingPayload,
		gen.BPFFsCounterFS_COUNT_RING_DROPPED:   &c.RingDropped,
		gen.BPFFsCounterFS_COUNT_LOAD_FAILED:    &c.LoadFailed,
		gen.BPFFsCounterFS_COUNT_FRAGMENTS_FULL: &c.FragmentsFull,
		gen.BPFFsCounterFS_COUNT_DECAP_DEPTH:    &c.DecapDepth,
	} {
		if *to, err = tally(m, what); err != nil {
			return c, err
		}
	}
	claimed, err := tally(m, gen.BPFFsCounterFS_COUNT_CLAIMED)
	c.Claimed = claimed.Packets
	for cause := range c.Unparsed {
		if err == nil {
			c.Unparsed[cause], err = tally(m, gen.BPFFsCounterFS_COUNT_UNPARSED+gen.BPFFsCounter(cause))
		}
	}
	return c, err
}

// tally adds up what the CPUs counted.
func tally(m *ebpf.Map, what gen.BPFFsCounter) (sum Tally, err error) {
	var cpus []gen.BPFFsTally
	if err := m.Lookup(uint32(what), &cpus); err != nil {
		return sum, fmt.Errorf("read counter %d: %w", what, err)
	}
	for i := range cpus {
		sum.Packets += cpus[i].Packets
		sum.Bytes += cpus[i].Bytes
	}
	return sum, nil
}
