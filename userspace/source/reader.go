package source

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"golang.org/x/sys/unix"
)

// A format reads the frames of one file format.
type format interface {
	// next fills in f, or returns io.EOF where the file ends as it should.
	next(f *Frame) error
}

// A Reader reads a capture file from the start to the end.
type Reader struct {
	name   string
	closer io.Closer // what Open opened, nil otherwise
	size   int64
	raw    *counter // the file; differs from in by compression
	gzip   bool
	in     *input
	format format
	err    error // what Next ended with

	mapping []byte // the file, if Map could map it
}

// Open opens a capture file; "-" is standard input. It reads the file's header, so
// that a file of the wrong kind is an error here. The caller closes the Reader.
func Open(path string) (*Reader, error) {
	if path == "-" {
		return newReader("standard input", os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(path, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		r.size = st.Size()
	}
	return r, nil
}

// New reads a capture from r, beginning with its header. It reads ahead.
func New(r io.Reader) (*Reader, error) { return newReader("capture", r) }

func newReader(name string, src io.Reader) (*Reader, error) {
	r := &Reader{name: name, size: -1, raw: &counter{r: src}}
	if err := r.start(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

const (
	magicLen  = 4
	gzipMagic = "\x1f\x8b"
)

// start finds out what the file is, by its first bytes.
func (r *Reader) start() error {
	r.in = newInput(r.raw)
	b, err := r.in.need(magicLen)
	if len(b) >= len(gzipMagic) && string(b[:len(gzipMagic)]) == gzipMagic {
		if b, err = r.gunzip(); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("gzip: %w", err)
		}
	}
	switch {
	case err == io.EOF:
		return ErrEmpty
	case err == io.ErrUnexpectedEOF:
		return notCapture(r.in)
	case err != nil:
		return err
	}
	return r.choose(b)
}

// gunzip puts decompression before the input and returns the first bytes again.
func (r *Reader) gunzip() ([]byte, error) {
	z, err := gzip.NewReader(io.MultiReader(&taken{r.in}, r.raw))
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, &CutError{What: "gzip data"}
	}
	if err != nil {
		return nil, err
	}
	r.gzip, r.in = true, newInput(z)
	return r.in.need(magicLen)
}

// choose picks the format for a file that begins with b.
func (r *Reader) choose(b []byte) (err error) {
	if o, unit, ok := pcapMagic(b); ok {
		r.format, err = newPcap(r.in, o, unit)
		return err
	}
	if littleEndian.u32(b) == blockSection {
		r.format, err = newPcapng(r.in)
		return err
	}
	return notCapture(r.in)
}

// Next reads the next frame into f. It returns io.EOF after the last one. Any other
// error says where in the file it arose and stays: a CutError where the file ends
// early, ErrCorrupt where its lengths cannot be true.
func (r *Reader) Next(f *Frame) error {
	if r.err != nil {
		return r.err
	}
	err := r.format.next(f)
	if err == nil {
		return nil
	}
	if err != io.EOF {
		err = fmt.Errorf("read %s at byte %d: %w", r.name, r.in.offset(), err)
	}
	r.err = err
	return err
}

// Frames returns the frames that are left, for use in a range loop. An error comes
// last, with a nil frame. A frame is valid until the loop goes on.
func (r *Reader) Frames() iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		var f Frame
		for {
			err := r.Next(&f)
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, err)
				return
			case !yield(&f, nil):
				return
			}
		}
	}
}

// ClockClamped returns how many packet times so far did not fit a flow.Timestamp and
// were held at the end of its range.
func (r *Reader) ClockClamped() uint64 { return r.in.clamped }

// Size returns the size of the file in bytes, -1 where it is not known: for standard
// input, pipes and New.
func (r *Reader) Size() int64 { return r.size }

// Offset returns how many bytes of the file were used, compressed ones if it is
// compressed. Offset and Size together show progress.
func (r *Reader) Offset() int64 {
	if r.gzip {
		return r.raw.n
	}
	return r.in.offset()
}

// Stable reports whether frames stay valid until Close, not only until the following
// Next.
func (r *Reader) Stable() bool { return r.mapping != nil }

// Close closes the file that Open or Map opened. Standard input and what New was given stay
// open. A frame is not valid after it.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = os.ErrClosed
	}
	if r.closer == nil {
		return nil
	}
	c := r.closer
	r.closer = nil
	return errors.Join(r.unmap(), c.Close())
}

func (r *Reader) unmap() error {
	if r.mapping == nil {
		return nil
	}
	b := r.mapping
	r.mapping, r.in.buf, r.in.pos, r.in.end = nil, nil, 0, 0
	if err := unix.Munmap(b); err != nil {
		return fmt.Errorf("unmap %s: %w", r.name, err)
	}
	return nil
}

// A counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// taken gives out what an input has read and not used.
type taken struct{ in *input }

func (t *taken) Read(b []byte) (int, error) {
	n := copy(b, t.in.buffered())
	t.in.use(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
