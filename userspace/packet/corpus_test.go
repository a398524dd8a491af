package packet_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// corpus returns the real captures.
func corpus(t *testing.T) []string {
	t.Helper()
	root := needs.Corpus(t)
	var list []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); ext == ".pcap" || ext == ".pcapng" {
			list = append(list, path)
		}
		return err
	})
	if err != nil || len(list) == 0 {
		t.Fatalf("no captures under %s: %v", root, err)
	}
	return list
}

// readCapture returns the frames of a capture file.
func readCapture(t *testing.T, path string) []packet.View {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	next, err := captureReader(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var views []packet.View
	for {
		v, err := next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Logf("%s: %v", path, err)
			}
			return views
		}
		views = append(views, v)
	}
}

func captureReader(f *os.File) (func() (packet.View, error), error) {
	if ng, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true}); err == nil {
		return func() (packet.View, error) {
			b, ci, err := ng.ReadPacketData()
			if err != nil {
				return packet.View{}, err
			}
			i, err := ng.Interface(ci.InterfaceIndex)
			return packet.View{Frame: b, OrigLen: ci.Length, Time: flow.At(ci.Timestamp), LinkType: packet.LinkType(i.LinkType)}, err
		}, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r, err := pcapgo.NewReader(f)
	if err != nil {
		return nil, err
	}
	return func() (packet.View, error) {
		b, ci, err := r.ReadPacketData()
		return packet.View{Frame: b, OrigLen: ci.Length, Time: flow.At(ci.Timestamp), LinkType: packet.LinkType(r.LinkType())}, err
	}, nil
}

// A conv is one conversation both ways; index 0 is from the lower endpoint.
type conv struct {
	packets, ip, frame, payload [2]uint64
}

func (c *conv) add(dir flow.Direction, p *packet.Packet) {
	c.packets[dir]++
	c.ip[dir] += uint64(p.IPLen)
	c.frame[dir] += uint64(p.WireLen)
	c.payload[dir] += uint64(p.PayloadLen)
}

// conversations counts a capture the way the oracle does: a fragmented datagram is one
// packet with the lengths of the frame that completed it. carriers are the address
// pairs of the tunnels that were opened.
func conversations(views []packet.View) (convs map[flow.Key]*conv, carriers map[[2]netip.Addr]bool) {
	convs, carriers = map[flow.Key]*conv{}, map[[2]netip.Addr]bool{}
	var d packet.Decoder
	var fr packet.Fragments
	var df packet.Defrag
	var p packet.Packet
	var x packet.Extracted[flow.Key]
	for i := range views {
		if d.Decode(&views[i], &p) != flow.Decoded {
			continue
		}
		for _, tun := range p.Attributes().Tunnels {
			carriers[[2]netip.Addr{tun.Src, tun.Dst}] = true
		}
		if p.IsFragment() {
			f := p.Fragment(views[i].Frame)
			fr.Follow(&p)
			g, verdict := df.Insert(&f)
			if verdict != packet.DefragComplete && !(p.Cut && f.Offset == 0) {
				continue
			}
			p.DecodeL4(&g) // a datagram that does not decode is one packet all the same
		}
		if (packet.FiveTuple{}).Extract(&p, &x) != flow.Decoded {
			continue
		}
		if convs[x.Key] == nil {
			convs[x.Key] = &conv{}
		}
		convs[x.Key].add(x.Dir, &p)
	}
	return convs, carriers
}

// oracle reads the conversations that tshark saw. Streams of one five-tuple are added up.
func oracle(t *testing.T, path string) map[flow.Key]*conv {
	t.Helper()
	b, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".oracle-conv.tsv")
	if err != nil {
		return nil
	}
	convs := map[flow.Key]*conv{}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 14 || f[0] == "proto" {
			continue
		}
		key, dir := oracleKey(t, f)
		if convs[key] == nil {
			convs[key] = &conv{}
		}
		for i, d := range []flow.Direction{dir, dir.Other()} {
			n := oracleNumbers(t, f[6+4*i:10+4*i])
			c := convs[key]
			c.packets[d] += n[0]
			c.ip[d] += n[1]
			c.frame[d] += n[2]
			c.payload[d] += n[3]
		}
	}
	return convs
}

