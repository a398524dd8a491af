package xdp

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/tests/needs"
)

// TestVerifier loads the programs as live runs and replays do, and says how many
// instructions the verifier of this kernel looked at (docs/performance.md).
func TestVerifier(t *testing.T) {
	needs.Root(t)
	for name, o := range map[string]Options{
		"live":            {},
		"live, egress":    {Egress: true},
		"replay":          {Replay: true},
		"keys of its own": {KeyVLAN: true, KeyTunnel: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.MaxFlows, o.RingSize = 1024, 1<<16
			e, err := Load(o)
			if err != nil {
				t.Fatal(err)
			}
			for program, p := range e.coll.Programs {
				info, err := p.Info()
				if err != nil {
					t.Fatal(err)
				}
				if n, ok := info.VerifiedInstructions(); ok {
					t.Logf("%s: %d instructions verified", program, n)
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
