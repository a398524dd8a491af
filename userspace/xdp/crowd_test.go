package xdp

import (
	"encoding/binary"
	"slices"
	"testing"

	pt "github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
)

// TestBuckets compares where the program puts flows with where Oldest looks for them.
func TestBuckets(t *testing.T) {
	e := loadLive(t, Options{MaxFlows: 1 << 11, MaxIPv6Flows: 1 << 10, Rings: 3})
	v6 := pt.UDP("[2001:db8::1]:1000", "[2001:db8::2]:53").Payload("0123456789abcdef").View().Frame
	for n := range 500 {
		send(t, e, udpFrame(n))
		binary.BigEndian.PutUint32(v6[34:], uint32(n))
		send(t, e, v6)
	}
	tab := e.Table()
	n4, n6 := len(tab.p4)/bucketPlaces, len(tab.p6)/bucketPlaces
	seen := [2]int{}
	tab.Scan(0, tab.Places(), func(p Place) {
		k := p.Key()
		bucket, n, six := int(p.slot)/bucketPlaces, n4, 0
		if k.IPVersion == 6 {
			bucket, n, six = bucket-n4, n6, 1
		}
		seen[six]++
		if b := tab.spread.buckets(&k, uint32(n/3)); !slices.Contains(b[:], uint32(bucket)) {
			t.Errorf("%+v is in bucket %d, want one of %d", k, bucket, b)
		}
	})
	if seen != [2]int{500, 500} {
		t.Errorf("%d flows, want 500 of each kind", seen)
	}
}

// TestOldest fills the table, oldest flow first.
func TestOldest(t *testing.T) {
	e := loadLive(t, Options{MaxFlows: 1}) // one bucket
	var first Handle
	for n := range bucketPlaces {
		k := e.Table()
		send(t, e, udpFrame(n))
		if n == 0 {
			k.Scan(0, k.Places(), func(p Place) { first = p.Handle() })
		}
		var f Flow
		if !k.Read(first, &f) {
			t.Fatal("the first flow is gone")
		}
		h, full := k.Oldest(f.Key)
		if want := n == bucketPlaces-1; full != want || full && h != first {
			t.Errorf("after %d flows oldest %v, %v; want %v, %v", n+1, h, full, first, want)
		}
	}
	e.Table().Kill(first)
	var f Flow
	if e.Table().Read(first, &f); !f.Dead {
		t.Error("the first flow is not dead")
	}
	if h, full := e.Table().Oldest(f.Key); full {
		t.Errorf("oldest %v, want none: a place will be free", h)
	}
}
