package export

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// minWidth is the narrowest terminal the table is laid out for.
const minWidth = 80

// Table writes lines for people: one line a flow or message, columns aligned, units
// scaled, long lines cut at the terminal's width.
type Table struct {
	w      io.Writer
	width  int
	header bool
}

// NewTable returns a writer of a table to w. width is the terminal's width in
// characters; 0 means unlimited.
func NewTable(w io.Writer, width int) *Table {
	if width > 0 {
		width = max(width, minWidth)
	}
	return &Table{w: w, width: width}
}

// Start writes a line for a flow that began.
func (t *Table) Start(m Mark) error { return t.mark("start", m) }

// Established writes a line for a handshake that completed.
func (t *Table) Established(m Mark) error { return t.mark("established", m) }

// State writes a line for a change of state.
func (t *Table) State(m Mark) error { return t.mark(m.From.String()+" → "+m.To.String(), m) }

// Flow writes the record of a flow that ended.
func (t *Table) Flow(r *flow.Record) error { return t.record("flow", r.Stats.End, r) }

// Update writes a snapshot of a live flow.
func (t *Table) Update(r *flow.Record, ts flow.Timestamp) error { return t.record("live", ts, r) }

// Message writes one application message.
func (t *Table) Message(m Message) error {
	arrow := "→"
	if m.Side == flow.Responder {
		arrow = "←"
	}
	return t.line("%s  %-5s %s %s %s", clock(m.Time), m.Body.Parser(), arrow, m.Body.Kind(), text(m.Body))
}

// Anomaly writes one anomaly.
func (t *Table) Anomaly(a Anomaly) error {
	o := object{b: []byte{'{'}}
	if a.Kind.HasSide() {
		o.str("side", a.Side.String())
	}
	appendAnomaly(&o, a.Anomaly)
	return t.line("%s  !     %s %s", clock(a.Time), a.Kind, string(append(o.b, '}')))
}

// Summary writes the totals of the run.
func (t *Table) Summary(s *flow.Summary) error {
	fmt.Fprintf(t.w, "\n%s engine: %s packets, %s seen; %s tracked in %s flows\n", s.Engine,
		count(s.PacketsSeen), bytesText(s.BytesSeen), count(s.PacketsTracked), count(s.FlowsStarted))
	t.nonzero("  not tracked", s.Unparsed[1:], func(i int) string { return flow.Cause(i + 1).String() })
	t.nonzero("  ended", s.FlowsEnded[1:], func(i int) string { return flow.EndReason(i + 1).String() })
	t.nonzero("  anomalies", s.Anomalies[:], func(i int) string { return flow.AnomalyKind(i).String() })
	t.messages(s.Messages)
	if s.PacketsDuplicate > 0 {
		fmt.Fprintf(t.w, "  duplicates: %s\n", count(s.PacketsDuplicate))
	}
	if s.RingDroppedRecords > 0 || s.PacketsSpilled > 0 {
		fmt.Fprintf(t.w, "  ring: %s records, %s dropped (%s); %s packets by the spill path\n",
			count(s.RingRecords), count(s.RingDroppedRecords), bytesText(s.RingDroppedBytes), count(s.PacketsSpilled))
	}
	if s.Interrupted != "" {
		fmt.Fprintf(t.w, "  interrupted: %s\n", s.Interrupted)
	}
	_, err := fmt.Fprintln(t.w)
	return err
}

func (t *Table) nonzero(title string, l []uint64, label func(int) string) {
	var parts []string
	for i, v := range l {
		if v != 0 {
			parts = append(parts, count(v)+" "+label(i))
		}
	}
	if parts != nil {
		fmt.Fprintf(t.w, "%s: %s\n", title, strings.Join(parts, ", "))
	}
}

