package xdp

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A Ring brings the records of the flows of one worker. Records are read in place, in
// memory shared with the kernel. One goroutine at a time may use it, but for Wake.
type Ring struct {
	m        *ebpf.Map
	consumer []byte // one page, ours to write
	producer []byte // one page and the data twice in a row
	cons     *uint64
	prod     *uint64
	data     []byte
	mask     uint64
	poll     int // epoll
	wake     int // eventfd
	events   [2]unix.EpollEvent
	decoder  decoder
	clock    *clock
}

const (
	ringHeader  = 8
	ringBusy    = 1 << 31 // being written
	ringDiscard = 1 << 30
	// releaseBytes is how much is read before its space is given back: often
	// enough for the kernel never to wait, rarely enough not to fight for the page.
	releaseBytes = 256 << 10
)

// newRing maps m, which it owns from then on, unless there is an error.
func newRing(m *ebpf.Map, t *Table, c *clock) (*Ring, error) {
	r := &Ring{m: m, poll: -1, wake: -1, clock: c, decoder: decoder{table: t, clock: c}}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.unmap())
	}
	return r, nil
}

func (r *Ring) open() (err error) {
	page, size := os.Getpagesize(), int(r.m.MaxEntries())
	if r.consumer, err = unix.Mmap(r.m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	if r.producer, err = unix.Mmap(r.m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	r.cons = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.consumer)))
	r.prod = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.producer)))
	r.data, r.mask = r.producer[page:], uint64(size-1)
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	for _, fd := range []int{r.m.FD(), r.wake} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ring) unmap() error {
	var errs []error
	for _, b := range [][]byte{r.consumer, r.producer} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	for _, fd := range []int{r.poll, r.wake} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}

func (r *Ring) close() error { return errors.Join(r.unmap(), r.m.Close()) }

// Read calls fn with the records that are there, in the order in which their space was
// taken; if there are none it waits for some, no longer than wait. A record and all it
// refers to is valid during the call. Returned: how many there were; an error only if
// the ring cannot be read, a malformed record being one case. It allocates nothing.
func (r *Ring) Read(wait time.Duration, fn func(*Record)) (int, error) {
	r.clock.refresh()
	n, err := r.drain(fn)
	if n > 0 || err != nil || wait <= 0 {
		return n, err
	}
	if err := r.await(wait); err != nil {
		return 0, err
	}
	return r.drain(fn)
}

// Wake ends a wait of Read early. Any goroutine may call it.
func (r *Ring) Wake() {
	one := [8]byte{1}
	_, _ = unix.Write(r.wake, one[:]) // full means that it is awake
}

func (r *Ring) await(wait time.Duration) error {
	ms := int((wait + time.Millisecond - 1) / time.Millisecond)
	_, err := unix.EpollWait(r.poll, r.events[:], ms)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for the ring: %w", err)
	}
	return nil
}

// drain reads up to the last record that was complete when it began.
func (r *Ring) drain(fn func(*Record)) (n int, err error) {
	pos := atomic.LoadUint64(r.cons)
	end, released := atomic.LoadUint64(r.prod), pos
	for pos < end {
		at := pos & r.mask
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if head&ringBusy != 0 {
			break
		}
		size := uint64(head &^ (ringBusy | ringDiscard))
		if head&ringDiscard == 0 {
			rec, bad := r.decoder.decode(r.data[at+ringHeader : at+ringHeader+size : at+ringHeader+size])
			if bad != nil {
				err = bad
			} else {
				fn(rec)
				n++
			}
		}
		if pos += (ringHeader + size + 7) &^ 7; pos-released >= releaseBytes {
			atomic.StoreUint64(r.cons, pos)
			released = pos
		}
	}
	if pos != released {
		atomic.StoreUint64(r.cons, pos)
	}
	return n, err
}

// Waiting returns how many bytes wait in the ring, and its size.
func (r *Ring) Waiting() (bytes, size uint64) {
	return atomic.LoadUint64(r.prod) - atomic.LoadUint64(r.cons), r.mask + 1
}
