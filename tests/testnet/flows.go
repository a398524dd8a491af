//go:build linux

package testnet

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
)

// A Flow is what the tests want of a flow line.
type Flow struct {
	Type      string `json:"type"`
	ID        string `json:"id"`
	Proto     string `json:"proto"`
	Initiator End    `json:"initiator"`
	Responder End    `json:"responder"`
	State     string `json:"state"`
	EndReason string `json:"end_reason"`
	Service   string `json:"service"`
	Complete  bool   `json:"complete"`
	Parser    string `json:"parser"`
	Kind      string `json:"kind"`
}

// An End is one side of a Flow.
type End struct {
	IP      netip.Addr `json:"ip"`
	Port    uint16     `json:"port"`
	Packets uint64     `json:"packets"`
	Bytes   uint64     `json:"bytes"`
	IPBytes uint64     `json:"ip_bytes"`
}

// ReadFlows reads JSON lines and returns them all, flows and other types.
func ReadFlows(r io.Reader) ([]Flow, error) {
	var l []Flow
	for d := json.NewDecoder(r); ; {
		var f Flow
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return l, nil
		} else if err != nil {
			return l, err
		}
		l = append(l, f)
	}
}

// BySender adds the TCP and UDP flow lines up by who sent.
func BySender(l []Flow) map[Tuple]Count {
	m := map[Tuple]Count{}
	numbers := map[string]uint8{"tcp": 6, "udp": 17}
	for _, f := range l {
		proto, ok := numbers[f.Proto]
		if f.Type != "flow" || !ok {
			continue
		}
		i, r := netip.AddrPortFrom(f.Initiator.IP, f.Initiator.Port), netip.AddrPortFrom(f.Responder.IP, f.Responder.Port)
		add(m, Tuple{proto, i, r}, f.Initiator)
		add(m, Tuple{proto, r, i}, f.Responder)
	}
	return m
}

// add leaves out a side that sent nothing: its sender has no count either.
func add(m map[Tuple]Count, t Tuple, e End) {
	if e.Packets == 0 {
		return
	}
	c := m[t]
	m[t] = Count{c.Packets + e.Packets, c.Bytes + e.Bytes, c.IPBytes + e.IPBytes}
}

// Counters count what both hosts send.
type Counters struct{ a, b *Counter }

// CountBoth starts to count at both senders.
func (n *Network) CountBoth() (*Counters, error) {
	a, err := n.Initiator.CountSent("a0")
	if err != nil {
		return nil, err
	}
	b, err := n.Responder.CountSent("b0")
	if err != nil {
		_, _ = a.Stop()
		return nil, err
	}
	return &Counters{a, b}, nil
}

// Stop returns the counts of both senders.
func (c *Counters) Stop() (map[Tuple]Count, error) {
	a, errA := c.a.Stop()
	b, errB := c.b.Stop()
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	maps.Copy(a, b)
	return a, nil
}
