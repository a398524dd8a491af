package tracker

// A slab holds flows in chunks that never move, and hands out the slots of those
// that ended again, the latest first.
type slab[K comparable, S any] struct {
	chunks []*[chunkLen]Flow[K, S]
	free   []uint32
	used   uint32 // slots ever handed out
}

const (
	chunkBits = 10 // so that chunks are whole pages, whatever the size of a flow
	chunkLen  = 1 << chunkBits
)

func (s *slab[K, S]) at(slot uint32) *Flow[K, S] {
	return &s.chunks[slot>>chunkBits][slot%chunkLen]
}

// take returns an empty flow.
func (s *slab[K, S]) take() *Flow[K, S] {
	if n := len(s.free); n > 0 {
		f := s.at(s.free[n-1])
		s.free = s.free[:n-1]
		return f
	}
	if s.used%chunkLen == 0 {
		s.chunks = append(s.chunks, new([chunkLen]Flow[K, S]))
	}
	f := s.at(s.used)
	f.slot = s.used
	s.used++
	return f
}

// give empties f and takes it back.
func (s *slab[K, S]) give(f *Flow[K, S]) {
	*f = Flow[K, S]{slot: f.slot}
	s.free = append(s.free, f.slot)
}

// A pool hands out details, zeroed.
type pool struct{ free []*details }

const poolChunk = 64

func (p *pool) take() *details {
	if len(p.free) == 0 {
		chunk := new([poolChunk]details)
		for i := range chunk {
			p.free = append(p.free, &chunk[i])
		}
	}
	d := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return d
}

func (p *pool) give(d *details) {
	if d != nil {
		*d = details{}
		p.free = append(p.free, d)
	}
}
