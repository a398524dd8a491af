//go:build linux

package testnet

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ServerName is the name the TLS and HTTP servers go by.
const ServerName = "www.flowscope.example"

// BodySize is the size of the body the HTTP server answers /large with.
const BodySize = 200_000

// Servers are real HTTP/1.1, TLS and DNS servers on the responder, on ports 80,
// 443 and 53 of its IPv4 and IPv6 addresses.
type Servers struct {
	closers []io.Closer
	running sync.WaitGroup
}

// Serve starts the servers.
func (n *Network) Serve() (*Servers, error) {
	s := &Servers{}
	cert, err := selfSigned()
	if err != nil {
		return nil, err
	}
	err = n.Responder.Do(func() error {
		for _, ip := range []string{ResponderIP, ResponderIP6} {
			if err := s.listen(ip, cert); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start servers: %w", err)
	}
	return s, nil
}

// listen opens the three sockets of one address. Sockets stay in the namespace
// of the thread that made them.
func (s *Servers) listen(ip string, cert tls.Certificate) error {
	plain, err := net.Listen("tcp", net.JoinHostPort(ip, "80"))
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", net.JoinHostPort(ip, "443"))
	if err != nil {
		return err
	}
	names, err := net.ListenPacket("udp", net.JoinHostPort(ip, "53"))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	s.closers = append(s.closers, srv, names)
	s.serve(func() error { return srv.Serve(plain) })
	s.serve(func() error {
		return srv.Serve(tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}))
	})
	s.serve(func() error { return serveDNS(names) })
	return nil
}

func (s *Servers) serve(f func() error) {
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		_ = f() // ends with an error when its socket is closed
	}()
}

// Close stops the servers and waits for them.
func (s *Servers) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/large" {
		_, _ = w.Write(bytes.Repeat([]byte("flowscope "), BodySize/10))
		return
	}
	fmt.Fprintf(w, "hello from %s\n", r.URL.Path)
}

// serveDNS answers every A question with an address of the documentation range
// and everything else with NXDOMAIN.
func serveDNS(c net.PacketConn) error {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		var m dnsmessage.Message
		if err := m.Unpack(b[:n]); err != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RCode = true, dnsmessage.RCodeNameError
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.RCode = dnsmessage.RCodeSuccess
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(ResponderIP).As4()},
			}}
		}
		out, err := m.Pack()
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(out, from); err != nil {
			return err
		}
	}
}

// Browse sends the demo's traffic from the initiator: over IPv4 and IPv6 a DNS
// question with an answer and one without, HTTP requests (two on one connection, one
// with a large body), and an HTTPS request with SNI.
func (n *Network) Browse(ctx context.Context) error {
	for _, ip := range []string{ResponderIP, ResponderIP6} {
		if err := n.browse(ctx, ip); err != nil {
			return fmt.Errorf("traffic to %s: %w", ip, err)
		}
	}
	return nil
}

func (n *Network) browse(ctx context.Context, ip string) error {
	for i, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeTXT} {
		if err := n.ask(ip, uint16(0x1000+i), typ); err != nil {
			return fmt.Errorf("dns: %w", err)
		}
	}
	transport := &http.Transport{
		DialContext:     func(_ context.Context, _, addr string) (net.Conn, error) { return n.dial("tcp", ip, addr) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: ServerName},
	}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, url := range []string{"http://" + ServerName + "/index.html", "http://" + ServerName + "/large", "https://" + ServerName + "/secret"} {
		if err := fetch(ctx, c, url); err != nil {
			return err
		}
	}
	return nil
}

func fetch(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, res.Status)
	}
	return nil
}

// dial connects from the initiator's namespace to the port of addr at ip.
func (n *Network) dial(network, ip, addr string) (c net.Conn, err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	err = n.Initiator.Do(func() error {
		c, err = net.DialTimeout(network, net.JoinHostPort(ip, port), 5*time.Second)
		return err
	})
	return c, err
}

func (n *Network) ask(ip string, id uint16, typ dnsmessage.Type) error {
	c, err := n.dial("udp", ip, ":53")
	if err != nil {
		return err
	}
	defer c.Close()
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(ServerName + "."), Type: typ, Class: dnsmessage.ClassINET}},
	}
	b, err := q.Pack()
	if err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1500))
	return err
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: ServerName},
		DNSNames:     []string{ServerName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
