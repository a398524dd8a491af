package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/tracegen"
)

// TestTruth wants every flow, count, stream hash and message of generated traces. With
// FLOWSCOPE_TRUTH=full the traces have the size that is measured in docs/performance.md.
func TestTruth(t *testing.T) {
	for _, kind := range tracegen.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			o := tracegen.Options{Kind: kind, Seed: 7, Flows: 400, Bytes: 1 << 18}
			if os.Getenv("FLOWSCOPE_TRUTH") == "full" {
				o = tracegen.Options{Kind: kind, Seed: 1}
			}
			trace := filepath.Join(t.TempDir(), "trace.pcap")
			want := makeTrace(t, trace, o)
			got := replayTruth(t, trace)
			compareTruth(t, got, want)
		})
	}
}

func makeTrace(t *testing.T, name string, o tracegen.Options) []*tracegen.Flow {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flows, err := tracegen.Write(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

// TestBatches wants the same output from a file, whose frames are taken in batches, and
// from a pipe, where each is taken alone.
func TestBatches(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.pcap")
	makeTrace(t, trace, tracegen.Options{Kind: tracegen.Disorder, Seed: 2, Flows: 300})
	const events = "flow,flow_start,flow_established,flow_state,message,anomaly,summary"
	file := program(t, "replay", trace, "--format", "jsonl", "--anomalies", "--events", events)
	piped := exec.Command("sh", "-c", `cat "$1" | "$2" replay - --format jsonl --anomalies --events "$3"`, "sh", trace, binary, events)
	if pipe := finish(t, piped); pipe != file || file.exit != 0 || len(file.stdout) == 0 {
		t.Errorf("exit %d and %d, %d and %d bytes of output, equal: %v", file.exit, pipe.exit, len(file.stdout), len(pipe.stdout), pipe.stdout == file.stdout)
	}
}

// A told is what the program's lines tell of one flow.
type told struct {
	tracegen.Flow
	EndReason string `json:"end_reason"`
	Complete  bool   `json:"complete"`
}

// replayTruth replays a trace and reads the lines as the truth is written.
func replayTruth(t *testing.T, trace string) map[string]*told {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.jsonl")
	r := program(t, "replay", trace, "--stream-hash", "--events", "flow,message", "--format", "jsonl", "-o", out)
	if r.exit != 0 {
		t.Fatalf("exit %d: %s", r.exit, r.stderr)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flows, messages := map[string]*told{}, map[string][]tracegen.Message{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		readTold(t, in.Bytes(), flows, messages)
	}
	return flows
}

func readTold(t *testing.T, text []byte, flows map[string]*told, messages map[string][]tracegen.Message) {
	var head struct{ Type, ID string }
	if err := json.Unmarshal(text, &head); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	if head.Type == "message" {
		messages[head.ID] = append(messages[head.ID], readMessage(t, text))
		return
	}
	f := &told{}
	if err := json.Unmarshal(text, f); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	f.Messages = messages[head.ID]
	delete(messages, head.ID)
	if old := flows[nameOf(&f.Flow)]; old != nil {
		t.Errorf("two flows %s", nameOf(&f.Flow))
	}
	flows[nameOf(&f.Flow)] = f
}

// readMessage reads a message line in the words of the truth.
func readMessage(t *testing.T, text []byte) tracegen.Message {
	var m struct {
		tracegen.Message
		HTTP struct {
			Method, Target string
			Status         int
			BodyBytes      int `json:"body_bytes"`
		}
		TLS struct{ SNI string }
		DNS struct{ Questions []struct{ Name string } }
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	switch {
	case m.Kind == "request":
		m.What = m.HTTP.Method + " " + m.HTTP.Target
	case m.Kind == "response" && m.Parser == "http":
		m.What = fmt.Sprint(m.HTTP.Status)
	case m.Parser == "tls":
		m.What = m.TLS.SNI
	case len(m.DNS.Questions) == 1:
		m.What = m.DNS.Questions[0].Name
	}
	m.Body = m.HTTP.BodyBytes
	return m.Message
}

func nameOf(f *tracegen.Flow) string {
	return fmt.Sprint(f.Proto, " ", f.Initiator.IP, " ", f.Initiator.Port, " ", f.Responder.IP, " ", f.Responder.Port)
}

func compareTruth(t *testing.T, got map[string]*told, want []*tracegen.Flow) {
	t.Helper()
	messages, missed := 0, uint64(0)
	for _, w := range want {
		name := nameOf(w)
		g := got[name]
		if g == nil {
			t.Errorf("flow %s: not found", name)
			continue
		}
		delete(got, name)
		messages += len(w.Messages)
		gone := w.Initiator.MissedBytes + w.Responder.MissedBytes
		missed += gone
		if !reflect.DeepEqual(g.Flow, *w) {
			t.Errorf("flow %s:\n got  %+v\n want %+v", name, g.Flow, *w)
		}
		if g.Complete != (gone == 0) {
			t.Errorf("flow %s: complete is %v, %d bytes are missing", name, g.Complete, gone)
		}
	}
	for name := range got {
		t.Errorf("flow %s: not in the trace", name)
	}
	t.Logf("%d flows with %d messages, %d bytes missing", len(want), messages, missed)
}
