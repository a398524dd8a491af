package source

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
	"testing/iotest"
)

func FuzzPcap(f *testing.F) {
	for _, o := range orders {
		f.Add(newPcapFile(o.order, magicMicros, 1).packet(1, 2, 60, "abcdef").packet(3, 4, 1, "z").buf)
		f.Add(newPcapFile(o.order, magicNanos, 2<<fcsShift|fcsKnown|101).packet(1, 2, 60, "abcdef").buf)
	}
	f.Fuzz(fuzzReader)
}

func FuzzPcapng(f *testing.F) {
	for _, o := range orders {
		g := newNgFile(o.order)
		g.iface(1, 0, g.resol(0x8a), g.offset(7), g.fcsLen(4)).packet(0, 1<<33, 60, "abcdef", g.flags(1|4<<5))
		g.block(blockSimple, uint32(3), "abc").block(5, "xyz")
		g.iface(113, 20).block(blockPacket, uint16(1), uint16(0), uint64(9), uint32(2), uint32(2), "ab")
		f.Add(g.buf)
	}
	f.Add(append(newNgFile(binary.LittleEndian).iface(1, 0).buf, newNgFile(binary.BigEndian).buf...))
	f.Fuzz(fuzzReader)
}

// fuzzReader holds what must be true of any file: no panic, no frame longer than the
// file or than its wire length, and the same frames however the bytes come in.
func fuzzReader(t *testing.T, file []byte) {
	if len(file) > 1<<16 {
		return
	}
	got, err := read(file)
	captured := 0
	for _, f := range got {
		if captured += len(f.Data); f.OrigLen < len(f.Data) {
			t.Errorf("wire length %d, captured %d", f.OrigLen, len(f.Data))
		}
	}
	gzipped := bytes.HasPrefix(file, []byte(gzipMagic))
	if captured > len(file) && !gzipped {
		t.Errorf("%d captured bytes in a file of %d", captured, len(file))
	}
	var slow []Frame
	r, slowErr := New(iotest.OneByteReader(bytes.NewReader(file)))
	if slowErr == nil {
		slow, slowErr = readAll(r)
	}
	if !reflect.DeepEqual(got, slow) || (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() && !gzipped {
		t.Errorf("at once %d frames, %v; byte by byte %d frames, %v", len(got), err, len(slow), slowErr)
	}
}
