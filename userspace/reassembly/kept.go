package reassembly

// keep remembers delivered bytes, when asked to, so that retransmissions can be
// compared with them.
func (o *op) keep(x *stream, b []byte) {
	mask := o.sh.keepMask
	if mask < 0 {
		return
	}
	m := o.more(x)
	if m.kept == nil {
		if m.kept = o.sh.block(int(mask) + 1); m.kept == nil {
			return
		}
		m.keptFrom = x.next
	}
	at := x.next
	if extra := int64(len(b)) - (mask + 1); extra > 0 {
		b, at = b[extra:], at+extra
	}
	n := copy(m.kept[at&mask:], b)
	copy(m.kept, b[n:])
}

// compareDelivered counts bytes of in that differ from what was delivered. Those
// delivered stay, whatever the policy.
func (o *op) compareDelivered(x *stream, in *incoming) {
	mask := o.sh.keepMask
	if mask < 0 || x.more == nil || x.more.kept == nil || in.data == nil {
		return
	}
	m := x.more
	var c conflict
	for at := max(in.from, m.keptFrom, x.next-mask-1); at < min(in.to, x.next); at++ {
		if in.data[at-in.from] != m.kept[at&mask] {
			c.add(at, 1, false)
		}
	}
	o.noteConflict(x, c)
}
