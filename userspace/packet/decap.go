package packet

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Ports are the UDP ports of a tunnel kind; 0 is an unused place.
type Ports [4]uint16

// The usual ports (IANA, and 8472 for VXLAN of older Linux). VXLAN on 4790 is
// always read as VXLAN-GPE.
var (
	VXLANPorts  = Ports{4789, 8472, gpePort}
	GenevePorts = Ports{6081}
	GTPUPorts   = Ports{2152}
)

// Ports of kinds that have just one.
const (
	gpePort    = 4790
	mplsPort   = 6635 // RFC 7510
	teredoPort = 3544 // RFC 4380
	ayiyaPort  = 5072
)

// Decap says which encapsulations are opened. The zero value is DecapAuto; with any
// kind set only those set are opened. VLAN tags are always taken off.
type Decap struct {
	MPLS, PPPoE, GRE, ERSPAN, PPTP, IPIP, Teredo, AYIYA bool
	VXLAN, Geneve, GTPU                                 Ports

	// None opens nothing and goes before the kinds.
	None bool
	// Require refuses frames in which no tunnel was opened
	// (flow.CauseExtractor).
	Require bool
}

// What most callers want: everything, or nothing.
var (
	DecapAuto = Decap{}
	DecapNone = Decap{None: true}
)

// all returns every kind at its usual ports.
func (d Decap) all() Decap {
	return Decap{
		MPLS: true, PPPoE: true, GRE: true, ERSPAN: true, PPTP: true, IPIP: true, Teredo: true, AYIYA: true,
		VXLAN: VXLANPorts, Geneve: GenevePorts, GTPU: GTPUPorts, Require: d.Require,
	}
}

// resolved returns d with the zero value and None spelled out.
func (d Decap) resolved() Decap {
	switch {
	case d.None:
		return Decap{Require: d.Require}
	case d == Decap{Require: d.Require}:
		return d.all()
	}
	return d
}

// ParseDecap reads the value of --decap: "auto", "none", or a comma-separated list of
// kinds. vxlan, geneve and gtpu take ports after a colon; numbers that follow in the
// list are more ports of the same kind, as in "gre,vxlan:4790,8472".
func ParseDecap(s string) (Decap, error) {
	switch s {
	case "auto":
		return DecapAuto, nil
	case "none":
		return DecapNone, nil
	}
	var d Decap
	var ports *Ports
	for _, word := range strings.Split(s, ",") {
		var err error
		if ports, err = d.parse(strings.TrimSpace(word), ports); err != nil {
			return Decap{}, fmt.Errorf("decap %q: %w", s, err)
		}
	}
	if d == (Decap{}) { // vlan alone
		return DecapNone, nil
	}
	return d, nil
}

// parse adds one word of the list. It returns the ports that numbers in the next
// word belong to.
func (d *Decap) parse(word string, last *Ports) (*Ports, error) {
	if _, err := strconv.Atoi(word); err == nil && last != nil {
		return last, last.add(word)
	}
	kind, port, custom := strings.Cut(word, ":")
	ports, usual, err := d.enable(kind)
	switch {
	case err != nil:
		return nil, err
	case custom && ports == nil:
		return nil, fmt.Errorf("%s has no ports", kind)
	case custom:
		return ports, ports.add(port)
	case ports != nil && *ports == Ports{}:
		*ports = usual
	}
	return nil, nil
}

// enable switches kind on. For a kind that takes ports it returns where they are
// kept and the usual ones.
func (d *Decap) enable(kind string) (ports *Ports, usual Ports, err error) {
	switch kind {
	case "vlan":
	case "mpls":
		d.MPLS = true
	case "pppoe":
		d.PPPoE = true
	case "gre":
		d.GRE = true
	case "erspan":
		d.ERSPAN = true
	case "pptp":
		d.PPTP = true
	case "ipip":
		d.IPIP = true
	case "teredo":
		d.Teredo = true
	case "ayiya":
		d.AYIYA = true
	case "vxlan":
		return &d.VXLAN, VXLANPorts, nil
	case "geneve":
		return &d.Geneve, GenevePorts, nil
	case "gtpu":
		return &d.GTPU, GTPUPorts, nil
	default:
		return nil, Ports{}, fmt.Errorf("unknown kind %q (auto, none, vlan, mpls, pppoe, vxlan, geneve, gtpu, gre, erspan, pptp, ipip, teredo, ayiya)", kind)
	}
	return nil, Ports{}, nil
}

// add puts the port named by s in the first unused place.
func (p *Ports) add(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is not a port", s)
	}
	for i := range p {
		if p[i] == 0 {
			p[i] = uint16(n)
			return nil
		}
	}
	return fmt.Errorf("more than %d ports", len(p))
}

// A plan is a Decap made ready for lookup.
type plan struct {
	kinds uint32 // bit per flow.TunnelKind
	mask  uint64 // bit per port modulo 64: a quick no
	ports [3*len(Ports{}) + 3]udpPort
	n     int
	ready bool

	require  bool // Decap.Require
	noDirect bool // tests compare both ways
}

// A udpPort binds a port to the tunnel kind found behind it.
type udpPort struct {
	port uint16
	kind flow.TunnelKind
}

// compile makes the plan of d.
func (d Decap) compile() plan {
	d = d.resolved()
	p := plan{ready: true, require: d.Require}
	p.enable(flow.TunnelGRE, d.GRE)
	p.enable(flow.TunnelERSPAN, d.ERSPAN)
	p.enable(flow.TunnelPPTP, d.PPTP)
	p.enable(flow.TunnelIPIP, d.IPIP)
	p.enable(flow.TunnelPPPoE, d.PPPoE)
	p.enable(flow.TunnelMPLS, d.MPLS, mplsPort)
	p.enable(flow.TunnelTeredo, d.Teredo, teredoPort)
	p.enable(flow.TunnelAYIYA, d.AYIYA, ayiyaPort)
	p.enable(flow.TunnelVXLAN, d.VXLAN != Ports{}, d.VXLAN[:]...)
	p.enable(flow.TunnelGeneve, d.Geneve != Ports{}, d.Geneve[:]...)
	p.enable(flow.TunnelGTPU, d.GTPU != Ports{}, d.GTPU[:]...)
	return p
}

// enable adds kind and its ports if on. A port named for two kinds belongs to the
// one added first.
func (p *plan) enable(kind flow.TunnelKind, on bool, ports ...uint16) {
	if !on {
		return
	}
	p.kinds |= 1 << kind
	for _, port := range ports {
		if port != 0 {
			p.ports[p.n] = udpPort{port, kind}
			p.n++
			p.mask |= 1 << (port & 63)
		}
	}
}

// has reports whether kind is opened.
func (p *plan) has(kind flow.TunnelKind) bool { return p.kinds>>kind&1 != 0 }

// carries reports false for a packet that surely carries no tunnel.
func (p *plan) carries(q *Packet) bool {
	switch q.Proto {
	case flow.ProtoTCP:
		return false
	case flow.ProtoUDP:
		return p.maybe(q.SrcPort) || p.maybe(q.DstPort)
	}
	return true
}

// maybe reports false for a port that surely is of no tunnel.
func (p *plan) maybe(port uint16) bool { return p.mask>>(port&63)&1 != 0 }

// kind returns the tunnel kind behind a UDP port, or flow.TunnelNone.
func (p *plan) kind(port uint16) flow.TunnelKind {
	if !p.maybe(port) {
		return flow.TunnelNone
	}
	for _, e := range p.ports[:p.n] {
		if e.port == port {
			return e.kind
		}
	}
	return flow.TunnelNone
}
