package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/parsers/parsertest"
)

// newKeyPair makes a key and a certificate with every kind of name.
func newKeyPair() (key *ecdsa.PrivateKey, der []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	subject := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "DE"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Acme, Inc. "},
		{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ca@example.org"},
		{Type: asn1.ObjectIdentifier{1, 3, 9999, 1}, Value: "#1"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "www.example.org"},
	}}
	template := &x509.Certificate{
		SerialNumber:   big.NewInt(1),
		Subject:        subject,
		NotBefore:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		NotAfter:       time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
		DNSNames:       []string{"www.example.org", "*.example.net"},
		IPAddresses:    []net.IP{net.IPv4(192, 0, 2, 1)},
		EmailAddresses: []string{"who@example.org"},
		URIs:           []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/a"}},
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return key, der, err
}

// testKeyPair returns a key and its certificate, the same in all tests.
func testKeyPair(t testing.TB) (key *ecdsa.PrivateKey, der []byte) {
	t.Helper()
	keyPair.once.Do(func() { keyPair.key, keyPair.der, keyPair.err = newKeyPair() })
	if keyPair.err != nil {
		t.Fatal(keyPair.err)
	}
	return keyPair.key, keyPair.der
}

var keyPair struct {
	once sync.Once
	key  *ecdsa.PrivateKey
	der  []byte
	err  error
}

// testCertificate is a Certificate message with that certificate.
func testCertificate(t testing.TB) string {
	t.Helper()
	_, der := testKeyPair(t)
	return message(typeCertificate, vec24(vec24(string(der))))
}

func TestCertificate(t *testing.T) {
	_, der := testKeyPair(t)
	m, err := ParseCertificate([]byte(vec24(vec24(string(der)) + vec24("rubbish"))))
	if err != nil || len(m.Chain) != 2 {
		t.Fatalf("ParseCertificate: %v, %v; want two certificates", m, err)
	}
	const name = `CN=www.example.org,1.3.9999.1=\#1,emailAddress=ca@example.org,O=Acme\, Inc.\ ,C=DE`
	leaf := m.Chain[0]
	if leaf.Err != nil || leaf.Subject != name || leaf.Issuer != name {
		t.Errorf("subject %q, issuer %q, %v; want %q", leaf.Subject, leaf.Issuer, leaf.Err, name)
	}
	if want := []string{"www.example.org", "*.example.net", "192.0.2.1", "who@example.org", "spiffe://example.org/a"}; !slices.Equal(leaf.Names, want) {
		t.Errorf("names %q, want %q", leaf.Names, want)
	}
	if bad := m.Chain[1]; bad.Err == nil || bad.SHA256 != sha256.Sum256([]byte("rubbish")) {
		t.Errorf("unparsable certificate: %x, %v", bad.SHA256, bad.Err)
	}
}

func TestCertificateJSON(t *testing.T) {
	_, der := testKeyPair(t)
	flight := records(TLS12, message(typeCertificate, vec24(vec24(string(der))+vec24("rubbish"))))
	lines := parsertest.Lines(t, newParser, parsertest.Script{responder(flight)})
	const name = `"CN=www.example.org,1.3.9999.1=\\#1,emailAddress=ca@example.org,O=Acme\\, Inc.\\ ,C=DE"`
	want := `{"side":"responder","kind":"certificate","tls":{"chain":[{"subject":` + name + `,"issuer":` + name +
		`,"names":["www.example.org","*.example.net","192.0.2.1","who@example.org","spiffe://example.org/a"],` +
		`"not_before":"2026-01-02T03:04:05Z","not_after":"2027-01-02T03:04:05Z","sha256":"`
	if len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
		t.Fatalf("got  %q\nwant %s…", lines, want)
	}
	if tail := `","error":"x509: malformed certificate"}]}}`; !strings.HasSuffix(lines[0], tail) {
		t.Errorf("got %s, want …%s", lines[0], tail)
	}
}

func TestCertificateOfNobody(t *testing.T) {
	parsertest.Run(t, newParser, parsertest.Script{initiator(records(TLS12, message(typeCertificate, vec24(""))))},
		`{"side":"initiator","kind":"certificate","tls":{"chain":[]}}`)
}
