package tests

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCorpusReplays runs every capture of the corpus: no crash, a summary as last
// line, and conservation.
func TestCorpusReplays(t *testing.T) {
	_, captures := corpus(t)
	for _, c := range captures {
		t.Run(filepath.Base(c), func(t *testing.T) {
			t.Parallel()
			r := program(t, "replay", "--format", "jsonl", c)
			wantExit := 0
			if refused[filepath.Base(c)] != "" {
				wantExit = 1
			}
			if r.exit != wantExit || wantExit == 0 && r.stderr != "" {
				t.Fatalf("exit %d, want %d; stderr %q", r.exit, wantExit, r.stderr)
			}
			checkConservation(t, r.lines(t))
		})
	}
}

// refused are captures that cannot be replayed to the end, with the reason.
var refused = map[string]string{
	"arkime-icmp-frame-relay.pcap": "link type 107 (frame relay) is not one of the contract",
	"tcpdump-mpls-traceroute.pcap": "link type 9 (PPP) is not one of the contract",
}

// A conv is a conversation of an oracle: directed as its first packet was.
type conv struct {
	proto    string
	src, dst netip.AddrPort
}

func (c conv) reversed() conv { return conv{c.proto, c.dst, c.src} }

// counts are packets and IP bytes, there and back.
type counts [4]uint64

func (n counts) plus(o counts) counts {
	for i := range n {
		n[i] += o[i]
	}
	return n
}

func (n counts) reversed() counts { return counts{n[2], n[3], n[0], n[1]} }

// readTSV returns the rows of an oracle file as maps by column name.
func readTSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	var names []string
	for text := range strings.Lines(string(b)) {
		text = strings.TrimRight(text, "\n")
		if strings.HasPrefix(text, "# ") {
			continue
		}
		fields := strings.Split(text, "\t")
		if names == nil {
			names = fields
			continue
		}
		row := map[string]string{}
		for i, n := range names {
			if i < len(fields) {
				row[n] = fields[i]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func number(s string) uint64 { n, _ := strconv.ParseUint(s, 10, 64); return n }

func addrPort(ip, port string) netip.AddrPort {
	a, _ := netip.ParseAddr(ip)
	return netip.AddrPortFrom(a, uint16(number(port)))
}

// oracleConvs adds up the conversations of an oracle by five-tuple, in the order and
// direction of the first.
func oracleConvs(t *testing.T, path string) (order []conv, by map[conv]counts) {
	by = map[conv]counts{}
	for _, r := range readTSV(t, path) {
		c := conv{r["proto"], addrPort(r["src"], r["sport"]), addrPort(r["dst"], r["dport"])}
		n := counts{number(r["pkts_fwd"]), number(r["ip_bytes_fwd"]), number(r["pkts_rev"]), number(r["ip_bytes_rev"])}
		if _, ok := by[c.reversed()]; ok {
			c, n = c.reversed(), n.reversed()
		}
		if _, ok := by[c]; !ok {
			order = append(order, c)
		}
		by[c] = by[c].plus(n)
	}
	return order, by
}

// ourConvs adds up flow lines in the same way, for TCP and UDP, and collects the
// outer addresses of tunnels.
func ourConvs(l []line) (by map[conv]counts, carriers map[[2]string]bool) {
	by, carriers = map[conv]counts{}, map[[2]string]bool{}
	for _, f := range ofType(l, "flow") {
		proto, _ := f["proto"].(string)
		if proto != "tcp" && proto != "udp" {
			continue
		}
		c := conv{proto, endpointOf(f, "initiator"), endpointOf(f, "responder")}
		n := counts{f.num("initiator", "packets"), f.num("initiator", "ip_bytes"), f.num("responder", "packets"), f.num("responder", "ip_bytes")}
		if _, ok := by[c.reversed()]; ok {
			c, n = c.reversed(), n.reversed()
		}
		by[c] = by[c].plus(n)
	}
	for _, f := range ofType(l, "flow") {
		tunnels, _ := f["tunnels"].([]any)
		for _, v := range tunnels {
			m := v.(map[string]any)
			src, _ := m["src"].(string)
			dst, _ := m["dst"].(string)
			carriers[[2]string{src, dst}], carriers[[2]string{dst, src}] = true, true
		}
	}
	return by, carriers
}

func endpointOf(f line, side string) netip.AddrPort {
	m, _ := f[side].(map[string]any)
	ip, _ := m["ip"].(string)
	a, _ := netip.ParseAddr(ip)
	return netip.AddrPortFrom(a, uint16(f.num(side, "port")))
}

// An agreement is how a theme's conversations compare.
type agreement struct{ same, counts, missing, carriers int }

// convAgreementFloor is the least share of conversations that must agree.
const convAgreementFloor = 0.99

// TestCorpusConversations compares flows with the conversations tshark finds: same
// five-tuple, packets and IP bytes in each direction. A conversation that carries a
// tunnel is not a flow of ours: the inner one is.
func TestCorpusConversations(t *testing.T) {
	_, captures := corpus(t)
	themes := map[string]*agreement{}
	for _, c := range captures {
		order, want := oracleConvs(t, strings.TrimSuffix(strings.TrimSuffix(c, "ng"), ".pcap")+".oracle-conv.tsv")
		if len(order) == 0 {
			continue
		}
		// No idle timeout: the oracle has none.
		l := program(t, "replay", "--format", "jsonl", "--idle-tcp", "200000h", "--idle-udp", "200000h", "--idle-other", "200000h", c).lines(t)
		got, carriers := ourConvs(l)
		theme := filepath.Base(filepath.Dir(c))
		a := themes[theme]
		if a == nil {
			a = &agreement{}
			themes[theme] = a
		}
		for _, k := range order {
			a.judge(t, filepath.Base(c), k, want[k], got, carriers)
		}
	}
	report(t, themes)
}

func (a *agreement) judge(t *testing.T, capture string, k conv, want counts, got map[conv]counts, carriers map[[2]string]bool) {
	n, ok := got[k]
	if !ok {
		if n, ok = got[k.reversed()]; ok {
			n = n.reversed()
		}
	}
	switch {
	case ok && n == want:
		a.same++
	case !ok && carriers[[2]string{k.src.Addr().String(), k.dst.Addr().String()}]:
		a.carriers++
	case !ok:
		a.missing++
		t.Logf("%s: %s %s → %s is no flow of ours", capture, k.proto, k.src, k.dst)
	default:
		a.counts++
		t.Logf("%s: %s %s → %s: packets and IP bytes %v, want %v", capture, k.proto, k.src, k.dst, n, want)
	}
}

func report(t *testing.T, themes map[string]*agreement) {
	var names []string
	for n := range themes {
		names = append(names, n)
	}
	slices.Sort(names)
	var total agreement
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-12s %8s %8s %8s %8s\n", "theme", "same", "counts", "missing", "carriers")
	row := func(name string, a *agreement) {
		fmt.Fprintf(&b, "%-12s %8d %8d %8d %8d\n", name, a.same, a.counts, a.missing, a.carriers)
	}
	for _, n := range names {
		a := themes[n]
		row(n, a)
		total.same += a.same
		total.counts += a.counts
		total.missing += a.missing
		total.carriers += a.carriers
	}
	row("all", &total)
	share := float64(total.same) / float64(total.same+total.counts+total.missing)
	fmt.Fprintf(&b, "agree: %.2f %%", 100*share)
	t.Log(b.String())
	if share < convAgreementFloor {
		t.Errorf("%.2f %% of conversations agree, want at least %.0f %%", 100*share, 100*convAgreementFloor)
	}
}
