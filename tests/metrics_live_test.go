//go:build linux

package tests

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
)

// clientOf returns an HTTP client that connects from a host's namespace.
func clientOf(h *testnet.Host) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, addr string) (c net.Conn, err error) {
			err = h.Do(func() error {
				c, err = net.DialTimeout(network, addr, 5*time.Second)
				return err
			})
			return c, err
		},
	}}
}

// TestLiveMetrics scrapes a run between real peers: every metric of the list is there, and
// what the program, the interfaces and the flows counted fits together.
func TestLiveMetrics(t *testing.T) {
	needs.Root(t)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	n := network(t)
	servers, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	p, err := n.Router.Start(io.Discard, binary, "run", "-i", "r0,r1", "--metrics", "127.0.0.1:9190", "--max-flows", "4096")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Browse(context.Background()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle + time.Second) // a sweep
	c := clientOf(n.Router)
	s := scrape(t, c, "http://127.0.0.1:9190/metrics")
	names := s.names()
	for _, m := range metrics.All() {
		if !names[m.Name] {
			t.Errorf("%s is not in the scrape", m.Name)
		}
	}
	checkScrape(t, s)
	if res, err := c.Get("http://127.0.0.1:9190/healthz"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %v, %v", res, err)
	}
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
}

// checkScrape holds the laws of the counters, on a network that is silent by now.
func checkScrape(t *testing.T, s scraped) {
	t.Helper()
	seen := s.sum(metrics.Packets)
	if got := s.sum(metrics.XDPPackets); seen == 0 || got != seen {
		t.Errorf("%v packets by verdict, want those seen: %v", got, seen)
	}
	if got := s.sum(metrics.XDPRuns); got != seen {
		t.Errorf("%v runs, want one per packet: %v", got, seen)
	}
	// Interfaces count from their beginning on, the program from when it was attached.
	received := s[metrics.InterfacePackets+`{direction="received",interface="r0"}`] + s[metrics.InterfacePackets+`{direction="received",interface="r1"}`]
	if received < seen || received > seen+50 {
		t.Errorf("the interfaces received %v packets, the program saw %v", received, seen)
	}
	checkActive(t, s)
	if s.sum(metrics.RingRecords) == 0 || s.sum(metrics.XDPRunTime) == 0 || s.sum(metrics.XDPMemory) < 1<<20 || s.sum(metrics.TableFill) <= 0 {
		t.Errorf("records %v, run time %v s, memory %v, table %v", s.sum(metrics.RingRecords), s.sum(metrics.XDPRunTime), s.sum(metrics.XDPMemory), s.sum(metrics.TableFill))
	}
	s.check(t, map[string]float64{
		`flowscope_messages_total{kind="client_hello",parser="tls"}`: 2,
		`flowscope_messages_total{kind="request",parser="http"}`:     4,
		`flowscope_xdp_packets_total{hook="xdp",verdict="lost"}`:     0,
		`flowscope_ring_dropped_records_total`:                       0,
	})
}

// checkActive holds the law of flows that are open.
func checkActive(t *testing.T, s scraped) {
	t.Helper()
	created, ended, active := s.sum(metrics.FlowsCreated), s.sum(metrics.FlowsEnded), s.sum(metrics.FlowsActive)
	if created == 0 || created-ended != active {
		t.Errorf("%v flows created, %v ended, %v active", created, ended, active)
	}
}
