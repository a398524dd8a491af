package flow

import (
	"fmt"
	"math"
	"time"
)

// A Timestamp is a moment in nanoseconds since 1970-01-01 UTC. It covers 1678 to
// 2262. The zero value is the epoch and a legal time.
type Timestamp int64

// MaxTimestamp is the last moment a Timestamp can hold.
const MaxTimestamp Timestamp = math.MaxInt64

// At returns t as a Timestamp.
func At(t time.Time) Timestamp { return Timestamp(t.UnixNano()) }

// Time returns t as a time.Time in UTC.
func (t Timestamp) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns t+d, held at the ends of the range instead of wrapping.
func (t Timestamp) Add(d time.Duration) Timestamp {
	s := t + Timestamp(d)
	switch {
	case d > 0 && s < t:
		return MaxTimestamp
	case d < 0 && s > t:
		return math.MinInt64
	}
	return s
}

// SaturatingSub returns the time from earlier to t, never negative and never
// more than the longest Duration.
func (t Timestamp) SaturatingSub(earlier Timestamp) time.Duration {
	if t <= earlier {
		return 0
	}
	if d := t - earlier; d > 0 {
		return time.Duration(d)
	}
	return math.MaxInt64
}

// Max returns the later of t and u.
func (t Timestamp) Max(u Timestamp) Timestamp { return max(t, u) }

// String prints t as seconds with nine decimals.
func (t Timestamp) String() string {
	sec, ns := int64(t)/1e9, int64(t)%1e9
	if ns >= 0 {
		if sec < 0 || t < 0 {
			return fmt.Sprintf("-%d.%09d", -sec, ns)
		}
		return fmt.Sprintf("%d.%09d", sec, ns)
	}
	return fmt.Sprintf("-%d.%09d", -sec, -ns)
}
