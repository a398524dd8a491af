//go:build linux

package tests

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

var downloadSize = flag.Int64("download", 512<<20, "bytes of the TLS download whose payload must not come up")

// mayComeUp is the share of a download's payload that may come up: all before the parser
// is done, and what was under way then.
const mayComeUp = 1. / 1024

// TestDownload runs the program during a large TLS download: next to nothing of its
// payload comes up, and every counter is that of the sender.
//
//	go test ./tests -run TestDownload -v -download 1073741824
func TestDownload(t *testing.T) {
	needs.Root(t)
	n := network(t)
	var out bytes.Buffer
	p, err := n.Router.Start(&out, binary, "run", "-i", "r0,r1", "--format", "jsonl", "--max-flows", "4096")
	if err != nil {
		t.Fatal(err)
	}
	packets, octets := sentBy(t, n)
	d, err := n.Download(*downloadSize)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle)
	after, octetsAfter := sentBy(t, n)
	if stderr, err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	l := result{stdout: out.String()}.lines(t)
	checkConservation(t, l)
	sum := l[len(l)-1]
	up := sum.num("ring_payload_bytes")
	t.Logf("%d bytes in %v; %d records, %d bytes of payload came up", *downloadSize, d.Took, sum.num("ring_records"), up)
	if most := uint64(float64(*downloadSize) * mayComeUp); up == 0 || up >= most {
		t.Errorf("%d bytes of payload came up, want some, but less than %d", up, most)
	}
	packets, octets = after-packets, octetsAfter-octets
	octets += packets * 14 // veth leaves the Ethernet header out
	if got := [2]uint64{sum.num("packets_seen"), sum.num("bytes_seen")}; got != [2]uint64{packets, octets} {
		t.Errorf("packets and bytes %d, want what the interfaces sent: %d and %d", got, packets, octets)
	}
	checkDownload(t, l, d)
}

func sentBy(t *testing.T, n *testnet.Network) (packets, octets uint64) {
	t.Helper()
	packets, octets, err := n.Sent()
	if err != nil {
		t.Fatal(err)
	}
	return packets, octets
}

// checkDownload compares the flow of a download with what its sender's TCP counted.
func checkDownload(t *testing.T, l []line, d testnet.Download) {
	t.Helper()
	for _, f := range ofType(l, "flow") {
		if f["proto"] != "tcp" {
			continue
		}
		if f["service"] != "tls" || f["complete"] != true || f["end_reason"] != "fin" {
			t.Errorf("service %v, complete %v, ended by %v; want tls, complete, fin", f["service"], f["complete"], f["end_reason"])
		}
		got := testnet.Download{Took: d.Took, Bytes: f.num("responder", "payload_bytes"), Segments: d.Segments, Resent: f.num("responder", "retransmitted_bytes")}
		if got != d {
			t.Errorf("responder: %+v, want what it sent: %+v", got, d)
		}
		span := f.num("responder", "stream_bytes") + f.num("responder", "skipped_bytes")
		if span != d.Bytes-d.Resent || f.num("responder", "missed_bytes")+f.num("responder", "capture_missed_bytes") != 0 {
			t.Errorf("responder: %d bytes taken or skipped, want %d: %v", span, d.Bytes-d.Resent, f["responder"])
		}
		return
	}
	t.Error("the download is no flow")
}
