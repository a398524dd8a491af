package tls

import "strings"

// String tells a person what was offered, to whom, and by what kind of program.
func (h *ClientHello) String() string {
	s := "sni=" + h.SNI
	if len(h.ALPN) > 0 {
		s += " alpn=" + strings.Join(h.ALPN, ",")
	}
	return s + " ja3=" + h.JA3 + " ja4=" + h.JA4
}

// String tells a person what was agreed.
func (h *ServerHello) String() string {
	return h.Version.Name() + " " + h.Cipher.Name() + " ja3s=" + h.JA3S
}

// String tells a person whose certificates were shown.
func (c *Certificate) String() string {
	var l []string
	for i := range c.Chain {
		l = append(l, c.Chain[i].Subject)
	}
	return strings.Join(l, " ← ")
}

// String tells a person what went wrong.
func (a *Alert) String() string { return a.LevelName() + " " + a.DescriptionName() }
