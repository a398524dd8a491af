package packet

import (
	"encoding/binary"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// Peek returns the five-tuple key that an untagged Ethernet frame with TCP or UDP
// seems to have, from where the fields lie in most packets. It is a hint, for those
// who want to know early where a packet will lead; Decode says what is true.
func Peek(v *View, k *flow.Key) bool {
	b := v.Frame
	if v.LinkType != LinkEthernet || len(b) < etherLen+ipv4Len+4 {
		return false
	}
	var src, dst [16]byte
	l4 := etherLen + ipv4Len
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4:
		k.Proto, k.IPVersion = flow.Proto(b[etherLen+9]), 4
		mapIPv4(&src, b[etherLen+12:etherLen+16])
		mapIPv4(&dst, b[etherLen+16:etherLen+20])
	case etherIPv6:
		l4 = etherLen + ipv6Len
		if len(b) < l4+4 {
			return false
		}
		k.Proto, k.IPVersion = flow.Proto(b[etherLen+6]), 6
		src, dst = [16]byte(b[etherLen+8:]), [16]byte(b[etherLen+24:])
	default:
		return false
	}
	sport, dport := binary.BigEndian.Uint16(b[l4:]), binary.BigEndian.Uint16(b[l4+2:])
	k.Directional, k.FlowLabel, k.Context = false, 0, 0
	if inOrder(&src, &dst, sport, dport) {
		k.Lo, k.Hi, k.LoPort, k.HiPort = src, dst, sport, dport
	} else {
		k.Lo, k.Hi, k.LoPort, k.HiPort = dst, src, dport, sport
	}
	return true
}
