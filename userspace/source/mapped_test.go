package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func writeFile(t *testing.T, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestMapIsOpen wants the same frames and the same error of a file, mapped and read.
func TestMapIsOpen(t *testing.T) {
	ng := newNgFile(binary.BigEndian).iface(1, 0).packet(0, 7, 60, "abc").packet(0, 8, 60, "defg").buf
	pc := newPcapFile(binary.LittleEndian, magicNanos, 1).packet(1, 2, 60, "abcdef").packet(3, 4, 1, "z").buf
	tests := []struct {
		name string
		file []byte
	}{
		{"pcap", pc},
		{"pcapng", ng},
		{"cut in a packet", pc[:len(pc)-1]},
		{"cut in a packet header", pc[:len(pc)-10]},
		{"cut in a block", ng[:len(ng)-3]},
		{"no packets", pc[:pcapHeaderLen]},
		{"absurd length", newPcapFile(binary.LittleEndian, magicMicros, 1).packet(1, 2, 3, "").buf[:pcapHeaderLen+8]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := writeFile(t, tt.file)
			want, wantErr := readFrom(t, Open, name)
			got, gotErr := readFrom(t, Map, name)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(errorText(gotErr), errorText(wantErr)) {
				t.Errorf("mapped %+v, %v\nread   %+v, %v", got, gotErr, want, wantErr)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func readFrom(t *testing.T, open func(string) (*Reader, error), name string) ([]Frame, error) {
	t.Helper()
	r, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	l, readErr := readAll(r)
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return l, readErr
}

// TestMapLargeFile reads on where windows end, and a frame from before all that was given
// back.
func TestMapLargeFile(t *testing.T) {
	const size = 60_001
	frames := (windowSize*3 + keptSize) / size
	p := newPcapFile(binary.LittleEndian, magicNanos, 1)
	data := []byte(strings.Repeat("x", size))
	for i := range frames {
		binary.LittleEndian.PutUint32(data, uint32(i))
		p.packet(uint32(i), 0, size, string(data))
	}
	r, err := Map(writeFile(t, p.buf))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Stable() {
		t.Fatal("the file is not mapped")
	}
	var first, f Frame
	for i := range frames {
		if err := r.Next(&f); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if got := int(binary.LittleEndian.Uint32(f.Data)); got != i || len(f.Data) != size {
			t.Fatalf("frame %d: number %d, %d bytes", i, got, len(f.Data))
		}
		if i == 0 {
			first = f
		}
	}
	if r.in.given == 0 {
		t.Error("nothing was given back")
	}
	if !bytes.Equal(first.Data[4:], data[4:]) {
		t.Error("the first frame is not valid any more")
	}
}

func TestMapReadsWhatIsCompressed(t *testing.T) {
	r, err := Map(writeFile(t, compress(t, newPcapFile(binary.LittleEndian, magicNanos, 1).packet(1, 2, 60, "abc").buf)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if l, err := readAll(r); len(l) != 1 || err != nil || r.Stable() {
		t.Errorf("%d frames, %v, stable %v; want 1, none, false", len(l), err, r.Stable())
	}
}

// TestMapShortened cuts a file short that is mapped.
func TestMapShortened(t *testing.T) {
	name := writeFile(t, newPcapFile(binary.LittleEndian, magicNanos, 1).packet(1, 2, 60, strings.Repeat("x", 1<<17)).packet(1, 3, 60, "abc").buf)
	r, err := Map(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(name, 100); err != nil {
		t.Fatal(err)
	}
	err = Guard(func() error { _, err := readAll(r); return err })
	if !errors.Is(err, ErrShortened) {
		t.Errorf("got error %v, want ErrShortened", err)
	}
}

func TestGuardPassesOtherPanicsOn(t *testing.T) {
	defer func() {
		if p := recover(); p != "other" {
			t.Errorf("recovered %v", p)
		}
	}()
	t.Error(Guard(func() error { panic("other") }))
}
