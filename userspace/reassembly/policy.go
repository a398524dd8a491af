package reassembly

import "fmt"

// A Policy says whose bytes stay where a new segment overlaps a held one, as
// operating systems differ (Novak and Sturges, "Target-Based TCP Stream
// Reassembly", 2007; Linux as it is now).
type Policy uint8

// The policies. Windows and macOS do as BSD does.
const (
	BSD      Policy = iota // the new one wins iff it starts first
	First                  // the held one always
	Last                   // the new one always
	Linux                  // by runs of held bytes, as current kernels do
	Vista                  // as First
	Solaris                // the new one wins iff it ends later, or ends alike and starts no later
	OldLinux               // the new one wins iff it starts first, or starts alike and ends no earlier
)

var policyNames = [...]string{"bsd", "first", "last", "linux", "vista", "solaris", "old-linux"}

// String returns the name used in flags.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy_%d", uint8(p))
}

// ParsePolicy returns the policy called name; "windows" and "macos" mean BSD.
func ParsePolicy(name string) (Policy, error) {
	for i, n := range policyNames {
		if n == name {
			return Policy(i), nil
		}
	}
	if name == "windows" || name == "macos" {
		return BSD, nil
	}
	return BSD, fmt.Errorf("unknown overlap policy %q (bsd, first, last, linux, vista, solaris, old-linux)", name)
}

// span is a range of offsets, the end not included.
type span struct{ from, to int64 }

// newWins reports whether a new segment n wins over the held one q, each with the
// extent it came with; for Linux q is the whole run of held bytes.
func (p Policy) newWins(n, q span) bool {
	switch p {
	case First, Vista:
		return false
	case Last:
		return true
	case Linux:
		return n.from < q.from || n.from == q.from && n.to > q.to
	case Solaris:
		return n.to > q.to || n.to == q.to && n.from <= q.from
	case OldLinux:
		return n.from < q.from || n.from == q.from && n.to >= q.to
	}
	return n.from < q.from
}
