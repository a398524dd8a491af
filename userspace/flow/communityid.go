package flow

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
)

// ICMPCounterpart returns the type that answers or asks for typ, as Community ID and
// Zeek pair them. It reports false for types that go one way.
func ICMPCounterpart(p Proto, typ uint8) (uint8, bool) {
	if p == ProtoICMP6 {
		return icmp6Counterpart(typ)
	}
	switch typ {
	case 0:
		return 8, true
	case 8:
		return 0, true
	case 9:
		return 10, true
	case 10:
		return 9, true
	case 13, 15, 17: // timestamp, information, mask requests
		return typ + 1, true
	case 14, 16, 18:
		return typ - 1, true
	}
	return 0, false
}

func icmp6Counterpart(typ uint8) (uint8, bool) {
	switch typ {
	case 128, 133, 135, 139, 144: // echo, router and neighbour solicitation, node information, home agent
		return typ + 1, true
	case 129, 134, 136, 140, 145:
		return typ - 1, true
	case 130: // multicast listener query, report
		return 131, true
	case 131:
		return 130, true
	}
	return 0, false
}

// CommunityID returns the Community ID of the flow, version 1
// (https://github.com/corelight/community-id-spec): "1:" and 28 characters. It is empty for
// a key without addresses. The seed is 0 unless two sites must not have the
// same ids.
func (k Key) CommunityID(seed uint16) string {
	var addr int
	switch k.IPVersion {
	case 4:
		addr = 12
	case 6:
	default:
		return ""
	}
	k = k.communityOrder()
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 40), seed)
	b = append(b, k.Lo[addr:]...)
	b = append(b, k.Hi[addr:]...)
	b = append(b, byte(k.Proto), 0)
	switch k.Proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP, ProtoICMP, ProtoICMP6:
		b = binary.BigEndian.AppendUint16(b, k.LoPort)
		b = binary.BigEndian.AppendUint16(b, k.HiPort)
	}
	sum := sha1.Sum(b)
	return "1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// communityOrder puts the endpoints in the order they are hashed in: lower first, but
// source first for ICMP that goes one way, which has 256 + code at its destination.
func (k Key) communityOrder() Key {
	swap := bytes.Compare(k.Lo[:], k.Hi[:]) > 0 || k.Lo == k.Hi && k.LoPort > k.HiPort
	if k.Proto == ProtoICMP || k.Proto == ProtoICMP6 {
		switch {
		case k.HiPort >= 256:
			swap, k.HiPort = false, k.HiPort-256
		case k.LoPort >= 256:
			swap, k.LoPort = true, k.LoPort-256
		}
	}
	if swap {
		k.Lo, k.Hi, k.LoPort, k.HiPort = k.Hi, k.Lo, k.HiPort, k.LoPort
	}
	return k
}
