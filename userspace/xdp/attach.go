package xdp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// A Mode is how a program is attached to an interface.
type Mode uint8

// The modes. Native runs in the driver; Generic behind it, at the cost of a packet
// buffer for each frame, but on any interface; Auto is the first of the two that works.
const (
	Auto Mode = iota
	Native
	Generic
	Egress // tcx: what [Engine.AttachEgress] does
)

var modeNames = [...]string{"auto", "native", "generic", "egress"}

// String returns "auto", "native", "generic" or "egress".
func (m Mode) String() string { return modeNames[min(int(m), len(modeNames)-1)] }

// ParseMode reads "auto", "native" or "generic".
func ParseMode(s string) (Mode, error) {
	if i := slices.Index(modeNames[:Egress], s); i >= 0 {
		return Mode(i), nil
	}
	return 0, fmt.Errorf("%q: must be auto, native or generic", s)
}

// An Attachment is the program on an interface.
type Attachment struct {
	Interface string
	Mode      Mode   // Native, Generic or Egress
	Why       string // why not the better mode; empty if there is none
	link      link.Link
	pinned    string // the name under which the link is pinned; empty: it is not
	e         *Engine
}

// String says where the program is, and why there.
func (a *Attachment) String() string {
	if a.Why == "" {
		return fmt.Sprintf("%s: attached, %s", a.Interface, a.Mode)
	}
	return fmt.Sprintf("%s: attached, %s (%s)", a.Interface, a.Mode, a.Why)
}

// Attach puts the program on an interface's ingress. It does not replace a program
// that is there.
func (e *Engine) Attach(ifname string, mode Mode) (*Attachment, error) {
	a, err := e.takeOver(ifname, mode)
	if a != nil || err != nil {
		return a, err
	}
	l, err := e.attachable(ifname)
	if err != nil {
		return nil, err
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		f := otherProgram(ifname, x.ProgId)
		return nil, fmt.Errorf("attach to %s: %s: %s", ifname, f.Text, f.Mend)
	}
	a = &Attachment{Interface: ifname, Mode: mode, e: e}
	if err := a.attachXDP(e.coll.Programs["flowscope_xdp"], l.Attrs().Index); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", ifname, err)
	}
	return a, e.keep(a, l.Attrs().Index)
}

// keep notes an attachment, and pins it if maps are pinned, so that packets are counted
// without us, too.
func (e *Engine) keep(a *Attachment, ifindex int) error {
	e.attached = append(e.attached, a)
	if e.pins == nil {
		return nil
	}
	a.pinned = linkName(a.Mode, ifindex)
	if err := a.link.Pin(e.pins.file(a.pinned)); err != nil {
		return fmt.Errorf("pin the program of %s: %w", a.Interface, permitted(err))
	}
	return nil
}

func (e *Engine) attachable(ifname string) (netlink.Link, error) {
	if e.opt.Replay {
		return nil, fmt.Errorf("attach to %s: the engine was loaded for replay", ifname)
	}
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w (interfaces are: %s)", ifname, err, interfaceNames())
	}
	return l, nil
}

// attachXDP tries the modes that a.Mode allows, and notes the one that worked.
func (a *Attachment) attachXDP(p *ebpf.Program, index int) (err error) {
	native := func() (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPDriverMode})
	}
	if a.Mode != Generic {
		if a.link, err = native(); err == nil || a.Mode == Native {
			a.Mode = Native
			return err
		}
		a.Why = "native: " + firstLine(err)
	}
	a.Mode = Generic
	var generic error
	a.link, generic = link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPGenericMode})
	if generic != nil {
		return errors.Join(err, generic)
	}
	return nil
}

// AttachEgress puts the program on an interface's egress, by tcx (Linux 6.6). The engine
// must have been loaded with Egress. Other programs there go on working.
func (e *Engine) AttachEgress(ifname string) (*Attachment, error) {
	a, err := e.takeOver(ifname, Egress)
	if a != nil || err != nil {
		return a, err
	}
	l, err := e.attachable(ifname)
	if err != nil {
		return nil, err
	}
	program := e.coll.Programs["flowscope_tc"]
	if program == nil {
		return nil, fmt.Errorf("attach to the egress of %s: the engine was loaded without Egress", ifname)
	}
	k, err := link.AttachTCX(link.TCXOptions{Program: program, Interface: l.Attrs().Index, Attach: ebpf.AttachTCXEgress})
	if err != nil {
		return nil, fmt.Errorf("attach to the egress of %s: %w", ifname, err)
	}
	a = &Attachment{Interface: ifname, Mode: Egress, link: k, e: e}
	return a, e.keep(a, l.Attrs().Index)
}

// Detach takes the program off the interface. It may be called once, and not after
// Close.
func (a *Attachment) Detach() error {
	a.e.attached = slices.DeleteFunc(a.e.attached, func(b *Attachment) bool { return a == b })
	var unpin error
	if a.pinned != "" {
		unpin = a.link.Unpin()
	}
	if err := errors.Join(unpin, a.link.Close()); err != nil {
		return fmt.Errorf("detach from %s: %w", a.Interface, err)
	}
	return nil
}

// Attached returns where the program is attached.
func (e *Engine) Attached() []*Attachment { return slices.Clone(e.attached) }
