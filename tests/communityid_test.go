package tests

import (
	"slices"
	"testing"
)

// communityIDs returns the Community IDs of the flows in l, by their endpoints either
// way.
func communityIDs(l []line) map[talker][]string {
	by := map[talker][]string{}
	for _, f := range ofType(l, "flow") {
		a, b := endpointOf(f, "initiator"), endpointOf(f, "responder")
		id := f.text("community_id")
		by[talker{a, b}] = append(by[talker{a, b}], id)
		by[talker{b, a}] = append(by[talker{b, a}], id)
	}
	return by
}

// TestCorpusCommunityIDs wants every flow of the specification's own captures to have one
// of its Community IDs, and flows elsewhere those that Arkime gives.
func TestCorpusCommunityIDs(t *testing.T) {
	var s scores
	eachCapture(t, func(t *testing.T, c oracleCapture) {
		l := c.replay(t)
		if c.has(".communityid.json") {
			specifiedIDs(t, c, l, &s)
		}
		if c.has(".arkime.json") {
			got := communityIDs(l)
			for _, want := range arkimeSessions(t, c) {
				ok := slices.Contains(got[want.flow()], want.Network.CommunityID)
				s.add(c.theme(), "Arkime", verdict(ok, ""))
				if !ok {
					t.Errorf("%v (protocol %d): got %v, want %s", want.flow(), want.IPProtocol, got[want.flow()], want.Network.CommunityID)
				}
			}
		}
	}, ".communityid.json", ".arkime.json")
	t.Log(s.String())
	s.wantShare(t, "specification", 1)
	s.wantShare(t, "Arkime", 1)
}

// specifiedIDs compares the Community IDs in l with those that the specification has for
// the capture. It may have more: one of its files speaks of two captures.
func specifiedIDs(t *testing.T, c oracleCapture, l []line, s *scores) {
	t.Helper()
	var rows []struct{ CommunityID string }
	readJSON(t, c.beside(".communityid.json"), &rows)
	want, seen := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		want[r.CommunityID] = true
	}
	for _, f := range ofType(l, "flow") {
		id := f.text("community_id")
		s.add(c.theme(), "specification", verdict(want[id], ""))
		if !want[id] {
			t.Errorf("%v → %v: %s is none of the specification's", endpointOf(f, "initiator"), endpointOf(f, "responder"), id)
		}
		seen[id] = true
	}
	t.Logf("%d of the %d specified IDs are in the capture", len(seen), len(want))
}
