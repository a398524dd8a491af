package reassembly

import (
	"fmt"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// TestUnseen: payload lost on the way here is capture loss where there is a hole, at
// once, and no more than there is of it.
func TestUnseen(t *testing.T) {
	tests := []struct {
		name, script, want, counts string
	}{
		{"a hole of it", "1:abc unseen=3 7:ghi 10:j", `"abc" capgap(3) "ghij"`, "map[lost:3]"},
		{"a hole of both", "1:abc unseen=2 9:ijk close", `"abc" capgap(2) gap(3) "ijk" end_of_input <end_of_input`, "map[lost:2 missed:3]"},
		{"what was sent before", "1:abc unseen=9 4:def 7:g 10:j close", `"abcdefg" gap(2) "j" end_of_input <end_of_input`, "map[missed:2]"},
		{"told by an ACK", "1:abc unseen=3 7:/A 7:ghi", `"abc" capgap(3) "ghi"`, "map[lost:3]"},
		{"told by a FIN", "1:abc unseen=3 7:/FA", `"abc"`, "map[]"},
		{"before a FIN", "1:abc unseen=3 7:/FA close", `"abc" capgap(3) fin <end_of_input`, "map[lost:3]"},
		{"told by what was sent again", "1:abc unseen=3 2:b 7:g", `"abc" capgap(3) "g"`, "map[again:1 againBytes:1 lost:3]"},
		{"told by a reset", "1:abc 9:i unseen=5 10:/R close=rst", `"abc" capgap(5) "i" rst <rst`, "map[lost:5]"},
		{"beyond the window", "1:abc unseen=400000 400004:d", `"abc" capgap(400000) "d"`, "map[lost:400000]"},
		{"an older hole", "1:a 4:d unseen=2 6:f 7:g close", `"a" capgap(2) "d" gap(1) "fg" end_of_input <end_of_input`, "map[lost:2 missed:1]"},
		{"in order after it", "1:abc unseen=3 7:g 8:h 10:j close", `"abc" capgap(3) "gh" gap(1) "j" end_of_input <end_of_input`, "map[lost:3 missed:1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, Options{}).open().run(tt.script)
				c.want(tt.want)
				if got := fmt.Sprint(countsOf(c.stats(flow.Initiator))); got != tt.counts {
					t.Errorf("counts %s, want %s", got, tt.counts)
				}
				c.close("")
			}
		})
	}
}

// TestUnseenEnd: what was lost after the last segment is told when the flow ends.
func TestUnseenEnd(t *testing.T) {
	for _, tt := range []struct {
		name, script, want string
		end, lost          uint32
	}{
		{"tail", "1:abc", `"abc" capgap(5) end_of_input <end_of_input`, 9, 5},
		{"tail with a hole", "1:abc 6:f", `"abc" capgap(2) "f" capgap(1) end_of_input <end_of_input`, 10, 3},
		{"sent before", "1:abc", `"abc" end_of_input <end_of_input`, 4, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, isn := range isns {
				c := newConn(t, isn, Options{}).open().run(tt.script)
				c.a.Unseen(c.sh, flow.Initiator, isn+flow.Seq(tt.end), tt.lost)
				c.run("close").want(tt.want)
			}
		})
	}
}

// TestUnseenStart: a side of which the first segments were lost begins before them.
func TestUnseenStart(t *testing.T) {
	c := newConn(t, 77, Options{}).run("unseen=4 5:ef <1:x")
	c.want(`capgap(4) "ef" <"x"`)
	c = newConn(t, 77, Options{})
	c.a.Unseen(c.sh, flow.Initiator, 100, 9)
	c.run("close").want(`capgap(9) end_of_input <end_of_input`)
}
