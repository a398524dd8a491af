//go:build race

package dns

// raceEnabled is true when the race detector runs, which makes pools forget at random.
const raceEnabled = true
