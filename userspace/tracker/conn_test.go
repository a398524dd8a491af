package tracker

import (
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestConnState walks the rows of the state table (SEMANTICS.md §3.4).
func TestConnState(t *testing.T) {
	tests := []struct {
		name, trace string
		want        flow.State
	}{
		{"syn", syn, flow.StateSYNSent},
		{"syn retransmitted", syn + syn, flow.StateSYNSent},
		{"syn ack", synack, flow.StateSYNReceived},
		{"syn ack retransmitted", synack + "r SA seq=500 ack=101", flow.StateSYNReceived},
		{"syn ack of another syn", syn + "r SA seq=500 ack=999", flow.StateSYNSent},
		{"handshake", handshake, flow.StateEstablished},
		{"handshake by data", synack + "i PA seq=101 ack=501 len=5", flow.StateEstablished},
		{"ack of nothing", synack + "i A seq=101 ack=400", flow.StateSYNReceived},
		{"ack by responder is no handshake", synack + "r A seq=501 ack=101", flow.StateSYNReceived},
		{"data stays", data, flow.StateEstablished},
		{"syn ack seen only", "r SA seq=500 ack=101", flow.StateSYNReceived},
		{"syn ack first", "r SA seq=500 ack=101; i A seq=101 ack=501", flow.StateEstablished},
		{"syn ack lost", syn + "i A seq=101 ack=501; r PA seq=501 ack=101 len=3", flow.StateEstablished},
		{"simultaneous open", syn + "r S seq=500; i SA seq=100 ack=501", flow.StateEstablished},
		{"simultaneous open half way", syn + "r S seq=500", flow.StateSYNReceived},
		{"split handshake", syn + "r A seq=0 ack=101; r S seq=500; i SA seq=100 ack=501; r A seq=501 ack=101", flow.StateEstablished},
		{"fast open", "i S seq=100 len=20; r SA seq=500 ack=121; i A seq=121 ack=501", flow.StateEstablished},
		{"fast open refused", "i S seq=100 len=20; r SA seq=500 ack=101; i A seq=101 ack=501", flow.StateEstablished},
		{"fin in syn sent", syn + "i F seq=101", flow.StateFINWait},
		{"fin in syn received", synack + "r FA seq=501 ack=101", flow.StateFINWait},
		{"fin in the last ack", synack + "i FA seq=101 ack=501", flow.StateFINWait},
		{"fin beside syn", "i SF seq=100", flow.StateSYNSent},
		{"half close", halfClose, flow.StateFINWait},
		{"half close, data goes on", halfClose + "r PA seq=521 ack=112 len=100; i A seq=112 ack=621", flow.StateFINWait},
		{"same fin twice", halfClose + "i FA seq=111 ack=521", flow.StateFINWait},
		{"fin elsewhere", halfClose + "i FA seq=150 ack=521", flow.StateFINWait},
		{"both fin", bothFIN, flow.StateClosing},
		{"closed", closedAll, flow.StateClosed},
		{"fins cross", data + "i FA seq=111 ack=521; r FA seq=521 ack=111; i A seq=112 ack=522", flow.StateClosed},
		{"fins cross, first acked only", data + "i FA seq=111 ack=521; r FA seq=521 ack=111; r A seq=522 ack=112", flow.StateClosing},
		{"ack of the last fin before it", halfClose + "i A seq=112 ack=522; r FA seq=521 ack=112", flow.StateClosed},
		{"fin behind a large loss", data + "i FA seq=900111 ack=521", flow.StateFINWait},
		{"fin below what was acked", data + "i FA seq=105 ack=521", flow.StateEstablished},
		{"mid-stream, one side", "i PA seq=1000 ack=2000 len=10", flow.StateActive},
		{"mid-stream", "i PA seq=1000 ack=2000 len=10; r A seq=2000 ack=1010", flow.StateEstablished},
		{"mid-stream close", "i PA seq=1000 ack=2000 len=10; r FA seq=2000 ack=1010; i FA seq=1010 ack=2001; r A seq=2001 ack=1011", flow.StateClosed},
		{"mid-stream fin", "i FA seq=1000 ack=2000", flow.StateFINWait},
		{"one direction only", "i S seq=100; i A seq=101 ack=501; i FA seq=101 ack=501", flow.StateFINWait},
		{"syn in established", data + "i S seq=900000", flow.StateEstablished},
		{"syn chosen by syn ack", "i S seq=100; i S seq=7000; r SA seq=500 ack=7001; i A seq=7001 ack=501; i FA seq=7001 ack=501; r FA seq=501 ack=7002; i A seq=7002 ack=502", flow.StateClosed},
		{"syn ack chosen by ack", synack + "r SA seq=90000 ack=101; i A seq=101 ack=90001; r FA seq=90001 ack=101; i FA seq=101 ack=90002; r A seq=90002 ack=102", flow.StateClosed},
		{"nothing after closed", closedAll + "i S seq=5; r FA seq=521 ack=112; i R seq=112", flow.StateClosed},
		{"wrap", "i S seq=4294967295; r SA seq=4294967285 ack=0; i A seq=0 ack=4294967286; r PA seq=4294967286 ack=0 len=20; i FA seq=0 ack=10; r FA seq=10 ack=1; i A seq=1 ack=11", flow.StateClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			if got := c.State(); got != tt.want {
				t.Errorf("state %v, want %v", got, tt.want)
			}
		})
	}
}

