package tls

import (
	"encoding/binary"
	"fmt"
)

// The record types (IANA registry TLS ContentType).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23
	recordHeartbeat        = 24
)

const (
	headerLen    = 5
	maxRecordLen = 16384 + 2048 // of a TLSCiphertext (RFC 5246 §6.2.3)

	// maxPlainAlert is the length of the longest alert record that can be in the
	// clear: an encrypted one carries a MAC.
	maxPlainAlert = 10
)

// A record is a record header (RFC 8446 §5.1).
type record struct {
	typ     uint8
	version Version
	size    int
}

// readHeader reads a record header.
func readHeader(b [headerLen]byte) (record, error) {
	r := record{b[0], Version(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))}
	switch {
	case r.typ < recordChangeCipherSpec || r.typ > recordHeartbeat:
		return r, fmt.Errorf("record type %d", r.typ)
	case r.version.major() != 3:
		return r, fmt.Errorf("record version 0x%04x", uint16(r.version))
	case r.size > maxRecordLen:
		return r, fmt.Errorf("record of %d bytes", r.size)
	}
	return r, nil
}

// The handshake messages that are read (IANA registry TLS HandshakeType).
const (
	typeClientHello = 1
	typeServerHello = 2
	typeCertificate = 11
)

const messageHeaderLen = 4

// messageLen returns the length in a handshake message's header.
func messageLen(b []byte) int { return int(binary.BigEndian.Uint32(b) & 0xffffff) }

// wanted reports whether messages of a type are read.
func wanted(typ uint8) bool {
	return typ == typeClientHello || typ == typeServerHello || typ == typeCertificate
}

// A use is what becomes of the body of a record.
type use uint8

const (
	skip use = iota
	readHandshake
	readAlert
	readChangeCipherSpec
)
