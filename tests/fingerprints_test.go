package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A fingerprint is one that somebody gives for a flow: named, and between whom.
type fingerprint struct {
	flow talker
	text string
}

// fingerprintsOf returns those in the TLS messages of a replay, for both directions.
func fingerprintsOf(l []line) map[fingerprint]bool {
	flows := map[any]line{}
	for _, f := range ofType(l, "flow") {
		flows[f["id"]] = f
	}
	got := map[fingerprint]bool{}
	for _, m := range ofType(l, "message") {
		f := flows[m["id"]]
		a, b := endpointOf(f, "initiator"), endpointOf(f, "responder")
		for _, name := range []string{"ja3", "ja3s", "ja4"} {
			if v := m.text("tls", name); v != "" {
				got[fingerprint{talker{a, b}, name + " " + v}] = true
				got[fingerprint{talker{b, a}, name + " " + v}] = true
			}
		}
		if v := m.text("tls", "ja4"); v != "" {
			got[fingerprint{talker{a, b}, "ja4 " + masked(v)}] = true
			got[fingerprint{talker{b, a}, "ja4 " + masked(v)}] = true
		}
	}
	return got
}

var (
	ndpiFlow  = regexp.MustCompile(`TCP \[?([0-9a-fA-F.:]+?)\]?:(\d+) <?-> \[?([0-9a-fA-F.:]+?)\]?:(\d+) `)
	ndpiField = regexp.MustCompile(`\[(JA3C|JA3S|JA4): ([^\]]*)\]`)
	ndpiNames = map[string]string{"JA3C": "ja3", "JA3S": "ja3s", "JA4": "ja4"}
)

// ndpiFingerprints reads the result of nDPI. Three characters of its JA4 are left out:
// its name flag says whether the name is known, be it from DNS, and its protocol is often
// the start of the first name.
func ndpiFingerprints(t *testing.T, c oracleCapture) (l []fingerprint) {
	t.Helper()
	b, err := os.ReadFile(c.beside(".ndpi.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(b)) {
		m := ndpiFlow.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		k := talker{addrPort(m[1], m[2]), addrPort(m[3], m[4])}
		for _, f := range ndpiField.FindAllStringSubmatch(text, -1) {
			name, v := ndpiNames[f[1]], strings.TrimSuffix(f[2], " (WEAK)")
			if name == "ja4" {
				v = masked(v)
			}
			l = append(l, fingerprint{k, name + " " + v})
		}
	}
	return l
}

// masked returns a JA4 without the characters that nDPI fills in its own way.
func masked(ja4 string) string {
	if len(ja4) != len("t13d1516h2_8daaf6152771_e5627efa2ab1") {
		return ja4
	}
	return ja4[:3] + "?" + ja4[4:8] + "??" + ja4[10:]
}

// An arkimeSession is what Arkime says of a flow, as far as we compare it.
type arkimeSession struct {
	Source, Destination struct {
		IP   string
		Port uint16
	}
	IPProtocol int
	Network    struct {
		CommunityID string `json:"community_id"`
	}
	TLS struct{ JA3, JA3S, JA4 []string }
}

func (s *arkimeSession) flow() talker {
	return talker{addrPort(s.Source.IP, fmt.Sprint(s.Source.Port)), addrPort(s.Destination.IP, fmt.Sprint(s.Destination.Port))}
}

// arkimeSessions reads Arkime's sessions.
func arkimeSessions(t *testing.T, c oracleCapture) (l []arkimeSession) {
	t.Helper()
	var file struct {
		Sessions []struct{ Body arkimeSession } `json:"sessions3"`
	}
	readJSON(t, c.beside(".arkime.json"), &file)
	for _, s := range file.Sessions {
		l = append(l, s.Body)
	}
	return l
}

func arkimeFingerprints(t *testing.T, c oracleCapture) (l []fingerprint) {
	t.Helper()
	for _, s := range arkimeSessions(t, c) {
		for name, values := range map[string][]string{"ja3": s.TLS.JA3, "ja3s": s.TLS.JA3S, "ja4": s.TLS.JA4} {
			for _, v := range values {
				l = append(l, fingerprint{s.flow(), name + " " + v})
			}
		}
	}
	return l
}

// foxioFingerprints reads JA4 as its authors give it.
func foxioFingerprints(t *testing.T, c oracleCapture) (l []fingerprint) {
	t.Helper()
	var streams []struct {
		Src, Dst, SrcPort, DstPort string
		JA4                        string `json:"JA4.1"`
	}
	readJSON(t, c.beside(".ja4.json"), &streams)
	for _, s := range streams {
		l = append(l, fingerprint{talker{addrPort(s.Src, s.SrcPort), addrPort(s.Dst, s.DstPort)}, "ja4 " + s.JA4})
	}
	return l
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}

// TestCorpusFingerprints wants every JA3, JA3S and JA4 that nDPI, Arkime and the authors
// of JA4 give for TLS over TCP.
func TestCorpusFingerprints(t *testing.T) {
	givers := map[string]func(*testing.T, oracleCapture) []fingerprint{
		".ndpi.txt": ndpiFingerprints, ".arkime.json": arkimeFingerprints, ".ja4.json": foxioFingerprints,
	}
	var s scores
	eachCapture(t, func(t *testing.T, c oracleCapture) {
		got := fingerprintsOf(c.replay(t))
		for suffix, read := range givers {
			if !c.has(suffix) {
				continue
			}
			for _, f := range read(t, c) {
				s.add(c.theme(), suffix, verdict(got[f], ""))
				if !got[f] {
					t.Errorf("%s: %v: no %s", suffix, f.flow, f.text)
				}
			}
		}
	}, ".ndpi.txt", ".arkime.json", ".ja4.json")
	t.Log(s.String())
	for suffix := range givers {
		s.wantShare(t, suffix, 1)
	}
}
