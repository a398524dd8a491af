package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// config writes a configuration file.
func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flowscope.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfig holds what a file sets, and that the command line wins.
func TestConfig(t *testing.T) {
	in := filepath.Join("testdata", "http", "in.pcap")
	path := config(t, `# what every host of ours uses
format: jsonl
events: [flow, summary]
parsers: none
idle-tcp: 20s
stream-hash: true
max-flows: 64
idle-port:
  - 53=10s
  - 80=1h
interface: [eth0, eth1]  # a flag of run
`)
	l := program(t, "replay", in, "--config", path).lines(t)
	if n := len(ofType(l, "flow")); n != 1 || len(l) != 2 {
		t.Fatalf("%d lines, %d flows; want a flow and a summary", len(l), n)
	}
	f := ofType(l, "flow")[0]
	if f["service"] != nil || f["initiator"].(map[string]any)["stream_sha256"] == nil {
		t.Errorf("service %v, initiator %v; want parsers none and a stream hash", f["service"], f["initiator"])
	}
	l = program(t, "replay", in, "--parsers", "http", "--config", path, "--events", "message").lines(t)
	if len(l) != 2 || len(ofType(l, "message")) != 2 {
		t.Errorf("%v, want the two messages that the command line asks for", l)
	}
}

// TestConfigRefuses wants one line with file and line of what is wrong, and exit code 2.
func TestConfigRefuses(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"unknown key", "format: jsonl\nidle-tpc: 20s\n", ":2: idle-tpc: unknown key"},
		{"short name", "o: out.json\n", ":1: o: unknown key"},
		{"config in config", "config: other.yaml\n", ":1: config: unknown key"},
		{"wrong value", "\n\nidle-tcp: soon\n", ":3: idle-tcp:"},
		{"no value", "idle-tcp:\n", ":1: idle-tcp: want a value"},
		{"map", "idle-port:\n  53: 10s\n", ":1: idle-port: want a value"},
		{"list in a list", "events:\n  - [flow]\n", ":1: events: want a value"},
		{"list for one value", "max-flows: [1, 2]\n", ":1: max-flows:"},
		{"twice", "format: table\nformat: jsonl\n", ":2: format: already set in line 1"},
		{"no map", "- format\n", ":1: want lines"},
		{"no YAML", "format: [jsonl\n", "line"},
		{"meaning", "format: xml\n", "xml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := program(t, "replay", filepath.Join("testdata", "http", "in.pcap"), "--config", config(t, tt.text))
			checkRefusal(t, r, 2, tt.says)
		})
	}
	checkRefusal(t, program(t, "replay", "x.pcap", "--config", "no/such.yaml"), 1, "no/such.yaml")
}

// TestConfigOfEveryCommand holds that each command with flags takes a configuration, and
// empty ones.
func TestConfigOfEveryCommand(t *testing.T) {
	path := config(t, "# nothing yet\n")
	for _, c := range []string{"run", "replay", "doctor"} {
		if r := program(t, c, "--config", path, "--help"); r.exit != 0 || !strings.Contains(r.stdout, "--config FILE") {
			t.Errorf("%s: exit %d, help without --config: %s", c, r.exit, r.stdout)
		}
	}
	if r := program(t, "replay", filepath.Join("testdata", "http", "in.pcap"), "--config", path); r.exit != 0 {
		t.Errorf("exit %d: %s", r.exit, r.stderr)
	}
}
