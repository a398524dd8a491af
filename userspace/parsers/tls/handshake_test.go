package tls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// wiretap is a connection that notes what goes out through it.
type wiretap struct {
	net.Conn
	note func([]byte)
}

func (w wiretap) Write(b []byte) (int, error) {
	w.note(bytes.Clone(b))
	return w.Conn.Write(b)
}

// connected returns the two ends of a connection.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// realHandshake lets crypto/tls talk to itself and returns what went over the wire,
// a segment for each write.
func realHandshake(t *testing.T, client, server *tls.Config) parsertest.Script {
	t.Helper()
	var mu sync.Mutex
	var script parsertest.Script
	tap := func(side flow.Side) func([]byte) {
		return func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			script = append(script, parsertest.Step{Op: parsertest.OpFeed, Side: side, Data: string(b)})
		}
	}
	a, b := connected(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(wiretap{b, tap(flow.Responder)}, server)
		if s.Handshake() == nil {
			fmt.Fprint(s, "welcome")
		}
		s.Close()
	}()
	c := tls.Client(wiretap{a, tap(flow.Initiator)}, client)
	if c.Handshake() == nil {
		c.Read(make([]byte, 16))
	}
	c.Close()
	<-done
	mu.Lock()
	defer mu.Unlock()
	return script
}

// TestRealHandshakes reads what crypto/tls says, of which it knows itself what it is.
func TestRealHandshakes(t *testing.T) {
	key, der := testKeyPair(t)
	server := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS10}
		change(c)
		return c
	}
	client := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{ServerName: "www.example.org", InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
		change(c)
		return c
	}
	same := func(*tls.Config) {}
	cache := tls.NewLRUClientSessionCache(1)
	old := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12; c.ClientSessionCache = cache }
	shared := server(same) // keeps the session tickets' key
	tests := []struct {
		name           string
		client, server *tls.Config
		want           string
	}{
		{"TLS 1.3", client(same), server(same), sawModern + ", done"},
		{"hello retry", client(same), server(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }),
			sawHello + ", r server_hello TLS 1.3 retry, " + sawHello + ", r server_hello TLS 1.3, done"},
		{"TLS 1.2", client(old), shared, sawHello + ", r server_hello TLS 1.2, r certificate, done"},
		{"TLS 1.2 resumed", client(old), shared, sawHello + ", r server_hello TLS 1.2, done"},
		{"TLS 1.0", client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS10 }), server(same), sawHello + ", r server_hello TLS 1.0, r certificate, done"},
		{"client certificate", client(func(c *tls.Config) { old(c); c.Certificates = server(same).Certificates }),
			server(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			sawHello + ", r server_hello TLS 1.2, r certificate, i certificate, done"},
		{"client without certificate", client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), server(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			sawHello + ", r server_hello TLS 1.2, r certificate, i certificate, r alert fatal handshake_failure, done"},
		{"no common version", client(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }), server(func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }),
			sawHello + ", r alert fatal protocol_version, done"},
		{"no common protocol", client(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), server(func(c *tls.Config) { c.NextProtos = []string{"smtp"} }),
			sawHello + ", r alert fatal no_application_protocol, done"},
		{"certificate refused", client(func(c *tls.Config) {
			old(c)
			c.InsecureSkipVerify = false
			c.ClientSessionCache = nil
			c.RootCAs = x509.NewCertPool()
		}), server(same),
			sawHello + ", r server_hello TLS 1.2, r certificate, i alert fatal bad_certificate, done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script := realHandshake(t, tt.client, tt.server)
			if got := summary(t, newParser, script); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			parsertest.Lines(t, newParser, script)
		})
	}
}

// TestRealHello compares a hello with what crypto/tls makes of the same bytes.
func TestRealHello(t *testing.T) {
	key, der := testKeyPair(t)
	var want tls.ClientHelloInfo
	script := realHandshake(t,
		&tls.Config{ServerName: "WWW.example.org", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}},
		&tls.Config{
			Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) { want = *i; return nil, nil },
		})
	got, ok := parsertest.Play(t, newParser, script).Messages[0].Message.(*ClientHello)
	if !ok {
		t.Fatal("the first message is no ClientHello")
	}
	if got.SNI != strings.ToLower(want.ServerName) || !slices.Equal(got.ALPN, want.SupportedProtos) {
		t.Errorf("name %q, protocols %q; want %q, %q", got.SNI, got.ALPN, want.ServerName, want.SupportedProtos)
	}
	equal(t, "ciphers", got.Ciphers, want.CipherSuites)
	equal(t, "versions", got.SupportedVersions, want.SupportedVersions)
	equal(t, "groups", got.SupportedGroups, want.SupportedCurves)
	equal(t, "algorithms", got.SignatureAlgorithms, want.SignatureSchemes)
	equal(t, "extensions", got.Extensions, want.Extensions)
	if !bytes.Equal(got.PointFormats, want.SupportedPoints) {
		t.Errorf("point formats %v, want %v", got.PointFormats, want.SupportedPoints)
	}
}

// equal compares two lists of numbers.
func equal[A, B ~uint16](t *testing.T, what string, got []A, want []B) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a A, b B) bool { return uint16(a) == uint16(b) }) {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}
