package tests

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A scraped is what /metrics says: values by name and labels, as in name{label="value"}.
type scraped map[string]float64

// scrape reads /metrics with c.
func scrape(t *testing.T, c *http.Client, url string) scraped {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	s := scraped{}
	for l := bufio.NewScanner(res.Body); l.Scan(); {
		if strings.HasPrefix(l.Text(), "#") {
			continue
		}
		i := strings.LastIndexByte(l.Text(), ' ')
		v, err := strconv.ParseFloat(l.Text()[i+1:], 64)
		if err != nil {
			t.Fatalf("line %q: %v", l.Text(), err)
		}
		s[l.Text()[:i]] = v
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, res.Status, s)
	}
	return s
}

// names returns the names of ours that have a series.
func (s scraped) names() map[string]bool {
	names := map[string]bool{}
	for series := range s {
		name, _, _ := strings.Cut(series, "{")
		names[strings.TrimSuffix(name, "_count")] = true
	}
	return names
}

// sum adds up the series of a metric.
func (s scraped) sum(name string) (n float64) {
	for series, v := range s {
		if series == name || strings.HasPrefix(series, name+"{") {
			n += v
		}
	}
	return n
}

func (s scraped) check(t *testing.T, want map[string]float64) {
	t.Helper()
	for series, v := range want {
		if got, ok := s[series]; !ok || got != v {
			t.Errorf("%s = %v (there: %t), want %v", series, got, ok, v)
		}
	}
}

var servedAt = regexp.MustCompile(`url=(http://\S+/)metrics`)

// TestReplayMetrics scrapes a replay whose input is still open.
func TestReplayMetrics(t *testing.T) {
	for _, engine := range replayEngines(t) {
		t.Run(engine, func(t *testing.T) {
			capture, err := os.ReadFile(filepath.Join("testdata", "http", "in.pcap"))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(binary, "replay", "-", "--engine", engine, "--metrics", "127.0.0.1:0", "--events", "summary", "--max-flows", "64")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			log := bufio.NewScanner(stderr)
			log.Scan()
			m := servedAt.FindStringSubmatch(log.Text())
			if m == nil {
				t.Fatalf("no address in %q", log.Text())
			}
			if _, err := in.Write(capture); err != nil {
				t.Fatal(err)
			}
			s := scrapeUntil(t, m[1]+"metrics", "flowscope_packets_total", 10)
			s.check(t, map[string]float64{
				`flowscope_packets_total`:                                10,
				`flowscope_flows_created_total{l4="tcp"}`:                1,
				`flowscope_flows_active`:                                 1,
				`flowscope_messages_total{kind="request",parser="http"}`: 1,
				`flowscope_parser_poisoned_total{parser="tls"}`:          0,
				`flowscope_packets_unparsed_total{cause="malformed"}`:    0,
			})
			res, err := http.Get(m[1] + "healthz")
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("/healthz: %v, %v", res, err)
			}
			in.Close()
			if _, err := io.Copy(io.Discard, stderr); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// scrapeUntil scrapes until a metric has the value want, or it is too late.
func scrapeUntil(t *testing.T, url, name string, want float64) (s scraped) {
	t.Helper()
	for late := time.Now().Add(30 * time.Second); time.Now().Before(late); {
		if s = scrape(t, http.DefaultClient, url); s.sum(name) >= want {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s is %v, want %v", name, s.sum(name), want)
	return s
}

// replayEngines are those that may run here.
func replayEngines(t *testing.T) []string {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("FLOWSCOPE_PRIVILEGED") == "0" {
		return []string{"userspace"}
	}
	return []string{"userspace", "kernel"}
}

// TestMetricsAddressTaken wants one line that names the address.
func TestMetricsAddressTaken(t *testing.T) {
	r := program(t, "replay", filepath.Join("testdata", "http", "in.pcap"), "--metrics", "256.0.0.1:1")
	checkRefusal(t, r, 1, "256.0.0.1:1")
}

// TestLogs holds which lines --log, --log-format and --log-level give.
func TestLogs(t *testing.T) {
	in := filepath.Join("testdata", "http", "in.pcap")
	tests := []struct {
		name string
		args []string
		want []string // each once; nothing else of our targets
	}{
		{"default", nil, nil},
		{"flow", []string{"--log", "flow"}, []string{`level=INFO msg="flow started" target=flowscope.flow l4=tcp`, `level=INFO msg="flow ended" target=flowscope.flow reason=fin packets=10 bytes=`}},
		{"flow, json", []string{"--log", "flow", "--log-format", "json"}, []string{`"level":"INFO","msg":"flow started","target":"flowscope.flow","l4":"tcp"`, `"msg":"flow ended"`}},
		{"messages", []string{"--log", "message,run"}, []string{"side=initiator parser=http kind=request", "side=responder parser=http kind=response"}},
		{"level", []string{"--log", "message,flow", "--log-level", "warn"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := program(t, append([]string{"replay", in}, tt.args...)...)
			if n := strings.Count(r.stderr, "\n"); n != len(tt.want) {
				t.Errorf("%d lines, want %d:\n%s", n, len(tt.want), r.stderr)
			}
			for _, want := range tt.want {
				if strings.Count(r.stderr, want) != 1 {
					t.Errorf("not once %q in\n%s", want, r.stderr)
				}
			}
		})
	}
	for _, args := range [][]string{{"--log", "flows"}, {"--log-format", "xml"}, {"--log-level", "loud"}} {
		checkRefusal(t, program(t, append([]string{"replay", in}, args...)...), 2, args[0])
	}
}
