//go:build linux

package tests

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
)

// datagrams sends some to the responder's discard port, from count sockets.
func datagrams(t *testing.T, n *testnet.Network, count, each int) {
	t.Helper()
	err := n.Initiator.Do(func() error {
		for range count {
			c, err := net.Dial("udp", net.JoinHostPort(testnet.ResponderIP, "9"))
			if err != nil {
				return err
			}
			defer c.Close()
			for i := range each {
				_, _ = c.Write(make([]byte, 10+i)) // a refusal tells of the datagram before
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPinnedMapsAreRead reads the maps of a run, while it goes on, by the command flows,
// by the example of docs/abi.md and by bpftool, and compares with what senders have counted.
func TestPinnedMapsAreRead(t *testing.T) {
	needs.Root(t)
	n := network(t)
	sent, err := n.CountBoth()
	if err != nil {
		t.Fatal(err)
	}
	dir := bpfFolder(t)
	p, err := n.Router.Start(&bytes.Buffer{}, binary, "run", "-i", "r0,r1", "--pin", dir, "--max-flows", "1000")
	if err != nil {
		t.Fatal(err)
	}
	datagrams(t, n, 20, 5)
	time.Sleep(settle)
	count, err := sent.Stop()
	if err != nil {
		t.Fatal(err)
	}
	before := tracked(t, dir)
	r := program(t, "flows", "--pin", dir, "--format", "jsonl")
	after := tracked(t, dir)
	compareCounts(t, updates(t, r), count)
	var sum uint64
	for _, l := range r.lines(t) {
		sum += l.num("initiator", "packets") + l.num("responder", "packets")
	}
	if sum < before || sum > after {
		t.Errorf("flows has %d packets, bpftool %d before and %d after", sum, before, after)
	}
	compareCounts(t, listed(t, dir), count)
	if stderr, err := p.Stop(); err != nil {
		t.Errorf("%v: %s", err, stderr)
	}
}

// updates adds up the lines of flows by sender.
func updates(t *testing.T, r result) map[testnet.Tuple]testnet.Count {
	t.Helper()
	if r.exit != 0 {
		t.Fatalf("exit %d: %s", r.exit, r.stderr)
	}
	l, err := testnet.ReadFlows(strings.NewReader(strings.ReplaceAll(r.stdout, `"flow_update"`, `"flow"`)))
	if err != nil {
		t.Fatal(err)
	}
	return testnet.BySender(l)
}

// tracked is what bpftool says of FS_COUNT_TRACKED, as docs/abi.md shows it.
func tracked(t *testing.T, dir string) (sum uint64) {
	t.Helper()
	out := finish(t, exec.Command("bpftool", "-j", "map", "lookup", "pinned", dir+"/counters", "key", "1", "0", "0", "0"))
	var got struct {
		Values []struct{ Value []string } // bytes of struct fs_tally
	}
	if err := json.Unmarshal([]byte(out.stdout), &got); err != nil || len(got.Values) == 0 {
		t.Fatalf("bpftool: %v: %+v", err, out)
	}
	for _, v := range got.Values {
		for i, text := range v.Value[:8] {
			n, err := strconv.ParseUint(text, 0, 8)
			if err != nil {
				t.Fatal(err)
			}
			sum += n << (8 * i)
		}
	}
	return sum
}

// listed runs the example and reads what it says of UDP, with no IP bytes: those it has not.
func listed(t *testing.T, dir string) map[testnet.Tuple]testnet.Count {
	t.Helper()
	out := finish(t, exec.Command("go", "run", "../docs/examples/pinned", dir))
	if out.exit != 0 {
		t.Fatal(out.stderr)
	}
	l := map[testnet.Tuple]testnet.Count{}
	for text := range strings.Lines(out.stdout) {
		var k testnet.Tuple
		var c testnet.Count
		var src, dst string
		if _, err := fmt.Sscan(text, &k.Proto, &src, &dst, &c.Packets, &c.Bytes); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if k.Proto != unix.IPPROTO_UDP {
			continue
		}
		k.Src, k.Dst = netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
		c.IPBytes = c.Bytes - ethernetHeader*c.Packets
		l[k] = c
	}
	return l
}

const ethernetHeader = 14

// foreignABI is struct fs_abi as docs/abi.md has it.
type foreignABI struct {
	Version, Clock                                                                                       uint32
	Seed                                                                                                 uint64
	Workers, Buckets4, Buckets6                                                                          uint32
	Bucket, Counters, Place4, Place6, Cold, FlowKey, Spill, Tally, Ledger, Record, FirstPacket, Fragment uint16
	_                                                                                                    [12]byte
	Loader                                                                                               [16]byte
}

// otherLoader pins maps with our ABI as another tool would: by the object file and
// docs/abi.md, with none of package xdp.
func otherLoader(t *testing.T, dir string, change func(*foreignABI)) {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec("../gen/bpf_bpfel.o")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const buckets4, buckets6, bucket = 64, 32, 16
	a := foreignABI{
		Version: 1, Clock: unix.CLOCK_MONOTONIC, Seed: 42, Workers: 1, Buckets4: buckets4, Buckets6: buckets6,
		Bucket: bucket, Counters: 19, Place4: 128, Place6: 256, Cold: 128, FlowKey: 44, Spill: 112, Tally: 16,
		Ledger: 192, Record: 56, FirstPacket: 240, Fragment: 48,
	}
	copy(a.Loader[:], "other-tool")
	change(&a)
	pin := func(file, name string, entries uint32) *ebpf.Map {
		s := spec.Maps[name].Copy()
		if entries > 0 {
			s.MaxEntries = entries
		}
		m, err := ebpf.NewMap(s)
		if err != nil {
			t.Fatalf("make %s: %v", name, err)
		}
		t.Cleanup(func() { m.Close() })
		if err := m.Pin(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	pin("flows4", "flows4", buckets4)
	pin("flows6", "flows6", buckets6)
	pin("cold4", "cold4", buckets4*bucket)
	pin("cold6", "cold6", buckets6*bucket)
	pin("counters", "counters", 0)
	pin("ledger", "ledger", 0)
	inUse := pin("spill_0", "spill_accounts", 1000)
	pin("spill_1", "spill_accounts", 1000)
	spec.Maps["spill"].InnerMap.MaxEntries = 1000
	spec.Maps["spill"].Contents = []ebpf.MapKV{{Key: uint32(0), Value: inUse}}
	pin("spill", "spill", 0)
	var b bytes.Buffer
	if err := wire.Write(&b, wire.NativeEndian, a); err != nil {
		t.Fatal(err)
	}
	if err := pin("abi", "abi", 0).Put(uint32(0), b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// TestMapsOfAnotherLoader runs twice on maps that another loader has pinned, and wants what
// was sent; the maps are left.
func TestMapsOfAnotherLoader(t *testing.T) {
	needs.Root(t)
	n, sent := busyNetwork(t)
	dir := bpfFolder(t)
	otherLoader(t, dir, func(*foreignABI) {})
	var all strings.Builder
	for range 2 {
		var out bytes.Buffer
		p, err := n.Router.Start(&out, binary, "run", "-i", "r0,r1", "--pin", dir, "--reuse", "--format", "jsonl")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Browse(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settle)
		if stderr, err := p.Stop(); err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		checkConservation(t, result{stdout: out.String()}.lines(t))
		all.WriteString(out.String())
	}
	count, err := sent.Stop()
	if err != nil {
		t.Fatal(err)
	}
	flows, err := testnet.ReadFlows(strings.NewReader(all.String()))
	if err != nil {
		t.Fatal(err)
	}
	compareCounts(t, testnet.BySender(flows), count)
	if r := program(t, "flows", "--pin", dir, "--format", "jsonl"); r.exit != 0 || r.stdout != "" {
		t.Errorf("the maps after the run: %+v, want them to be there, and empty", r)
	}
}

// TestMapsThatDoNotFit holds what is said of maps of another version or layout: one line,
// with the way out.
func TestMapsThatDoNotFit(t *testing.T) {
	needs.Root(t)
	tests := []struct {
		name   string
		change func(*foreignABI)
		says   string
	}{
		{"version", func(a *foreignABI) { a.Version = 2 }, `the maps of "other-tool" have ABI version 2, this program has 1`},
		{"layout", func(a *foreignABI) { a.Place4 = 120 }, `the maps of "other-tool" have another layout: place4 is 120 there, 128 in this program`},
		{"not complete", func(a *foreignABI) { a.Version = 0 }, `the maps of "other-tool" are not complete yet`},
		{"clock", func(a *foreignABI) { a.Clock = 7 }, "of clock 7"},
		{"sizes", func(a *foreignABI) { a.Buckets4 = 65 }, "4 is not what the abi map says"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, dir := network(t), bpfFolder(t)
			otherLoader(t, dir, tt.change)
			says := func(cmd *exec.Cmd, way string) {
				t.Helper()
				r := finish(t, cmd)
				if r.exit != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, tt.says) || !strings.Contains(r.stderr, way) {
					t.Errorf("exit %d, %q; want 1 and one line with %q and %q", r.exit, r.stderr, tt.says, way)
				}
			}
			says(exec.Command(binary, "flows", "--pin", dir), "the program that made them")
			err := n.Router.Do(func() error {
				says(exec.Command(binary, "run", "-i", "r0", "--pin", dir, "--reuse"), "rm -r "+dir)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
