package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An inventory is what the packages of the project declare. Packages go by the name of
// their folder.
type inventory struct {
	names   map[string]bool     // "pipeline.FlowDriver", "pipeline.FlowDriver.Drain", "pipeline.TestReplay"
	embeds  map[string][]string // by type: the types it embeds, with their package
	program string              // source of the program, for its flags
}

// take notes what a file of package pkg declares.
func (v *inventory) take(pkg string, file *ast.File, test bool) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			switch {
			case d.Recv != nil && !test:
				v.names[pkg+"."+base(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			case d.Recv == nil:
				v.names[pkg+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			if !test {
				v.takeSpecs(pkg, d)
			}
		}
	}
}

func (v *inventory) takeSpecs(pkg string, d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			for _, n := range s.Names {
				v.names[pkg+"."+n.Name] = true
			}
		case *ast.TypeSpec:
			name := pkg + "." + s.Name.Name
			v.names[name] = true
			v.takeMembers(pkg, name, s.Type)
		}
	}
}

// takeMembers notes the fields of a struct and the methods of an interface.
func (v *inventory) takeMembers(pkg, name string, t ast.Expr) {
	var fields *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return
	}
	for _, f := range fields.List {
		if len(f.Names) == 0 {
			v.embeds[name] = append(v.embeds[name], pkg+"."+base(f.Type))
		}
		for _, n := range f.Names {
			v.names[name+"."+n.Name] = true
		}
	}
}

// base returns the name of a type without pointer and type parameters.
func base(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return base(t.X)
	case *ast.IndexExpr:
		return base(t.X)
	case *ast.IndexListExpr:
		return base(t.X)
	case *ast.Ident:
		return t.Name
	case *ast.SelectorExpr:
		return t.Sel.Name
	}
	return ""
}

// has reports whether name is declared, or promoted from what a type embeds.
func (v *inventory) has(name string) bool {
	if v.names[name] {
		return true
	}
	i := strings.LastIndexByte(name, '.')
	for _, e := range v.embeds[name[:i]] {
		if v.has(e + name[i:]) {
			return true
		}
	}
	return false
}

func takeInventory(t *testing.T) *inventory {
	t.Helper()
	v := &inventory{names: map[string]bool{}, embeds: map[string][]string{}}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := filepath.Base(filepath.Dir(path))
		v.take(pkg, file, strings.HasSuffix(path, "_test.go"))
		if pkg == "flowscope-xdp" {
			v.program += string(src)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A parityRow is one line of a table in parity.md.
type parityRow struct{ crate, here, held string }

func parityRows(t *testing.T) (l []parityRow) {
	t.Helper()
	for line := range strings.Lines(read(t, "parity.md")) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) == 3 && !strings.HasPrefix(line, "| crate") {
			l = append(l, parityRow{strings.TrimPrefix(cells[0], "| "), cells[1], strings.TrimSuffix(cells[2], " |")})
		} else if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| crate") {
			t.Errorf("not a row of three cells: %s", line)
		}
	}
	return l
}

var (
	code       = regexp.MustCompile("`([^`]+)`")
	identifier = regexp.MustCompile(`^[a-z0-9-]+(\.[A-Z]\w*){1,2}$`)
	testName   = regexp.MustCompile(`^[a-z0-9-]+\.(Test|Fuzz|Benchmark|Example)\w*$`)
)

// TestParity holds that every name and every test in parity.md exists, and that every
// row has one of each, or says what is not built.
func TestParity(t *testing.T) {
	v := takeInventory(t)
	rows := parityRows(t)
	if len(rows) < 70 {
		t.Errorf("%d rows, want at least 70", len(rows))
	}
	for _, r := range rows {
		for _, m := range code.FindAllStringSubmatch(r.here, -1) {
			v.check(t, m[1])
		}
		tests := 0
		for _, m := range code.FindAllStringSubmatch(r.held, -1) {
			if testName.MatchString(m[1]) {
				tests++
				if !v.names[m[1]] {
					t.Errorf("no test %s", m[1])
				}
			} else if !strings.HasPrefix(m[1], "make ") {
				t.Errorf("%q is not a test", m[1])
			}
		}
		if named := identifierIn(r.here); named && tests == 0 && !strings.Contains(r.here, "**not built**") {
			t.Errorf("no test holds %s", r.here)
		}
		if r.held == "" {
			t.Errorf("nothing holds %s", r.crate)
		}
	}
}

// check holds that a name in the column "here" exists, if it is one of ours.
func (v *inventory) check(t *testing.T, name string) {
	switch {
	case strings.HasPrefix(name, "--"):
		if !strings.Contains(v.program, `"`+name[2:]+`"`) {
			t.Errorf("the program has no flag %s", name)
		}
	case strings.HasPrefix(name, "flowscope-xdp "):
		if !strings.Contains(v.program, `"`+name[len("flowscope-xdp "):]) {
			t.Errorf("the program has no command %s", name)
		}
	case strings.HasPrefix(name, "tests/"):
		if _, err := os.Stat("../" + name); err != nil {
			t.Error(err)
		}
	case identifier.MatchString(name) && !v.has(name):
		t.Errorf("no %s", name)
	}
}

func identifierIn(cell string) bool {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		if identifier.MatchString(m[1]) {
			return true
		}
	}
	return false
}

// TestUnknownValuesHaveNames holds that a number from a later version prints as
// something.
func TestUnknownValuesHaveNames(t *testing.T) {
	for _, got := range []string{
		flow.State(200).String(), flow.EndReason(200).String(), flow.AnomalyKind(200).String(), flow.EventKind(200).String(),
		flow.Cause(200).String(), flow.Orientation(200).String(), flow.TunnelKind(200).String(), flow.Overflow(200).String(),
	} {
		if got != "unknown_200" {
			t.Errorf("got %q, want unknown_200", got)
		}
	}
}

// TestPipelineStartsReadersOnly holds that the drivers run on the caller's goroutine:
// the readers of conversations are all that package pipeline starts.
func TestPipelineStartsReadersOnly(t *testing.T) {
	starts := regexp.MustCompile(`(?m)^\s*go\s|\.Go\(`)
	files, err := filepath.Glob("../userspace/pipeline/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		want := 0
		switch {
		case strings.HasSuffix(name, "_test.go"):
			continue
		case filepath.Base(name) == "conversation.go":
			want = 1
		}
		if got := len(starts.FindAllString(read(t, name), -1)); got != want {
			t.Errorf("%s starts %d goroutines, want %d", name, got, want)
		}
	}
}