// TestConnReset tells resets that count from those to wait about and those that do
// not (SEMANTICS.md §3.5).
func TestConnReset(t *testing.T) {
	const scaled = "i S seq=100 ws=2; r SA seq=500 ack=101 ws=2; i A seq=101 ack=501 win=1000; r A seq=501 ack=101 win=1000;"
	tests := []struct {
		name, trace string
		want        flow.State
		notes       Notes
	}{
		{"first packet", "i R seq=5", flow.StateReset, 0},
		{"refused", syn + "r RA seq=0 ack=101", flow.StateReset, 0},
		{"refusal of another syn", syn + "r RA seq=0 ack=999", flow.StateSYNSent, RSTIgnored},
		{"refusal without ack", syn + "r R seq=0", flow.StateSYNSent, RSTIgnored},
		{"given up", syn + "i R seq=101", flow.StateReset, 0},
		{"half-open scan", synack + "i R seq=101", flow.StateReset, 0},
		{"next expected", data + "i A seq=111 ack=521; i R seq=111", flow.StateReset, 0},
		{"sender's max", data + "i PA seq=111 ack=521 len=50; i R seq=161", flow.StateReset, 0},
		{"last packet's sequence", data + "i PA seq=111 ack=521 len=50; i R seq=111", flow.StateReset, 0},
		{"in fin wait", halfClose + "r RA seq=521 ack=112", flow.StateReset, 0},
		{"in closing", bothFIN + "i R seq=112", flow.StateReset, 0},
		{"with payload", data + "i RA seq=111 ack=521 len=12", flow.StateReset, 0},
		{"with fin", data + "i FRA seq=111 ack=521", flow.StateReset, 0},
		{"in the window", data + "i R seq=300", flow.StateEstablished, RSTSuspected},
		{"at the end of the window", scaled + "i R seq=4100", flow.StateEstablished, RSTSuspected},
		{"just outside", scaled + "i R seq=4101", flow.StateEstablished, RSTIgnored},
		{"behind", data + "i R seq=50", flow.StateEstablished, RSTIgnored},
		{"window unknown", "i A seq=1000 ack=2000; r A seq=2000 ack=1000; i R seq=99000", flow.StateEstablished, RSTSuspected},
		{"unsigned", "i S seq=100 opt=16; r SA seq=500 ack=101 opt=16; i A seq=101 ack=501 opt=16; r R seq=501", flow.StateEstablished, RSTSuspected},
		{"signed", "i S seq=100 opt=16; r SA seq=500 ack=101 opt=16; i A seq=101 ack=501 opt=16; r R seq=501 opt=16", flow.StateReset, 0},
		{"suspected twice", data + "i R seq=300; i R seq=301", flow.StateEstablished, RSTSuspected},
		{"revoked by data", data + "i R seq=300; r PA seq=521 ack=111 len=5", flow.StateEstablished, RSTRevoked},
		{"revoked by a fresh ack", data + "i PA seq=111 ack=521 len=5; i R seq=300; r A seq=521 ack=116", flow.StateEstablished, RSTRevoked},
		{"not revoked by a challenge ack", data + "i R seq=300; r A seq=521 ack=111", flow.StateEstablished, 0},
		{"not revoked by its own side", data + "i R seq=300; i PA seq=111 ack=521 len=5", flow.StateEstablished, 0},
		{"suspected, then exact", data + "i R seq=300; i R seq=111", flow.StateReset, 0},
		{"ack of zero is not believed", "i S seq=100; r SA seq=3000000000 ack=101; i A seq=101 ack=3000000001; r PA seq=3000000001 ack=101 len=10; i A seq=101 ack=3000000006; i A seq=101 ack=0; r R seq=3000000006",
			flow.StateReset, 0},
		{"sequence of an absurd segment", data + "i A seq=900000 ack=521; i R seq=900000", flow.StateEstablished, RSTIgnored},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ch := run(t, tt.trace)
			if c.State() != tt.want || ch.Notes&^EnteredEstablished != tt.notes {
				t.Errorf("state %v notes %b, want %v %b", c.State(), ch.Notes, tt.want, tt.notes)
			}
		})
	}
}

