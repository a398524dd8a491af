package xdp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// ErrNotPermitted is what errors wrap that name a missing privilege.
var ErrNotPermitted = errors.New("not permitted")

// Options say how the program is loaded.
type Options struct {
	// MaxFlows is how many IPv4 flows the table is made for; 0: 1 048 576. A place
	// takes 256 bytes, and there are an eighth more of them, so that but one flow
	// in ten thousand finds none when the table is full. MaxIPv6Flows is the same for IPv6; 0: a
	// quarter of MaxFlows.
	MaxFlows, MaxIPv6Flows int
	// SpillFlows is how many flows without a place can be accounted for until the
	// next [Engine.DrainSpill]; 0: 16 384.
	SpillFlows int
	// Rings is how many rings, and with them regions of the table, flows are
	// divided among; 0: 1. RingSize is the size of each in bytes, a power of two
	// and a multiple of the page size; 0: 32 MiB.
	Rings, RingSize int
	// WakeRecords is after how many records of one CPU a waiting reader is woken, a
	// power of two of at least 8; 0: 256; negative: never. WakeBytes is how many
	// bytes waiting in a ring wake it; 0: 1 MiB.
	WakeRecords, WakeBytes int

	// TCP and UDP are the control bits that new flows begin with: zero sends
	// every packet with payload up.
	TCP, UDP Control
	// KeyVLAN and KeyTunnel make VLAN ids, and kind and id of tunnels, part of the
	// key.
	KeyVLAN, KeyTunnel bool
	// Decap lists the encapsulations that are opened; nil: all. TunnelPorts are
	// the UDP ports they are recognised by; nil: the usual ones.
	Decap       []flow.TunnelKind
	TunnelPorts []TunnelPort

	// Replay takes time, lengths and link type from [Engine.Run]; such an engine
	// cannot be attached. Egress makes AttachEgress possible.
	Replay, Egress bool
	// Seed is that of the table's hash; 0: random.
	Seed uint64

	// Pin is a folder on a BPF file system, made if it is not there, in which maps and
	// links are pinned while the engine lives, and after it was killed. Reuse goes on
	// with the maps that are pinned there, if any: sizes and seed are theirs.
	Pin   string
	Reuse bool
}

// A TunnelPort is a UDP port and the encapsulation behind it.
type TunnelPort struct {
	Port uint16
	Kind flow.TunnelKind
}

const (
	defaultFlows      = 1 << 20
	defaultSpill      = 1 << 14
	defaultRing       = 32 << 20
	defaultWake       = 256
	defaultWakeBytes  = 1 << 20
	bucketPlaces      = len(gen.BPFFsBucket4{}.Place)
	maxTunnelPorts    = 15
	ipv4PlaceBytes    = 128 + 128 // lines and cold part
	ipv6PlaceBytes    = 256 + 128
	minWakeRecords    = 8
	maxPlaces         = 1 << 28
	maxRings          = 256
	sparePlacesDivide = 8 // an eighth more places than flows
)

// filled returns o with the defaults in place of zeros.
func (o Options) filled() Options {
	def := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&o.MaxFlows, defaultFlows)
	def(&o.MaxIPv6Flows, max(1, o.MaxFlows/4))
	def(&o.SpillFlows, defaultSpill)
	def(&o.Rings, 1)
	def(&o.RingSize, defaultRing)
	def(&o.WakeRecords, defaultWake)
	def(&o.WakeBytes, defaultWakeBytes)
	if o.WakeRecords < 0 {
		o.WakeRecords = 0
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	return o
}

// check says what is wrong with filled options.
func (o *Options) check() error {
	page := os.Getpagesize()
	switch {
	case o.MaxFlows < 0 || o.MaxFlows > maxPlaces || o.MaxIPv6Flows < 0 || o.MaxIPv6Flows > maxPlaces:
		return fmt.Errorf("%d and %d flows: need 1 to %d", o.MaxFlows, o.MaxIPv6Flows, maxPlaces)
	case o.SpillFlows < 0:
		return fmt.Errorf("%d spill flows: need at least 1", o.SpillFlows)
	case o.Rings < 0 || o.Rings > maxRings:
		return fmt.Errorf("%d rings: need 1 to %d", o.Rings, maxRings)
	case o.RingSize < page || o.RingSize > 1<<30 || o.RingSize&(o.RingSize-1) != 0:
		return fmt.Errorf("ring of %d bytes: need a power of two from %d to %d", o.RingSize, page, 1<<30)
	case o.WakeRecords != 0 && (o.WakeRecords < minWakeRecords || o.WakeRecords&(o.WakeRecords-1) != 0):
		return fmt.Errorf("wakeup each %d records: need a power of two of at least %d", o.WakeRecords, minWakeRecords)
	case len(o.TunnelPorts) > maxTunnelPorts:
		return fmt.Errorf("%d tunnel ports: at most %d", len(o.TunnelPorts), maxTunnelPorts)
	}
	return nil
}

// buckets returns how many buckets each of rings regions needs for flows.
func buckets(flows, rings int) int {
	places := flows + flows/sparePlacesDivide
	per := rings * bucketPlaces
	return max(1, (places+per-1)/per)
}

func (o *Options) tableMemory() int64 {
	a := o.abi()
	return tableMemory(&a)
}
