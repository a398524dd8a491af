package packet

import (
	"net/netip"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Inside makes p the innermost packet of the tunnel that a datagram carries, as Decode
// does for one that came whole: fragments made up data, and DecodeL4 has filled p from
// it. Offsets are into data from then on, and the tunnels are noted behind those that p
// has. It reports false, and leaves p, if no tunnel is there.
func (d *Decoder) Inside(data []byte, p *Packet) bool {
	if !d.plan.ready {
		d.plan = d.Decap.compile()
	}
	c := cursor{b: data, p: p, d: d}
	found := false
	for d.plan.carries(p) && !p.IsFragment() && c.inside() {
		found = true
	}
	return found
}

// Surround gives p the link addresses, VLANs and tunnels that a flow's first packet had.
// Same says that p goes the way of that one.
func (p *Packet) Surround(a *flow.Attributes, same bool) {
	p.SrcMAC, p.DstMAC, p.HasMAC = a.MAC[0], a.MAC[1], a.HasMAC
	if !same {
		p.SrcMAC, p.DstMAC = p.DstMAC, p.SrcMAC
	}
	p.NVLANs = uint8(copy(p.VLANs[:], a.VLANs))
	p.NTunnels = uint8(min(len(a.Tunnels), MaxTunnels))
	for i := range p.NTunnels {
		t := &a.Tunnels[i]
		p.Tunnels[i] = Tunnel{Kind: t.Kind, ID: t.ID, HasID: t.HasID}
		if t.Src.IsValid() {
			p.Tunnels[i].Src, p.Tunnels[i].Dst, p.Tunnels[i].IPVersion = t.Src.As16(), t.Dst.As16(), version(t.Src)
		}
	}
}

func version(a netip.Addr) uint8 {
	if a.Is4() {
		return 4
	}
	return 6
}
