package xdp

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// oneBuffer is the largest MTU whose frames fit one page with what XDP needs around them.
const oneBuffer = 3498

// interfaceFindings look at one interface.
func interfaceFindings(name string) []Finding {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return []Finding{{Level: Fail, What: name, Text: "no such interface", Mend: "choose one of: " + interfaceNames()}}
	}
	a := link.Attrs()
	f := Finding{What: name, Text: fmt.Sprintf("%s, MTU %d, driver %s", a.OperState, a.MTU, driver(name, link.Type()))}
	if a.Flags&net.FlagUp == 0 {
		f.Level, f.Mend = Warn, "ip link set "+name+" up"
	}
	l := []Finding{f}
	if a.Xdp != nil && a.Xdp.Attached {
		l = append(l, otherProgram(name, a.Xdp.ProgId))
	}
	l = append(l, modeFinding(name, a))
	return append(l, cardFindings(name, link.Type())...)
}

// modeFinding says how the program can be attached.
func modeFinding(name string, a *netlink.LinkAttrs) Finding {
	f := Finding{What: name}
	features, err := xdpFeatures(a.Index)
	switch {
	case err != nil:
		f.Text = "XDP: native if the driver has it, which the kernel tells from Linux 6.3 on (" + firstLine(err) + ")"
	case features&xdpBasic == 0:
		f.Level, f.Text = Warn, "XDP: generic only, the driver has no native mode: a packet costs more"
		f.Mend = "none but another card; it is attached in generic mode"
	case a.MTU > oneBuffer && features&xdpRxSG == 0:
		f.Level = Warn
		f.Text = fmt.Sprintf("XDP: generic only, for native the driver wants frames in one buffer, and MTU %d does not fit one", a.MTU)
		f.Mend = fmt.Sprintf("ip link set %s mtu %d, for native mode", name, oneBuffer)
	case a.MTU > oneBuffer:
		f.Text = fmt.Sprintf("XDP: native, MTU %d in several buffers", a.MTU)
	default:
		f.Text = "XDP: native"
	}
	return f
}

// cardFindings are about offloads that hide packets and about queues.
func cardFindings(name, kind string) []Finding {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return []Finding{{Level: Warn, What: name, Text: "offloads cannot be read: " + err.Error()}}
	}
	defer e.Close()
	var l []Finding
	if on, err := e.Features(name); err == nil {
		l = append(l, offloadFindings(name, kind, on)...)
	} else {
		l = append(l, Finding{Level: Warn, What: name, Text: "offloads cannot be read: " + err.Error()})
	}
	if c, err := e.GetChannels(name); err == nil { // a virtual device may have none to tell of
		l = append(l, queueFinding(name, int(c.RxCount+c.CombinedCount)))
	}
	return l
}

// offloads are what may hide something from a program that runs before the stack. The flag
// is ethtool's.
var offloads = []struct{ feature, flag, hides string }{
	{"rx-lro", "lro", "several packets come as one (LRO): packet counts are too low"},
	{"rx-gro-hw", "rx-gro-hw", "several packets come as one (GRO in hardware): packet counts are too low"},
	{"rx-vlan-hw-parse", "rxvlan", "VLAN tags come beside the frame: the program does not see them"},
}

func offloadFindings(name, kind string, on map[string]bool) []Finding {
	var l []Finding
	for _, o := range offloads {
		if !on[o.feature] {
			continue
		}
		f := Finding{Level: Warn, What: name, Text: "offloads: " + o.hides, Mend: "ethtool -K " + name + " " + o.flag + " off"}
		if kind == "veth" && o.flag == "rxvlan" { // as the sender leaves them
			f.Mend += ", and ethtool -K PEER txvlan off at the other end of the pair"
		}
		l = append(l, f)
	}
	if l == nil {
		l = []Finding{{What: name, Text: "offloads: none that hides packets"}}
	}
	return l
}

// queueFinding says whether both directions of a flow come to one queue. Counts are exact
// in any case; on two CPUs the directions may overtake one another on their way up.
func queueFinding(name string, queues int) Finding {
	f := Finding{What: name, Text: fmt.Sprintf("%d receive queues", queues)}
	if queues < 2 {
		f.Text = "one receive queue"
		return f
	}
	symmetric, err := rssSymmetric(name)
	switch {
	case err != nil:
		f.Text += ", how flows are spread over them is not told"
	case symmetric:
		f.Text += ", both directions of a flow go to one"
	default:
		f.Level, f.Text = Warn, f.Text+", the directions of a flow may go to two: order between them is not sure"
		f.Mend = "ethtool -X " + name + " xfrm symmetric-xor, or a key that repeats 6d:5a"
	}
	return f
}

// otherProgram is the finding of an interface that runs an XDP program already.
func otherProgram(name string, id uint32) Finding {
	return Finding{
		Level: Fail, What: name,
		Text: fmt.Sprintf("already runs the XDP program %s (id %d)", programName(id), id),
		Mend: "detach it (ip link set " + name + " xdp off) or choose another interface",
	}
}

// programName returns the name of a loaded program, or what hinders reading it.
func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return "with a name that cannot be read"
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil || info.Name == "" {
		return "without a name"
	}
	return info.Name
}

func interfaceNames() string {
	links, err := netlink.LinkList()
	if err != nil {
		return "none that can be listed: " + err.Error()
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	return strings.Join(names, ", ")
}

// driver returns the name of the kernel driver, or the kind of a virtual device.
func driver(name, kind string) string {
	if p, err := os.Readlink("/sys/class/net/" + name + "/device/driver"); err == nil {
		return filepath.Base(p)
	}
	return kind
}
