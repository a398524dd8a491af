//go:build linux

package testnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Tuple is a directed five-tuple, as the sender's count has it.
type Tuple struct {
	Proto    uint8
	Src, Dst netip.AddrPort
}

// Compare orders tuples: IPv4 before IPv6, then by conversation.
func (t Tuple) Compare(o Tuple) int {
	return cmp.Or(
		cmp.Compare(t.Src.Addr().BitLen(), o.Src.Addr().BitLen()),
		cmp.Compare(t.Proto, o.Proto),
		cmp.Compare(max(t.Src.Port(), t.Dst.Port()), max(o.Src.Port(), o.Dst.Port())),
		cmp.Compare(o.Src.Port(), t.Src.Port()),
		t.Src.Compare(o.Src),
	)
}

// A Count is what a sender sent.
type Count struct{ Packets, Bytes, IPBytes uint64 }

// A Counter counts what a host sends on an interface, by five-tuple: on a packet
// socket at the sender, with code of its own, so that it can judge ours.
type Counter struct {
	fd      int
	reader  sync.WaitGroup
	stopped atomic.Bool
	sent    map[Tuple]Count // of the reader until it ended
}

// CountSent starts to count what h sends on ifname.
func (h *Host) CountSent(ifname string) (*Counter, error) {
	c := &Counter{sent: map[Tuple]Count{}}
	err := h.Do(func() (err error) {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		tv := unix.Timeval{Usec: 100_000}
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	})
	if err != nil {
		return nil, fmt.Errorf("count on %s: %w", ifname, err)
	}
	c.reader.Add(1)
	go c.read()
	return c, nil
}

// Stop reads what was sent so far and returns the counts. It fails if the socket
// lost packets: then the count is no oracle.
func (c *Counter) Stop() (map[Tuple]Count, error) {
	c.stopped.Store(true)
	c.reader.Wait()
	defer unix.Close(c.fd)
	st, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return nil, err
	}
	if st.Drops > 0 {
		return nil, fmt.Errorf("the sender's count lost %d packets", st.Drops)
	}
	return c.sent, nil
}

// read counts until Stop is called and nothing is left to read.
func (c *Counter) read() {
	defer c.reader.Done()
	b := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(c.fd, b, unix.MSG_TRUNC)
		if err != nil { // the receive time-out
			if c.stopped.Load() {
				return
			}
			continue
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			c.add(b[:min(n, len(b))], n)
		}
	}
}

func (c *Counter) add(b []byte, n int) {
	t, ipLen, ok := tupleOf(b)
	if !ok {
		return
	}
	s := c.sent[t]
	c.sent[t] = Count{s.Packets + 1, s.Bytes + uint64(n), s.IPBytes + uint64(ipLen)}
}

// tupleOf reads plain Ethernet, IPv4 or IPv6 without extensions, TCP or UDP: what
// the hosts of this package send.
func tupleOf(b []byte) (t Tuple, ipLen int, ok bool) {
	if len(b) < 14+20 {
		return t, 0, false
	}
	ip := b[14:]
	var src, dst netip.Addr
	var l4 []byte
	switch binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_IP:
		t.Proto, ipLen = ip[9], int(binary.BigEndian.Uint16(ip[2:]))
		src, dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		l4 = ip[int(ip[0]&15)*4:]
	case unix.ETH_P_IPV6:
		if len(ip) < 40 {
			return t, 0, false
		}
		t.Proto, ipLen = ip[6], 40+int(binary.BigEndian.Uint16(ip[4:]))
		src, dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		l4 = ip[40:]
	default:
		return t, 0, false
	}
	if t.Proto != unix.IPPROTO_TCP && t.Proto != unix.IPPROTO_UDP || len(l4) < 4 {
		return t, 0, false
	}
	t.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(l4))
	t.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(l4[2:]))
	return t, ipLen, true
}
