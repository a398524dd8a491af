package metrics

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// names returns the values of the constants that are metric names.
func names(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var l []string
	ast.Inspect(file, func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return true
		}
		for _, spec := range d.Specs {
			for _, v := range spec.(*ast.ValueSpec).Values {
				name, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				l = append(l, name)
			}
		}
		return false
	})
	return l
}

// TestAllNamesEveryConstant holds the list to the constants, in their order.
func TestAllNamesEveryConstant(t *testing.T) {
	var got []string
	for _, m := range All() {
		got = append(got, m.Name)
	}
	if want := names(t); !slices.Equal(got, want) {
		t.Errorf("All() is\n%s\nwant the constants\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConventions(t *testing.T) {
	form := regexp.MustCompile(`^flowscope_[a-z0-9]+(_[a-z0-9]+)*$`)
	for _, m := range All() {
		if !form.MatchString(m.Name) {
			t.Errorf("%s: not a metric name", m.Name)
		}
		if got, want := strings.HasSuffix(m.Name, "_total"), m.Kind == Counter; got != want {
			t.Errorf("%s is a %s: only counters end in _total, and all do", m.Name, m.Kind)
		}
		if got, want := len(m.Buckets) > 0, m.Kind == Histogram; got != want || !slices.IsSorted(m.Buckets) {
			t.Errorf("%s is a %s with buckets %v", m.Name, m.Kind, m.Buckets)
		}
		if len(m.Labels) > len(Labels{}) || m.Help == "" {
			t.Errorf("%s: %d labels, help %q", m.Name, len(m.Labels), m.Help)
		}
	}
}

// TestNoLabelNamesAnEndpoint holds the promise that metrics may be shown to anybody.
func TestNoLabelNamesAnEndpoint(t *testing.T) {
	allowed := []string{"l4", "reason", "cause", "side", "kind", "parser", "verdict", "hook", "version", "go", "abi", "interface", "direction"}
	for _, m := range All() {
		for _, l := range m.Labels {
			if !slices.Contains(allowed, l) {
				t.Errorf("%s: label %q is not one of %v", m.Name, l, allowed)
			}
		}
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{Counter: "counter", Gauge: "gauge", Histogram: "histogram", 9: "unknown"} {
		if got := k.String(); got != want {
			t.Errorf("Kind(%d) = %q, want %q", k, got, want)
		}
	}
}
