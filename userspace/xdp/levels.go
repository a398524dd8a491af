package xdp

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// RingFill returns how many bytes wait in the rings, and their size, all together. Any
// goroutine may call it until Close.
func (e *Engine) RingFill() (waiting, size uint64) {
	for _, r := range e.rings {
		w, n := r.Waiting()
		waiting, size = waiting+w, size+n
	}
	return waiting, size
}

// InterfaceCounters are those that the kernel keeps of a network interface, whether or
// not a program is attached.
type InterfaceCounters struct {
	Received, Sent Tally
	// Dropped packets by cause: those received that found no buffer (missed), no room
	// in the card (fifo) or were given up by the stack or the driver (received), and
	// those that were to be sent (sent).
	Dropped map[string]uint64
}

// ReadInterface returns the counters of an interface.
func ReadInterface(name string) (c InterfaceCounters, err error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return c, fmt.Errorf("read the counters of %s: %w", name, err)
	}
	s := l.Attrs().Statistics
	if s == nil {
		return c, fmt.Errorf("read the counters of %s: it has none", name)
	}
	c.Received = Tally{s.RxPackets, s.RxBytes}
	c.Sent = Tally{s.TxPackets, s.TxBytes}
	c.Dropped = map[string]uint64{
		"missed": s.RxMissedErrors, "fifo": s.RxFifoErrors, "received": s.RxDropped, "sent": s.TxDropped,
	}
	return c, nil
}
