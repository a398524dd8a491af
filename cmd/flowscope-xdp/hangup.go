package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// endSignals are those that end a run as Ctrl-C does. A hangup is one when there is a
// terminal to hang up, unless it is ignored, as below nohup.
func endSignals() []os.Signal {
	l := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if hasTerminal() && !signal.Ignored(syscall.SIGHUP) {
		l = append(l, syscall.SIGHUP)
	}
	return l
}

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// refuseReload answers each SIGHUP that does not end the run with a log line: flows go on
// by the options they began with. It returns what stops it.
func refuseReload(log *slog.Logger) (stop func()) {
	if hasTerminal() || signal.Ignored(syscall.SIGHUP) {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			log.Warn("SIGHUP: reload refused: the configuration is read at start only; restart to apply it")
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
	}
}
