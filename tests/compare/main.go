// Command compare replays the project's traces through flowscope-xdp and through the
// peers that are installed, one after the other on one processor, and prints a table of
// medians. Rates are by processor time, which others on the machine disturb less.
//
//	go run ./tests/compare -rounds 5
//
// A peer that is not installed is named and left out. What each of them does with a packet
// differs, and the table says it: counting flows is less than reassembling streams,
// which is less than parsing protocols.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/tracegen"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == gopacketArg {
		exit(runGopacket(os.Args[2], os.Args[3]))
	}
	var c comparison
	kinds := flag.String("kinds", "short,web,fat,disorder", "traces to replay")
	flag.StringVar(&c.dir, "dir", "", "folder to keep the traces in; a temporary one if empty")
	flag.StringVar(&c.bin, "bin", "bin/flowscope-xdp", "program to measure")
	flag.IntVar(&c.rounds, "rounds", 5, "how often everything runs; peers that take minutes run once")
	flag.StringVar(&c.only, "only", "", "run only what has this in its name")
	flag.Parse()
	exit(c.run(strings.Split(*kinds, ",")))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A comparison is what was asked for on the command line.
type comparison struct {
	dir, bin, only string
	rounds         int
	work           string // for what programs write
}

func (c *comparison) run(kinds []string) error {
	work, err := os.MkdirTemp("", "flowscope-compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	c.work = work
	if c.dir == "" {
		c.dir = work
	}
	for _, k := range kinds {
		t, err := c.trace(tracegen.Kind(k))
		if err != nil {
			return err
		}
		if err := c.measure(t); err != nil {
			return err
		}
	}
	return nil
}

// A trace is a capture file on disk and what is in it.
type trace struct {
	kind           tracegen.Kind
	file           string
	packets, bytes uint64
}

// trace makes a trace of full size unless it is there.
func (c *comparison) trace(kind tracegen.Kind) (trace, error) {
	t := trace{kind: kind, file: filepath.Join(c.dir, string(kind)+".pcap")}
	if _, err := os.Stat(t.file); err != nil {
		if err := makeTrace(kind, t.file); err != nil {
			return t, err
		}
	}
	var err error
	t.packets, t.bytes, err = count(t.file)
	return t, err
}

func makeTrace(kind tracegen.Kind, name string) error {
	fmt.Fprintf(os.Stderr, "making %s\n", name)
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = tracegen.Write(f, tracegen.Options{Kind: kind, Seed: 1})
	return errors.Join(err, f.Close())
}

// A result is one run of a program.
type result struct {
	took time.Duration // of the processor: on one that is nobody else's, that is how long it took
	rss  int64         // bytes at most
}

// measure runs everything in turn, so that a slow minute of the machine befalls all.
func (c *comparison) measure(t trace) error {
	contestants, missing := c.contestants(t)
	results := make([][]result, len(contestants))
	for round := range c.rounds {
		for i, p := range contestants {
			if round > 0 && p.slow {
				continue
			}
			r, err := c.once(p)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", p.name, t.kind, err)
			}
			results[i] = append(results[i], r)
			fmt.Fprintf(os.Stderr, "%s, round %d: %s %v\n", t.kind, round+1, p.name, r.took.Round(time.Millisecond))
		}
	}
	report(t, contestants, results, missing)
	return nil
}

// once runs a program on one processor.
func (c *comparison) once(p contestant) (result, error) {
	out := filepath.Join(c.work, "out")
	if err := os.RemoveAll(out); err != nil {
		return result{}, err
	}
	if err := os.Mkdir(out, 0o700); err != nil {
		return result{}, err
	}
	cmd := exec.Command("taskset", append([]string{"-c", "1"}, p.args...)...)
	var text bytes.Buffer
	cmd.Stderr, cmd.Dir = &text, out
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%w: %s", err, text.String())
	}
	s := cmd.ProcessState
	return result{s.UserTime() + s.SystemTime(), s.SysUsage().(*syscall.Rusage).Maxrss << 10}, nil
}

func report(t trace, contestants []contestant, results [][]result, missing []string) {
	fmt.Printf("\n%s: %d packets, %.2f GB\n\n", t.kind, t.packets, float64(t.bytes)/1e9)
	fmt.Println("| program | does | Mpps | GB/s | spread | peak RSS, MB |")
	fmt.Println("|---|---|---|---|---|---|")
	for i, p := range contestants {
		l := results[i]
		slices.SortFunc(l, func(a, b result) int { return int(a.took - b.took) })
		mid := l[len(l)/2]
		s := mid.took.Seconds()
		fmt.Printf("| %s | %s | %.2f | %.2f | %.2f-%.2f | %d |\n", p.name, p.does,
			float64(t.packets)/s/1e6, float64(t.bytes)/s/1e9,
			float64(t.packets)/l[len(l)-1].took.Seconds()/1e6, float64(t.packets)/l[0].took.Seconds()/1e6, mid.rss>>20)
	}
	if len(missing) > 0 {
		fmt.Printf("\nnot installed: %s\n", strings.Join(missing, ", "))
	}
}
