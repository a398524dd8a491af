//go:build linux

package testnet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DownloadPort is the port of the server that [Network.Download] starts.
const DownloadPort = "4433"

// A Download is what the sender of one says of it.
type Download struct {
	Took time.Duration // of the body
	// Of TCP (RFC 4898): payload bytes, and segments with payload, as often as they
	// were sent; the bytes of them that were sent again.
	Bytes, Segments, Resent uint64
}

// Download lets the initiator read size bytes over TLS from a server on the responder,
// both of crypto/tls.
func (n *Network) Download(size int64) (d Download, err error) {
	cert, err := selfSigned()
	if err != nil {
		return d, err
	}
	var l net.Listener
	err = n.Responder.Do(func() error {
		l, err = net.Listen("tcp", net.JoinHostPort(ResponderIP, DownloadPort))
		return err
	})
	if err != nil {
		return d, err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- d.serve(l, size, cert) }()
	start := time.Now()
	if err := n.read(size); err != nil {
		return d, errors.Join(err, l.Close(), <-served)
	}
	d.Took = time.Since(start)
	return d, <-served
}

// serve sends size bytes to who connects, and asks TCP what that took.
func (d *Download) serve(l net.Listener, size int64, cert tls.Certificate) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
	if _, err := io.CopyN(io.Discard, s, 1); err != nil {
		return fmt.Errorf("wait for the request: %w", err)
	}
	if _, err := io.CopyN(s, zeros{}, size); err != nil {
		return fmt.Errorf("send %d bytes: %w", size, err)
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, s); err != nil { // until the client has all
		return err
	}
	return d.ask(c.(*net.TCPConn))
}

// ask reads what TCP counted.
func (d *Download) ask(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) {
		var i *unix.TCPInfo
		if i, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			d.Bytes, d.Segments, d.Resent = i.Bytes_sent, uint64(i.Data_segs_out), i.Bytes_retrans
		}
	}), err)
}

// read asks for the body with one byte and reads it.
func (n *Network) read(size int64) error {
	c, err := n.dial("tcp", ResponderIP, ":"+DownloadPort)
	if err != nil {
		return err
	}
	defer c.Close()
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: ServerName})
	if _, err := s.Write([]byte{1}); err != nil {
		return err
	}
	if got, err := io.Copy(io.Discard, s); err != nil || got != size {
		return fmt.Errorf("read %d bytes of %d: %w", got, size, err)
	}
	return s.Close()
}

// zeros is an endless body.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Sent returns the packets and bytes that both hosts' interfaces have sent, as their
// drivers count them.
func (n *Network) Sent() (packets, bytes uint64, err error) {
	for h, ifname := range map[*Host]string{n.Initiator: "a0", n.Responder: "b0"} {
		err := h.Do(func() error {
			l, err := netlink.LinkByName(ifname)
			if err != nil {
				return err
			}
			s := l.Attrs().Statistics
			packets, bytes = packets+s.TxPackets, bytes+s.TxBytes
			return nil
		})
		if err != nil {
			return 0, 0, fmt.Errorf("read the counters of %s: %w", ifname, err)
		}
	}
	return packets, bytes, nil
}
