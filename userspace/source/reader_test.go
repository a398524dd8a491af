package source

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

var orders = []struct {
	name  string
	order binary.AppendByteOrder
}{{"little", binary.LittleEndian}, {"big", binary.BigEndian}}

// readAll returns copies of all frames and the error that ended them, nil for io.EOF.
func readAll(r *Reader) (l []Frame, err error) {
	for f, err := range r.Frames() {
		if err != nil {
			return l, err
		}
		g := *f
		g.Data = bytes.Clone(f.Data)
		l = append(l, g)
	}
	return l, nil
}

// read reads a whole capture from memory.
func read(b []byte) ([]Frame, error) {
	r, err := New(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return readAll(r)
}

func check(t *testing.T, file []byte, want []Frame) {
	t.Helper()
	got, err := read(file)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPcap(t *testing.T) {
	for _, o := range orders {
		t.Run(o.name+"/micros", func(t *testing.T) {
			f := newPcapFile(o.order, magicMicros, 1).packet(1, 999_999, 60, "abc").packet(0xffffffff, 2, 2, "de")
			check(t, f.buf, []Frame{
				{Data: []byte("abc"), Time: 1_999_999_000, OrigLen: 60, LinkType: 1},
				{Data: []byte("de"), Time: 4294967295_000002000, OrigLen: 2, LinkType: 1},
			})
		})
		t.Run(o.name+"/nanos", func(t *testing.T) {
			f := newPcapFile(o.order, magicNanos, 101).packet(1, 999_999_999, 3, "abc")
			check(t, f.buf, []Frame{{Data: []byte("abc"), Time: 1_999_999_999, OrigLen: 3, LinkType: 101}})
		})
		t.Run(o.name+"/fcs", func(t *testing.T) {
			f := newPcapFile(o.order, magicMicros, 2<<fcsShift|fcsKnown|1).
				packet(1, 0, 8, "abcdFCSF"). // all of it captured
				packet(1, 0, 8, "abcdFC").   // cut inside the sequence
				packet(1, 0, 8, "abc").      // cut before it
				packet(1, 0, 3, "abc")       // shorter than the sequence
			check(t, f.buf, []Frame{
				{Data: []byte("abcd"), Time: 1e9, OrigLen: 4, LinkType: 1},
				{Data: []byte("abcd"), Time: 1e9, OrigLen: 4, LinkType: 1},
				{Data: []byte("abc"), Time: 1e9, OrigLen: 4, LinkType: 1},
				{Data: []byte{}, Time: 1e9, OrigLen: 0, LinkType: 1},
			})
		})
	}
	t.Run("no packets", func(t *testing.T) {
		check(t, newPcapFile(binary.LittleEndian, magicMicros, 1).buf, nil)
	})
	t.Run("fcs length unknown", func(t *testing.T) {
		f := newPcapFile(binary.LittleEndian, magicMicros, 2<<fcsShift|1).packet(1, 0, 8, "abcdefgh")
		check(t, f.buf, []Frame{{Data: []byte("abcdefgh"), Time: 1e9, OrigLen: 8, LinkType: 1}})
	})
	t.Run("negative fraction", func(t *testing.T) {
		f := newPcapFile(binary.LittleEndian, magicMicros, 1).packet(10, ^uint32(1_500_000)+1, 1, "a")
		check(t, f.buf, []Frame{{Data: []byte("a"), Time: 8_500_000_000, OrigLen: 1, LinkType: 1}})
	})
	t.Run("wire length below captured", func(t *testing.T) {
		f := newPcapFile(binary.LittleEndian, magicMicros, 1).packet(1, 0, 0, "abc")
		check(t, f.buf, []Frame{{Data: []byte("abc"), Time: 1e9, OrigLen: 3, LinkType: 1}})
	})
	t.Run("frame longer than the buffer", func(t *testing.T) {
		long := strings.Repeat("0123456789abcdef", 1<<16)
		f := newPcapFile(binary.LittleEndian, magicMicros, 1).packet(1, 0, len(long), long).packet(2, 0, 1, "z")
		check(t, f.buf, []Frame{
			{Data: []byte(long), Time: 1e9, OrigLen: len(long), LinkType: 1},
			{Data: []byte("z"), Time: 2e9, OrigLen: 1, LinkType: 1},
		})
	})
	for _, link := range []uint16{0, 1, 12, 14, 101, 108, 113, 228, 229, 276} {
		if _, err := read(newPcapFile(binary.LittleEndian, magicMicros, uint32(link)).buf); err != nil {
			t.Errorf("link type %d: %v", link, err)
		}
	}
}

func TestPcapng(t *testing.T) {
	for _, o := range orders {
		t.Run(o.name, func(t *testing.T) {
			f := newNgFile(o.order)
			f.iface(1, 0).iface(101, 0, f.resol(9), f.offset(-1)).
				packet(0, 5, 60, "abcde").
				packet(1, 2_000_000_001, 4, "wxyz", f.flags(1)).
				packet(0, 7, 1, "a", f.option(1, []byte("comment")), f.flags(2))
			check(t, f.buf, []Frame{
				{Data: []byte("abcde"), Time: 5000, OrigLen: 60, LinkType: 1},
				{Data: []byte("wxyz"), Time: 1_000_000_001, OrigLen: 4, LinkType: 101, Dir: DirIn},
				{Data: []byte("a"), Time: 7000, OrigLen: 1, LinkType: 1, Dir: DirOut},
			})
		})
	}
	le := binary.LittleEndian
	t.Run("sections of either order", func(t *testing.T) {
		f := newNgFile(le).iface(1, 0).packet(0, 1, 1, "a")
		g := newNgFile(binary.BigEndian).iface(113, 0).packet(0, 2, 1, "b")
		check(t, append(f.buf, g.buf...), []Frame{
			{Data: []byte("a"), Time: 1000, OrigLen: 1, LinkType: 1},
			{Data: []byte("b"), Time: 2000, OrigLen: 1, LinkType: 113},
		})
	})
	t.Run("other blocks are skipped", func(t *testing.T) {
		f := newNgFile(le).iface(1, 0).block(4, "names").block(5, uint32(0), uint64(1)).
			block(0x0bad, strings.Repeat("x", 2*inputSize)).packet(0, 1, 1, "a").block(0xdead)
		check(t, f.buf, []Frame{{Data: []byte("a"), Time: 1000, OrigLen: 1, LinkType: 1}})
	})
	t.Run("simple packets", func(t *testing.T) {
		f := newNgFile(le).iface(1, 6).block(blockSimple, uint32(5), "abcde").packet(0, 3, 1, "a").
			block(blockSimple, uint32(99), "abcdefgh")
		check(t, f.buf, []Frame{
			{Data: []byte("abcde"), OrigLen: 5, LinkType: 1},
			{Data: []byte("a"), Time: 3000, OrigLen: 1, LinkType: 1},
			{Data: []byte("abcdef"), Time: 3000, OrigLen: 99, LinkType: 1},
		})
	})
	t.Run("obsolete packets", func(t *testing.T) {
		f := newNgFile(le)
		f.iface(1, 0).iface(228, 0).
			block(blockPacket, uint16(1), uint16(9), uint32(0), uint32(4), uint32(2), uint32(3), "ab", f.flags(2))
		check(t, f.buf, []Frame{{Data: []byte("ab"), Time: 4000, OrigLen: 3, LinkType: 228, Dir: DirOut}})
	})
	t.Run("fcs", func(t *testing.T) {
		f := newNgFile(le)
		f.iface(1, 0, f.fcsLen(4)).iface(1, 0, f.fcsLen(32)).
			packet(0, 0, 8, "abcdFCSF").packet(1, 0, 8, "abcdFCSF").packet(1, 0, 8, "abcdefFC", f.flags(2<<5))
		check(t, f.buf, []Frame{
			{Data: []byte("abcd"), OrigLen: 4, LinkType: 1},
			{Data: []byte("abcd"), OrigLen: 4, LinkType: 1},
			{Data: []byte("abcdef"), OrigLen: 6, LinkType: 1},
		})
	})
	t.Run("unknown link type goes on", func(t *testing.T) {
		f := newNgFile(le).iface(147, 0).iface(1, 0).packet(0, 1, 1, "a").packet(1, 1, 1, "b")
		check(t, f.buf, []Frame{
			{Data: []byte("a"), Time: 1000, OrigLen: 1, LinkType: 147},
			{Data: []byte("b"), Time: 1000, OrigLen: 1, LinkType: 1},
		})
	})
	t.Run("options that run over are ignored", func(t *testing.T) {
		f := newNgFile(le)
		f.iface(1, 0, f.resol(9), []byte{14, 0, 200, 0}).
			packet(0, 1, 1, "a", []byte{2, 0, 4, 0}).packet(0, 2, 1, "b", []byte{1, 0, 9, 0})
		f.packet(0, 3, 1, "c", f.option(optEnd, nil), f.flags(1))
		check(t, f.buf, []Frame{
			{Data: []byte("a"), Time: 1, OrigLen: 1, LinkType: 1},
			{Data: []byte("b"), Time: 2, OrigLen: 1, LinkType: 1},
			{Data: []byte("c"), Time: 3, OrigLen: 1, LinkType: 1},
		})
	})
}

func TestClock(t *testing.T) {
	tests := []struct {
		name   string
		resol  byte
		offset int64
		units  uint64
		want   flow.Timestamp
		ok     bool
	}{
		{"seconds", 0, 0, 7, 7e9, true},
		{"millis", 3, 0, 1234, 1_234_000_000, true},
		{"nanos", 9, 0, 1234, 1234, true},
		{"nanos, largest", 9, 0, 1<<63 - 1, flow.MaxTimestamp, true},
		{"nanos, too large", 9, 0, 1 << 63, flow.MaxTimestamp, false},
		{"picos", 12, 0, 1_234_567_890_999, 1_234_567_890, true},
		{"10^-19", 19, 0, 15e18, 1_500_000_000, true},
		{"10^-20", 20, 0, 15e18, 150_000_000, true},
		{"10^-28", 28, 0, 1<<64 - 1, 1, true},
		{"10^-127", 127, 0, 1<<64 - 1, 0, true},
		{"halves", 0x81, 0, 3, 1_500_000_000, true},
		{"2^-10", 0x80 | 10, 0, 1536, 1_500_000_000, true},
		{"2^-63", 0x80 | 63, 0, 3 << 62, 1_500_000_000, true},
		{"2^-64", 0x80 | 64, 0, 1 << 63, 500_000_000, true},
		{"2^-70", 0x80 | 70, 0, 1 << 63, 7_812_500, true},
		{"2^-127", 0x80 | 127, 0, 1<<64 - 1, 0, true},
		{"offset", 6, 10, 5, 10_000_005_000, true},
		{"before 1970", 6, -10, 5, -9_999_995_000, true},
		{"offset brings it back", 0, -9_223_372_037, 9_223_372_037, 0, true},
		{"last second", 0, 0, 9_223_372_036, 9_223_372_036_000_000_000, true},
		{"second after the last", 0, 0, 9_223_372_037, flow.MaxTimestamp, false},
		{"seconds, largest", 0, 0, 1<<64 - 1, flow.MaxTimestamp, false},
		{"seconds and offset, largest", 0, 1<<63 - 1, 1<<64 - 1, flow.MaxTimestamp, false},
		{"seconds and offset, nearly cancelled", 0, -1 << 63, 1<<63 + 5, 5e9, true},
		{"first moment", 9, -9_223_372_037, 145_224_192, -1 << 63, true},
		{"before the first moment", 9, -9_223_372_037, 145_224_191, -1 << 63, false},
		{"offset, least", 9, -1 << 63, 0, -1 << 63, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(tt.resol, tt.offset)
			if got, ok := c.at(tt.units); got != tt.want || ok != tt.ok {
				t.Errorf("at(%d) = %d, %v; want %d, %v", tt.units, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestClockClamped(t *testing.T) {
	f := newNgFile(binary.LittleEndian)
	f.iface(1, 0, f.resol(0)).packet(0, 1<<40, 1, "a").packet(0, 1, 1, "b").packet(0, 1<<41, 1, "c")
	r, err := New(bytes.NewReader(f.buf))
	if err != nil {
		t.Fatal(err)
	}
	l, err := readAll(r)
	if err != nil || len(l) != 3 || l[0].Time != flow.MaxTimestamp || l[1].Time != 1e9 {
		t.Errorf("got %+v, %v", l, err)
	}
	if got := r.ClockClamped(); got != 2 {
		t.Errorf("ClockClamped() = %d, want 2", got)
	}
}

// TestCut cuts files everywhere: the whole packets before the cut come, then a
// CutError, unless the cut is where a packet or block ends.
func TestCut(t *testing.T) {
	ng := newNgFile(binary.LittleEndian).iface(1, 0)
	ngEnds := []int{28, len(ng.buf)}
	for range 3 {
		ng.packet(0, 1, 5, "abcde")
		ngEnds = append(ngEnds, len(ng.buf))
	}
	ng.block(5, "statistics")
	ngEnds = append(ngEnds, len(ng.buf))
	pc := newPcapFile(binary.BigEndian, magicNanos, 1)
	pcEnds := []int{len(pc.buf)}
	for range 3 {
		pc.packet(1, 1, 5, "abcde")
		pcEnds = append(pcEnds, len(pc.buf))
	}
	for _, tt := range []struct {
		name   string
		file   []byte
		ends   []int
		header int // elements before the first packet
	}{{"pcap", pc.buf, pcEnds, 1}, {"pcapng", ng.buf, ngEnds, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			for n := magicLen; n <= len(tt.file); n++ {
				whole, clean := 0, false
				for i, end := range tt.ends {
					if end <= n && i >= tt.header && i < tt.header+3 {
						whole++
					}
					clean = clean || end == n
				}
				got, err := read(tt.file[:n])
				var cut *CutError
				if clean && err != nil || !clean && (!errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF)) {
					t.Errorf("cut at %d: error %v, want clean end %v", n, err, clean)
				}
				if len(got) != whole {
					t.Errorf("cut at %d: %d frames, want %d", n, len(got), whole)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	le := binary.LittleEndian
	pc := func() *pcapFile { return newPcapFile(le, magicMicros, 1).packet(1, 1, 3, "abc") }
	ng := func() *ngFile { return newNgFile(le).iface(1, 0).packet(0, 1, 3, "abc") }
	raw := func(b []byte, words ...uint32) []byte {
		for _, w := range words {
			b = le.AppendUint32(b, w)
		}
		return b
	}
	version := newPcapFile(le, magicMicros, 1).buf
	version[4] = 1
	ngVersion := newNgFile(le).buf
	ngVersion[12] = 2
	trailer := ng().buf
	trailer[len(trailer)-4]++
	many := newNgFile(le)
	for range maxInterfaces + 1 {
		many.iface(1, 0)
	}
	tests := []struct {
		name   string
		file   []byte
		is     error
		says   string
		frames int
	}{
		{"empty", nil, ErrEmpty, "empty", 0},
		{"three bytes", []byte("abc"), ErrNotCapture, `61 62 63 ("abc")`, 0},
		{"text", []byte("hello, world"), ErrNotCapture, `68 65 6c 6c 6f 2c 20 77 ("hello, w")`, 0},
		{"zstd", []byte("\x28\xb5\x2f\xfd...."), ErrNotCapture, "zstd", 0},
		{"pcap, version", version, ErrCorrupt, "version 1.4", 0},
		{"pcap, link type", newPcapFile(le, magicMicros, 105).buf, nil, "link type 105", 0},
		{"pcap, length", raw(pc().buf, 0, 0, maxRecord+1, maxRecord+1), ErrCorrupt, "16777217", 1},
		{"pcapng, version", ngVersion, ErrCorrupt, "version 2", 0},
		{"pcapng, byte order", raw(nil, blockSection, 28, 0, 0), ErrCorrupt, "byte-order", 0},
		{"pcapng, short section", raw(nil, blockSection, 16, byteOrderMagic, 16), ErrCorrupt, "section header of 4 bytes", 0},
		{"pcapng, block too short", raw(ng().buf, 5, 8, 8), ErrCorrupt, "length 8", 1},
		{"pcapng, block not aligned", raw(ng().buf, 5, 13, 0, 0), ErrCorrupt, "length 13", 1},
		{"pcapng, block too long", raw(ng().buf, blockEnhanced, maxRecord+4, 0), ErrCorrupt, "16777220", 1},
		{"pcapng, trailer", trailer, ErrCorrupt, "ends with length", 0},
		{"pcapng, trailer of a skipped block", raw(ng().buf, 9, 16, 0, 20), ErrCorrupt, "ends with length 20", 1},
		{"pcapng, packet longer than its block", ng().block(blockEnhanced, uint32(0), uint64(0), uint32(5), uint32(5), "abcd").buf, ErrCorrupt, "5 captured bytes in a block with room for 4", 1},
		{"pcapng, packet block too short", ng().block(blockEnhanced, uint32(0)).buf, ErrCorrupt, "packet block of 4 bytes", 1},
		{"pcapng, simple block too short", ng().block(blockSimple).buf, ErrCorrupt, "simple packet block of 0 bytes", 1},
		{"pcapng, interface too short", ng().block(blockInterface, uint32(1)).buf, ErrCorrupt, "interface description of 4 bytes", 1},
		{"pcapng, interface unknown", ng().packet(1, 1, 1, "a").buf, ErrCorrupt, "interface 1", 1},
		{"pcapng, interface of the section before", ng().section().packet(0, 1, 1, "a").buf, ErrCorrupt, "interface 0", 1},
		{"pcapng, simple packet without interface", newNgFile(le).block(blockSimple, uint32(1), "a").buf, ErrCorrupt, "no interface", 0},
		{"pcapng, too many interfaces", many.buf, ErrCorrupt, "more than 65536 interfaces", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(tt.file)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q, want %v saying %q", err, tt.is, tt.says)
			}
			if len(got) != tt.frames {
				t.Errorf("%d frames before the error, want %d", len(got), tt.frames)
			}
		})
	}
	var link *LinkTypeError
	if _, err := read(newPcapFile(le, magicMicros, 105).buf); !errors.As(err, &link) || link.LinkType != 105 {
		t.Errorf("error %v, want a LinkTypeError of 105", err)
	}
}

func compress(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestGzip(t *testing.T) {
	f := newPcapFile(binary.LittleEndian, magicMicros, 1)
	for i := range 200 {
		f.packet(uint32(i), 0, 100, strings.Repeat(string(rune('a'+i%26)), 99))
	}
	want, err := read(f.buf)
	if err != nil || len(want) != 200 {
		t.Fatalf("plain: %d frames, %v", len(want), err)
	}
	z := compress(t, f.buf)
	check(t, z, want)
	t.Run("cut", func(t *testing.T) {
		got, err := read(z[:len(z)/2])
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= 200 || !reflect.DeepEqual(got, want[:len(got)]) {
			t.Errorf("%d frames, error %v", len(got), err)
		}
	})
	t.Run("empty inside", func(t *testing.T) {
		if _, err := read(compress(t, nil)); !errors.Is(err, ErrEmpty) {
			t.Errorf("error %v, want ErrEmpty", err)
		}
	})
	t.Run("header only", func(t *testing.T) {
		if _, err := read(z[:5]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v, want a CutError", err)
		}
	})
	t.Run("checksum", func(t *testing.T) {
		bad := bytes.Clone(z)
		bad[len(bad)-8] ^= 1
		if got, err := read(bad); !errors.Is(err, gzip.ErrChecksum) || len(got) != 200 {
			t.Errorf("%d frames, error %v, want 200, %v", len(got), err, gzip.ErrChecksum)
		}
	})
	t.Run("bad header", func(t *testing.T) {
		if _, err := read([]byte("\x1f\x8bxxxxxxxxxxxxxxxx")); !errors.Is(err, gzip.ErrHeader) {
			t.Errorf("error %v, want %v", err, gzip.ErrHeader)
		}
	})
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	f := newPcapFile(binary.LittleEndian, magicMicros, 1).packet(1, 0, 3, "abc").packet(2, 0, 3, "def")
	for _, tt := range []struct {
		name string
		file []byte
	}{{"plain.pcap", f.buf}, {"packed.pcap.gz", compress(t, f.buf)}} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if l, err := readAll(r); err != nil || len(l) != 2 {
				t.Errorf("%d frames, %v; want 2", len(l), err)
			}
			if r.Size() != int64(len(tt.file)) || r.Offset() != r.Size() {
				t.Errorf("Size() = %d, Offset() = %d; want both %d", r.Size(), r.Offset(), len(tt.file))
			}
			if err := r.Next(new(Frame)); err != io.EOF {
				t.Errorf("Next after the end = %v, want EOF", err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		if _, err := Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want %v", err, os.ErrNotExist)
		}
	})
	t.Run("error names the file and the place", func(t *testing.T) {
		path := filepath.Join(dir, "cut.pcap")
		if err := os.WriteFile(path, f.buf[:50], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = readAll(r)
		if err == nil || !strings.Contains(err.Error(), "read "+path+" at byte 43: ") {
			t.Errorf("error %v", err)
		}
		if again := r.Next(new(Frame)); again != err {
			t.Errorf("Next again = %v, want the same error", again)
		}
	})
	t.Run("closed", func(t *testing.T) {
		r, err := New(bytes.NewReader(f.buf))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.Next(new(Frame)); err != os.ErrClosed {
			t.Errorf("Next = %v, want %v", err, os.ErrClosed)
		}
	})
}

// TestReaders reads through readers that give little, late or nothing at a time.
func TestReaders(t *testing.T) {
	f := newNgFile(binary.BigEndian).iface(1, 0)
	for i := range 50 {
		f.packet(0, uint64(i), 9, "abcdefghi"[:i%10])
	}
	want, err := read(f.buf)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]io.Reader{
		"one byte":  iotest.OneByteReader(bytes.NewReader(f.buf)),
		"half":      iotest.HalfReader(bytes.NewReader(f.buf)),
		"data, EOF": iotest.DataErrReader(bytes.NewReader(f.buf)),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(src)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readAll(r); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %d frames, %v; want %d", len(got), err, len(want))
			}
			if r.Size() != -1 {
				t.Errorf("Size() = %d, want -1", r.Size())
			}
		})
	}
	t.Run("failing", func(t *testing.T) {
		broken := errors.New("broken")
		r, err := New(io.MultiReader(bytes.NewReader(f.buf[:100]), iotest.ErrReader(broken)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(r); !errors.Is(err, broken) {
			t.Errorf("error %v, want %v", err, broken)
		}
	})
	t.Run("silent", func(t *testing.T) {
		if _, err := New(silent{}); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("error %v, want %v", err, io.ErrNoProgress)
		}
	})
	t.Run("loop left early", func(t *testing.T) {
		r, err := New(bytes.NewReader(f.buf))
		if err != nil {
			t.Fatal(err)
		}
		for range r.Frames() {
			break
		}
		if rest, err := readAll(r); err != nil || len(rest) != len(want)-1 {
			t.Errorf("%d frames left, %v; want %d", len(rest), err, len(want)-1)
		}
	})
}

// silent is a reader that never gives anything.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// TestHostileLength holds that a length nobody has bytes for costs little memory.
func TestHostileLength(t *testing.T) {
	f := newPcapFile(binary.LittleEndian, magicMicros, 1)
	for _, w := range []uint32{0, 0, maxRecord, maxRecord} {
		f.buf = binary.LittleEndian.AppendUint32(f.buf, w)
	}
	r, err := New(bytes.NewReader(f.buf))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want a CutError", err)
	}
	if n := len(r.in.buf); n > 2*inputSize {
		t.Errorf("buffer grew to %d bytes for a file of %d", n, len(f.buf))
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	data := strings.Repeat("x", 1000)
	pc := newPcapFile(binary.LittleEndian, magicMicros, 1)
	ng := newNgFile(binary.LittleEndian)
	ng.iface(1, 0)
	for range 3000 {
		pc.packet(1, 1, 1000, data)
		ng.packet(0, 1, 1000, data, ng.flags(1))
	}
	for name, file := range map[string][]byte{"pcap": pc.buf, "pcapng": ng.buf} {
		t.Run(name, func(t *testing.T) {
			r, err := New(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			var f Frame
			if n := testing.AllocsPerRun(2000, func() { err = r.Next(&f) }); n != 0 || err != nil {
				t.Errorf("%v allocations a frame, error %v; want 0, nil", n, err)
			}
		})
	}
}
