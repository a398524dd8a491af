package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// takeCases returns the strings in every test function of the project, by name: those of
// its cases among them.
func takeCases(t *testing.T) map[string]map[string]bool {
	t.Helper()
	cases := map[string]map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Body != nil {
				cases[filepath.Base(filepath.Dir(path))+"."+f.Name.Name] = stringsIn(f.Body)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func stringsIn(n ast.Node) map[string]bool {
	set := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				set[s] = true
			}
		}
		return true
	})
	return set
}

var heldBy = regexp.MustCompile(`^([a-z0-9]+\.Test\w+)(?:/(.+))?$`)

// TestEvasionPage holds that each row of evasion.md names tests, and that they and their
// cases exist.
func TestEvasionPage(t *testing.T) {
	cases := takeCases(t)
	rows := 0
	for line := range strings.Lines(read(t, "evasion.md")) {
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| family") {
			continue
		}
		if rows++; len(cells) != 3 || !strings.HasPrefix(cells[2], "`") {
			t.Errorf("not a row of a family, an answer and tests: %s", line)
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			name := heldBy.FindStringSubmatch(m[1])
			if name == nil || cases[name[1]] == nil {
				t.Errorf("no test %s", m[1])
			} else if name[2] != "" && !cases[name[1]][name[2]] {
				t.Errorf("no case %q in %s", name[2], name[1])
			}
		}
	}
	if rows < 50 {
		t.Errorf("%d rows, want at least 50", rows)
	}
}
