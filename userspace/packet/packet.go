package packet

import (
	"net/netip"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Limits of decoding, shared with the kernel (bpf/abi.h).
const (
	MaxVLANs      = 3
	MaxTunnels    = 4
	MaxMPLSLabels = 16
	MaxExtHeaders = 8
	maxGTPHeaders = 8 // extension headers of one GTP-U packet
)

// TCP holds the fields of a TCP header.
type TCP = flow.TCPHeader

// A Packet is a decoded frame. A Decoder fills it and may be given the same one
// again and again; fields whose condition does not hold keep values of an earlier
// frame. Offsets count from the beginning of the frame that was decoded.
//
// When Cause is not flow.Decoded only Cause, Time, WireLen, Dir, the MACs and the
// VLANs say something about the frame; IPVersion, lengths and counts are zero.
type Packet struct {
	Time    flow.Timestamp
	Cause   flow.Cause
	Dir     CaptureDir
	WireLen int // of the whole frame, without FCS
	IPLen   int // of the innermost IP packet, by its header

	IPOff      int // innermost IP header
	L4Off      int // what follows the IP header and its extensions
	PayloadOff int // L4 payload
	PayloadCap int // captured bytes of it
	PayloadLen int // its length by the headers

	Src, Dst         [16]byte // IPv4 is IPv4-mapped
	SrcPort, DstPort uint16   // 0 when Proto has none
	FlowLabel        uint32   // of the innermost IPv6 header; 0 for IPv4
	IPVersion        uint8    // 4 or 6
	Proto            flow.Proto
	TTL              uint8 // or hop limit
	ICMPType         uint8 // with Proto ICMP or ICMPv6
	ICMPCode         uint8

	HasMAC     bool // SrcMAC was there; DstMAC is zero on cooked links
	HasTCP     bool // TCP was captured: 20 bytes, and no half header in a fragment
	Cut        bool // the snaplen left out part of the IP packet
	DecapDepth bool // there is a fifth tunnel level, which was left alone
	NVLANs     uint8
	NTunnels   uint8

	Frag    Frag
	TCP     TCP // with HasTCP
	SrcMAC  flow.MAC
	DstMAC  flow.MAC
	VLANs   [MaxVLANs]uint16   // outermost first; NVLANs of them
	Tunnels [MaxTunnels]Tunnel // outermost first; NTunnels of them
}

// A Frag says which part of a datagram an IP fragment carries; for a whole packet it
// is zero. Proto is what the datagram begins with, which for IPv6 may be another
// extension header.
type Frag struct {
	ID     uint32 // 16 bits for IPv4
	Offset uint16 // of its data in the datagram, in bytes
	More   bool   // not the last
	Proto  flow.Proto
	Start  int // of its data in the frame: after the IPv4 or the fragment header
}

// IsFragment reports whether f describes a fragment.
func (f *Frag) IsFragment() bool { return f.Offset != 0 || f.More }

// IsFirst reports whether f describes a first fragment, the one with the ports.
func (f *Frag) IsFirst() bool { return f.Offset == 0 && f.More }

// A Tunnel is one layer of encapsulation as it is decoded. Src and Dst are those of
// the IP header that carried it (IPv4-mapped), with IPVersion 0 when there was none.
type Tunnel struct {
	Src, Dst  [16]byte
	ID        uint32
	Kind      flow.TunnelKind
	HasID     bool
	IPVersion uint8
}

// Flow returns t as records hold it.
func (t *Tunnel) Flow() flow.Tunnel {
	return flow.Tunnel{Kind: t.Kind, HasID: t.HasID, ID: t.ID, Src: addr(t.IPVersion, &t.Src), Dst: addr(t.IPVersion, &t.Dst)}
}

func addr(version uint8, b *[16]byte) netip.Addr {
	switch version {
	case 4:
		return netip.AddrFrom4([4]byte(b[12:]))
	case 6:
		return netip.AddrFrom16(*b)
	}
	return netip.Addr{}
}

// SrcAddr returns the source address, invalid when there is none.
func (p *Packet) SrcAddr() netip.Addr { return addr(p.IPVersion, &p.Src) }

// DstAddr returns the destination address, invalid when there is none.
func (p *Packet) DstAddr() netip.Addr { return addr(p.IPVersion, &p.Dst) }

// IsFragment reports whether p is an IP fragment, first or later.
func (p *Packet) IsFragment() bool { return p.Frag.IsFragment() }

// IsFirst reports whether p is the first fragment of a datagram.
func (p *Packet) IsFirst() bool { return p.Frag.IsFirst() }

// HasICMP reports whether p has an ICMP type and code.
func (p *Packet) HasICMP() bool {
	return p.Frag.Offset == 0 && (p.Proto == flow.ProtoICMP || p.Proto == flow.ProtoICMP6)
}

// Attributes returns what p, as the first packet of a flow, says for the whole flow.
// It allocates when there are VLANs or tunnels.
func (p *Packet) Attributes() flow.Attributes {
	a := flow.Attributes{HasMAC: p.HasMAC, FlowLabel: p.FlowLabel}
	if p.HasMAC {
		a.MAC = [2]flow.MAC{p.SrcMAC, p.DstMAC}
	}
	if p.HasICMP() {
		a.HasICMP, a.ICMPType, a.ICMPCode = true, p.ICMPType, p.ICMPCode
	}
	if p.NVLANs > 0 {
		a.VLANs = append([]uint16(nil), p.VLANs[:p.NVLANs]...)
	}
	for i := range p.NTunnels {
		a.Tunnels = append(a.Tunnels, p.Tunnels[i].Flow())
	}
	return a
}

// Payload returns the captured payload, a part of frame, which is the one p was
// decoded from.
func (p *Packet) Payload(frame []byte) []byte {
	return frame[p.PayloadOff : p.PayloadOff+p.PayloadCap : p.PayloadOff+p.PayloadCap]
}

// Segment returns p as the tracker and the reassembler want it; frame is the one p
// was decoded from, and Data is a part of it. It wants HasTCP.
func (p *Packet) Segment(frame []byte) flow.Segment {
	return flow.Segment{
		TCPHeader: p.TCP,
		Time:      p.Time,
		Len:       p.PayloadLen,
		Data:      p.Payload(frame),
		Capture:   p.PayloadCap < p.PayloadLen,
	}
}

// fail clears what a frame without a flow does not have.
func (p *Packet) fail(c flow.Cause) flow.Cause {
	p.Cause = c
	p.IPVersion, p.Proto, p.TTL, p.NTunnels = 0, 0, 0, 0
	p.IPLen, p.IPOff, p.L4Off = 0, 0, 0
	p.PayloadOff, p.PayloadCap, p.PayloadLen = 0, 0, 0
	p.SrcPort, p.DstPort, p.FlowLabel = 0, 0, 0
	p.Src, p.Dst = [16]byte{}, [16]byte{}
	p.HasTCP, p.Cut, p.Frag = false, false, Frag{}
	return c
}
