package tests

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A capture is one of the corpus, with what others say of it beside it.
type oracleCapture struct{ path string }

func (c oracleCapture) name() string { return filepath.Base(c.path) }

// theme is the folder of the capture.
func (c oracleCapture) theme() string { return filepath.Base(filepath.Dir(c.path)) }

// beside returns the path of a file that belongs to the capture.
func (c oracleCapture) beside(suffix string) string {
	return strings.TrimSuffix(strings.TrimSuffix(c.path, "ng"), ".pcap") + suffix
}

func (c oracleCapture) has(suffix string) bool {
	_, err := os.Stat(c.beside(suffix))
	return err == nil
}

// replay returns the lines of a replay with args.
func (c oracleCapture) replay(t *testing.T, args ...string) []line {
	t.Helper()
	return program(t, append(append([]string{"replay", "--format", "jsonl"}, args...), c.path)...).lines(t)
}

// eachCapture runs check in parallel on the captures that have one of the files beside
// them, and returns when all are done.
func eachCapture(t *testing.T, check func(t *testing.T, c oracleCapture), suffixes ...string) {
	t.Helper()
	_, captures := corpus(t)
	t.Run("captures", func(t *testing.T) {
		for _, path := range captures {
			c := oracleCapture{path}
			if refused[c.name()] != "" || !slices.ContainsFunc(suffixes, c.has) {
				continue
			}
			t.Run(c.theme()+"/"+c.name(), func(t *testing.T) {
				t.Parallel()
				check(t, c)
			})
		}
	})
}

// Scores count how comparisons ended, by theme and by what was compared. Several
// goroutines may add.
type scores struct {
	mu    sync.Mutex
	count map[string]map[string]*score // by theme, by column
}

// A score is how one kind of comparison ended. Listed are differences with a reason
// in docs/limits.md: they are not failures, but they do not agree either.
type score struct{ agree, listed, differ int }

func (s score) all() int { return s.agree + s.listed + s.differ }

func (s *scores) add(theme, column string, n score) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]map[string]*score{}
	}
	if s.count[theme] == nil {
		s.count[theme] = map[string]*score{}
	}
	c := s.count[theme][column]
	if c == nil {
		c = &score{}
		s.count[theme][column] = c
	}
	c.agree += n.agree
	c.listed += n.listed
	c.differ += n.differ
}

// verdict is the score of one comparison; reason is that of a listed difference.
func verdict(agree bool, reason string) score {
	switch {
	case agree:
		return score{agree: 1}
	case reason != "":
		return score{listed: 1}
	}
	return score{differ: 1}
}

// totals adds up the themes.
func (s *scores) totals() map[string]score {
	total := map[string]score{}
	for _, columns := range s.count {
		for name, n := range columns {
			t := total[name]
			total[name] = score{t.agree + n.agree, t.listed + n.listed, t.differ + n.differ}
		}
	}
	return total
}

// String is a table: a row for each theme, a column for each comparison, "agree/all".
func (s *scores) String() string {
	total := s.totals()
	columns := slices.Sorted(maps.Keys(total))
	var b strings.Builder
	row := func(theme string, get func(column string) score) {
		fmt.Fprintf(&b, "%-12s", theme)
		for _, c := range columns {
			cell := ""
			if n := get(c); n.all() > 0 {
				cell = fmt.Sprintf("%d/%d", n.agree, n.all())
			}
			fmt.Fprintf(&b, " %*s", max(len(c), 9), cell)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%-12s", "theme")
	for _, c := range columns {
		fmt.Fprintf(&b, " %*s", max(len(c), 9), c)
	}
	b.WriteByte('\n')
	for _, theme := range slices.Sorted(maps.Keys(s.count)) {
		row(theme, func(c string) score {
			if n := s.count[theme][c]; n != nil {
				return *n
			}
			return score{}
		})
	}
	row("all", func(c string) score { return total[c] })
	return b.String()
}

// wantShare fails below a share of agreement in one column, or with nothing compared.
func (s *scores) wantShare(t *testing.T, column string, floor float64) {
	t.Helper()
	n := s.totals()[column]
	if n.all() == 0 {
		t.Errorf("%s: nothing was compared", column)
		return
	}
	if share := float64(n.agree) / float64(n.all()); share < floor {
		t.Errorf("%s: %d of %d agree (%.1f %%), want at least %.1f %%", column, n.agree, n.all(), 100*share, 100*floor)
	}
}
