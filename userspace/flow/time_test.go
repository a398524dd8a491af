package flow

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimestamp(t *testing.T) {
	tests := []struct {
		ts   Timestamp
		text string
	}{
		{0, "0.000000000"},
		{1, "0.000000001"},
		{1_500_000_000, "1.500000000"},
		{-1, "-0.000000001"},
		{-1_500_000_000, "-1.500000000"},
		{-2_000_000_000, "-2.000000000"},
		{1704067200_123456789, "1704067200.123456789"},
		{MaxTimestamp, "9223372036.854775807"},
		{math.MinInt64, "-9223372036.854775808"},
	}
	for _, tt := range tests {
		if got := tt.ts.String(); got != tt.text {
			t.Errorf("Timestamp(%d) prints as %s, want %s", int64(tt.ts), got, tt.text)
		}
		if got := At(tt.ts.Time()); got != tt.ts {
			t.Errorf("At(%v.Time()) = %v", tt.ts, got)
		}
	}
	l := []Timestamp{5, -3, 0, MaxTimestamp}
	slices.Sort(l)
	if want := []Timestamp{-3, 0, 5, MaxTimestamp}; !slices.Equal(l, want) {
		t.Errorf("sorted %v, want %v", l, want)
	}
	if got := Timestamp(-3).Max(5); got != 5 {
		t.Errorf("the later of -3 and 5 is %v", got)
	}
}

func TestTimestampSaturates(t *testing.T) {
	tests := []struct {
		name      string
		got, want int64
	}{
		{"later", int64(Timestamp(7).SaturatingSub(4)), 3},
		{"earlier", int64(Timestamp(4).SaturatingSub(7)), 0},
		{"equal", int64(Timestamp(4).SaturatingSub(4)), 0},
		{"the whole range", int64(MaxTimestamp.SaturatingSub(math.MinInt64)), math.MaxInt64},
		{"add beyond the end", int64(MaxTimestamp.Add(1)), math.MaxInt64},
		{"add before the beginning", int64(Timestamp(math.MinInt64).Add(-1)), math.MinInt64},
		{"add", int64(Timestamp(4).Add(3)), 7},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestTimestampProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := Timestamp(rapid.Int64().Draw(t, "a")), Timestamp(rapid.Int64().Draw(t, "b"))
		switch d := a.SaturatingSub(b); {
		case d < 0:
			t.Fatalf("%v - %v is negative: %v", a, b, d)
		case a <= b && d != 0:
			t.Fatalf("%v - %v = %v, want 0", a, b, d)
		case a > b && d != math.MaxInt64 && b.Add(d) != a:
			t.Fatalf("%v + %v = %v, want %v", b, d, b.Add(d), a)
		}
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		if s := a.Add(d); d >= 0 && s < a || d <= 0 && s > a {
			t.Fatalf("%v + %v = %v, which is on the other side", a, d, s)
		}
	})
}
