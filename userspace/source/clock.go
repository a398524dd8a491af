package source

import (
	"math"
	"math/bits"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

const (
	microseconds = 6    // if_tsresol without the option
	binaryResol  = 0x80 // the resolution is a power of two

	nanos = 1_000_000_000
)

// A clock turns the times of one pcapng interface into ours: counts of 10^-exp or
// 2^-exp seconds, plus an offset in seconds (if_tsresol, if_tsoffset).
type clock struct {
	unit   uint64 // units in a second; 0: more than fit in 64 bits
	binary bool
	exp    uint
	offset int64

	// Without an offset, for units of whole nanoseconds: so many in a unit,
	// and the count of units up to which the product fits.
	mult, most uint64
}

func newClock(resol byte, offset int64) clock {
	c := clock{binary: resol&binaryResol != 0, exp: uint(resol &^ binaryResol), offset: offset}
	switch {
	case c.binary && c.exp < 64:
		c.unit = 1 << c.exp
	case !c.binary && c.exp <= 19:
		c.unit = pow10(c.exp)
	}
	if !c.binary && c.exp <= 9 && offset == 0 {
		c.mult = pow10(9 - c.exp)
		c.most = math.MaxInt64 / c.mult
	}
	return c
}

// pow10 returns 10^n for n at most 19.
func pow10(n uint) uint64 {
	p := uint64(1)
	for ; n > 0; n-- {
		p *= 10
	}
	return p
}

// at returns the time after so many units, and false if it does not fit and was held
// at the end of the range.
func (c *clock) at(units uint64) (flow.Timestamp, bool) {
	if c.mult != 0 && units <= c.most {
		return flow.Timestamp(units * c.mult), true
	}
	if c.unit == 0 {
		return join(0, c.tiny(units), c.offset)
	}
	sec, frac := units/c.unit, units%c.unit
	hi, lo := bits.Mul64(frac, nanos)
	ns, _ := bits.Div64(hi, lo, c.unit) // frac < unit, so the quotient is below nanos
	return join(sec, ns, c.offset)
}

// tiny returns the nanoseconds in a count of units so small that 2^64 of them make
// less than a second.
func (c *clock) tiny(units uint64) uint64 {
	if !c.binary {
		if c.exp-9 > 19 {
			return 0
		}
		return units / pow10(c.exp-9)
	}
	hi, _ := bits.Mul64(units, nanos)
	return hi >> (c.exp - 64)
}

// join adds seconds, nanoseconds below a second, and an offset in seconds.
func join(sec, ns uint64, offset int64) (flow.Timestamp, bool) {
	const most, least = math.MaxInt64 / nanos, math.MinInt64/nanos - 1
	// The sum as a signed number of 128 bits, which can only be too large.
	lo, carry := bits.Add64(sec, uint64(offset), 0)
	s := int64(lo)
	if hi := uint64(offset>>63) + carry; hi != uint64(s>>63) {
		return flow.MaxTimestamp, false
	}
	switch {
	case s > most || s == most && ns > math.MaxInt64%nanos:
		return flow.MaxTimestamp, false
	case s < least || s == least && int64(ns) < nanos+math.MinInt64%nanos:
		return math.MinInt64, false
	case s < 0: // the first second of the range begins outside it
		return flow.Timestamp((s+1)*nanos - (nanos - int64(ns))), true
	}
	return flow.Timestamp(s*nanos + int64(ns)), true
}