func oracleKey(t *testing.T, f []string) (flow.Key, flow.Direction) {
	t.Helper()
	p := packet.Packet{Proto: flow.ProtoTCP}
	if f[0] == "udp" {
		p.Proto = flow.ProtoUDP
	}
	src, err1 := netip.ParseAddr(f[2])
	dst, err2 := netip.ParseAddr(f[4])
	sport, err3 := strconv.Atoi(f[3])
	dport, err4 := strconv.Atoi(f[5])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatalf("oracle line %q: %v", f, err)
	}
	p.IPVersion = 6
	if src.Is4() {
		p.IPVersion = 4
	}
	p.Src, p.Dst, p.SrcPort, p.DstPort = src.As16(), dst.As16(), uint16(sport), uint16(dport)
	var x packet.Extracted[flow.Key]
	packet.FiveTuple{}.Extract(&p, &x)
	return x.Key, x.Dir
}

func oracleNumbers(t *testing.T, f []string) (n [4]uint64) {
	t.Helper()
	for i, s := range f {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("oracle numbers %q: %v", f, err)
		}
		n[i] = v
	}
	return n
}

// At least 99 in 100 conversations of the corpus are what tshark makes of them; the
// others are in docs/limits.md.
func TestCorpusConversations(t *testing.T) {
	total, equal := 0, 0
	for _, path := range corpus(t) {
		want := oracle(t, path)
		got, carriers := conversations(readCapture(t, path))
		name := filepath.Base(path)
		for key, w := range want {
			lo, hi := key.Addrs()
			g := got[key]
			if carriers[[2]netip.Addr{lo, hi}] || carriers[[2]netip.Addr{hi, lo}] {
				continue // the oracle has what was inside twice
			}
			total++
			switch {
			case g == nil:
				t.Logf("%s: %s missing, oracle %v", name, keyText(key), *w)
			case g.packets != w.packets || g.ip != w.ip || g.frame != w.frame:
				t.Logf("%s: %s\n   got %v\noracle %v", name, keyText(key), *g, *w)
			default:
				equal++
				if g.payload != w.payload {
					t.Logf("%s: %s: payload %v, oracle %v", name, keyText(key), g.payload, w.payload)
				}
			}
		}
		for key, g := range got {
			if l4 := key.Proto; want[key] == nil && (l4 == flow.ProtoTCP || l4 == flow.ProtoUDP) {
				total++
				t.Logf("%s: %s only here: %v", name, keyText(key), *g)
			}
		}
	}
	if equal*100 < total*99 {
		t.Errorf("%d of %d conversations are those of the oracle, want 99 %%", equal, total)
	}
	t.Logf("%d of %d conversations equal", equal, total)
}

// Every frame of the corpus decodes or has a cause, by every extractor.
func TestCorpusCauses(t *testing.T) {
	var d packet.Decoder
	var p packet.Packet
	for _, path := range corpus(t) {
		var causes [flow.Causes]int
		views := readCapture(t, path)
		for i := range views {
			cause := d.Decode(&views[i], &p)
			causes[cause]++
			checkPacket(t, &views[i], &p)
		}
		if causes[flow.Decoded] == len(views) {
			continue
		}
		text := ""
		for c, n := range causes {
			if n > 0 {
				text += fmt.Sprintf(" %v %d", flow.Cause(c), n)
			}
		}
		t.Logf("%s:%s", filepath.Base(path), text)
	}
}

func keyText(k flow.Key) string {
	lo, hi := k.Addrs()
	return fmt.Sprintf("%v %v:%d %v:%d", k.Proto, lo, k.LoPort, hi, k.HiPort)
}
