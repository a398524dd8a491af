package reassembly

import "bytes"

// A model is what the assembler should do, said as simply as can be: one entry for
// every offset. It has no limits and gives up no hole before the end.
type model struct {
	policy   Policy
	next     int64
	cells    map[int64]cell
	out      []byte
	conflict int
	max      int64

	lost map[int64]bool // seen, but not captured; part of a run all the same

	extentEnd int64 // of the segment in hand, when it reaches beyond its bytes
}

// A cell is one held byte and the extent of the segment it came with.
type cell struct {
	b      byte
	extent span
}

func newModel(p Policy) *model {
	return &model{policy: p, cells: map[int64]cell{}, lost: map[int64]bool{}}
}

func (m *model) covered(off int64) bool { return has(m.cells, off) || m.lost[off] }

// run is the run of held cells around off.
func (m *model) run(off int64) span {
	r := span{off, off + 1}
	for m.covered(r.from - 1) {
		r.from--
	}
	for m.covered(r.to) {
		r.to++
	}
	return r
}

func has(c map[int64]cell, off int64) bool { _, ok := c[off]; return ok }

// segment takes data at off; deliver then moves on over what is in order.
func (m *model) segment(off int64, data []byte) {
	if skip := m.next - off; skip > 0 {
		if skip >= int64(len(data)) {
			return
		}
		off, data = m.next, data[skip:]
	}
	n := span{off, max(off+int64(len(data)), m.extentEnd)}
	runs := map[int64]span{}
	if m.policy == Linux {
		for i := n.from; i < n.to; i++ {
			if has(m.cells, i) {
				runs[i] = m.run(i)
			}
		}
	}
	for i, b := range data {
		at := off + int64(i)
		q, ok := m.cells[at]
		if ok && q.b != b {
			m.conflict++
		}
		ext := q.extent
		if m.policy == Linux {
			ext = runs[at]
		}
		if !ok || m.policy.newWins(n, ext) {
			m.cells[at] = cell{b, n}
		}
	}
	m.max = max(m.max, n.to)
}

func (m *model) deliver() {
	for {
		c, ok := m.cells[m.next]
		if !ok {
			return
		}
		delete(m.cells, m.next)
		m.out = append(m.out, c.b)
		m.next++
	}
}

// picture is the stream when everything is given up, with a dot for each missing byte.
func (m *model) picture() string {
	b := bytes.Clone(m.out)
	for at := m.next; at < m.max; at++ {
		if c, ok := m.cells[at]; ok {
			b = append(b, c.b)
		} else {
			b = append(b, '.')
		}
	}
	return string(b)
}
