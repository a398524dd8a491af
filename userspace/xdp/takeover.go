package xdp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Modes of an XDP program as netlink tells them (linux/if_link.h).
const (
	xdpAttachedDriver = 1
	xdpAttachedSKB    = 2
)

// programs are the programs by mode.
var programs = [...]string{Native: "flowscope_xdp", Generic: "flowscope_xdp", Egress: "flowscope_tc"}

// takeOver puts the program on a link that is pinned with the maps, in place of the one
// that counts there: no packet is missed between. It is nil if there is no such link, or
// it does not fit; then the link is removed.
func (e *Engine) takeOver(ifname string, mode Mode) (*Attachment, error) {
	if e.pins == nil {
		return nil, nil
	}
	l, err := e.attachable(ifname)
	if err != nil {
		return nil, err
	}
	name := linkName(mode, l.Attrs().Index)
	k, err := link.LoadPinnedLink(e.pins.file(name), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take over the program of %s: %w", ifname, permitted(err))
	}
	a := &Attachment{Interface: ifname, Mode: mode, link: k, pinned: name, e: e}
	if !a.fits(l, k) {
		return nil, errors.Join(k.Unpin(), k.Close())
	}
	if err := k.Update(e.coll.Programs[programs[a.Mode]]); err != nil {
		return nil, errors.Join(fmt.Errorf("take over the program of %s: %w", ifname, err), k.Close())
	}
	e.attached = append(e.attached, a)
	return a, nil
}

// fits reports whether the link is still on the interface, in the mode that is wanted; it
// sets a.Mode to the one it has.
func (a *Attachment) fits(l netlink.Link, k link.Link) bool {
	info, err := k.Info()
	if err != nil {
		return false
	}
	if a.Mode == Egress {
		t := info.TCX()
		return t != nil && int(t.Ifindex) == l.Attrs().Index
	}
	x := l.Attrs().Xdp
	if x == nil || !x.Attached || x.ProgId != uint32(info.Program) {
		return false // the interface is gone, or of another namespace
	}
	has := map[uint32]Mode{xdpAttachedDriver: Native, xdpAttachedSKB: Generic}[x.AttachMode]
	if has == Auto || a.Mode != Auto && a.Mode != has {
		return false
	}
	a.Mode = has
	return true
}

// DropLinks removes the links of an earlier run on interfaces that this one has not
// attached to.
func (e *Engine) DropLinks() error {
	if e.pins == nil {
		return nil
	}
	l, err := os.ReadDir(e.pins.path)
	if err != nil {
		return fmt.Errorf("drop links: %w", err)
	}
	var errs []error
	for _, n := range l {
		if name := n.Name(); isLink(name) && !e.holds(name) {
			errs = append(errs, os.Remove(e.pins.file(name)))
		}
	}
	return errors.Join(errs...)
}

// holds reports whether a pinned link is one of ours.
func (e *Engine) holds(name string) bool {
	return slices.ContainsFunc(e.attached, func(a *Attachment) bool { return a.pinned == name })
}
