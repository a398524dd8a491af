package parsers

import (
	"cmp"
	"errors"
	"iter"
	"slices"
)

// ErrTooLong is what a Split yields for an element longer than its Max.
var ErrTooLong = errors.New("element too long")

// A Split cuts one side's stream into elements that say their own length, such as
// records and length-prefixed frames. Set Size before use; a parser has one Split
// for each side.
//
// It copies only elements that lie across chunks and holds at most Max bytes. The
// elements are the same wherever the stream is cut.
type Split struct {
	// Size returns the length of the element at the start of b, its header
	// included, or 0 when b is too short to tell. An error says that no
	// element begins there. More bytes may turn 0 into an answer, but must
	// not change one.
	Size func(b []byte) (int, error)
	// Max is the longest element, in bytes; 0 means 64 KiB.
	Max int

	held   []byte // the beginning of an element …
	broken bool   // … or what followed the element at which a loop was left
	skip   int64  // bytes to come of an element that a gap cut
	lost   bool   // looking for the next element
}

// Elements returns the elements that b completes, in order. An element is valid
// until the loop goes on. An error stands for a place where no element begins; it
// ends the loop unless the loop calls [Split.Lose]. What follows the element at
// which a loop is left is held for the next call.
func (s *Split) Elements(b []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		b = s.begin(b)
		for len(b) > 0 {
			if s.lost {
				b = s.seek(b)
				continue
			}
			element, rest, err := s.next(b)
			if element == nil && err == nil {
				return
			}
			if b = rest; !yield(element, err) || err != nil && !s.lost {
				s.held, s.broken = append(s.held[:0], b...), true
				return
			}
			if err != nil {
				b = b[1:]
			}
		}
	}
}

// Held returns the bytes that are no element yet, or that followed the one at which
// the last loop was left. They are valid until the next call.
func (s *Split) Held() []byte { return s.held }

// Lose says that the Split does not know where the next element begins. It goes on
// at the first byte that Size finds one at.
func (s *Split) Lose() { s.held, s.broken, s.skip, s.lost = s.held[:0], false, 0, true }

// Gap takes account of n bytes that never come. It reports whether they all belong
// to the element under way, which is then left out. Otherwise the next element may
// begin anywhere: call [Split.Lose] or give up.
func (s *Split) Gap(n int64) bool {
	left := s.left()
	if s.lost || n > left {
		return false
	}
	s.held, s.skip = s.held[:0], left-n
	return true
}

// left returns how much of the element under way is to come, 0 if that is not known.
func (s *Split) left() int64 {
	if s.skip > 0 {
		return s.skip
	}
	n, err := s.size(s.held)
	if err != nil {
		return 0
	}
	return max(0, int64(n-len(s.held)))
}

// begin returns b with what a loop left before it, and without what is left of an
// element that a gap cut.
func (s *Split) begin(b []byte) []byte {
	if s.broken {
		b = s.unhold(b)
	}
	n := min(s.skip, int64(len(b)))
	s.skip -= n
	return b[n:]
}

// unhold returns what is held with b after it, and holds nothing.
func (s *Split) unhold(b []byte) []byte {
	all := slices.Concat(s.held, b)
	s.held, s.broken = s.held[:0], false
	return all
}

// seek returns b from the first byte on at which an element begins. Without one, it
// holds what may be the beginning of one.
func (s *Split) seek(b []byte) []byte {
	for b = s.unhold(b); len(b) > 0; b = b[1:] {
		switch n, err := s.size(b); {
		case err != nil:
		case n == 0:
			s.held = append(s.held, b...)
			return nil
		default:
			s.lost = false
			return b
		}
	}
	return nil
}

// next returns the element that what is held and b begin with, and what follows it.
// When it is not whole, all of b is held.
func (s *Split) next(b []byte) (element, rest []byte, err error) {
	if len(s.held) > 0 {
		return s.complete(b)
	}
	n, err := s.size(b)
	if err != nil {
		return nil, b, err
	}
	if n > 0 && n <= len(b) {
		return b[:n], b[n:], nil
	}
	s.held = append(s.held, b...)
	return nil, nil, nil
}

// complete adds to the held beginning of an element what it lacks.
func (s *Split) complete(b []byte) (element, rest []byte, err error) {
	for len(b) > 0 {
		n, err := s.size(s.held)
		take := min(max(1, n-len(s.held)), len(b)) // 1 while the header is not whole
		s.held, b = append(s.held, b[:take]...), b[take:]
		if n == 0 {
			n, err = s.size(s.held)
		}
		if err != nil {
			return nil, s.unhold(b), err
		}
		if n == len(s.held) {
			element, s.held = s.held, s.held[:0]
			return element, b, nil
		}
	}
	return nil, nil, nil
}

// size is Size with its result checked.
func (s *Split) size(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	limit := cmp.Or(s.Max, 64<<10)
	n, err := s.Size(b)
	if err == nil && (n < 0 || n > limit || n == 0 && len(b) >= limit) {
		err = ErrTooLong
	}
	return n, err
}
