package top

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How long to wait before asking again for a Seer that went away: doubled
// from first to last.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// errStreamEnded stands in where a feed ends without saying why.
var errStreamEnded = errors.New("seer ended the stream")

// update is what the follower sends: a frame, or that Seer is not reachable.
type update struct {
	frame   *Frame
	err     error
	attempt int
	retry   time.Time
}

// follower reads a feed and connects again when it breaks.
type follower struct {
	dial  func(context.Context) (Feed, error)
	every time.Duration // between frames
	first time.Duration // wait before the first retry

	mu   sync.Mutex
	feed Feed // nil while disconnected
}

// run sends updates until ctx ends. It owns feed, and closes it.
func (f *follower) run(ctx context.Context, feed Feed, out chan<- update) {
	attempt := 0
	for {
		f.set(feed)
		var err error
		if feed != nil {
			err = f.read(ctx, feed, out, &attempt)
			f.set(nil)
			_ = feed.Close() // it is broken or no longer wanted
		}
		for feed = nil; feed == nil; {
			attempt++
			wait := min(lastRetry, f.first<<min(attempt-1, 10))
			if err != nil && !send(ctx, out, update{err: err, attempt: attempt, retry: time.Now().Add(wait)}) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			feed, err = f.dial(ctx)
		}
	}
}

// read forwards frames until the feed breaks.
func (f *follower) read(ctx context.Context, feed Feed, out chan<- update, attempt *int) error {
	for frame, err := range feed.Frames(ctx, f.every) {
		if err != nil {
			return err
		}
		*attempt = 0
		if !send(ctx, out, update{frame: frame}) {
			return ctx.Err()
		}
	}
	return errStreamEnded
}

func send(ctx context.Context, out chan<- update, u update) bool {
	select {
	case out <- u:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *follower) set(feed Feed) {
	f.mu.Lock()
	f.feed = feed
	f.mu.Unlock()
}

// present returns the feed that is connected.
func (f *follower) present() (Feed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feed == nil {
		return nil, errors.New("not connected to seer")
	}
	return f.feed, nil
}
