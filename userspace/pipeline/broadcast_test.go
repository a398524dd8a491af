package pipeline_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
)

// receive reads until the end, and returns the events and how many were skipped.
func receive(r *pipeline.Receiver[int]) (got []int, skipped uint64, err error) {
	for {
		e, err := r.Next()
		var lagged pipeline.Lagged
		switch {
		case err == nil:
			got = append(got, e)
		case errors.As(err, &lagged):
			skipped += uint64(lagged)
		default:
			return got, skipped, err
		}
	}
}

func TestBroadcast(t *testing.T) {
	b := pipeline.NewBroadcast[int](t.Context(), 4)
	first := b.Subscribe()
	b.Publish(1)
	second := b.Subscribe()
	b.Publish(2)
	if n := b.Receivers(); n != 2 {
		t.Errorf("%d receivers, want 2", n)
	}
	b.Close()
	b.Publish(3)
	for i, want := range [][]int{{1, 2}, {2}} {
		got, skipped, err := receive([]*pipeline.Receiver[int]{first, second}[i])
		if !slices.Equal(got, want) || skipped != 0 || err != io.EOF {
			t.Errorf("receiver %d: %v, %d skipped, %v; want %v, 0, EOF", i, got, skipped, err, want)
		}
	}
	first.Close()
	first.Close()
	if n := b.Receivers(); n != 1 {
		t.Errorf("%d receivers after one left, want 1", n)
	}
}

func TestBroadcastLagged(t *testing.T) {
	b := pipeline.NewBroadcast[int](t.Context(), 3)
	r := b.Subscribe()
	for i := range 10 {
		b.Publish(i)
	}
	if _, err := r.Next(); err != pipeline.Lagged(7) {
		t.Fatalf("error %v, want 7 skipped", err)
	}
	b.Close()
	if got, skipped, _ := receive(r); !slices.Equal(got, []int{7, 8, 9}) || skipped != 0 {
		t.Errorf("then %v and %d skipped, want the last three", got, skipped)
	}
}

// TestBroadcastLagIsExact holds, for any order of publishing and reading, that a
// receiver gets or is told of every event since it subscribed, in order.
func TestBroadcastLagIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := pipeline.NewBroadcast[int](context.Background(), rapid.IntRange(1, 5).Draw(t, "buffer"))
		type reader struct {
			r    *pipeline.Receiver[int]
			next int // the event it must see or be told of next
		}
		var readers []*reader
		published := 0
		read := func(v *reader) {
			e, err := v.r.Next()
			var lagged pipeline.Lagged
			switch {
			case errors.As(err, &lagged):
				v.next += int(lagged)
			case err != nil || e != v.next:
				t.Fatalf("event %d, error %v, want event %d", e, err, v.next)
			default:
				v.next++
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				readers = append(readers, &reader{b.Subscribe(), published})
			case 1, 2:
				b.Publish(published)
				published++
			default:
				if n := len(readers); n > 0 {
					if v := readers[rapid.IntRange(0, n-1).Draw(t, "reader")]; v.next < published {
						read(v)
					}
				}
			}
		}
		for i, v := range readers {
			for v.next < published {
				read(v)
			}
			if v.next != published {
				t.Fatalf("reader %d is at %d of %d", i, v.next, published)
			}
		}
	})
}

func TestBroadcastEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := pipeline.NewBroadcast[int](ctx, 4)
	r := b.Subscribe()
	done := make(chan error)
	go func() {
		_, err := r.Next()
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	b.Publish(1)
	if _, err := r.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after the end, want that of the context", err)
	}
}

// TestBroadcastConcurrent has many receivers read while events are published: what each
// got and skipped adds up.
func TestBroadcastConcurrent(t *testing.T) {
	const events, receivers = 5000, 8
	b := pipeline.NewBroadcast[int](t.Context(), 16)
	var wg sync.WaitGroup
	for range receivers {
		r := b.Subscribe()
		wg.Go(func() {
			got, skipped, err := receive(r)
			if n := len(got) + int(skipped); n != events || err != io.EOF || !slices.IsSorted(got) {
				t.Errorf("%d received, %d skipped, error %v: want %d in all, in order", len(got), skipped, err, events)
			}
		})
	}
	for i := range events {
		b.Publish(i)
	}
	b.Close()
	wg.Wait()
}

// TestBroadcastOfEvents holds that cloned events of a driver stay what they were.
func TestBroadcastOfEvents(t *testing.T) {
	b := pipeline.NewBroadcast[*pipeline.SessionEvent[flow.Key]](t.Context(), 64)
	r := b.Subscribe()
	replay(t, lineOptions(func(e *pipeline.SessionEvent[flow.Key]) { b.Publish(e.Clone()) }),
		open().a("PA", 1001, 5001, "one\nbad\n").list...)
	b.Close()
	var l teller
	for e, err := range r.Events() {
		if err != nil {
			t.Fatal(err)
		}
		l.handle(e)
	}
	want := []string{"started", "state_change", "state_change", "established", `initiator "one"`, "parse_error", "closed end_of_input"}
	if !slices.Equal(l.events, want) {
		t.Errorf("events\n got %v\nwant %v", l.events, want)
	}
}

func TestReceiverEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := pipeline.NewBroadcast[int](ctx, 2)
	r := b.Subscribe()
	for i := range 3 {
		b.Publish(i)
	}
	var got []any
	for e, err := range r.Events() {
		if err != nil {
			got = append(got, err)
			continue
		}
		if got = append(got, e); e == 2 {
			cancel()
		}
	}
	if want := []any{pipeline.Lagged(1), 1, 2, context.Canceled}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