func TestConnNotes(t *testing.T) {
	tests := []struct {
		name, trace string
		want        Change
	}{
		{"fin conflict", halfClose + "i FA seq=150 ack=521", Change{
			From: flow.StateFINWait, To: flow.StateFINWait, Notes: FINConflict, Seq: 150}},
		{"fin conflict counts its data", halfClose + "i FA seq=90 ack=521 len=5", Change{
			From: flow.StateFINWait, To: flow.StateFINWait, Notes: FINConflict, Seq: 95}},
		{"syn in established", data + "r S seq=9", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Notes: SYNInEstablished, Side: flow.Responder, Seq: 9}},
		{"late copy of the syn", data + "i S seq=100", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Seq: 100}},
		{"late copy of the syn ack", data + "r SA seq=500 ack=101", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Side: flow.Responder, Seq: 500}},
		{"entered established", handshake, Change{
			From: flow.StateSYNReceived, To: flow.StateEstablished, Notes: EnteredEstablished, Seq: 101}},
		{"entered and left", synack + "i FA seq=101 ack=501", Change{
			From: flow.StateSYNReceived, To: flow.StateFINWait, Notes: EnteredEstablished, Seq: 101}},
		{"suspected reset", data + "r R seq=600", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Notes: RSTSuspected, Side: flow.Responder, Seq: 600, Expected: 501}},
		{"revoked names the reset", data + "r R seq=600; i PA seq=111 ack=521 len=1", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Notes: RSTRevoked, Side: flow.Responder, Seq: 600, Expected: 501}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := run(t, tt.trace); got != tt.want {
				t.Errorf("change %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReusedBy(t *testing.T) {
	tests := []struct {
		name, trace, next string
		want              bool
	}{
		{"new syn after close", closedAll, "i S seq=9000", true},
		{"new syn from the other side", closedAll, "r S seq=9000", true},
		{"old syn after close", closedAll, "i S seq=100", false},
		{"syn ack after close", closedAll, "i SA seq=9000 ack=5", false},
		{"data after close", closedAll, "i A seq=9000 len=3", false},
		{"new syn after refusal", syn + "r RA seq=0 ack=101", "i S seq=101", true},
		{"syn after mid-stream close", "i R seq=1", "i S seq=1", true},
		{"syn on a live flow", data, "i S seq=900000", false},
		{"answer to a syn outside the window", data + "i S seq=900000", "r SA seq=70 ack=900001", true},
		{"answer to nothing", data + "i S seq=900000", "r SA seq=70 ack=900002", false},
		{"answer from the same side", data + "i S seq=900000", "i SA seq=70 ack=900001", false},
		{"answer to a syn inside the window", data + "i S seq=120", "r SA seq=70 ack=121", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			side, s := parseSegment(t, tt.next)
			if got := c.ReusedBy(side, s); got != tt.want {
				t.Errorf("reused %v, want %v", got, tt.want)
			}
		})
	}
}

