package reassembly

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

var policies = []Policy{BSD, First, Last, Linux, Vista, Solaris, OldLinux}

const (
	novak     = "2:AAA 6:BB 8:CCC 12:D 15:EE 17:FFF 20:GG 22:HH 24:I 3:JJJJ 8:KKK 11:LLL 14:MMM 18:N 21:O 22:P 24:QQ 1:0"
	start     = "3:B 9:D 12:EE 2:AA 1:JJJJ 8:LLL 11:MMM"
	sameStart = "1:CCC 15:HH 17:II 1:KKK 1:LLLL 15:P 15:QQ"
	after     = "1:AA 16:FFF 19:GG 2:JJ 20:O 17:N"
)

// overlapVectors are those of SEMANTICS.md §5.6. The last three keep the byte
// before offset 1 missing, so that nothing is delivered before the end.
var overlapVectors = []struct {
	name, input string
	base        int // where the input's offset 1 lies
	want        map[Policy]string
}{
	{"novak", novak, 1, map[Policy]string{
		BSD:      "0AAAJJBCCCLLLMMMFFFGGHHIQ",
		First:    "0AAAJBBCCCLDLMEEFFFGGHHIQ",
		Vista:    "0AAAJBBCCCLDLMEEFFFGGHHIQ",
		Last:     "0AJJJJBKKKLLLMMMFNFGOPHQQ",
		OldLinux: "0AAAJJBKKKLLLMMMFFFGGHHQQ",
		Solaris:  "0AJJJBBKKKLLLMMMFFFGGHHQQ",
		Linux:    "0AAAJJBCCCLLLMMMFFFGGHHIQ",
	}},
	{"start", start, 2, map[Policy]string{
		BSD:      ".JJJJ...LLLMMM",
		First:    ".JABJ...LDLMEE",
		Vista:    ".JABJ...LDLMEE",
		Last:     ".JJJJ...LLLMMM",
		OldLinux: ".JJJJ...LLLMMM",
		Solaris:  ".JJJJ...LLLMMM",
		Linux:    ".JJJJ...LLLMMM",
	}},
	{"same start", sameStart, 2, map[Policy]string{
		BSD:      ".CCCL..........HHII",
		First:    ".CCCL..........HHII",
		Vista:    ".CCCL..........HHII",
		Last:     ".LLLL..........QQII",
		OldLinux: ".LLLL..........QQII",
		Solaris:  ".LLLL..........QQII",
		Linux:    ".LLLL..........HHII",
	}},
	{"after", after, 2, map[Policy]string{
		BSD:      ".AAJ............FFFGG",
		First:    ".AAJ............FFFGG",
		Vista:    ".AAJ............FFFGG",
		Last:     ".AJJ............FNFGO",
		OldLinux: ".AAJ............FFFGG",
		Solaris:  ".AJJ............FFFGG",
		Linux:    ".AAJ............FFFGG",
	}},
	{"equal", "2:AA 2:BB 1:0", 1, map[Policy]string{Linux: "0AA", BSD: "0AA"}},
	{"longer at same start", "2:CC 2:LLL 1:0", 1, map[Policy]string{Linux: "0LLL", BSD: "0CCL"}},
	{"inside held", "2:AAAA 3:BB 1:0", 1, map[Policy]string{Linux: "0AAAA"}},
	{"around held", "3:BB 2:AAAA 1:0", 1, map[Policy]string{Linux: "0AAAA"}},
	{"before held", "4:BBB 2:AAA 1:0", 1, map[Policy]string{Linux: "0AAABB"}},
	{"after held", "2:AAA 4:BBB 1:0", 1, map[Policy]string{Linux: "0AAABB"}},
	{"in order over held", "3:CC 1:XXXX", 1, map[Policy]string{Linux: "XXXX", First: "XXCC"}},
	{"in order over part", "3:CCC 1:XXXX", 1, map[Policy]string{Linux: "XXXXC"}},
	{"delivered", "1:abcdef 1:XXXXXX", 1, map[Policy]string{
		BSD: "abcdef", First: "abcdef", Last: "abcdef", Linux: "abcdef", Vista: "abcdef", Solaris: "abcdef", OldLinux: "abcdef",
	}},
	{"queued fin", "4:/FA 1:abc 4:def", 1, map[Policy]string{Linux: "abc", BSD: "abc", Last: "abc"}},
}

// shifted adds by to every offset of a script.
func shifted(script string, by int) string {
	words := strings.Fields(script)
	for i, w := range words {
		off, rest, _ := strings.Cut(w, ":")
		n, err := strconv.Atoi(off)
		if err != nil {
			panic(err)
		}
		words[i] = fmt.Sprintf("%d:%s", n+by, rest)
	}
	return strings.Join(words, " ")
}

