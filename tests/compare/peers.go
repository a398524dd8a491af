package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A contestant is one program with one way of calling it.
type contestant struct {
	name, does string
	args       []string
	slow       bool
}

// contestants lists what runs on a trace, and what would if it were installed.
func (c *comparison) contestants(t trace) (l []contestant, missing []string) {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	bin, err := filepath.Abs(c.bin)
	if err != nil {
		bin = c.bin
	}
	file, err := filepath.Abs(t.file)
	if err != nil {
		file = t.file
	}
	for _, p := range []contestant{
		{name: "flowscope-xdp", does: "flows, streams, all parsers; summary", args: []string{bin, "replay", file, "--format", "jsonl", "--events", "summary", "-o", "/dev/null"}},
		{name: "flowscope-xdp, JSON", does: "the same, flow and message lines to a file", args: []string{bin, "replay", file, "--format", "jsonl", "-o", "out.jsonl"}},
		{name: "gopacket map", does: "DecodingLayerParser, counts in a map", args: []string{self, gopacketArg, "map", file}},
		{name: "gopacket reassembly", does: "the same and streams, no parser", args: []string{self, gopacketArg, "reassembly", file}},
		{name: "softflowd", does: "flows", args: []string{"softflowd", "-r", file, "-d", "-m", "2000000", "-p", "pid", "-c", "none"}},
		{name: "argus", does: "flows", args: []string{"argus", "-r", file, "-w", "argus.out"}},
		{name: "nfpcapd", does: "flows", args: []string{"nfpcapd", "-r", file, "-w", "."}},
		{name: "ndpiReader", does: "flows, protocols", args: []string{"ndpiReader", "-q", "-i", file}},
		{name: "tshark", does: "everything; conversations", args: []string{"tshark", "-n", "-q", "-r", file, "-z", "conv,tcp"}, slow: true},
	} {
		if !strings.Contains(p.name, c.only) {
			continue
		}
		if _, err := exec.LookPath(p.args[0]); err != nil {
			missing = append(missing, p.name)
			continue
		}
		l = append(l, p)
	}
	return l, missing
}
