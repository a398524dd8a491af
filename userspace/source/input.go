package source

import (
	"fmt"
	"io"
	"math/bits"
)

const (
	inputSize = 256 << 10 // bytes asked of the file at a time

	// maxRecord is the longest packet record or block that is held in memory.
	// Link layers end at 64 KiB, segmentation offload and USB at a few hundred.
	maxRecord = 16 << 20

	maxEmptyReads = 100
)

// An input is a buffered reader whose bytes are used where they lie. Its buffer
// grows only as far as bytes really come, up to maxRecord and a bit; or it is a mapped
// file.
type input struct {
	r        io.Reader
	buf      []byte
	pos, end int   // buf[pos:end] is read, not yet used
	base     int64 // offset of buf[0] in the data
	err      error // what the last read ended with
	mapped   bool  // buf is a file, of which end bytes are present
	given    int   // bytes at its start that were given back

	clamped uint64 // packet times outside the range of flow.Timestamp
}

func newInput(r io.Reader) *input { return &input{r: r, buf: make([]byte, inputSize)} }

// offset returns the offset of the next unused byte.
func (in *input) offset() int64 { return in.base + int64(in.pos) }

// buffered returns what is read and not used.
func (in *input) buffered() []byte { return in.buf[in.pos:in.end] }

// need returns the next n bytes without using them up; they are valid until the next
// call. At the end of the data it returns the bytes there are and io.EOF when there
// are none, io.ErrUnexpectedEOF when there are too few.
func (in *input) need(n int) ([]byte, error) {
	if in.end-in.pos < n {
		if err := in.fill(n); err != nil {
			return in.buffered(), err
		}
	}
	return in.buf[in.pos : in.pos+n], nil
}

// use takes n bytes that need returned.
func (in *input) use(n int) { in.pos += n }

// fill reads until n bytes are there.
func (in *input) fill(n int) error {
	if in.mapped {
		if in.present(n) {
			return nil
		}
		in.err = io.EOF
		return in.short()
	}
	copy(in.buf, in.buffered())
	in.base += int64(in.pos)
	in.pos, in.end = 0, in.end-in.pos
	for empty := 0; in.end < n; {
		if in.err != nil {
			return in.short()
		}
		if in.end == len(in.buf) {
			in.grow(n)
		}
		m, err := in.r.Read(in.buf[in.end:])
		in.end, in.err = in.end+m, err
		if m > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads && err == nil {
			in.err = io.ErrNoProgress
		}
	}
	return nil
}

// grow doubles the buffer, or makes it n bytes long if that is less.
func (in *input) grow(n int) {
	buf := make([]byte, min(2*len(in.buf), n))
	copy(buf, in.buf)
	in.buf = buf
}

// short returns the error for data that ended too early.
func (in *input) short() error {
	if in.err == io.EOF && in.end > in.pos {
		return io.ErrUnexpectedEOF
	}
	return in.err
}

// skip uses up n bytes that nobody looks at.
func (in *input) skip(n int) error {
	for n > 0 {
		m := min(n, max(in.end-in.pos, 1))
		if _, err := in.need(m); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		in.use(m)
		n -= m
	}
	return nil
}

// cut turns the end of the data into a CutError and passes other errors on.
func (in *input) cut(err error, what string, begin int64) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &CutError{What: what, Offset: begin}
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// An order is the byte order of whoever wrote the file.
type order bool

const (
	littleEndian order = false
	bigEndian    order = true
)

func (o order) u16(b []byte) uint16 {
	v := uint16(b[0]) | uint16(b[1])<<8
	if o {
		return bits.ReverseBytes16(v)
	}
	return v
}

func (o order) u32(b []byte) uint32 {
	v := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	if o {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (o order) u64(b []byte) uint64 {
	lo, hi := o.u32(b), o.u32(b[4:])
	if o {
		lo, hi = hi, lo
	}
	return uint64(hi)<<32 | uint64(lo)
}
