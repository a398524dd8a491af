package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	tests := []struct {
		name       string
		done, size int64
		took       time.Duration
		want       string
	}{
		{"half", 50e6, 100e6, time.Second, " 50 %, 1.5 M packets, 7 flows, 50 MB/s, 1s left"},
		{"all", 100e6, 100e6, 2 * time.Second, "100 %, 1.5 M packets, 7 flows, 50 MB/s, 0s left"},
		{"size not known", 50e6, -1, time.Second, "1.5 M packets, 7 flows, 50 MB/s"},
		{"file has grown", 50e6, 40e6, time.Second, "1.5 M packets, 7 flows, 50 MB/s"},
		{"nothing read", 0, 100e6, 0, "1.5 M packets, 7 flows, 0 MB/s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := progressLine(tt.done, tt.size, 1_500_000, 7, tt.took); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestProgressTakesItsLineAway(t *testing.T) {
	var b strings.Builder
	p := &progress{w: &b, size: -1, begin: time.Now()}
	p.at(7, func() (uint64, uint64) { return 1, 2 })
	if !strings.Contains(b.String(), "2 flows") {
		t.Errorf("drew %q", b.String())
	}
	p.finish()
	if line := b.String()[strings.LastIndex(strings.TrimSuffix(b.String(), "\r"), "\r"):]; strings.TrimSpace(line) != "" {
		t.Errorf("left %q", line)
	}
	(*progress)(nil).at(7, nil)
	(*progress)(nil).finish()
}

func TestSizeOf(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, name := range []string{a, b} {
		if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := sizeOf([]string{a, b}); n != 10 {
		t.Errorf("two files have %d bytes, want 10", n)
	}
	if n := sizeOf([]string{a, "-"}); n >= 0 {
		t.Errorf("standard input has %d bytes, want a negative number", n)
	}
}
