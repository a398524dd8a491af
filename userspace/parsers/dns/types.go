package dns

import "strconv"

// A Type is a record type or question type.
type Type uint16

// The types whose data is written as text; any other is written in hexadecimal as
// RFC 3597 says.
const (
	TypeA      Type = 1
	TypeNS     Type = 2
	TypeCNAME  Type = 5
	TypeSOA    Type = 6
	TypePTR    Type = 12
	TypeMX     Type = 15
	TypeTXT    Type = 16
	TypeAAAA   Type = 28
	TypeSRV    Type = 33
	TypeOPT    Type = 41
	TypeDS     Type = 43
	TypeDNSKEY Type = 48
	TypeSVCB   Type = 64
	TypeHTTPS  Type = 65
	TypeCAA    Type = 257
)

// typeNames are the mnemonics of IANA's registry "Resource Record (RR) TYPEs".
var typeNames = map[Type]string{
	1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL",
	11: "WKS", 12: "PTR", 13: "HINFO", 14: "MINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB",
	19: "X25", 20: "ISDN", 21: "RT", 22: "NSAP", 23: "NSAP-PTR", 24: "SIG", 25: "KEY", 26: "PX",
	27: "GPOS", 28: "AAAA", 29: "LOC", 30: "NXT", 31: "EID", 32: "NIMLOC", 33: "SRV", 34: "ATMA",
	35: "NAPTR", 36: "KX", 37: "CERT", 38: "A6", 39: "DNAME", 40: "SINK", 41: "OPT", 42: "APL",
	43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID",
	50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 56: "NINFO", 57: "RKEY",
	58: "TALINK", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB",
	65: "HTTPS", 66: "DSYNC", 99: "SPF", 100: "UINFO", 101: "UID", 102: "GID", 103: "UNSPEC",
	104: "NID", 105: "L32", 106: "L64", 107: "LP", 108: "EUI48", 109: "EUI64", 249: "TKEY",
	250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI",
	257: "CAA", 258: "AVC", 259: "DOA", 260: "AMTRELAY", 261: "RESINFO", 32768: "TA", 32769: "DLV",
}

// String returns the mnemonic, or TYPE and the number (RFC 3597 §5).
func (t Type) String() string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// A Class is a record class or question class. That of an OPT record is the sender's
// UDP payload size.
type Class uint16

// ClassIN is the Internet.
const ClassIN Class = 1

var classNames = map[Class]string{1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

// String returns the mnemonic, or CLASS and the number.
func (c Class) String() string {
	if n, ok := classNames[c]; ok {
		return n
	}
	return "CLASS" + strconv.Itoa(int(c))
}

// An Opcode is what a message is about.
type Opcode uint8

// The opcodes. A message with a greater one is not read.
const (
	OpcodeQuery     Opcode = 0
	OpcodeNotify    Opcode = 4
	OpcodeUpdate    Opcode = 5
	OpcodeDSO       Opcode = 6
	maxOpcode              = OpcodeDSO
	opcodeShift            = 11
	opcodeMask             = 0xf
	headerRcodeMask        = 0xf
)

var opcodeNames = map[Opcode]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

// String returns the mnemonic, or OPCODE and the number.
func (o Opcode) String() string {
	if n, ok := opcodeNames[o]; ok {
		return n
	}
	return "OPCODE" + strconv.Itoa(int(o))
}

// An Rcode is the result in a response, 12 bits with EDNS.
type Rcode uint16

// Some results.
const (
	RcodeNoError  Rcode = 0
	RcodeNXDomain Rcode = 3
)

var rcodeNames = map[Rcode]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
	7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS",
	17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE",
}

// String returns the mnemonic, or RCODE and the number.
func (r Rcode) String() string {
	if n, ok := rcodeNames[r]; ok {
		return n
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// Flags are the flag bits of the header, where they are on the wire.
type Flags uint16

// The flags.
const (
	FlagQR Flags = 1 << 15 // response
	FlagAA Flags = 1 << 10 // authoritative; in LLMNR C, conflict
	FlagTC Flags = 1 << 9  // the sender cut the message
	FlagRD Flags = 1 << 8  // recursion desired; in LLMNR T, tentative
	FlagRA Flags = 1 << 7
	FlagAD Flags = 1 << 5
	FlagCD Flags = 1 << 4

	allFlags = FlagQR | FlagAA | FlagTC | FlagRD | FlagRA | FlagAD | FlagCD
	flagZ    = 1 << 6 // reserved
)

var flagNames = [...]struct {
	bit         Flags
	name, llmnr string // llmnr empty: LLMNR has no such flag
}{
	{FlagQR, "qr", "qr"}, {FlagAA, "aa", "c"}, {FlagTC, "tc", "tc"}, {FlagRD, "rd", "t"},
	{FlagRA, "ra", ""}, {FlagAD, "ad", ""}, {FlagCD, "cd", ""},
}

// flagName returns the name of the i-th flag if it is set in f, or nothing.
func (f Flags) flagName(i int, v Variant) string {
	n := &flagNames[i]
	switch {
	case f&n.bit == 0:
		return ""
	case v == LLMNR:
		return n.llmnr
	}
	return n.name
}

// Names lists the flags that are set, in the order of the header.
func (f Flags) Names(v Variant) []string {
	var l []string
	for i := range flagNames {
		if name := f.flagName(i, v); name != "" {
			l = append(l, name)
		}
	}
	return l
}

// A Variant is a protocol that uses the format of DNS messages.
type Variant uint8

// The variants.
const (
	Unicast Variant = iota // DNS itself
	MDNS                   // RFC 6762, port 5353
	LLMNR                  // RFC 4795, port 5355
)

// The ports.
const (
	PortDNS   = 53
	PortMDNS  = 5353
	PortLLMNR = 5355
)

// String returns "dns", "mdns" or "llmnr".
func (v Variant) String() string {
	switch v {
	case MDNS:
		return "mdns"
	case LLMNR:
		return "llmnr"
	}
	return "dns"
}
