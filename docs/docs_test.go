// Package docs holds what the documents say to the code.
package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/metrics"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var codeBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestGuide holds the code in the guide to the examples, which run.
func TestGuide(t *testing.T) {
	examples := read(t, "../userspace/pipeline/example_test.go")
	blocks := codeBlock.FindAllStringSubmatch(read(t, "guide.md"), -1)
	if len(blocks) < 10 {
		t.Errorf("the guide has %d blocks of code, want at least 10", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(examples, b[1]) {
			t.Errorf("not in the examples:\n%s", b[1])
		}
	}
}

// TestABI holds the code in abi.md to the example, which tests/abi_test.go runs, and wants
// the example to be short.
func TestABI(t *testing.T) {
	example := strings.ReplaceAll(read(t, "examples/pinned/main.go"), "\n\t", "\n")
	block := codeBlock.FindStringSubmatch(read(t, "abi.md"))
	if block == nil || !strings.Contains(example, block[1]) {
		t.Errorf("not in the example: %q", block)
	}
	if n := strings.Count(block[1], "\n"); n > 32 {
		t.Errorf("%d lines of code, want about 30", n)
	}
}

// TestLinks holds that files and headings that documents link to exist.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, name := range []string{"abi.md", "guide.md", "observability.md", "parity.md", "parser-guide.md"} {
		text := codeBlock.ReplaceAllString(read(t, name), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file := m[1]
			if file == "" {
				file = name
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", name, file, err)
				continue
			}
			if m[2] != "" && !hasHeading(read(t, file), m[2][1:]) {
				t.Errorf("%s links to %s: no such heading", name, m[0])
			}
		}
	}
}

// hasHeading reports whether a document has a heading with the given anchor.
func hasHeading(text, anchor string) bool {
	for l := range strings.Lines(text) {
		if h := strings.TrimLeft(l, "#"); h != l {
			if strings.ReplaceAll(strings.ToLower(strings.TrimSpace(h)), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

// TestObservability holds the table of metrics to the list.
func TestObservability(t *testing.T) {
	text := read(t, "observability.md")
	for _, m := range metrics.All() {
		labels := strings.Join(m.Labels, ", ")
		if labels != "" {
			labels += " "
		}
		if row := "| `" + m.Name + "` | " + m.Kind.String() + " | " + labels + "|"; !strings.Contains(text, row) {
			t.Errorf("missing: %s", row)
		}
	}
	if got, want := strings.Count(text, "\n| `flowscope_"), len(metrics.All()); got != want {
		t.Errorf("%d metrics in the table, want %d", got, want)
	}
}
