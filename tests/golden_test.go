package tests

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

var update = flag.Bool("update", false, "rewrite the golden traces and what they give")

// A golden is a trace of our own builder, kept with what it gives in
// testdata/<name>; the README there says what it shows.
type golden struct {
	name  string
	trace func() []packettest.Frame
}

// TestGolden replays each trace and compares every line.
func TestGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			dir := filepath.Join("testdata", g.name)
			in, want := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "want.jsonl")
			if *update {
				writeTrace(t, in, g.trace())
			}
			checkTrace(t, in, g.trace())
			r := program(t, "replay", "--format", "jsonl", "--anomalies",
				"--events", "flow_start,flow_established,flow_state,message,anomaly,flow,summary", in)
			if r.exit != 0 {
				t.Fatalf("exit %d: %s", r.exit, r.stderr)
			}
			if *update {
				if err := os.WriteFile(want, []byte(r.stdout), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			compareLines(t, r.stdout, want)
		})
	}
}

func writeTrace(t *testing.T, path string, frames []packettest.Frame) {
	t.Helper()
	var b bytes.Buffer
	if err := packettest.WritePcap(&b, frames); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkTrace holds the committed capture to the words it was built from.
func checkTrace(t *testing.T, path string, frames []packettest.Frame) {
	t.Helper()
	var b bytes.Buffer
	if err := packettest.WritePcap(&b, frames); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what its words build: run go test -update and look at the difference", path)
	}
}

func compareLines(t *testing.T, got, wantPath string) {
	t.Helper()
	want, err := os.ReadFile(wantPath)
	if err != nil {
		t.Fatal(err)
	}
	g, w := bytes.Split([]byte(got), []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		var a, b []byte
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if !bytes.Equal(a, b) {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, a, b)
		}
	}
}
