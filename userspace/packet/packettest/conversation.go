package packettest

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// A Conversation is a TCP conversation that is being written. Its methods add packets
// and return it, so that they can be chained.
type Conversation struct {
	next    [2]Packet // the next packet of each side, with its numbers
	mss     int
	packets []Packet
}

// NewConversation begins a conversation between two addresses with ports. Both sides
// have initial sequence number 1000 times one or two.
func NewConversation(initiator, responder string) *Conversation {
	p := TCP(initiator, responder)
	c := &Conversation{mss: 1460}
	c.next = [2]Packet{p.Seq(1000), p.Reply().Seq(2000).Ack(0)}
	return c
}

// ISN sets the initial sequence numbers. Call it first.
func (c *Conversation) ISN(initiator, responder uint32) *Conversation {
	c.next[flow.Initiator].seq = initiator
	c.next[flow.Responder].seq = responder
	return c
}

// MSS cuts what is sent from now on into segments of n bytes.
func (c *Conversation) MSS(n int) *Conversation { c.mss = n; return c }

// Handshake adds SYN, SYN-ACK and ACK.
func (c *Conversation) Handshake() *Conversation {
	c.add(flow.Initiator, "S", nil)
	c.add(flow.Responder, "SA", nil)
	return c.Acks(flow.Initiator)
}

// Sends adds what side says, in segments of the MSS, the last with PSH.
func (c *Conversation) Sends(side flow.Side, payload string) *Conversation {
	for len(payload) > c.mss {
		c.add(side, "A", []byte(payload[:c.mss]))
		payload = payload[c.mss:]
	}
	c.add(side, "PA", []byte(payload))
	return c
}

// Request is what the initiator says, acknowledged by the responder.
func (c *Conversation) Request(payload string) *Conversation {
	return c.Sends(flow.Initiator, payload).Acks(flow.Responder)
}

// Response is what the responder says, acknowledged by the initiator.
func (c *Conversation) Response(payload string) *Conversation {
	return c.Sends(flow.Responder, payload).Acks(flow.Initiator)
}

// Acks adds a bare ACK.
func (c *Conversation) Acks(side flow.Side) *Conversation { return c.add(side, "A", nil) }

// Close adds a FIN of the initiator, one of the responder, and the last ACK.
func (c *Conversation) Close() *Conversation {
	return c.Fin(flow.Initiator).Fin(flow.Responder).Acks(flow.Initiator)
}

// Fin adds a FIN.
func (c *Conversation) Fin(side flow.Side) *Conversation { return c.add(side, "FA", nil) }

// Reset adds a RST.
func (c *Conversation) Reset(side flow.Side) *Conversation { return c.add(side, "RA", nil) }

// add appends a packet of side and moves the numbers on.
func (c *Conversation) add(side flow.Side, flags string, payload []byte) *Conversation {
	p := c.next[side].Flags(flags).PayloadBytes(payload)
	c.packets = append(c.packets, p)
	c.next[side].seq += p.seqLen()
	c.next[side.Other()].ack = c.next[side].seq
	return c
}

// Packets returns what was written.
func (c *Conversation) Packets() []Packet { return c.packets }

// Trace returns what was written as frames.
func (c *Conversation) Trace() []Frame { return Trace(c.packets...) }