// picture is the initiator's stream with a dot for every missing byte.
func (c *conn) picture() string {
	var b strings.Builder
	c.out.flush(flow.Initiator)
	for _, l := range c.out.log {
		switch {
		case strings.HasPrefix(l, `"`):
			s, _ := strconv.Unquote(l)
			b.WriteString(s)
		case strings.HasPrefix(l, "gap("):
			n, _ := strconv.Atoi(strings.TrimSuffix(l[4:], ")"))
			b.WriteString(strings.Repeat(".", n))
		}
	}
	return b.String()
}

func TestPolicyVectors(t *testing.T) {
	for _, v := range overlapVectors {
		for _, p := range policies {
			want, ok := v.want[p]
			if !ok {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", v.name, p), func(t *testing.T) {
				for _, isn := range isns {
					c := newConn(t, isn, Options{Overlap: p}).open()
					c.run(shifted(v.input, v.base-1) + " close")
					if got := c.picture(); got != want {
						t.Errorf("isn %d: got %s, want %s", isn, got, want)
					}
				}
			})
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for _, p := range policies {
		if got, err := ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, got, err)
		}
	}
	for _, name := range []string{"windows", "macos"} {
		if got, err := ParsePolicy(name); got != BSD || err != nil {
			t.Errorf("ParsePolicy(%q) = %v, %v, want bsd", name, got, err)
		}
	}
	if _, err := ParsePolicy("hpux"); err == nil {
		t.Error("ParsePolicy(hpux) succeeds")
	}
	if got := Policy(99).String(); got != "policy_99" {
		t.Errorf("Policy(99) = %q", got)
	}
}

func TestPolicyFor(t *testing.T) {
	sh := NewShared(Options{Overlap: Linux, OverlapByPrefix: []PrefixPolicy{
		{netip.MustParsePrefix("10.0.0.0/8"), Solaris},
		{netip.MustParsePrefix("10.1.0.0/16"), First},
		{netip.MustParsePrefix("2001:db8::/32"), Last},
	}})
	for addr, want := range map[string]Policy{
		"10.2.3.4": Solaris, "10.1.2.3": First, "::ffff:10.1.2.3": First,
		"192.0.2.1": Linux, "2001:db8::1": Last, "2001:db9::1": Linux,
	} {
		if got := sh.PolicyFor(netip.MustParseAddr(addr)); got != want {
			t.Errorf("PolicyFor(%s) = %v, want %v", addr, got, want)
		}
	}
	c := newConn(t, 7, Options{})
	c.a.SetPolicy(flow.Initiator, First)
	c.open().run("3:CC 1:XXXX").want(`"XXCC"`)
}

// relations are Allen's thirteen relations of a second range to a first one that
// covers offsets 10 to 19.
var relations = []struct {
	name     string
	from, to int64
}{
	{"before", 4, 8}, {"meets", 4, 10}, {"overlaps", 6, 14}, {"starts", 10, 14}, {"during", 12, 16},
	{"finishes", 14, 20}, {"equals", 10, 20}, {"finished by", 6, 20}, {"contains", 6, 24},
	{"started by", 10, 24}, {"overlapped by", 16, 24}, {"met by", 20, 24}, {"after", 22, 26},
}

// TestRelations puts every relation of two segments through every policy, with the
// same bytes and others, over a hole or not, with the first delivered or queued.
func TestRelations(t *testing.T) {
	for _, r := range relations {
		for _, same := range []bool{true, false} {
			for _, hole := range []bool{true, false} {
				for _, queued := range []bool{true, false} {
					name := fmt.Sprintf("%s/same=%v/hole=%v/queued=%v", r.name, same, hole, queued)
					t.Run(name, func(t *testing.T) { testRelation(t, span{r.from, r.to}, same, hole, queued) })
				}
			}
		}
	}
}

func testRelation(t *testing.T, n span, same, hole, queued bool) {
	for _, p := range policies {
		m := newModel(p)
		c := newConn(t, 1<<32-15, Options{Overlap: p}).open()
		send := func(from, to int64, upper bool) {
			data := pattern(from, to, upper)
			m.segment(from, data)
			m.deliver()
			c.send(fmt.Sprintf("%d:%s", from+1, data), &flow.Segment{})
		}
		if !queued {
			send(0, 10, false)
		}
		send(10, 20, false)
		send(n.from, n.to, !same)
		if !hole && queued {
			send(0, 10, false)
		}
		if !hole && n.from > 20 {
			send(20, n.from, false)
		}
		c.close("")
		if got, want := c.picture(), m.picture(); got != want {
			t.Errorf("%v: got %s, want %s", p, got, want)
		}
		if got := c.stats(flow.Initiator).OverlapConflictBytes; got != uint64(m.conflict) {
			t.Errorf("%v: %d bytes in conflict, want %d", p, got, m.conflict)
		}
	}
}

// pattern gives each offset a letter, so that misplaced bytes show.
func pattern(from, to int64, upper bool) []byte {
	b := make([]byte, to-from)
	for i := range b {
		b[i] = byte('a' + (from+int64(i))%26)
		if upper {
			b[i] -= 'a' - 'A'
		}
	}
	return b
}
