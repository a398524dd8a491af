package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

var errCutChain = errors.New("certificate list cut")

// A Certificate is a Certificate message sent in the clear: TLS 1.2 and older
// (RFC 5246 §7.4.2). Servers and clients send it; a client without one sends an
// empty chain.
type Certificate struct {
	Chain []Cert
}

// A Cert is one certificate of a chain, as sent.
type Cert struct {
	// Subject and Issuer are distinguished names in the form of RFC 2253, last
	// attribute first.
	Subject, Issuer string
	// Names are the subject's alternative names: DNS names, then IP addresses,
	// mail addresses, URIs.
	Names               []string
	NotBefore, NotAfter time.Time // UTC
	SHA256              [sha256.Size]byte
	// Err says why the certificate could not be parsed; then only SHA256 is set.
	Err error
}

// Parser returns "tls".
func (*Certificate) Parser() string { return "tls" }

// Kind returns "certificate".
func (*Certificate) Kind() string { return "certificate" }

// LogValue implements slog.LogValuer.
func (m *Certificate) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Int("chain", len(m.Chain))}
	if len(m.Chain) > 0 {
		leaf := &m.Chain[0]
		attrs = append(attrs, slog.String("subject", leaf.Subject), slog.String("sha256", hex.EncodeToString(leaf.SHA256[:])))
	}
	return slog.GroupValue(attrs...)
}

// ParseCertificate parses the body of a Certificate message of TLS 1.2 or older. It
// keeps nothing of body.
func ParseCertificate(body []byte) (*Certificate, error) {
	r := reader(body)
	list, ok := r.vec24()
	if !ok {
		return nil, errCutChain
	}
	m := new(Certificate)
	for len(list) > 0 {
		der, ok := list.vec24()
		if !ok {
			return nil, errCutChain
		}
		m.Chain = append(m.Chain, parseCert(der))
	}
	return m, nil
}

func parseCert(der []byte) Cert {
	c := Cert{SHA256: sha256.Sum256(der)}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		c.Err = err
		return c
	}
	c.Subject, c.Issuer = distinguishedName(x.Subject.Names), distinguishedName(x.Issuer.Names)
	c.Names = alternativeNames(x)
	c.NotBefore, c.NotAfter = x.NotBefore.UTC(), x.NotAfter.UTC()
	return c
}

func alternativeNames(x *x509.Certificate) []string {
	names := slices.Clone(x.DNSNames)
	for _, ip := range x.IPAddresses {
		names = append(names, ip.String())
	}
	names = append(names, x.EmailAddresses...)
	for _, u := range x.URIs {
		names = append(names, u.String())
	}
	return names
}

// distinguishedName writes a name as RFC 2253 does: last attribute first, what is
// special escaped. The attributes of a multi-valued part are joined like any others.
func distinguishedName(attributes []pkix.AttributeTypeAndValue) string {
	var b strings.Builder
	for i, a := range slices.Backward(attributes) {
		if i < len(attributes)-1 {
			b.WriteByte(',')
		}
		b.WriteString(attributeName(a.Type.String()))
		b.WriteByte('=')
		writeEscaped(&b, fmt.Sprint(a.Value))
	}
	return b.String()
}

// attributeName returns the usual short name of an attribute, or its number.
func attributeName(oid string) string {
	switch oid {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.4":
		return "SN"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "2.5.4.12":
		return "title"
	case "2.5.4.13":
		return "description"
	case "2.5.4.15":
		return "businessCategory"
	case "2.5.4.17":
		return "postalCode"
	case "2.5.4.42":
		return "GN"
	case "2.5.4.97":
		return "organizationIdentifier"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	case "1.3.6.1.4.1.311.60.2.1.1":
		return "jurisdictionL"
	case "1.3.6.1.4.1.311.60.2.1.2":
		return "jurisdictionST"
	case "1.3.6.1.4.1.311.60.2.1.3":
		return "jurisdictionC"
	}
	return oid
}

// writeEscaped writes a value with a backslash before what RFC 2253 §2.4 says.
func writeEscaped(b *strings.Builder, v string) {
	for i := range len(v) {
		c := v[i]
		edge := c == ' ' && (i == 0 || i == len(v)-1) || c == '#' && i == 0
		if edge || strings.IndexByte(",+\"\\<>;", c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}
