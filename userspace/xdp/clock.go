package xdp

import (
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A clock turns times of the kernel's clock (CLOCK_MONOTONIC) into wall time. The
// offset is refreshed each second; it goes back by 1 ms at a time at most, so that a
// flow's time does, too.
type clock struct {
	offset atomic.Int64
	next   atomic.Int64 // when to refresh, by the monotonic clock
}

const (
	clockRefresh = 1e9
	clockBack    = 1e6
	clockTries   = 4
)

// newClock returns a clock; that of a replay has offset 0 for good.
func newClock(replay bool) *clock {
	c := &clock{}
	c.next.Store(math.MaxInt64)
	if !replay {
		now, offset := measureOffset()
		c.offset.Store(offset)
		c.next.Store(now + clockRefresh)
	}
	return c
}

// wall returns the wall time of a kernel time.
func (c *clock) wall(t uint64) flow.Timestamp { return flow.Timestamp(int64(t) + c.offset.Load()) }

// refresh brings the offset up to date if it is due.
func (c *clock) refresh() {
	if c.next.Load() == math.MaxInt64 || monotonic() < c.next.Load() {
		return
	}
	now, offset := measureOffset()
	c.offset.Store(max(offset, c.offset.Load()-clockBack))
	c.next.Store(now + clockRefresh)
}

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return ts.Nano()
}

// measureOffset reads the wall clock between two readings of the monotonic one, and
// takes the closest of a few pairs.
func measureOffset() (now, offset int64) {
	best := int64(math.MaxInt64)
	for range clockTries {
		var wall unix.Timespec
		before := monotonic()
		_ = unix.ClockGettime(unix.CLOCK_REALTIME, &wall)
		after := monotonic()
		if after-before < best {
			best, now = after-before, after
			offset = wall.Nano() - (before + (after-before)/2)
		}
	}
	return now, offset
}
