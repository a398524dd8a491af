package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// From linux/netdev.h, Linux 6.3.
const (
	netdevCmdDevGet     = 1
	netdevAttrIfindex   = 1
	netdevAttrFeatures  = 3
	netdevFamilyVersion = 1
	attrTypeMask        = 1<<14 - 1 // NLA_TYPE_MASK

	xdpBasic = 1 << 0 // PASS, DROP, TX and ABORTED
	xdpRxSG  = 1 << 5 // frames of several buffers
)

// xdpFeatures returns what the driver of an interface can do for XDP programs. The kernel says
// it from Linux 6.3 on.
func xdpFeatures(ifindex int) (features uint64, err error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return 0, fmt.Errorf("ask for XDP features: %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(genlHeader{netdevCmdDevGet, netdevFamilyVersion})
	req.AddData(nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(ifindex))))
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for XDP features: %w", err)
	}
	for _, m := range messages {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return 0, fmt.Errorf("read XDP features: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type&attrTypeMask == netdevAttrFeatures && len(a.Value) >= 8 {
				return binary.NativeEndian.Uint64(a.Value), nil
			}
		}
	}
	return 0, errors.New("ask for XDP features: the kernel does not say")
}

// genlHeader is struct genlmsghdr. That of package nl leaves the reserved bytes to chance,
// and new families want them to be zero.
type genlHeader [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (h genlHeader) Len() int { return len(h) }

// Serialize implements nl.NetlinkRequestData.
func (h genlHeader) Serialize() []byte { return h[:] }
