package flow

import "strconv"

// A Proto is an IP protocol number (IANA "Assigned Internet Protocol Numbers").
type Proto uint8

// The protocols the project treats in a way of their own.
const (
	ProtoHopByHop Proto = 0
	ProtoICMP     Proto = 1
	ProtoIPIP     Proto = 4
	ProtoTCP      Proto = 6
	ProtoUDP      Proto = 17
	ProtoIPv6     Proto = 41
	ProtoRouting  Proto = 43
	ProtoFragment Proto = 44
	ProtoGRE      Proto = 47
	ProtoESP      Proto = 50
	ProtoAH       Proto = 51
	ProtoICMP6    Proto = 58
	ProtoNoNext   Proto = 59
	ProtoDstOpts  Proto = 60
	ProtoSCTP     Proto = 132
	ProtoMobility Proto = 135
	ProtoUDPLite  Proto = 136
	ProtoHIP      Proto = 139
	ProtoShim6    Proto = 140
)

// String returns the name used in output, or the number.
func (p Proto) String() string {
	switch p {
	case ProtoICMP:
		return "icmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoICMP6:
		return "icmp6"
	case ProtoSCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

// L4 returns the class that timeouts and metrics go by.
func (p Proto) L4() L4 {
	switch p {
	case ProtoTCP:
		return L4TCP
	case ProtoUDP, ProtoUDPLite:
		return L4UDP
	}
	return L4Other
}

// HasPorts reports whether the flow key of p carries port numbers.
func (p Proto) HasPorts() bool {
	return p == ProtoTCP || p == ProtoUDP || p == ProtoUDPLite || p == ProtoSCTP
}

// An L4 is a class of protocols.
type L4 uint8

// The classes.
const (
	L4Other L4 = iota
	L4TCP
	L4UDP
)

// String returns "tcp", "udp" or "other".
func (l L4) String() string {
	switch l {
	case L4TCP:
		return "tcp"
	case L4UDP:
		return "udp"
	}
	return "other"
}
