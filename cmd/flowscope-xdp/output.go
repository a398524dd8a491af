package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/flowscope/flowscope-xdp/userspace/export"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// eventNames are the values of --events, each a line type of the contract.
var eventNames = []string{"flow", "flow_start", "flow_established", "flow_state", "flow_update", "message", "anomaly", "summary"}

// A writer is an output format.
type writer interface {
	Start(export.Mark) error
	Established(export.Mark) error
	State(export.Mark) error
	Flow(*flow.Record) error
	Update(*flow.Record, flow.Timestamp) error
	Message(export.Message) error
	Anomaly(export.Anomaly) error
	Summary(*flow.Summary) error
}

// An output writes the lines that were asked for, and remembers the first error:
// after it nothing more is written.
type output struct {
	w      writer
	buf    *bufio.Writer
	file   *os.File // to close; nil for standard output
	wanted map[string]bool
	err    error
}

// openOutput opens what --format, --output and --events ask for.
func openOutput(format, path, events string) (*output, error) {
	wanted, err := parseEvents(events)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(format); err != nil {
		return nil, err
	}
	o := &output{wanted: wanted}
	out := os.Stdout
	if path != "" && path != "-" {
		if out, err = os.Create(path); err != nil {
			return nil, fmt.Errorf("create output: %w", err)
		}
		o.file = out
	}
	o.buf = bufio.NewWriterSize(out, 1<<16)
	width, isTerminal := terminal(out)
	if format == "" {
		format = map[bool]string{true: "table", false: "jsonl"}[isTerminal]
	}
	o.w = newWriter(format, o.buf, width)
	return o, nil
}

// isTerminal reports whether the lines go to a terminal.
func (o *output) isTerminal() bool {
	return o.file == nil && term.IsTerminal(int(os.Stdout.Fd()))
}

func checkFormat(format string) error {
	switch format {
	case "", "table", "jsonl":
		return nil
	case "zeek", "eve":
		return usagef("--format %s does not exist yet: use table or jsonl", format)
	}
	return usagef("--format %s is unknown: use table or jsonl", format)
}

func newWriter(format string, w io.Writer, width int) writer {
	if format == "table" {
		return export.NewTable(w, width)
	}
	return export.NewJSONL(w)
}

// terminal returns the width of a terminal, and whether f is one.
func terminal(f *os.File) (int, bool) {
	if !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true
	}
	return width, true
}

func parseEvents(list string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(eventNames, name) {
			return nil, usagef("--events %s is unknown: choose from %s", name, strings.Join(eventNames, ","))
		}
		wanted[name] = true
	}
	return wanted, nil
}

// event writes one event of a driver, if it was asked for.
func (o *output) event(e *pipeline.SessionEvent[flow.Key]) {
	if o.err != nil {
		return
	}
	mark := export.Mark{ID: e.ID, Time: e.Time, Key: e.Key, From: e.From, To: e.To}
	switch e.Kind {
	case pipeline.Started:
		o.do("flow_start", func() error { return o.w.Start(mark) })
	case pipeline.Established:
		o.do("flow_established", func() error { return o.w.Established(mark) })
	case pipeline.StateChange:
		o.do("flow_state", func() error { return o.w.State(mark) })
	case pipeline.Message:
		o.do("message", func() error {
			return o.w.Message(export.Message{ID: e.ID, Time: e.Time, Key: e.Key, Side: e.Side, Body: e.Message})
		})
	case pipeline.Anomaly:
		o.do("anomaly", func() error { return o.w.Anomaly(export.Anomaly{ID: e.ID, Time: e.Time, Anomaly: e.Anomaly}) })
	case pipeline.Update:
		o.do("flow_update", func() error { return o.w.Update(e.Record, e.Time) })
	case pipeline.Closed:
		o.do("flow", func() error { return o.w.Flow(e.Record) })
	}
}

func (o *output) do(name string, write func() error) {
	if o.wanted[name] {
		o.fail(write())
	}
}

func (o *output) fail(err error) {
	if o.err == nil && err != nil {
		o.err = fmt.Errorf("write output: %w", err)
	}
}

// flush writes out what is buffered, so that live lines appear when they happen.
func (o *output) flush() {
	if o.err == nil {
		o.fail(o.buf.Flush())
	}
}

// finish writes the summary and closes.
func (o *output) finish(s *flow.Summary) error {
	if o.err == nil {
		o.do("summary", func() error { return o.w.Summary(s) })
	}
	return o.close()
}

// close flushes and closes. It returns the first error of all.
func (o *output) close() error {
	o.flush()
	if o.file != nil {
		o.fail(o.file.Close())
	}
	return o.err
}
