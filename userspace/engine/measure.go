package engine

import (
	"sync"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/metrics"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A measurer says what the kernel counted, to any goroutine, while the engine's own
// works. It says nothing more once it has been stopped.
type measurer struct {
	mu         sync.Mutex // held while reading; stop waits for it
	kernel     *xdp.Engine
	interfaces []string
}

// A setter takes a value by the names of package metrics.
type setter = func(name string, v float64, labels ...string)

// stop ends the use of the engine, which may be closed afterwards.
func (m *measurer) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kernel = nil
}

// Measure calls set with what the kernel counted. Any goroutine may call it, at any time; it
// keeps neither the program nor the reader of the rings waiting. Interfaces that are
// gone are left out.
func (m *measurer) Measure(set func(name string, v float64, labels ...string)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel == nil {
		return nil
	}
	c, err := m.kernel.Counters()
	if err != nil {
		return err
	}
	measurePackets(&c, set)
	measureRings(&c, set)
	if waiting, size := m.kernel.RingFill(); size > 0 {
		set(metrics.RingFill, float64(waiting)/float64(size))
	}
	set(metrics.XDPMemory, float64(m.kernel.Memory()))
	if runs, total, err := m.kernel.RunTime(); err == nil {
		set(metrics.XDPRuns, float64(runs))
		set(metrics.XDPRunTime, total.Seconds())
	}
	for _, name := range m.interfaces {
		measureInterface(name, set)
	}
	return nil
}

// measurePackets sets what became of each packet.
func measurePackets(c *xdp.Counters, set setter) {
	set(metrics.Packets, float64(c.Seen.Packets))
	lost := c.Unparsed[flow.CauseTableFull]
	var unparsed xdp.Tally
	for cause, n := range c.Unparsed {
		if n.Packets > 0 {
			set(metrics.PacketsUnparsed, float64(n.Packets), flow.Cause(cause).String())
		}
		unparsed.Packets += n.Packets
		unparsed.Bytes += n.Bytes
	}
	set(metrics.PacketsUnmatched, float64(unparsed.Packets))
	verdict := func(name string, n, less xdp.Tally) {
		set(metrics.XDPPackets, minus(n.Packets, less.Packets), name, "xdp")
		set(metrics.XDPBytes, minus(n.Bytes, less.Bytes), name, "xdp")
	}
	verdict("tracked", c.Tracked, c.Spilled)
	verdict("unparsed", unparsed, lost)
	verdict("spilled", c.Spilled, xdp.Tally{})
	verdict("lost", lost, xdp.Tally{})
	set(metrics.XDPLostPackets, float64(lost.Packets), flow.CauseTableFull.String())
	set(metrics.XDPTableSpills, minus(c.Spilled.Packets, c.LostRace.Packets), "full")
	set(metrics.XDPTableSpills, float64(c.LostRace.Packets), "race")
	set(metrics.XDPFlowsClaimed, float64(c.Claimed))
	set(metrics.XDPDecapDepth, float64(c.DecapDepth.Packets))
}

// minus subtracts a part from a whole that may have been read a moment before it.
func minus(whole, part uint64) float64 { return float64(whole - min(part, whole)) }

// measureRings sets what became of the payload.
func measureRings(c *xdp.Counters, set setter) {
	set(metrics.RingRecords, float64(c.RingRecords.Packets))
	set(metrics.RingDroppedRecords, float64(c.RingDropped.Packets))
	set(metrics.RingDroppedBytes, float64(c.RingDropped.Bytes))
	set(metrics.XDPPayloadLost, float64(c.RingDropped.Packets), "ring_full")
	set(metrics.XDPPayloadLost, float64(c.LoadFailed.Packets), "load_failed")
	set(metrics.XDPPayloadLost, float64(c.FragmentsFull.Packets), "fragment_table_full")
}

func measureInterface(name string, set setter) {
	c, err := xdp.ReadInterface(name)
	if err != nil {
		return // it may come back
	}
	set(metrics.InterfacePackets, float64(c.Received.Packets), name, "received")
	set(metrics.InterfaceBytes, float64(c.Received.Bytes), name, "received")
	set(metrics.InterfacePackets, float64(c.Sent.Packets), name, "sent")
	set(metrics.InterfaceBytes, float64(c.Sent.Bytes), name, "sent")
	for cause, n := range c.Dropped {
		set(metrics.InterfaceDropped, float64(n), name, cause)
	}
}
