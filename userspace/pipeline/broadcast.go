package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
)

// A Broadcast hands every event to every receiver. The publisher never waits: a
// receiver that is behind by more than the buffer skips the oldest events, and is told
// exactly how many. It ends with its context or with Close.
//
// Events that point to what a driver reuses have to be cloned before they are
// published ([SessionEvent.Clone], [flow.Event.Clone]). All methods may be called from
// any goroutine.
type Broadcast[T any] struct {
	ctx context.Context

	mu        sync.Mutex
	ring      []T
	next      uint64        // number of the event to be published next
	news      chan struct{} // what receivers wait for, nil while none does
	receivers int
	closed    bool
}

// NewBroadcast returns a broadcast that keeps the last n events, at least one, for
// receivers that are behind.
func NewBroadcast[T any](ctx context.Context, n int) *Broadcast[T] {
	return &Broadcast[T]{ctx: ctx, ring: make([]T, max(n, 1))}
}

// Publish hands out an event. After Close, or the end of the context, it does nothing.
func (b *Broadcast[T]) Publish(e T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.ctx.Err() != nil {
		return
	}
	b.ring[b.next%uint64(len(b.ring))] = e
	b.next++
	b.wake()
}

// wake lets receivers that wait look again.
func (b *Broadcast[T]) wake() {
	if b.news != nil {
		close(b.news)
		b.news = nil
	}
}

// Close says that nothing more comes. Receivers get what is left first.
func (b *Broadcast[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.wake()
	}
}

// Receivers returns how many receivers there are.
func (b *Broadcast[T]) Receivers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.receivers
}

// Subscribe returns a receiver of what is published from now on.
func (b *Broadcast[T]) Subscribe() *Receiver[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receivers++
	return &Receiver[T]{b: b, next: b.next}
}

// Lagged is the error that stands in the place of events that a receiver was too late
// for: how many they were.
type Lagged uint64

// Error says how many events were skipped.
func (l Lagged) Error() string { return fmt.Sprintf("lagged behind: %d events skipped", uint64(l)) }

// A Receiver gets the events of a Broadcast, on one goroutine at a time.
type Receiver[T any] struct {
	b    *Broadcast[T]
	next uint64
	left bool
}

// Next waits for the next event. Its error is Lagged where events were skipped, after
// which Next goes on, io.EOF after Close, or that of the context.
func (r *Receiver[T]) Next() (T, error) {
	for {
		e, news, err := r.look()
		if news == nil {
			return e, err
		}
		select {
		case <-news:
		case <-r.b.ctx.Done():
			return e, context.Cause(r.b.ctx)
		}
	}
}

// look returns the next event or error if there is one, or what to wait for.
func (r *Receiver[T]) look() (e T, news <-chan struct{}, err error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ctx.Err(); err != nil {
		return e, nil, context.Cause(b.ctx)
	}
	if behind, room := b.next-r.next, uint64(len(b.ring)); behind > room {
		r.next = b.next - room
		return e, nil, Lagged(behind - room)
	}
	switch {
	case r.left:
		return e, nil, io.EOF
	case r.next < b.next:
		e = b.ring[r.next%uint64(len(b.ring))]
		r.next++
		return e, nil, nil
	case b.closed:
		return e, nil, io.EOF
	}
	if b.news == nil {
		b.news = make(chan struct{})
	}
	return e, b.news, nil
}

// Events yields events until the broadcast ends, a Lagged in the place of events that
// were skipped. The error of a context that ended comes last.
func (r *Receiver[T]) Events() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) || !yield(e, err) {
				return
			}
			if _, lagged := err.(Lagged); err != nil && !lagged {
				return
			}
		}
	}
}

// Close ends the subscription.
func (r *Receiver[T]) Close() {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if !r.left {
		r.left = true
		r.b.receivers--
	}
}
