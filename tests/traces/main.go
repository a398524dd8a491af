// Command traces writes the traces that the project is measured on, each a capture file
// and the truth about it as JSON lines, one a flow.
//
//	go run ./tests/traces -kind web -o web.pcap -truth web.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/flowscope/flowscope-xdp/tests/tracegen"
)

func main() {
	var o tracegen.Options
	kind := flag.String("kind", string(tracegen.Web), fmt.Sprintf("what to write, of %v", tracegen.Kinds))
	out := flag.String("o", "", "capture file to write")
	truth := flag.String("truth", "", "file for the truth, none if empty")
	flag.Uint64Var(&o.Seed, "seed", 1, "the same seed gives the same trace")
	flag.IntVar(&o.Flows, "flows", 0, "how many flows; 0: as many as the kind has at full size")
	flag.Int64Var(&o.Bytes, "bytes", 0, "payload of each fat flow; 0: 128 MiB")
	flag.Parse()
	o.Kind = tracegen.Kind(*kind)
	if err := write(o, *out, *truth); err != nil {
		fmt.Fprintln(os.Stderr, "traces:", err)
		os.Exit(1)
	}
}

func write(o tracegen.Options, out, truth string) error {
	if out == "" {
		return errors.New("-o FILE is missing")
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	flows, err := tracegen.Write(f, o)
	if err := errors.Join(err, f.Close()); err != nil || truth == "" {
		return err
	}
	return writeTruth(flows, truth)
}

func writeTruth(flows []*tracegen.Flow, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, fl := range flows {
		if err = enc.Encode(fl); err != nil {
			break
		}
	}
	return errors.Join(err, w.Flush(), f.Close())
}