func (t *Table) messages(m map[string]uint64) {
	var parts []string
	for _, k := range sortedKeys(m) {
		parts = append(parts, count(m[k])+" "+k)
	}
	if parts != nil {
		fmt.Fprintf(t.w, "  messages: %s\n", strings.Join(parts, ", "))
	}
}

func (t *Table) mark(what string, m Mark) error {
	return t.line("%s  %-5s %s", clock(m.Time), m.Key.Proto, what)
}

const flowRow = "%s  %-5s %-24s %-24s %-12s %8s %7s %7s %8s %8s  %s"

func (t *Table) record(what string, ts flow.Timestamp, r *flow.Record) error {
	if !t.header {
		t.header = true
		err := t.line(flowRow, "time           ", "proto", "initiator", "responder", "end", "duration", "pkts →", "← pkts", "bytes →", "← bytes", "service")
		if err != nil {
			return err
		}
	}
	i, p := &r.Stats.Side[flow.Initiator], &r.Stats.Side[flow.Responder]
	return t.line(flowRow, clock(ts), protoText(r), endpoint(r, flow.Initiator), endpoint(r, flow.Responder),
		endText(r, what), duration(r.Duration()), count(i.Packets), count(p.Packets), bytesText(i.Bytes), bytesText(p.Bytes), serviceText(r))
}

// line writes one line, cut at the width of the terminal.
func (t *Table) line(format string, a ...any) error {
	s := printable(fmt.Sprintf(format, a...))
	if t.width > 0 {
		if r := []rune(s); len(r) > t.width {
			s = string(r[:t.width-1]) + "…"
		}
	}
	_, err := io.WriteString(t.w, strings.TrimRight(s, " ")+"\n")
	return err
}

// printable replaces control characters: text from the network must not steer a
// terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

func protoText(r *flow.Record) string {
	if r.IPVersion == 0 {
		return "mac"
	}
	return r.Proto.String()
}

func endpoint(r *flow.Record, side flow.Side) string {
	e := &r.Endpoint[side]
	switch {
	case !e.IP.IsValid() && e.HasMAC:
		return fmt.Sprintf("%x:%x:%x:%x:%x:%x", e.MAC[0], e.MAC[1], e.MAC[2], e.MAC[3], e.MAC[4], e.MAC[5])
	case r.FiveTuple && r.Proto.HasPorts():
		return netip.AddrPortFrom(e.IP, e.Port).String()
	}
	return e.IP.String()
}

func endText(r *flow.Record, what string) string {
	if r.Reason == flow.EndNone {
		return what
	}
	return r.Reason.String()
}

func serviceText(r *flow.Record) string {
	if r.Incomplete != 0 {
		return strings.TrimLeft(r.Service+" [incomplete: "+r.Incomplete.String()+"]", " ")
	}
	return r.Service
}

func clock(t flow.Timestamp) string { return t.Time().Format("15:04:05.000000") }

// text is what a message says of itself, else its log value.
func text(m parsers.Message) string {
	if s, ok := m.(fmt.Stringer); ok {
		return s.String()
	}
	return attributes(m.LogValue())
}

// attributes prints a log value as key=value words.
func attributes(v slog.Value) string {
	v = v.Resolve()
	if v.Kind() != slog.KindGroup {
		return v.String()
	}
	var b strings.Builder
	for _, a := range v.Group() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.Key)
		b.WriteByte('=')
		b.WriteString(a.Value.Resolve().String())
	}
	return b.String()
}

// count scales a number: 999, 12.3k, 4.5M.
func count(n uint64) string { return scale(float64(n), 1000, "", "k", "M", "G", "T") }

// bytesText scales bytes: 999B, 12.3K, 4.5M (powers of 1024).
func bytesText(n uint64) string { return scale(float64(n), 1024, "B", "K", "M", "G", "T") }

func scale(v, step float64, units ...string) string {
	i := 0
	for v >= step && i < len(units)-1 {
		v /= step
		i++
	}
	if i == 0 || v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64) + units[i]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + units[i]
}

func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
