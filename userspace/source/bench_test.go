package source

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"
)

// BenchmarkNext reads files from memory; pcapgo's zero-copy reader is the baseline.
func BenchmarkNext(b *testing.B) {
	const frames = 20_000
	for _, size := range []struct {
		name string
		n    int
	}{{"frame=64", 64}, {"frame=1400", 1400}} {
		data := strings.Repeat("x", size.n)
		pc := newPcapFile(binary.LittleEndian, magicMicros, 1)
		ng := newNgFile(binary.LittleEndian).iface(1, 0)
		for i := range frames {
			pc.packet(uint32(i), 0, size.n, data)
			ng.packet(0, uint64(i), size.n, data)
		}
		b.Run("pcap/"+size.name, func(b *testing.B) { benchmarkReader(b, pc.buf, frames, ours) })
		b.Run("pcap/"+size.name+"/pcapgo", func(b *testing.B) { benchmarkReader(b, pc.buf, frames, pcapgoPcap) })
		b.Run("pcapng/"+size.name, func(b *testing.B) { benchmarkReader(b, ng.buf, frames, ours) })
		b.Run("pcapng/"+size.name+"/pcapgo", func(b *testing.B) { benchmarkReader(b, ng.buf, frames, pcapgoPcapng) })
	}
}

func benchmarkReader(b *testing.B, file []byte, frames int, all func([]byte) (int, error)) {
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := all(file); n != frames || err != io.EOF {
			b.Fatalf("%d frames, %v", n, err)
		}
	}
	b.ReportMetric(float64(frames)*float64(b.N)/b.Elapsed().Seconds(), "pkts/s")
}

func ours(file []byte) (n int, err error) {
	r, err := New(bytes.NewReader(file))
	var f Frame
	for ; err == nil; n++ {
		err = r.Next(&f)
	}
	return n - 1, err
}

func pcapgoPcap(file []byte) (n int, err error) {
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	for ; err == nil; n++ {
		_, _, err = r.ZeroCopyReadPacketData()
	}
	return n - 1, err
}

func pcapgoPcapng(file []byte) (n int, err error) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	for ; err == nil; n++ {
		_, _, err = r.ZeroCopyReadPacketData()
	}
	return n - 1, err
}
