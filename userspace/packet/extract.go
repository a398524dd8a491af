package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// An Extractor makes the key of the flow that a packet belongs to. It is given every
// frame, decoded or not, and says why there is no key: for a frame that was not
// decoded that is p.Cause, unless the key needs less than an IP packet. It must not
// allocate, nor keep p or x.
//
// Later fragments must have been through Fragments.Follow first.
type Extractor[K comparable] interface {
	Extract(p *Packet, x *Extracted[K]) flow.Cause
}

// Extracted is what an Extractor says about one packet. It sets all of it.
type Extracted[K comparable] struct {
	Key K
	Dir flow.Direction // Forward if the packet goes from the key's Lo to its Hi
	// Sessions is true when the key names one L4 conversation, so that the TCP
	// state machine and parsers have a meaning.
	Sessions bool
	// Label is the packet's IPv6 flow label if changes of it are to be counted
	// (FlowLabel over a bidirectional extractor); it means something with
	// HasLabel.
	Label    uint32
	HasLabel bool
}

// FiveTuple keys by protocol and both endpoints; it is what everything uses by
// default. Equal endpoints give Forward.
//
// For ICMP the ports are those of Community ID: type and counterpart for requests
// and replies; for any other type the type at the source and 256 + code at the
// destination, so that its two directions are two flows.
type FiveTuple struct {
	Directional bool // a→b and b→a are two flows, Lo being the source
	// KeyVLAN and KeyTunnel tell overlapping address plans apart by VLAN ids, and
	// by kind and id of tunnels. Where ids differ by direction (GTP-U, PPTP,
	// MPLS) the directions become flows of their own.
	KeyVLAN, KeyTunnel bool
}

// Extract implements Extractor.
func (f FiveTuple) Extract(p *Packet, x *Extracted[flow.Key]) flow.Cause {
	if p.Cause != flow.Decoded {
		return p.Cause
	}
	sport, dport := p.SrcPort, p.DstPort
	if p.Proto == flow.ProtoICMP || p.Proto == flow.ProtoICMP6 {
		sport, dport = icmpWords(p)
	}
	x.Sessions, x.HasLabel, x.Label = true, false, 0
	k := &x.Key
	k.Proto, k.IPVersion, k.Directional, k.FlowLabel, k.Context = p.Proto, p.IPVersion, f.Directional, 0, 0
	if f.Directional || inOrder(&p.Src, &p.Dst, sport, dport) {
		x.Dir = flow.Forward
		k.Lo, k.Hi, k.LoPort, k.HiPort = p.Src, p.Dst, sport, dport
	} else {
		x.Dir = flow.Reverse
		k.Lo, k.Hi, k.LoPort, k.HiPort = p.Dst, p.Src, dport, sport
	}
	if f.KeyVLAN || f.KeyTunnel {
		k.Context = p.context(f.KeyVLAN, f.KeyTunnel)
	}
	return flow.Decoded
}

// inOrder reports whether a comes before b, or is the same: by address, then port.
func inOrder(a, b *[16]byte, aport, bport uint16) bool {
	if x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:]); x != y {
		return x < y
	}
	if x, y := binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]); x != y {
		return x < y
	}
	return aport <= bport
}

// context hashes VLAN ids and tunnels, word by word (FNV-1a with 32-bit words): the
// number of VLANs, their ids, then kind and id of each tunnel. It is 0 when there is
// none of what is asked for.
func (p *Packet) context(vlans, tunnels bool) uint32 {
	const basis, prime = 2166136261, 16777619
	h := uint32(basis)
	none := true
	if vlans && p.NVLANs > 0 {
		none = false
		h = (h ^ uint32(p.NVLANs)) * prime
		for _, id := range p.VLANs[:p.NVLANs] {
			h = (h ^ uint32(id)) * prime
		}
	}
	if tunnels && p.NTunnels > 0 {
		none = false
		for i := range p.Tunnels[:p.NTunnels] {
			h = (h ^ uint32(p.Tunnels[i].Kind)) * prime
			h = (h ^ p.Tunnels[i].ID) * prime
		}
	}
	if none {
		return 0
	}
	return h
}

// icmpWords returns the two words that stand for ports.
func icmpWords(p *Packet) (src, dst uint16) {
	if other, ok := flow.ICMPCounterpart(p.Proto, p.ICMPType); ok {
		return uint16(p.ICMPType), uint16(other)
	}
	return uint16(p.ICMPType), 256 + uint16(p.ICMPCode)
}

// IPPair keys by two addresses alone, so that everything two hosts exchange is one
// flow. The key's protocol is 0.
type IPPair struct{}

// Extract implements Extractor.
func (IPPair) Extract(p *Packet, x *Extracted[flow.Key]) flow.Cause {
	if p.Cause != flow.Decoded {
		return p.Cause
	}
	*x = Extracted[flow.Key]{}
	x.Key.IPVersion = p.IPVersion
	if inOrder(&p.Src, &p.Dst, 0, 0) {
		x.Key.Lo, x.Key.Hi = p.Src, p.Dst
	} else {
		x.Dir, x.Key.Lo, x.Key.Hi = flow.Reverse, p.Dst, p.Src
	}
	return flow.Decoded
}

// MACPair keys by two link addresses, held in the first six bytes of Lo and Hi. It
// takes any frame with MACs, whatever is in it; a frame without them is of no flow.
type MACPair struct{}

// Extract implements Extractor.
func (MACPair) Extract(p *Packet, x *Extracted[flow.Key]) flow.Cause {
	if !p.HasMAC {
		if p.Cause == flow.Decoded || p.Cause == flow.CauseNotIP {
			return flow.CauseExtractor
		}
		return p.Cause
	}
	*x = Extracted[flow.Key]{}
	lo, hi := &p.SrcMAC, &p.DstMAC
	if bytes.Compare(lo[:], hi[:]) > 0 {
		x.Dir = flow.Reverse
		lo, hi = hi, lo
	}
	copy(x.Key.Lo[:], lo[:])
	copy(x.Key.Hi[:], hi[:])
	return flow.Decoded
}

// FlowLabel adds the IPv6 flow label to what x extracts. Over a directional x it
// becomes part of the key; otherwise each direction has a label of its own, and it is
// only said in Extracted.Label.
func FlowLabel(x Extractor[flow.Key]) Extractor[flow.Key] { return &flowLabel{x} }

type flowLabel struct{ inner Extractor[flow.Key] }

// Extract implements Extractor.
func (f *flowLabel) Extract(p *Packet, x *Extracted[flow.Key]) flow.Cause {
	if cause := f.inner.Extract(p, x); cause != flow.Decoded {
		return cause
	}
	if x.Key.Directional {
		x.Key.FlowLabel = p.FlowLabel
		return flow.Decoded
	}
	x.Label, x.HasLabel = p.FlowLabel, true
	return flow.Decoded
}

// ParseKey returns the extractor that --key names: five-tuple, ip-pair or mac-pair.
// The options of the first do not concern the others.
func ParseKey(s string, options FiveTuple) (Extractor[flow.Key], error) {
	switch s {
	case "five-tuple":
		return &options, nil
	case "ip-pair":
		return &IPPair{}, nil
	case "mac-pair":
		return &MACPair{}, nil
	}
	return nil, fmt.Errorf("key %q: want five-tuple, ip-pair or mac-pair", s)
}
