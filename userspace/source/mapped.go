package source

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const (
	// windowSize is how much of a mapped file is made present at a time.
	windowSize = 8 << 20
	// keptSize is how much stays present behind the reader. What is given back
	// can still be read: it is fetched again.
	keptSize = 32 << 20
)

// Map is Open with the file mapped into memory instead of read: its frames are valid
// until Close. What cannot be mapped (standard input, pipes, compressed files) is read;
// [Reader.Stable] tells. Whoever shortens the file meanwhile makes access to it fault: use
// the reader and its frames inside [Guard].
func Map(path string) (*Reader, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	f, ok := r.closer.(*os.File)
	if !ok || r.gzip || r.size <= 0 || int64(int(r.size)) != r.size {
		return r, nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(r.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return r, nil // a file system without it
	}
	r.mapping = b
	r.in.remap(b)
	return r, nil
}

// remap goes on in mapped bytes, where the input stands.
func (in *input) remap(b []byte) {
	at := int(in.offset())
	in.buf, in.pos, in.end, in.base, in.err = b, at, at, 0, nil
	in.mapped = true
}

// present makes the next window of the mapping present and gives back old ones. It
// reports whether there are n bytes now. Hints are all the kernel is given: what
// it does not take is fetched at the first access.
func (in *input) present(n int) bool {
	begin := in.end &^ (os.Getpagesize() - 1)
	in.end = min(len(in.buf), max(begin+windowSize, in.pos+n))
	_ = unix.Madvise(in.buf[begin:in.end], unix.MADV_POPULATE_READ)
	if old := (in.pos - keptSize) &^ (os.Getpagesize() - 1); old > in.given {
		_ = unix.Madvise(in.buf[in.given:old], unix.MADV_DONTNEED)
		in.given = old
	}
	return in.end-in.pos >= n
}

// ErrShortened says that a mapped file became shorter while it was read.
var ErrShortened = errors.New("the file was shortened while it was read")

// Guard runs f and returns its error, or ErrShortened if f touched bytes of a mapped file
// that are no longer there. It belongs to the goroutine that calls it.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface {
			error
			Addr() uintptr
		}: // a fault, by the documentation of SetPanicOnFault
			err = fmt.Errorf("%w (%w)", ErrShortened, p)
		default:
			panic(p)
		}
	}()
	return f()
}
