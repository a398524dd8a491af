package tls

import (
	"bytes"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

const (
	maxCommand = 64      // bytes of a line that are looked at
	maxPlain   = 8 << 10 // bytes of a side before the upgrade
)

// greetings are how the sides of protocols that know STARTTLS begin: SMTP and FTP,
// NNTP, IMAP, POP3, ManageSieve by their servers; IRC, XMPP and Gnutella by their
// clients.
var greetings = [...]string{
	"220 ", "220-", "200 ", "201 ", "* OK", "* PREAUTH", "+OK", "\"IMPLEMENTATION\"",
	"STARTTLS", "CAP LS", "<?xml", "<stream:", "GNUTELLA CONNECT/",
}

// StartTLS returns the protocol that finds TLS within a text protocol: SMTP, IMAP,
// POP3, NNTP, ManageSieve, IRC (STARTTLS), FTP (AUTH TLS) and XMPP. Its parser emits
// nothing: where TLS begins it hands over both sides, to be probed anew, and it is
// done when 8 KiB of a side went by without that. It has no name of its own.
func StartTLS() parsers.Protocol {
	return parsers.Protocol{
		Ports:      []uint16{21, 25, 110, 119, 143, 587, 2525, 4190, 5222, 5269, 6667},
		Probe:      probePlain,
		NewSession: parsers.Of[plain](),
	}
}

// probePlain knows a side by its greeting.
func probePlain(_ flow.Side, b []byte) parsers.Result {
	result := parsers.No
	for _, g := range greetings {
		switch n := min(len(b), len(g)); {
		case string(b[:n]) != g[:n]:
		case n == len(g):
			return parsers.Yes
		default:
			result = parsers.More
		}
	}
	return result
}

// A plain reads the lines before TLS, or the tags of XMPP.
type plain struct {
	lines [2]line
	asked bool // a side asked for TLS
}

// A line is the start of the line that a side is sending.
type line struct {
	text [maxCommand]byte
	n    int // bytes of the line so far, those not kept too
	read int // bytes of the side so far
}

// Feed implements parsers.SessionParser.
func (p *plain) Feed(c *parsers.Context, side flow.Side, b []byte) {
	l := &p.lines[side]
	for i, char := range b {
		if l.n == 0 && char == recordHandshake {
			p.upgrade(c, side, b[i:])
			return
		}
		if l.read++; l.read > maxPlain {
			c.Done()
			return
		}
		if l.add(char) {
			p.asked = p.asked || asksForTLS(l.text[:min(l.n, maxCommand)])
			l.n = 0
		}
	}
}

// upgrade hands over where TLS begins; without a request it is something else.
func (p *plain) upgrade(c *parsers.Context, side flow.Side, b []byte) {
	if !p.asked {
		c.Done()
		return
	}
	var rest [2][]byte
	rest[side] = b
	c.Handover(rest)
}

// add adds a character to the line and reports whether it ends it. A tag ends where
// it closes.
func (l *line) add(char byte) (end bool) {
	if l.n < maxCommand {
		l.text[l.n] = char
	}
	l.n++
	return char == '\n' || char == '>' && l.text[0] == '<'
}

// asksForTLS reports whether a line is a request for TLS: a word on its own, the word
// after a tag as in IMAP, the command of FTP, the header of Gnutella, or the tag of
// XMPP.
func asksForTLS(text []byte) bool {
	words := bytes.Fields(bytes.ToUpper(text))
	switch len(words) {
	case 0:
		return false
	case 1:
		word := string(words[0])
		return word == "STARTTLS" || word == "STLS" || word == "<STARTTLS/>"
	}
	if string(words[0]) == "<STARTTLS" {
		return true
	}
	second := string(words[1])
	upgrade := string(words[0]) == "UPGRADE:" && bytes.HasPrefix(words[1], []byte("TLS/"))
	ftp := string(words[0]) == "AUTH" && (second == "TLS" || second == "SSL" || second == "TLS-C")
	return len(words) == 2 && (second == "STARTTLS" || ftp || upgrade)
}

// Fin implements parsers.SessionParser.
func (*plain) Fin(*parsers.Context, flow.Side) {}

// Rst implements parsers.SessionParser.
func (*plain) Rst(*parsers.Context) {}
