package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// capture writes a capture of five frames from each side in segments of n bytes and
// returns its path.
func capture(dir string, n int) (path string, err error) {
	var request, response string
	for _, payload := range []string{"alpha", "b", strings.Repeat("x", 700), "", "omega"} {
		request += "PFX2" + string(binary.BigEndian.AppendUint16(nil, uint16(len(payload)))) + payload
		response += "PFX4" + string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
	}
	c := packettest.NewConversation("10.0.0.1:54322", "10.0.0.2:9000").MSS(n).
		Handshake().Request(request).Response(response).Close()
	path = filepath.Join(dir, "in.pcap")
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return path, packettest.WritePcap(file, c.Trace())
}

func Example() {
	dir, err := os.MkdirTemp("", "length-prefixed")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path, err := capture(dir, 300)
	if err == nil {
		err = replay(path, os.Stdout)
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator PFX2   5 bytes
	// initiator PFX2   1 bytes
	// initiator PFX2 700 bytes
	// initiator PFX2   0 bytes
	// initiator PFX2   5 bytes
	// responder PFX4   5 bytes
	// responder PFX4   1 bytes
	// responder PFX4 700 bytes
	// responder PFX4   0 bytes
	// responder PFX4   5 bytes
	// closed: fin
}

func TestReplayWithAnySegments(t *testing.T) {
	var want string
	for _, n := range []int{1400, 700, 7, 1} {
		path, err := capture(t.TempDir(), n)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := replay(path, &out); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = out.String()
		}
		if frames := strings.Count(out.String(), "bytes\n"); frames != 10 || out.String() != want {
			t.Errorf("segments of %d bytes: %d frames, want 10\n%s", n, frames, out.String())
		}
	}
}

func TestReplayOfNothing(t *testing.T) {
	if err := replay(filepath.Join(t.TempDir(), "none.pcap"), os.Stdout); err == nil {
		t.Error("replay of a file that does not exist: no error")
	}
}

// TestGuide holds the code in the guide to the files of this example.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../parser-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources string
	for _, name := range []string{"main.go", "pfx/pfx.go", "pfx/pfx_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources += string(b)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) < 5 {
		t.Errorf("the guide has %d blocks of code, want at least 5", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(sources, b[1]) {
			t.Errorf("not in the example:\n%s", b[1])
		}
	}
}
