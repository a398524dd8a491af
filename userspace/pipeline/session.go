package pipeline

import (
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// A session is what a driver keeps of one flow beside the table's own.
type session struct {
	tuple     flow.Key // of the first packet: what records and parsers are told
	proto     flow.Proto
	fiveTuple bool // the flow's key is a five-tuple
	attrs     flow.Attributes
	first     flow.Direction // of the first packet, whom attrs are of
	lost      flow.Incomplete
	known     bool // the fields above are set
	closed    bool // streams are flushed, parsers finished

	tcp    *tcpSession // once a TCP packet came
	udp    *udpSession // once a datagram came
	handle Handle      // of the kernel engine
	told   bool        // the kernel knows that the session is over
	// lostBytes of payload found the ring full, by direction, and no segment has told yet.
	lostBytes [2]uint32
	// verdicts are what the kernel was told, by direction.
	verdicts [2]Verdict
	spilled  bool    // the flow has no entry in the kernel's table
	beside   *beside // counters in other places than the entry; nil: none

	partial bool         // some segment found the ring full
	unseen  bool         // segments that tell nothing new do not come up
	resent  [2]uint32    // DirQuality.Retransmissions so far, with unseen
	longRTT *[2]flow.RTT // samples that came up by themselves, by direction

	tickAt  flow.Timestamp // when the parser has something to do
	ticking bool           // tickAt means something
}

// A tcpSession is the part of a session that TCP flows have.
type tcpSession struct {
	asm  reassembly.Assembler
	app  app
	hash *streamHash // nil unless asked for
	// initiator is the direction of the initiator's packets, as far as the fields
	// above know.
	initiator flow.Direction
}

// orient exchanges the sides if the initiator turned out to be the other end.
func (t *tcpSession) orient(initiator flow.Direction) {
	if t.initiator == initiator {
		return
	}
	t.initiator = initiator
	t.asm.Swap()
	t.app.swap()
	if t.hash != nil {
		t.hash.swap()
	}
}

// A udpSession is the part of a session that datagram flows have.
type udpSession struct {
	proto  *parsers.Protocol
	parser parsers.DatagramParser
	tries  [2]uint8 // datagrams of each side that nobody knew
	off    bool     // nothing more is wanted
}
