// Package tls reads TLS handshakes as they pass: who asked for which name with
// which parameters, what was agreed, with which certificates, and what failed.
//
// The bytes of both sides of a TCP flow go into a [Parser]; [ClientHello],
// [ServerHello], [Certificate] and [Alert] messages come out. Records and handshake
// messages may be cut and joined anywhere (RFC 8446 §5.1). What is encrypted is
// skipped by its length, and when the handshake has told all it can in the clear
// the parser is done. Fingerprints are JA3, JA3S and JA4; see [JA3] and [JA4].
//
// What bites: which side is the TLS client is known from what it sends, not from who
// opened the flow. A handshake is read, not checked: nothing here says that a peer
// accepted it.
package tls

import (
	"cmp"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// The default limits, in bytes.
const (
	DefaultMaxMessage   = 64 << 10
	DefaultMaxHandshake = 128 << 10
	DefaultMaxSilence   = 64 << 10
)

// Options bound a [Parser] and say who is called. Zero values mean the defaults.
type Options struct {
	// MaxMessage is the length of the longest handshake message that is read,
	// without its header: 64 KiB. A longer one poisons.
	MaxMessage int
	// MaxHandshake is how many bytes of handshake messages one side may send in
	// the clear: 128 KiB. More poison.
	MaxHandshake int
	// MaxSilence is how many bytes one side may send without a hello: 64 KiB.
	// More poison.
	MaxSilence int

	Callbacks Callbacks
}

func (o *Options) maxMessage() int   { return cmp.Or(o.MaxMessage, DefaultMaxMessage) }
func (o *Options) maxHandshake() int { return cmp.Or(o.MaxHandshake, DefaultMaxHandshake) }
func (o *Options) maxSilence() int   { return cmp.Or(o.MaxSilence, DefaultMaxSilence) }

// Callbacks hear of messages when these are complete, each before the message is
// emitted. Those that are nil are not called. They run inside the parser's Feed and
// may keep what they are given, but must not change it.
type Callbacks struct {
	// Fingerprint comes before ClientHello.
	Fingerprint func(*parsers.Context, Fingerprint)
	ClientHello func(*parsers.Context, *ClientHello)
	ServerHello func(*parsers.Context, *ServerHello)
	Certificate func(*parsers.Context, *Certificate)
	Alert       func(*parsers.Context, *Alert)
}

// A Fingerprint is what a ClientHello says about the program that sent it.
type Fingerprint struct {
	JA3, JA3Raw, JA4 string
}

// Protocol returns TLS as drivers choose it.
func Protocol(o Options) parsers.Protocol {
	return parsers.Protocol{
		Name:       "tls",
		Ports:      []uint16{443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 5223, 5671, 6697, 8443, 8883, 9443},
		Probe:      probe,
		NewSession: func(flow.Key) parsers.SessionParser { return New(o) },
	}
}
