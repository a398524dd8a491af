// Bench measures what the XDP program costs a packet: run time as the kernel reports
// it, of live frames that come in on a veth pair in a network namespace of its own, less
// that of an empty program. The same program over a plain hash map is measured beside it,
// all in turn in one run. It needs root.
//
//	go run ./tests/bench
//	go run ./tests/bench -flows 1000 -packets 2000000 -only ipv4
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/wire"
)

type options struct {
	flows   []int
	packets int
	rounds  int
	max     int
	only    string
	two     bool
}

func main() {
	var o options
	list := flag.String("flows", "1000,100000,1000000", "numbers of flows, each packet of any of them")
	flag.IntVar(&o.packets, "packets", 1_000_000, "packets a round of each program")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds; the least, median and largest are shown")
	flag.IntVar(&o.max, "max-flows", 1<<20, "size of the tables")
	flag.StringVar(&o.only, "only", "", "one of ipv4, ipv6, hash, besides the empty program (default: all)")
	flag.BoolVar(&o.two, "two", true, "measure two CPUs at once, too")
	flag.Parse()
	if err := o.run(*list); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) run(list string) (err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		o.flows = append(o.flows, n)
	}
	w, err := wire.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return fmt.Errorf("measure run time: %w", err)
	}
	defer stats.Close()
	fmt.Printf("least/median/largest of %d rounds of %d packets, ns a packet above the empty program\n", o.rounds, o.packets)
	for _, n := range o.flows {
		if err := o.measure(w, n); err != nil {
			return err
		}
	}
	if o.two && o.only == "" {
		return o.twoCPUs(w)
	}
	return nil
}

// measure measures all programs in turn with so many flows.
func (o *options) measure(w *wire.Wire, flows int) (err error) {
	programs, done, err := o.load(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	gross := make([][]float64, len(programs))
	for _, p := range programs {
		if _, err := p.measure(w, wire.Traffic{Flows: flows, InTurn: true}, flows, 0); err != nil {
			return err
		}
	}
	for range o.rounds {
		for i, p := range programs {
			ns, err := p.measure(w, wire.Traffic{Flows: flows}, o.packets, 0)
			if err != nil {
				return err
			}
			gross[i] = append(gross[i], ns)
		}
	}
	o.print(flows, programs, gross)
	return nil
}

// print shows what each program costs above the first one, the empty one, and how ours
// compare with the hash map's.
func (o *options) print(flows int, programs []*program, gross [][]float64) {
	floor := median(gross[0])
	hash := 0.0
	for i, p := range programs {
		if p.name == "hash" {
			hash = median(gross[i]) - floor
		}
	}
	fmt.Printf("%d flows; the empty program itself %s\n", flows, spread(gross[0], 0))
	for i, p := range programs[1:] {
		ratio := ""
		if hash > 0 && p.name != "hash" {
			ratio = fmt.Sprintf("  %.2f of the hash map's", (median(gross[i+1])-floor)/hash)
		}
		fmt.Printf("  %-5s %s%s%s\n", p.name, spread(gross[i+1], floor), ratio, p.note())
	}
}

// twoCPUs measures both CPUs at once beside each alone.
func (o *options) twoCPUs(w *wire.Wire) (err error) {
	programs, done, err := o.load(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	fmt.Printf("\ntwo CPUs: ns a packet, the program's own time: one CPU alone, both at once\n")
	for _, t := range []wire.Traffic{{Flows: 1000, Apart: true}, {Flows: 100_000, Apart: true}, {Flows: 1}} {
		for _, p := range programs {
			if err := o.oneAndTwo(w, p, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *options) oneAndTwo(w *wire.Wire, p *program, t wire.Traffic) error {
	warm := t
	warm.InTurn = true
	if _, err := p.measure(w, warm, t.Flows, 0, 1); err != nil {
		return err
	}
	var one, two []float64
	for i := range o.rounds {
		a, err := p.measure(w, t, o.packets, i%2)
		if err != nil {
			return err
		}
		b, err := p.measure(w, t, o.packets, 0, 1)
		if err != nil {
			return err
		}
		one, two = append(one, a), append(two, b)
	}
	what := fmt.Sprintf("%d flows each", t.Flows)
	if !t.Apart {
		what = "one flow from both"
	}
	fmt.Printf("  %-18s  %-5s  %s   %s   ratio %.2f\n", what, p.name, spread(one, 0), spread(two, 0), median(two)/median(one))
	return nil
}

func median(l []float64) float64 {
	s := slices.Sorted(slices.Values(l))
	return s[len(s)/2]
}

func spread(l []float64, less float64) string {
	return fmt.Sprintf("%6.1f %6.1f %6.1f", slices.Min(l)-less, median(l)-less, slices.Max(l)-less)
}

// drainFor is how long a reader of the ring waits before it looks whether to stop.
const drainFor = 5 * time.Millisecond
