//go:build linux

// Package testnet makes small private networks out of namespaces and veth pairs,
// through netlink alone, for the demo and the live tests: nothing outside the
// namespaces it made is touched.
//
//	initiator ── a0 ─ r0 ── router ── r1 ─ b0 ── responder
//
// The router forwards, so each packet enters it exactly once: on r0 what the
// initiator sent, on r1 what the responder sent.
package testnet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Addresses of the two hosts (RFC 5737 and RFC 3849 documentation ranges).
const (
	InitiatorIP  = "192.0.2.2"
	ResponderIP  = "198.51.100.2"
	InitiatorIP6 = "2001:db8:1::2"
	ResponderIP6 = "2001:db8:2::2"
)

// A Host is a network namespace with code running in it on demand.
type Host struct {
	Name string
	ns   netns.NsHandle
}

// A Network is the three namespaces.
type Network struct {
	Initiator, Router, Responder *Host
}

// New makes the network. Close it, also after a failure of what runs in it.
func New() (*Network, error) {
	n := &Network{}
	if err := n.build(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) build() error {
	for _, h := range []struct {
		name string
		host **Host
	}{{"initiator", &n.Initiator}, {"router", &n.Router}, {"responder", &n.Responder}} {
		host, err := newHost(h.name)
		if err != nil {
			return err
		}
		*h.host = host
	}
	if err := n.connect(n.Initiator, "a0", "r0", "192.0.2", "2001:db8:1"); err != nil {
		return err
	}
	if err := n.connect(n.Responder, "b0", "r1", "198.51.100", "2001:db8:2"); err != nil {
		return err
	}
	return n.Router.Do(func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0),
		)
	})
}

// newHost makes a namespace without a name in the file system: it is gone when
// its handle is closed and nothing runs in it.
func newHost(name string) (*Host, error) {
	h := &Host{Name: name}
	err := onThread(func() (err error) {
		h.ns, err = netns.New()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return h, h.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return up("lo")
	})
}

// connect joins a host to the router: addresses end in .2 at the host, .1 at the
// router.
func (n *Network) connect(h *Host, hostIf, routerIf, net4, net6 string) error {
	err := h.Do(func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: hostIf}, PeerName: routerIf, PeerNamespace: netlink.NsFd(int(n.Router.ns))}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("make veth %s: %w", hostIf, err)
		}
		return configure(hostIf, net4+".2/24", net6+"::2/64")
	})
	if err != nil {
		return err
	}
	if err := n.Router.Do(func() error { return configure(routerIf, net4+".1/24", net6+"::1/64") }); err != nil {
		return err
	}
	return h.Do(func() error {
		return errors.Join(defaultRoute(hostIf, net4+".1"), defaultRoute(hostIf, net6+"::1"))
	})
}

// configure gives an interface its addresses and takes care that each packet on
// it is one packet on the wire: no segmentation after the counting.
func configure(ifname string, addrs ...string) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return fmt.Errorf("find %s: %w", ifname, err)
	}
	for _, s := range addrs {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = 0x02 // IFA_F_NODAD: usable at once
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("address %s on %s: %w", s, ifname, err)
		}
	}
	if err := netlink.LinkSetGSOMaxSegs(l, 1); err != nil {
		return fmt.Errorf("segmentation of %s: %w", ifname, err)
	}
	return up(ifname)
}

func up(ifname string) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func defaultRoute(ifname, via string) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	gw := net.ParseIP(via)
	dst := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if gw.To4() == nil {
		dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gw, Dst: dst})
}

// Do runs f in the host's namespace. Sockets and processes that f makes stay there.
func (h *Host) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("enter namespace %s: %w", h.Name, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, which ends with it: a thread that
// changed its namespace must not serve anything else.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		done <- f()
	}()
	return <-done
}

// Close removes the namespaces and with them the interfaces.
func (n *Network) Close() error {
	var errs []error
	for _, h := range []*Host{n.Initiator, n.Router, n.Responder} {
		if h != nil {
			errs = append(errs, h.ns.Close())
		}
	}
	return errors.Join(errs...)
}
