package packet

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// A UDPPort is a port and the tunnel kind found behind it.
type UDPPort struct {
	Port uint16
	Kind flow.TunnelKind
}

// Kinds lists the encapsulations that d opens, for engines that decode elsewhere.
func (d Decap) Kinds() []flow.TunnelKind {
	p := d.compile()
	l := []flow.TunnelKind{}
	for k := range flow.TunnelKind(flow.TunnelKinds) {
		if p.has(k) {
			l = append(l, k)
		}
	}
	return l
}

// UDPPorts lists the ports that tunnels are recognised by, in the order they are asked.
func (d Decap) UDPPorts() []UDPPort {
	p := d.compile()
	l := []UDPPort{}
	for _, u := range p.ports[:p.n] {
		l = append(l, UDPPort{u.port, u.kind})
	}
	return l
}