// TestHistory holds both histories, letter by letter (SEMANTICS.md §3.7).
func TestHistory(t *testing.T) {
	tests := []struct {
		name, trace, zeek, own string
	}{
		{"handshake, data, close", closedAll, "ShADdFf", "SsDdFf"},
		{"syn only", syn, "S", "S"},
		{"syn again", syn + syn, "S", "SS"},
		{"syn with another sequence", syn + "i S seq=101", "SS", "SS"},
		{"refused", syn + "r RA seq=0 ack=101", "Sr", "Sr"},
		{"reset again", data + "r RA seq=521 ack=111; r R seq=521; r R seq=522", "ShADdrr", "SsDdrrr"},
		{"fin with data is no data", handshake + "i FA seq=101 ack=501 len=9", "ShAF", "SsFD"},
		{"fin again", halfClose + "i FA seq=111 ack=521", "ShADdF", "SsDdFF"},
		{"fin elsewhere", halfClose + "i FA seq=150 ack=521", "ShADdFF", "SsDdFF"},
		{"syn and fin", "i SF seq=100; i SF seq=100", "Q", "SFSF"},
		{"fin and rst", data + "i FRA seq=111 ack=521", "ShADdI", "SsDdFR"},
		{"syn and rst", "i SR seq=100", "Q", "SR"},
		{"all of them", "i SFR seq=100", "I", "SFR"},
		{"bare ack of responder", data + "r A seq=521 ack=111", "ShADda", "SsDd"},
		{"null", handshake + "i seq=101", "ShA", "Ss"},
		{"zero window", data + "i A seq=111 ack=521 win=0", "ShADdW", "SsDd"},
		{"zero window ten times", data + repeat("i A seq=111 ack=521 win=0", 10), "ShADdWW", "SsDd"},
		{"zero window of a reset", data + "i R seq=111 win=0", "ShADdR", "SsDdR"},
		{"zero window after the peer's fin", data + "r FA seq=521 ack=111; i A seq=111 ack=522 win=0", "ShADdf", "SsDdf"},
		{"retransmission", data + "i PA seq=101 ack=521 len=10", "ShADdT", "SsDdD"},
		{"part of it new is none", data + "i PA seq=101 ack=521 len=11", "ShADd", "SsDdD"},
		{"a hundred retransmissions", data + repeat("i PA seq=101 ack=521 len=10", 100), "ShADdTTT", "SsDdDDDDDDDDDDDD"},
		{"syn ack with a lower number chosen", syn + "r SA seq=500 ack=101; r SA seq=90 ack=101; i A seq=101 ack=91; r PA seq=91 ack=101 len=10", "ShhAd", "Sssd"},
		{"own history ends at sixteen", handshake + repeat("i A seq=101 ack=501 len=1", 40), "ShADTT", "SsDDDDDDDDDDDDDD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			if got := c.History(false); got != tt.zeek {
				t.Errorf("history %q, want %q", got, tt.zeek)
			}
			if got := c.Events(); got != tt.own {
				t.Errorf("events %q, want %q", got, tt.own)
			}
		})
	}
}

