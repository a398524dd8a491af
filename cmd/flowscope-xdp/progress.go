package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progressEvery is how often the line is drawn again.
const progressEvery = 200 * time.Millisecond

// A progress draws on a terminal how far a replay has come, in one line that it takes
// away at the end. A nil progress draws nothing.
type progress struct {
	w         io.Writer
	size      int64 // of all files, bytes; negative if it is not known
	before    int64 // bytes of the files that are done
	begin     time.Time
	next      time.Time
	lastWidth int
}

// newProgress returns nil unless standard error is a terminal to which no lines go.
func newProgress(files []string, out *output) *progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) || out.isTerminal() {
		return nil
	}
	now := time.Now()
	return &progress{w: os.Stderr, size: sizeOf(files), begin: now, next: now.Add(progressEvery)}
}

// sizeOf adds up the sizes of regular files, and is negative if there is anything else.
func sizeOf(files []string) (n int64) {
	for _, name := range files {
		st, err := os.Stat(name)
		if err != nil || !st.Mode().IsRegular() {
			return -1
		}
		n += st.Size()
	}
	return n
}

// at draws, if it is time, that so many bytes of the file in hand are read.
func (p *progress) at(offset int64, counts func() (packets, flows uint64)) {
	if p == nil || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(progressEvery)
	packets, flows := counts()
	p.draw(progressLine(p.before+offset, p.size, packets, flows, time.Since(p.begin)))
}

// progressLine says how far done of size bytes is after so long.
func progressLine(done, size int64, packets, flows uint64, took time.Duration) string {
	rate := float64(done) / max(took.Seconds(), 1e-3)
	line := fmt.Sprintf("%.1f M packets, %d flows, %.0f MB/s", float64(packets)/1e6, flows, rate/1e6)
	if size <= 0 || done > size || rate == 0 {
		return line
	}
	left := time.Duration(float64(size-done) / rate * float64(time.Second))
	return fmt.Sprintf("%3d %%, %s, %s left", done*100/size, line, left.Round(time.Second))
}

func (p *progress) draw(line string) {
	fmt.Fprintf(p.w, "\r%-*s", p.lastWidth, line)
	p.lastWidth = len(line)
}

// fileDone says that a file was read to where offset is.
func (p *progress) fileDone(offset int64) {
	if p != nil {
		p.before += offset
	}
}

// finish takes the line away.
func (p *progress) finish() {
	if p != nil && p.lastWidth > 0 {
		p.draw("")
		fmt.Fprint(p.w, "\r")
	}
}
