package docs

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/metrics/prom"
)

// A dashboard is what this test reads of Grafana's format.
type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Panels []struct {
		ID          int
		Title, Type string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ RefID, Expr, LegendFormat string }
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || len(d.Panels) < 20 {
		t.Fatalf("dashboard %q with %d panels, want at least 20", d.Title, len(d.Panels))
	}
	return &d
}

// exprs returns the queries of d.
func (d *dashboard) exprs() (l []string) {
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			l = append(l, v.Definition)
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			l = append(l, q.Expr)
		}
	}
	return l
}

// selector is a metric with what it is selected by.
var selector = regexp.MustCompile(`\b((?:flowscope|process|go)_\w+)(\{[^}]*\})?`)

// TestDashboardMetrics holds every metric that the dashboard asks for to those that are
// served.
func TestDashboardMetrics(t *testing.T) {
	served := servedNames(t)
	for _, expr := range readDashboard(t).exprs() {
		found := selector.FindAllStringSubmatch(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s: asks for no metric", expr)
		}
		for _, m := range found {
			if !served[m[1]] {
				t.Errorf("%s: %s is not served", expr, m[1])
			}
		}
	}
}

// servedNames returns the names in a scrape of an exporter that has every metric.
func servedNames(t *testing.T) map[string]bool {
	t.Helper()
	e := prom.New()
	e.AddSource(func(set prom.Setter) error {
		for _, m := range metrics.All() {
			if m.Kind != metrics.Histogram {
				set(m.Name, 1, m.Labels...)
			}
		}
		return nil
	})
	r := e.Recorder()
	for _, m := range metrics.All() {
		r.Observe(m.Name, 1, metrics.Labels{}) // histograms only
	}
	s, err := prom.Listen("127.0.0.1:0", e, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := http.Get("http://" + s.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for l := range strings.Lines(string(b)) {
		name := strings.TrimRight(l[:strings.IndexAny(l+" ", "{ ")], "\n")
		names[name] = true
	}
	return names
}

// TestDashboardLabels holds labels to those of the metrics that are asked for, and those
// in a legend to what is left after grouping.
func TestDashboardLabels(t *testing.T) {
	labels := map[string][]string{}
	for _, m := range metrics.All() {
		labels[m.Name] = m.Labels
	}
	by := regexp.MustCompile(`by \(([^)]*)\)`)
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			name := selector.FindStringSubmatch(q.Expr)[1]
			have := append([]string{"instance", "job", "le"}, labels[name]...)
			if g := by.FindStringSubmatch(q.Expr); g != nil {
				left := strings.Split(g[1], ", ")
				for _, l := range left {
					if !slices.Contains(have, l) {
						t.Errorf("%s: grouped by %s, which %s does not have", p.Title, l, name)
					}
				}
				have = left
			}
			for _, l := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
				if !slices.Contains(have, l[1]) {
					t.Errorf("%s: the legend has %s, the query %v", p.Title, l[1], have)
				}
			}
			for _, m := range selector.FindAllStringSubmatch(q.Expr, -1) {
				if !strings.Contains(m[2], `instance=~"$instance"`) {
					t.Errorf("%s: %s is not of the chosen instances", p.Title, m[1])
				}
			}
			if strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") {
				t.Errorf("%s: parentheses of %s", p.Title, q.Expr)
			}
		}
	}
}

// TestDashboardLayout holds panels to ids of their own and to places that do not overlap.
func TestDashboardLayout(t *testing.T) {
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s at %d,%d: there is %q, or the edge", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
