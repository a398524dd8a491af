package pipeline

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// A Source gives frames, such as those of a capture file.
type Source interface {
	// Next fills in the next frame, or returns io.EOF after the last. The bytes
	// of the frame are valid until the following call.
	Next(v *packet.View) error
}

// A Driver takes frames, in the order they were captured.
type Driver interface {
	Track(v *packet.View)
	// Finish says that there are no more: all flows end.
	Finish()
}

// Replay carries all frames of src through d and finishes it, also after an error,
// which is that of the source or of the context.
func Replay(ctx context.Context, src Source, d Driver) error {
	err := pump(ctx, src, func(v *packet.View) bool { d.Track(v); return true })
	d.Finish()
	return err
}

// pump gives the frames of src to take until that returns false.
func pump(ctx context.Context, src Source, take func(v *packet.View) bool) error {
	var v packet.View
	for more := true; more; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		switch err := src.Next(&v); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		more = take(&v)
	}
	return nil
}

// events carries the frames of src through d and yields what d gives its handler
// meanwhile, then finishes d. Leaving the loop leaves the driver as it is then.
func events[E any](ctx context.Context, src Source, d Driver, handler *func(*E)) iter.Seq2[*E, error] {
	return func(yield func(*E, error) bool) {
		own, open := *handler, true
		defer func() { *handler = own }()
		*handler = func(e *E) {
			if own != nil {
				own(e)
			}
			open = open && yield(e, nil)
		}
		err := pump(ctx, src, func(v *packet.View) bool { d.Track(v); return open })
		if !open {
			return
		}
		d.Finish()
		if open && err != nil {
			yield(nil, err)
		}
	}
}
