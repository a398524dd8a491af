package tracegen

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/netip"
)

// A Flow is the truth about one flow. The names are those of the project's output.
type Flow struct {
	Proto     string    `json:"proto"`
	Initiator Side      `json:"initiator"`
	Responder Side      `json:"responder"`
	State     string    `json:"state"`
	Messages  []Message `json:"messages,omitempty"`
}

// A Side is what one side of a flow sent.
type Side struct {
	IP           netip.Addr `json:"ip"`
	Port         uint16     `json:"port"`
	Packets      uint64     `json:"packets"`
	Bytes        uint64     `json:"bytes"`
	IPBytes      uint64     `json:"ip_bytes"`
	PayloadBytes uint64     `json:"payload_bytes"`
	// StreamBytes and MissedBytes are those of TCP that were in the trace at
	// least once, and those that never were.
	StreamBytes uint64 `json:"stream_bytes"`
	MissedBytes uint64 `json:"missed_bytes"`
	// StreamSHA256 is of the bytes of TCP up to the first that is missing.
	StreamSHA256 string `json:"stream_sha256,omitempty"`
}

// A Message is one message of a flow: of HTTP the request line's method and target or
// the status, of TLS the server name, of DNS the name asked for; and for HTTP the length
// of the body.
type Message struct {
	Side   string `json:"side"`
	Parser string `json:"parser"`
	Kind   string `json:"kind"`
	What   string `json:"what"`
	Body   int    `json:"body"`
}

func (f *Flow) packets() uint64 { return f.Initiator.Packets + f.Responder.Packets }

func (f *Flow) side(s int) *Side {
	if s == initiator {
		return &f.Initiator
	}
	return &f.Responder
}

// A digest hashes one side's stream up to the first byte that is missing. What is sent
// is added in the order of the trace; what came too early waits.
type digest struct {
	h     hash.Hash
	next  uint32 // sequence number
	early []packet
	gone  uint32 // sequence number that is missing for good, if gaps
	gaps  bool
}

// add takes a segment that was sent for the first time.
func (d *digest) add(p *packet) {
	if d.gaps && d.next == d.gone {
		return
	}
	d.early = append(d.early, *p)
	for i := 0; i < len(d.early); i++ {
		if d.early[i].seq == d.next {
			d.write(d.early[i].payload)
			d.early = append(d.early[:i], d.early[i+1:]...)
			i = -1
		}
	}
}

func (d *digest) write(b []byte) {
	if d.h == nil {
		d.h = sha256.New()
	}
	d.h.Write(b)
	d.next += uint32(len(b))
}

// gap notes that the segment at seq is never sent.
func (d *digest) gap(seq uint32) {
	if !d.gaps {
		d.gaps, d.gone = true, seq
	}
}

func (d *digest) sum() string {
	switch {
	case d.h == nil && !d.gaps:
		return "" // nothing was said
	case d.h == nil:
		d.h = sha256.New()
	}
	return hex.EncodeToString(d.h.Sum(nil))
}
