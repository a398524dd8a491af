package main

import (
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A notifier tells systemd (sd_notify) how the run goes. Without a supervisor that wants
// to know it does nothing.
type notifier struct {
	log   *slog.Logger
	every time.Duration // of the watchdog; 0: none
	next  time.Time
}

func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{log: log}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("no watchdog", slog.String("why", err.Error()))
		return n
	}
	n.every = limit / 2
	return n
}

func (n *notifier) say(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot tell the supervisor", slog.String("state", state), slog.String("why", err.Error()))
	}
}

// ready says that the program is attached and counts.
func (n *notifier) ready() { n.say(daemon.SdNotifyReady) }

// stopping says that the run is ending: what is open is still to be written.
func (n *notifier) stopping() { n.say(daemon.SdNotifyStopping) }

// alive is called each time the run has come round.
func (n *notifier) alive() {
	if n.every == 0 {
		return
	}
	if now := time.Now(); now.After(n.next) {
		n.next = now.Add(n.every)
		n.say(daemon.SdNotifyWatchdog)
	}
}
