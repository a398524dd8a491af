//go:build linux

package tests

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// TestEnginesAgree replays every capture of the corpus and every golden trace
// through the XDP program and through Go, and compares all lines: the same, in the same
// order, but for the flow ids and what only one engine has.
func TestEnginesAgree(t *testing.T) {
	needs.Root(t)
	_, captures := corpus(t)
	own, err := filepath.Glob("testdata/*/in.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(captures, own...) {
		if refused[filepath.Base(c)] != "" {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(c))+"/"+filepath.Base(c), func(t *testing.T) {
			t.Parallel()
			userspace := normal(t, replayed(t, "userspace", c))
			kernel := normal(t, replayed(t, "kernel", c))
			compareEngines(t, kernel, userspace)
		})
	}
}

func replayed(t *testing.T, engine, capture string) []line {
	t.Helper()
	r := program(t, "replay", "--engine", engine, "--format", "jsonl", "--anomalies", "--max-flows", "65536",
		"--events", "flow_start,flow_established,flow_state,message,anomaly,flow,summary", capture)
	if r.exit != 0 {
		t.Fatalf("%s engine: exit %d: %s", engine, r.exit, r.stderr)
	}
	l := r.lines(t)
	checkConservation(t, l)
	return l
}

// normal returns lines as text, without what may differ. Flow ids are replaced by
// the order in which they first appear.
func normal(t *testing.T, l []line) []string {
	t.Helper()
	order := map[any]int{}
	var out []string
	for _, o := range l {
		if id, ok := o["id"]; ok {
			if _, seen := order[id]; !seen {
				order[id] = len(order)
			}
			o["id"] = order[id]
		}
		for _, k := range []string{"engine", "ring_records", "ring_payload_bytes", "ring_dropped_records", "ring_dropped_bytes", "packets_spilled"} {
			delete(o, k)
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// maxShown is how many differences of one capture are shown.
const maxShown = 3

func compareEngines(t *testing.T, kernel, userspace []string) {
	t.Helper()
	shown := 0
	for i := range max(len(kernel), len(userspace)) {
		var k, u string
		if i < len(kernel) {
			k = kernel[i]
		}
		if i < len(userspace) {
			u = userspace[i]
		}
		if k == u {
			continue
		}
		k, u = around(k, u)
		t.Errorf("line %d:\n   kernel %s\nuserspace %s", i+1, k, u)
		if shown++; shown == maxShown {
			return
		}
	}
}

// around cuts two lines to where they begin to differ.
func around(a, b string) (string, string) {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	from := max(0, strings.LastIndex(a[:n], ",")-40)
	return a[min(from, len(a)):min(n+80, len(a))], b[min(from, len(b)):min(n+80, len(b))]
}
