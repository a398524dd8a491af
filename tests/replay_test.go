package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// capture is a small pcap file: a UDP exchange of two packets.
func capture(t *testing.T) []byte {
	t.Helper()
	q := packettest.UDP("192.0.2.1:4000", "192.0.2.2:4001").Payload("ping")
	var b bytes.Buffer
	if err := packettest.WritePcap(&b, packettest.Trace(q, q.Reply().Payload("pong"))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReplayBadInput wants one clear line, exit code 1, and all that was read before
// written out, with a summary that says why it ends there.
func TestReplayBadInput(t *testing.T) {
	good := capture(t)
	tests := []struct {
		name  string
		data  []byte
		says  string
		flows int
	}{
		{"empty file", nil, "empty", 0},
		{"not a capture", []byte("#!/bin/sh\necho this is a script\n"), "not a pcap", 0},
		{"cut in a packet", good[:len(good)-5], "cut", 1},
		{"cut in a packet header", good[:len(good)-50], "cut", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in.pcap")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			r := program(t, "replay", "--format", "jsonl", path)
			checkRefusal(t, r, 1, tt.says)
			l := r.lines(t)
			checkConservation(t, l)
			if n := len(ofType(l, "flow")); n != tt.flows {
				t.Errorf("%d flows, want %d", n, tt.flows)
			}
			if s, _ := l[len(l)-1]["interrupted"].(string); !strings.Contains(s, tt.says) {
				t.Errorf("the summary says interrupted: %q, want %q in it", s, tt.says)
			}
		})
	}
}

func TestReplaySeveralFilesAreOneInput(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a.pcap", "b.pcap"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, capture(t), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	l := program(t, append([]string{"replay", "--format", "jsonl"}, files...)...).lines(t)
	checkConservation(t, l)
	if n := l[len(l)-1].num("packets_seen"); n != 4 || len(ofType(l, "flow")) != 1 {
		t.Errorf("%d packets in %d flows, want 4 in 1", n, len(ofType(l, "flow")))
	}
}

func TestReplayOutputFile(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(in, capture(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := program(t, "replay", "--format", "jsonl", "-o", out, in); r.exit != 0 || r.stdout != "" {
		t.Fatalf("exit %d, stdout %q, stderr %q", r.exit, r.stdout, r.stderr)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	checkConservation(t, result{stdout: string(b)}.lines(t))
}

// TestReplayDiskFull wants a failing output to end the run with an error.
func TestReplayDiskFull(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(in, capture(t), 0o600); err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, program(t, "replay", "--format", "jsonl", "-o", "/dev/full", in), 1, "no space left")
}

func TestReplayEvents(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(in, capture(t), 0o600); err != nil {
		t.Fatal(err)
	}
	l := program(t, "replay", "--format", "jsonl", "--events", "flow_start,flow", in).lines(t)
	if len(l) != 2 || l[0]["type"] != "flow_start" || l[1]["type"] != "flow" || l[0]["id"] != l[1]["id"] {
		t.Errorf("lines %v, want flow_start and flow of one id", l)
	}
}

func TestVersion(t *testing.T) {
	r := program(t, "version")
	if r.exit != 0 || !strings.Contains(r.stdout, "flowscope-xdp") || !strings.Contains(r.stdout, "abi ") || !strings.Contains(r.stdout, "go1.") {
		t.Errorf("exit %d: %q", r.exit, r.stdout)
	}
}
