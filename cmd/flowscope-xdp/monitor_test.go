package main

import (
	"testing"
	"time"
)

// TestHealthy holds when a run counts as stuck: not before it began to come round, as long
// as loading takes, and not while it does.
func TestHealthy(t *testing.T) {
	m := &monitor{begun: time.Now().Add(-time.Hour), notifier: &notifier{}}
	if err := m.healthy(); err != nil {
		t.Errorf("before the first round: %v", err)
	}
	m.live()
	if err := m.healthy(); err != nil {
		t.Errorf("after a round: %v", err)
	}
	m.alive.Store(int64(time.Hour - maxSilence - time.Second))
	if err := m.healthy(); err == nil {
		t.Error("no error 11 s after the last round")
	}
}
