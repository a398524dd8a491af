package tests

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// readZeek returns the rows of a Zeek log by the names of its fields; nothing for one
// of which only some columns were kept.
func readZeek(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for text := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimRight(text, "\n"), "\t")
		switch {
		case fields[0] == "#fields":
			names = fields[1:]
		case strings.HasPrefix(text, "#") || names == nil:
		default:
			row := map[string]string{}
			for i, f := range fields {
				row[names[i]] = f
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// A zeekKey is what both sides of a comparison call a flow by: its ends in either order.
// For ICMP Zeek's ports are a type and its counterpart, or a code.
type zeekKey struct {
	proto string
	ends  talker
}

func (k zeekKey) String() string { return k.proto + " " + k.ends.String() }

func zeekKeyOf(proto string, a, b string, aPort, bPort uint64) zeekKey {
	k := talker{addrPort(a, fmt.Sprint(aPort)), addrPort(b, fmt.Sprint(bPort))}
	if k.dst.Compare(k.src) < 0 {
		k = talker{k.dst, k.src}
	}
	return zeekKey{proto, k}
}

// counterpart are the ICMP types that Zeek takes for the other half of an exchange.
var counterpart = map[uint64]uint64{8: 0, 0: 8, 128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135}

func ourZeekKey(f line) zeekKey {
	a, b := f.text("initiator", "ip"), f.text("responder", "ip")
	if proto := f.text("proto"); !strings.HasPrefix(proto, "icmp") {
		return zeekKeyOf(proto, a, b, f.num("initiator", "port"), f.num("responder", "port"))
	}
	typ := f.num("icmp_type")
	other, ok := counterpart[typ]
	if !ok {
		other = f.num("icmp_code")
	}
	return zeekKeyOf("icmp", a, b, typ, other)
}

// closedAt returns when flows stopped for Zeek, by id: at the second FIN or at a reset,
// whatever comes after that.
func closedAt(t *testing.T, l []line) map[any]time.Time {
	t.Helper()
	at := map[any]time.Time{}
	for _, s := range ofType(l, "flow_state") {
		if _, ok := at[s["id"]]; !ok && (s["to"] == "closing" || s["to"] == "reset") {
			at[s["id"]] = timeOf(t, s, "ts")
		}
	}
	return at
}

// zeekDuration returns the duration of f as Zeek writes it.
func zeekDuration(t *testing.T, f line, closed map[any]time.Time) string {
	t.Helper()
	end, ok := closed[f["id"]]
	if !ok {
		end = timeOf(t, f, "end")
	}
	d := end.Sub(timeOf(t, f, "start"))
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.6f", d.Seconds())
}

// zeekService returns the service of f in Zeek's words, as far as Zeek's own says
// something of it: of Zeek's services we know three, and give one, the first.
func zeekService(f line, theirs string) string {
	ours := map[string]string{"http": "http", "tls": "ssl", "dns": "dns"}[f.text("service")]
	known := slices.DeleteFunc(strings.Split(theirs, ","), func(s string) bool { return s != "http" && s != "ssl" && s != "dns" })
	if ours == "" && len(known) == 0 || slices.Contains(known, ours) {
		return theirs
	}
	return ours
}

// unlikeZeek are flows that differ, by capture and field, with the reason: the kinds
// are in docs/limits.md.
var unlikeZeek = map[string]string{
	"zeek-mpls-in-vlan.pcap history":                        "Zeek turns a flow joined in the middle by its well-known port",
	"zeek-mpls-in-vlan.pcap service":                        "Zeek does not parse flows joined in the middle",
	"zeek-pop3-pop3.pcap flow":                              "a SYN with the number of the one before is sent again, also after a reset",
	"zeek-tcp-miss_end_data.pcap history":                   "bytes missing before a FIN are a gap when the flow closes, not at the ACK",
	"zeek-tls-irc-starttls.pcap duration":                   "a flow ends at the reset, not at the FIN that was under way",
	"zeek-tunnels-gtp-gtp2_different_udp_port.pcap history": "the tunnel's fragments are not looked into",
}

// zeekFields are the fields of conn.log that are compared.
var zeekFields = []string{"conn_state", "history", "service", "duration"}

// TestCorpusZeek compares flows with those of Zeek's conn.log. A flow that carries a tunnel
// is not one of ours. Where a tuple has several flows they are taken in their order.
func TestCorpusZeek(t *testing.T) {
	var s scores
	eachCapture(t, func(t *testing.T, c oracleCapture) {
		l := c.replay(t, "--events", "flow,flow_state,summary")
		closed, ours := closedAt(t, l), map[zeekKey][]line{}
		for _, f := range ofType(l, "flow") {
			ours[ourZeekKey(f)] = append(ours[ourZeekKey(f)], f)
		}
		rows := readZeek(t, c.beside(".zeek-conn.log"))
		for _, r := range rows {
			k := zeekKeyOf(r["proto"], r["id.orig_h"], r["id.resp_h"], number(r["id.orig_p"]), number(r["id.resp_p"]))
			switch {
			case carries(rows, r["uid"]):
				continue
			case len(ours[k]) == 0:
				s.add(c.theme(), "flow", verdict(false, unlikeZeek[c.name()+" flow"]))
				t.Logf("%v is no flow of ours", k)
				continue
			}
			s.add(c.theme(), "flow", score{agree: 1})
			f := ours[k][0]
			ours[k] = ours[k][1:]
			got := map[string]string{
				"conn_state": f.text("conn_state"), "history": cmp.Or(f.text("history"), "-"),
				"service": zeekService(f, r["service"]), "duration": zeekDuration(t, f, closed),
			}
			for _, field := range zeekFields {
				s.add(c.theme(), field, verdict(got[field] == r[field], unlikeZeek[c.name()+" "+field]))
				if got[field] != r[field] {
					t.Logf("%v: %s %q, want %q", k, field, got[field], r[field])
				}
			}
		}
	}, ".zeek-conn.log")
	t.Log(s.String())
	for _, column := range append(zeekFields, "flow") {
		s.wantShare(t, column, 0.9)
		if n := s.totals()[column]; n.differ > 0 {
			t.Errorf("%s: %d differences are not in the list", column, n.differ)
		}
	}
}

// carries reports whether a flow of Zeek's carries the packets of another one.
func carries(rows []map[string]string, uid string) bool {
	return slices.ContainsFunc(rows, func(r map[string]string) bool {
		return slices.Contains(strings.Split(r["tunnel_parents"], ","), uid)
	})
}
