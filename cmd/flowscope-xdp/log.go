package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// logFlags say what is logged to standard error, and how.
type logFlags struct{ what, format, level string }

// logNames are the values of --log, each a target of docs/observability.md.
var logNames = []string{"run", "flow", "anomaly", "message"}

// logLevels are the values of --log-level, lowest first.
var logLevels = map[string]slog.Level{
	"message": pipeline.LevelMessage, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warn": slog.LevelWarn, "error": slog.LevelError,
}

const targetPrefix = "flowscope."

func (f *logFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.what, "log", "run", "what to log to standard error: a list of "+strings.Join(logNames, ",")+", or none")
	s.StringVar(&f.format, "log-format", "text", "how log lines read: text or json")
	s.StringVar(&f.level, "log-level", "message", "leave out log lines below this level: message, debug, info, warn or error")
}

// open returns the program's own logger, and gives the driver one if its lines are
// asked for.
func (f *logFlags) open(w io.Writer, opt *pipeline.Options[flow.Key]) (*slog.Logger, error) {
	h, err := f.handler(w)
	if err != nil {
		return nil, err
	}
	t := targets{Handler: h, wanted: map[string]bool{}}
	for _, name := range strings.Split(f.what, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(logNames, name) && f.what != "none" {
			return nil, usagef("--log %s is unknown: choose from %s, or none", name, strings.Join(logNames, ","))
		}
		t.wanted[targetPrefix+name] = true
	}
	log := slog.New(t)
	for _, name := range logNames[1:] {
		if t.wanted[targetPrefix+name] {
			opt.Logger = log
		}
	}
	opt.TraceMessages = t.wanted[targetPrefix+"message"]
	return log.With(slog.String("target", targetPrefix+"run")), nil
}

func (f *logFlags) handler(w io.Writer) (slog.Handler, error) {
	level, ok := logLevels[f.level]
	if !ok {
		return nil, usagef("--log-level %s is unknown: use message, debug, info, warn or error", f.level)
	}
	opt := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.NewTextHandler(w, opt), nil
	case "json":
		return slog.NewJSONHandler(w, opt), nil
	}
	return nil, usagef("--log-format %s is unknown: use text or json", f.format)
}

// targets is a handler that drops the lines of loggers whose attribute "target" is not
// wanted.
type targets struct {
	slog.Handler
	wanted map[string]bool
	off    bool
}

// Enabled implements slog.Handler.
func (t targets) Enabled(ctx context.Context, l slog.Level) bool {
	return !t.off && t.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (t targets) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "target" {
			t.off = !t.wanted[a.Value.String()]
		}
	}
	t.Handler = t.Handler.WithAttrs(attrs)
	return t
}

// WithGroup implements slog.Handler.
func (t targets) WithGroup(name string) slog.Handler {
	t.Handler = t.Handler.WithGroup(name)
	return t
}
