// Package socks reads through the handshake with a SOCKS proxy, so that what is
// spoken behind it is found.
//
// Both sides' bytes go in; nothing comes out but the handover at the place where the
// proxy begins to relay. It knows CONNECT of SOCKS 4, 4a and 5 (RFC 1928), without
// authentication or with a password (RFC 1929); anything else is done at once.
package socks

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// Values on the wire.
const (
	version4 = 4
	version5 = 5

	connect  = 1
	granted4 = 0x5a
	success5 = 0

	noAuth       = 0
	password     = 2
	passwordAuth = 1 // version of RFC 1929

	addrIPv4 = 1
	addrName = 3
	addrIPv6 = 4
)

const (
	maxMethods = 16       // that a probe takes for real
	maxText    = 255      // user and host names of SOCKS 4
	maxHeld    = 16 << 10 // bytes of a side, sent before the proxy has answered too
)

// Protocol returns the protocol. It has no name of its own: a flow is named for what
// is spoken through the proxy.
func Protocol() parsers.Protocol {
	return parsers.Protocol{Ports: []uint16{1080}, Probe: probe, NewSession: parsers.Of[handshake]()}
}

// probe knows the side that asks by its first message.
func probe(_ flow.Side, b []byte) parsers.Result {
	c := cursor{b: b}
	if len(b) > 0 && b[0] == version4 {
		c.request4()
	} else {
		c.methods()
	}
	return [...]parsers.Result{good: parsers.Yes, short: parsers.More, bad: parsers.No}[c.state]
}

// A handshake holds both sides' bytes until the proxy relays.
type handshake struct{ held [2][]byte }

// Feed implements parsers.SessionParser.
func (h *handshake) Feed(c *parsers.Context, side flow.Side, b []byte) {
	h.held[side] = append(h.held[side], b...)
	ask, answer := cursor{b: h.held[flow.Initiator]}, cursor{b: h.held[flow.Responder]}
	read(&ask, &answer)
	switch max(ask.state, answer.state) {
	case good:
		c.Handover([2][]byte{ask.b[ask.at:], answer.b[answer.at:]})
	case short:
		if len(h.held[side]) > maxHeld {
			c.Done()
		}
	case bad:
		c.Done()
	}
}

// Fin implements parsers.SessionParser.
func (*handshake) Fin(*parsers.Context, flow.Side) {}

// Rst implements parsers.SessionParser.
func (*handshake) Rst(*parsers.Context) {}

// read reads both sides of a handshake.
func read(ask, answer *cursor) {
	if len(ask.b) > 0 && ask.b[0] == version4 {
		ask.request4()
		answer.want(0)
		answer.want(granted4)
		answer.skip(6)
		return
	}
	ask.methods()
	answer.want(version5)
	method := answer.next()
	if answer.state != good {
		return
	}
	authenticate(ask, answer, method)
	ask.address5(connect)
	answer.address5(success5)
}

// authenticate reads what the method that the proxy chose asks for.
func authenticate(ask, answer *cursor, method byte) {
	switch method {
	case noAuth:
	case password:
		ask.want(passwordAuth)
		ask.skip(int(ask.next()))
		ask.skip(int(ask.next()))
		answer.want(passwordAuth)
		answer.want(0)
	default:
		answer.fail(bad)
	}
}
