package tracker

// Near sets flows[i] to the open flow that keys[i] most likely has, or nil, and brings
// it close to the processor: memory that many keys need is fetched at the same time,
// which one lookup after the other cannot do. It changes nothing, and what it says may be
// wrong; [Table.Observe] is what finds flows. Flows is as long as keys, which are
// at most NearMax.
func (t *Table[K, S]) Near(keys []K, flows []*Flow[K, S]) {
	clear(flows)
	if t.index.used == 0 {
		return
	}
	var tags [NearMax]uint32
	mask := uint32(len(t.index.entries) - 1)
	for i := range keys {
		tags[i] = tag(t.hash(&keys[i]))
		t.warm += t.index.entries[tags[i]&mask]
	}
	for i := range keys {
		if slot := t.index.near(tags[i]); slot != 0 {
			flows[i] = t.slab.at(slot - 1)
		}
	}
	for _, f := range flows {
		if f != nil {
			t.warm += f.id + f.count[0].bytes + f.count[1].payload + uint64(f.conn.state)
		}
	}
	for _, f := range flows {
		if f != nil && f.conn.d != nil {
			t.warm += f.conn.d.look()
		}
	}
}

// look reads something of each cache line.
func (d *details) look() uint64 {
	x, y := &d.side[0], &d.side[1]
	return uint64(x.rtt.Samples) + uint64(x.armedAt) + x.keepalives + uint64(x.isns[0]) +
		uint64(y.rtt.Samples) + uint64(y.armedAt) + y.keepalives + uint64(y.isns[0]) +
		uint64(d.synAt[0]) + d.atClose + uint64(d.flags)
}

// NearMax is how many keys Near takes at most.
const NearMax = 32

// near returns the slot + 1 of the first flow with a tag, 0 if there is none.
func (x *index) near(want uint32) uint32 {
	mask := uint32(len(x.entries) - 1)
	for i := want & mask; ; i = (i + 1) & mask {
		e := x.entries[i]
		if e == 0 || uint32(e>>32) == want {
			return uint32(e)
		}
	}
}
