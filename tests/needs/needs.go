// Package needs says what a test needs to run, and leaves it out, with the reason,
// where it may be left out.
package needs

import (
	"os"
	"testing"
)

// Root is for tests that load or attach eBPF programs. Without root they are left out,
// but fail in CI, where they are required; with FLOWSCOPE_PRIVILEGED=0 (make test-unit) they
// are left out in any case.
func Root(t testing.TB) {
	t.Helper()
	switch {
	case os.Getenv("FLOWSCOPE_PRIVILEGED") == "0":
		t.Skip("left out: make test-privileged runs it")
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("root is needed to load and attach eBPF programs")
	default:
		t.Skip("root is needed to load and attach eBPF programs")
	}
}

// Corpus returns the folder of real captures that FLOWSCOPE_CORPUS names. Without one the
// test is left out, but fails in CI.
func Corpus(t testing.TB) string {
	t.Helper()
	root := os.Getenv("FLOWSCOPE_CORPUS")
	switch {
	case root != "":
	case os.Getenv("CI") != "":
		t.Fatal("FLOWSCOPE_CORPUS is not set: no captures to test with")
	default:
		t.Skip("FLOWSCOPE_CORPUS is not set: no captures to test with")
	}
	return root
}