func repeat(s string, n int) (all string) {
	for range n {
		all += s + ";"
	}
	return all
}

func TestHistoryLimit(t *testing.T) {
	c := new(Conn)
	for i := range flow.Seq(200) {
		c.Step(flow.Side(i%2), &flow.Segment{TCPHeader: flow.TCPHeader{Flags: flow.SYN, Seq: i * 7, Window: 1}})
	}
	want := ""
	for range 32 {
		want += "Ss"
	}
	if got := c.History(false); got != want {
		t.Errorf("history %q, want %q", got, want)
	}
	if got := c.History(true); got != "^"+want[:63] {
		t.Errorf("turned history %q", got)
	}
	c.swap()
	if got := c.History(true)[:5]; got != "^sSsS" {
		t.Errorf("swapped history begins %q", got)
	}
	if got := c.History(false)[60:]; got != "sSsS" {
		t.Errorf("swapped history ends %q", got)
	}
}

// TestZeekConnState has a trace for each value of conn_state, and for the rules that
// share one.
func TestZeekConnState(t *testing.T) {
	tests := []struct {
		name, trace, want string
	}{
		{"SF", closedAll, "SF"},
		{"S0", syn, "S0"},
		{"S0 with an ack from nobody", syn + "r A seq=5 ack=101", "S0"},
		{"S1", data, "S1"},
		{"S2", data + "i FA seq=111 ack=521", "S2"},
		{"S3", data + "r FA seq=521 ack=111", "S3"},
		{"REJ", syn + "r RA seq=0 ack=101", "REJ"},
		{"RSTO", data + "i R seq=111", "RSTO"},
		{"RSTR", data + "r R seq=521", "RSTR"},
		{"RSTR after the initiator's fin", halfClose + "r R seq=521", "RSTR"},
		{"RSTOS0", syn + "i R seq=101", "RSTOS0"},
		{"RSTOS0 not after an ack", syn + "i A seq=101 ack=501; i R seq=101", "OTH"},
		{"RSTRH", "r SA seq=500 ack=101; r R seq=501", "RSTRH"},
		{"SH", syn + "i F seq=101", "SH"},
		{"SHR", "r SA seq=500 ack=101; r FA seq=501 ack=101", "SHR"},
		{"OTH", "i A seq=1 ack=5 len=3; r A seq=5 ack=4", "OTH"},
		{"nothing", "", "OTH"},
		{"reset after close", closedAll + "r R seq=522", "SF"},
		{"reset revives nothing", data + "i FA seq=111 ack=521; i R seq=112; r FA seq=521 ack=112", "SF"},
		{"fin after reset", data + "i R seq=111; r FA seq=521 ack=111", "RSTO"},
		{"first SYN of a partial side", "i A seq=99 ack=5; i S seq=100", "S0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			payload := containsData(c.Events())
			if got := c.ConnState(payload); got != tt.want {
				t.Errorf("conn_state %s, want %s", got, tt.want)
			}
		})
	}
}

func containsData(events string) bool {
	for _, c := range events {
		if c == 'D' || c == 'd' {
			return true
		}
	}
	return false
}

