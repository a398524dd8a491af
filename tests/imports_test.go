package tests

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/flowscope/flowscope-xdp/"

// allowed says which of our packages each package may import: the arrows of
// docs/architecture.md. A package below a listed one follows its rule.
var allowed = map[string][]string{
	"gen":                  {},
	"userspace/flow":       {},
	"userspace/packet":     {"userspace/flow"},
	"userspace/tracker":    {"userspace/flow", "userspace/packet"},
	"userspace/reassembly": {"userspace/flow"},
	"userspace/parsers":    {"userspace/flow", "userspace/parsers"},
	"userspace/source":     {"userspace/flow"},
	"userspace/xdp":        {"userspace/flow", "gen"},
	"userspace/pipeline":   {"userspace/flow", "userspace/packet", "userspace/tracker", "userspace/reassembly", "userspace/parsers", "userspace/metrics"},
	"userspace/export":     {"userspace/flow", "userspace/parsers"},
	"userspace/metrics":    {"userspace/flow"},
	"userspace/engine":     {"userspace/flow", "userspace/metrics", "userspace/packet", "userspace/pipeline", "userspace/source", "userspace/xdp"},
}

// libraries are the modules that only some packages may reach.
var libraries = map[string][]string{
	"github.com/cilium/ebpf":         {"gen", "userspace/xdp"},
	"github.com/vishvananda/netlink": {"userspace/xdp"},
	"github.com/safchain/ethtool":    {"userspace/xdp"},
	"github.com/google/gopacket":     {"userspace/packet/packettest"},
	"github.com/prometheus":          {"userspace/metrics/prom"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "../gen/...", "../userspace/...")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var l []goPackage
	for d := json.NewDecoder(out); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		l = append(l, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return l
}

// under returns the entry of keys that is name or a folder above it.
func under(keys []string, name string) string {
	for _, k := range keys {
		if name == k || strings.HasPrefix(name, k+"/") {
			return k
		}
	}
	return ""
}

func TestImportsPointOneWay(t *testing.T) {
	var rules []string
	for k := range allowed {
		rules = append(rules, k)
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		rule := under(rules, name)
		if rule == "" {
			t.Errorf("package %s is in no rule: add it to the picture in docs/architecture.md and to this test", name)
			continue
		}
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, module); ok && under(allowed[rule], ours) == "" && !strings.HasPrefix(ours, rule+"/") && rule != ours {
				t.Errorf("%s imports %s: not an arrow of docs/architecture.md", name, ours)
			}
			for lib, users := range libraries {
				if under([]string{lib}, imp) != "" && under(users, name) == "" {
					t.Errorf("%s imports %s: only %s may", name, imp, strings.Join(users, ", "))
				}
			}
		}
	}
}

// TestCoreStartsNoGoroutine holds the promise that the core runs on the caller's
// goroutine alone: no go statement in its packages.
func TestCoreStartsNoGoroutine(t *testing.T) {
	for _, dir := range []string{"flow", "packet", "tracker", "reassembly", "parsers"} {
		out, err := exec.Command("grep", "-rnE", `^\s*go (func|[a-zA-Z_.]+\()`, "--include=*.go", "--exclude=*_test.go", "../userspace/"+dir).Output()
		if err == nil {
			t.Errorf("a goroutine is started in the core:\n%s", out)
		}
	}
}
