package tests

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A talker is who sends a stream and who receives it.
type talker struct{ src, dst netip.AddrPort }

func (k talker) String() string { return fmt.Sprintf("%v → %v", k.src, k.dst) }

// A stream is the bytes of one direction of a TCP flow.
type stream struct {
	start, end time.Time // of the flow
	bytes      uint64
	sha256     string
}

func (s stream) String() string { return fmt.Sprintf("%d bytes %.12s", s.bytes, s.sha256) }

func (s stream) same(o stream) bool { return s.bytes == o.bytes && s.sha256 == o.sha256 }

// streamsOf returns the streams in l, each with what was hashed of it.
func streamsOf(t *testing.T, l []line) map[talker][]stream {
	t.Helper()
	by := map[talker][]stream{}
	for _, f := range ofType(l, "flow") {
		if f["proto"] != "tcp" {
			continue
		}
		for side, other := range otherSide {
			m, _ := f[side].(map[string]any)
			sum, _ := m["stream_sha256"].(string)
			k := talker{endpointOf(f, side), endpointOf(f, other)}
			by[k] = append(by[k], stream{timeOf(t, f, "start"), timeOf(t, f, "end"), f.num(side, "stream_hashed_bytes"), sum})
		}
	}
	return by
}

func timeOf(t *testing.T, l line, name string) time.Time {
	t.Helper()
	s, _ := l[name].(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// oracleTime reads seconds with nine decimals.
func oracleTime(t *testing.T, s string) time.Time {
	t.Helper()
	var sec, ns int64
	if _, err := fmt.Sscanf(s, "%d.%d", &sec, &ns); err != nil {
		t.Fatalf("time %q: %v", s, err)
	}
	return time.Unix(sec, ns)
}

// TestCorpusStreams compares the bytes of every stream with what tshark and two plain
// replays put together: all of it where nothing is missing, what comes before the
// first gap elsewhere, and where segments contradict each other the first copy or the
// last. Where a tuple was used again, streams belong together that were open at
// the same time.
func TestCorpusStreams(t *testing.T) {
	var s scores
	eachCapture(t, func(t *testing.T, c oracleCapture) {
		ours := streamsOf(t, c.replay(t, "--stream-hash", "--idle-tcp", "200000h"))
		open := streamTimes(t, c)
		for _, r := range readTSV(t, c.beside(".oracle-tcpstream.tsv")) {
			want := wantedStreams(r)
			if want == nil {
				continue
			}
			got := during(ours[talker{addrPort(r["src"], r["sport"]), addrPort(r["dst"], r["dport"])}], open[r["stream"]])
			agree := slices.ContainsFunc(got, func(g stream) bool { return slices.ContainsFunc(want, g.same) })
			switch {
			case agree:
				s.add(c.theme(), r["verdict"], score{agree: 1})
			default:
				s.add(c.theme(), r["verdict"], score{differ: 1})
				t.Errorf("stream %s %s (%s): got %v, want one of %v", r["stream"], r["dir"], r["verdict"], got, want)
			}
		}
	}, ".oracle-tcpstream.tsv")
	t.Log(s.String())
	for _, verdict := range []string{"solid", "solid-midstream", "gap", "gap-agreed", "policy"} {
		s.wantShare(t, verdict, 1)
	}
}

// wantedStreams returns what a row of the oracle allows; nil for one that is not to
// be used.
func wantedStreams(r map[string]string) []stream {
	of := func(n, sum string) stream { return stream{bytes: number(r[n]), sha256: r[sum]} }
	switch r["verdict"] {
	case "solid", "solid-midstream":
		return []stream{of("tshark_len", "tshark_sha256")}
	case "gap", "gap-agreed":
		return []stream{of("contiguous_len", "contiguous_sha256")}
	case "policy":
		return []stream{of("bytes_present", "firstwins_sha256"), of("bytes_present", "lastwins_sha256")}
	}
	return nil
}

// streamTimes returns the first and the last time of the oracle's TCP streams.
func streamTimes(t *testing.T, c oracleCapture) map[string][2]time.Time {
	t.Helper()
	times := map[string][2]time.Time{}
	for _, r := range readTSV(t, c.beside(".oracle-conv.tsv")) {
		if r["proto"] == "tcp" {
			times[r["stream"]] = [2]time.Time{oracleTime(t, r["first_ts"]), oracleTime(t, r["last_ts"])}
		}
	}
	return times
}

// during returns the streams that were open within a time, earliest first.
func during(l []stream, within [2]time.Time) []stream {
	l = slices.DeleteFunc(slices.Clone(l), func(s stream) bool {
		return s.end.Before(within[0]) || s.start.After(within[1])
	})
	slices.SortFunc(l, func(a, b stream) int { return cmp.Or(a.start.Compare(b.start), a.end.Compare(b.end)) })
	return l
}
