package tls

import (
	"cmp"
	"crypto/tls"
	"slices"
	"testing"
)

// TestSuiteNames compares the table with the names crypto/tls has, and wants it in
// order.
func TestSuiteNames(t *testing.T) {
	if !slices.IsSortedFunc(suiteNames[:], func(a, b suiteName) int { return cmp.Compare(a.id, b.id) }) {
		t.Error("the table is not in order")
	}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if got := Suite(s.ID).Name(); got != s.Name {
			t.Errorf("name of %#04x: got %q, want %q", s.ID, got, s.Name)
		}
	}
}
