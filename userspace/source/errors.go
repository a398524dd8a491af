package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Reasons why a file cannot be read, or not to its end.
var (
	ErrEmpty      = errors.New("empty file")
	ErrNotCapture = errors.New("not a pcap or pcapng file")
	ErrCorrupt    = errors.New("corrupted capture file")
)

// A CutError says that the file ends in the middle of something. All packets before
// that were returned.
type CutError struct {
	What   string // what is cut: "packet", "file header", "block", "gzip data"
	Offset int64  // where it begins, in bytes of uncompressed data
}

// Error says what is cut and where it begins.
func (e *CutError) Error() string {
	return fmt.Sprintf("file ends in the middle of the %s that begins at byte %d", e.What, e.Offset)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *CutError) Unwrap() error { return io.ErrUnexpectedEOF }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// foreign lists what people hand in by mistake, and what to do about it.
var foreign = []struct {
	magic  string
	advice string
}{
	{"\x28\xb5\x2f\xfd", "zstd data; decompress it first"},
	{"\xfd7zXZ", "xz data; decompress it first"},
	{"BZh", "bzip2 data; decompress it first"},
	{"\x04\x22\x4d\x18", "lz4 data; decompress it first"},
	{"PK\x03\x04", "a zip archive; unpack it first"},
	{"snoop\x00", "a snoop capture; convert it to pcapng first"},
	{"\x34\xcd\xb2\xa1", "a pcap of the patched 1999 format; convert it to pcapng first"},
	{"\xa1\xb2\xcd\x34", "a pcap of the patched 1999 format; convert it to pcapng first"},
}

// notCapture says what the file at whose start the input stands looks like.
func notCapture(in *input) error {
	b, _ := in.need(8) // fewer if there are fewer; that they are wrong is known
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return fmt.Errorf("%w: it looks like %s", ErrNotCapture, f.advice)
		}
	}
	return fmt.Errorf("%w: it begins with % x (%q)", ErrNotCapture, b, b)
}