// TestQuality holds the counters that come from headers alone (SEMANTICS.md §5.3, §5.8).
func TestQuality(t *testing.T) {
	type counts struct{ zero, probes, keepalives, duplicates uint64 }
	tests := []struct {
		name, trace string
		side        flow.Side
		want        counts
	}{
		{"clean", closedAll, 0, counts{}},
		{"keepalive of no byte", data + "i A seq=110 ack=521; i A seq=110 ack=521", 0, counts{keepalives: 2}},
		{"keepalive of one byte", data + "i A seq=110 ack=521 len=1", 0, counts{keepalives: 1}},
		{"two bytes are none", data + "i A seq=109 ack=521 len=2", 0, counts{}},
		{"not before the ack", data + "i PA seq=111 ack=521 len=5; i A seq=115 ack=521", 0, counts{}},
		{"answer to a keepalive is no duplicate", data + "i A seq=110 ack=521; r A seq=521 ack=111; r A seq=521 ack=111", 1, counts{}},
		{"zero window once", data + "r A seq=521 ack=111 win=0; r A seq=521 ack=111 win=0", 1, counts{zero: 1}},
		{"zero window twice", data + "r A seq=521 ack=111 win=0; r A seq=521 ack=111 win=9; r A seq=521 ack=111 win=0", 1, counts{zero: 2}},
		{"zero window from the first packet on", "r A seq=5 ack=1 win=0; r A seq=5 ack=1 win=0", 1, counts{}},
		{"zero window of a reset", data + "r R seq=521 win=0", 1, counts{}},
		{"probes", data + "r A seq=521 ack=111 win=0; i A seq=111 ack=521 len=1; r A seq=521 ack=111 win=0; i A seq=111 ack=521 len=1", 0, counts{probes: 2}},
		{"duplicate acks", data + "i A seq=111 ack=521 len=9; r A seq=521 ack=111; r A seq=521 ack=111; r A seq=521 ack=111", 1, counts{duplicates: 3}},
		{"window update is none", data + "i A seq=111 ack=521 len=9; r A seq=521 ack=111 win=2000", 1, counts{}},
		{"with data is none", data + "i A seq=111 ack=521 len=9; r A seq=521 ack=111 len=1", 1, counts{}},
		{"nothing under way is none", data + "r A seq=521 ack=111; r A seq=521 ack=111", 1, counts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			d := &c.d.side[tt.side]
			got := counts{d.zeroWindows, d.probes, d.keepalives, d.duplicateACKs}
			if got != tt.want {
				t.Errorf("counts %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRTT(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name, trace string
		want        flow.RTT // of the initiator
	}{
		{"none", handshake, flow.RTT{}},
		{"one", handshake + "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=111 t=130",
			flow.RTT{Min: 30 * ms, Max: 30 * ms, Sum: 30 * ms, Samples: 1}},
		{"one at a time", handshake + "i A seq=101 ack=501 len=10 t=100; i A seq=111 ack=501 len=10 t=120; r A seq=501 ack=121 t=130",
			flow.RTT{Min: 30 * ms, Max: 30 * ms, Sum: 30 * ms, Samples: 1}},
		{"not acked yet", handshake + "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=110 t=130", flow.RTT{}},
		{"not again within 10 ms", handshake + "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=111 t=101; i A seq=111 ack=501 len=10 t=109; r A seq=501 ack=121 t=110",
			flow.RTT{Min: ms, Max: ms, Sum: ms, Samples: 1}},
		{"again after 10 ms", handshake + "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=111 t=101; i A seq=111 ack=501 len=10 t=110; r A seq=501 ack=121 t=113",
			flow.RTT{Min: ms, Max: 3 * ms, Sum: 4 * ms, Samples: 2}},
		{"karn", handshake + "i A seq=101 ack=501 len=10 t=100; i A seq=101 ack=501 len=10 t=120; r A seq=501 ack=111 t=130", flow.RTT{}},
		{"retransmission with new data", handshake + "i A seq=101 ack=501 len=10 t=100; i A seq=105 ack=501 len=10 t=120; r A seq=501 ack=115 t=130", flow.RTT{}},
		{"syn is not timed", "i S seq=100 len=5 t=0; r SA seq=500 ack=106 t=30", flow.RTT{}},
		{"mid-stream", "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=111 t=130",
			flow.RTT{Min: 30 * ms, Max: 30 * ms, Sum: 30 * ms, Samples: 1}},
		{"absurd segment is not timed", handshake + "i A seq=900101 ack=501 len=10 t=100; i A seq=101 ack=501 len=10 t=120; r A seq=501 ack=111 t=130",
			flow.RTT{Min: 10 * ms, Max: 10 * ms, Sum: 10 * ms, Samples: 1}},
		{"clock back", handshake + "i A seq=101 ack=501 len=10 t=100; r A seq=501 ack=111 t=90",
			flow.RTT{Samples: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			if got := c.d.side[flow.Initiator].rtt; got != tt.want {
				t.Errorf("rtt %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestHandshakeTimes(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name, trace string
		want        [2]time.Duration
	}{
		{"none", "i A seq=1 ack=2", [2]time.Duration{-1, -1}},
		{"both", "i S seq=1 t=10; r SA seq=8 ack=2 t=30; i A seq=2 ack=9 t=35", [2]time.Duration{5 * ms, 20 * ms}},
		{"syn ack only", "i S seq=1 t=10; r SA seq=8 ack=2 t=30", [2]time.Duration{-1, 20 * ms}},
		{"from syn ack", "r SA seq=8 ack=2 t=30; i A seq=2 ack=9 t=35", [2]time.Duration{5 * ms, -1}},
		{"syn twice", "i S seq=1 t=10; i S seq=1 t=20; r SA seq=8 ack=2 t=30; i A seq=2 ack=9 t=35", [2]time.Duration{-1, -1}},
		{"syn ack twice", "i S seq=1 t=10; r SA seq=8 ack=2 t=30; r SA seq=8 ack=2 t=32; i A seq=2 ack=9 t=35", [2]time.Duration{-1, -1}},
		{"syn ack again later", "i S seq=1 t=10; r SA seq=8 ack=2 t=30; i A seq=2 ack=9 t=35; r SA seq=8 ack=2 t=40", [2]time.Duration{5 * ms, 20 * ms}},
		{"ack of nothing", "i S seq=1 t=10; r SA seq=8 ack=2 t=30; i A seq=2 ack=5 t=35", [2]time.Duration{-1, 20 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.trace)
			if got := c.Handshake(); got != tt.want {
				t.Errorf("handshake %v, want %v", got, tt.want)
			}
		})
	}
}

// TestTransitionTotal calls the transition with everything there is: it always gives
// a state, and never leaves a terminal one.
func TestTransitionTotal(t *testing.T) {
	for s := flow.State(0); s < 16; s++ {
		for f := range 256 {
			for k := range Facts(32) {
				for side := range flow.Side(2) {
					got := Transition(s, side, flow.TCPFlags(f), k)
					if s.Terminal() && got != s {
						t.Fatalf("%v left for %v", s, got)
					}
					if got > flow.StateReset && got != s {
						t.Fatalf("state %v from %v", got, s)
					}
				}
			}
		}
	}
}

// TestSwap turns a flow over at points where the sides matter.
func TestSwap(t *testing.T) {
	tests := []struct {
		name, before, after string
		want                Change
	}{
		{"last fin", bothFIN, "r A seq=112 ack=522", Change{
			From: flow.StateClosing, To: flow.StateClosed, Side: flow.Responder, Seq: 112}},
		{"last fin, wrong side", bothFIN, "i A seq=522 ack=112", Change{
			From: flow.StateClosing, To: flow.StateClosing, Side: flow.Initiator, Seq: 522}},
		{"suspected reset", data + "i R seq=300", "i PA seq=521 ack=111 len=3", Change{
			From: flow.StateEstablished, To: flow.StateEstablished, Notes: RSTRevoked, Side: flow.Responder, Seq: 300, Expected: 111}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := run(t, tt.before)
			c.swap()
			side, s := parseSegment(t, tt.after)
			if got := c.Step(side, s); got != tt.want {
				t.Errorf("change %+v, want %+v", got, tt.want)
			}
		})
	}
	c, _ := run(t, data+"i S seq=900000")
	c.swap()
	side, s := parseSegment(t, "i SA seq=70 ack=900001")
	if !c.ReusedBy(side, s) {
		t.Error("answer to the pending SYN does not reuse the swapped flow")
	}
}
