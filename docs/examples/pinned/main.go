// Pinned lists what flows over IPv4 have counted in the maps of run --pin DIR. All it
// knows of them is in docs/abi.md.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"net/netip"
	"os"
	"slices"

	"github.com/cilium/ebpf"
)

func main() {
	dir, readOnly, word := os.Args[1], &ebpf.LoadPinOptions{ReadOnly: true}, binary.NativeEndian
	abi, err := ebpf.LoadPinnedMap(dir+"/abi", readOnly)
	if err != nil {
		log.Fatal(err)
	}
	if b, err := abi.LookupBytes(uint32(0)); err != nil || word.Uint32(b) != 1 {
		log.Fatalf("maps of another version: %x (%v)", b, err)
	}
	flows, err := ebpf.LoadPinnedMap(dir+"/flows4", readOnly)
	if err != nil {
		log.Fatal(err)
	}
	var n uint32
	var bucket []byte
	for it := flows.Iterate(); it.Next(&n, &bucket); {
		for i, line := range slices.Collect(slices.Chunk(bucket, 64)) {
			id, packets := word.Uint64(line), word.Uint64(line[16:])
			if id&3 != 2 || packets == 0 || packets>>63 != 0 {
				continue // no flow, nothing in this direction, or it has ended
			}
			lo, _ := netip.AddrFromSlice(line[8:12])
			hi, _ := netip.AddrFromSlice(line[12:16])
			from, to := netip.AddrPortFrom(lo, uint16(id>>32)), netip.AddrPortFrom(hi, uint16(id>>48))
			if i%2 == 1 {
				from, to = to, from
			}
			fmt.Println(uint8(id>>24), from, to, packets, word.Uint64(line[24:]))
		}
	}
}
