package wire

import (
	"context"
	"sync"
)

// Slots is a number of places, given out in the order in which they were asked
// for: the workers of a server, the connections of a pool. The zero value has
// none; a nil *Slots has no limit.
type Slots struct {
	mu      sync.Mutex
	free    int             // below 0 after Resize, until places are given back
	waiters []chan struct{} // oldest first; closed when the place is theirs
}

// NewSlots returns n free places, and nil, which is no limit, for n <= 0.
func NewSlots(n int) *Slots {
	if n <= 0 {
		return nil
	}
	return &Slots{free: n}
}

// Acquire takes a place, and waits for one until the context is done.
func (s *Slots) Acquire(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	if s.free > 0 && len(s.waiters) == 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	s.waiters = append(s.waiters, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiters {
		if w == turn {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return ctx.Err()
		}
	}
	// It came just now: somebody else's.
	s.release(1)
	return ctx.Err()
}

// Release gives a place back.
func (s *Slots) Release() { s.Resize(1) }

// Resize adds n places, or takes -n away, if need be once they are given back.
func (s *Slots) Resize(n int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(n)
}

func (s *Slots) release(n int) {
	s.free += n
	for s.free > 0 && len(s.waiters) > 0 {
		close(s.waiters[0])
		s.waiters = s.waiters[1:]
		s.free--
	}
}

// Wait returns once a place is free, without taking it.
func (s *Slots) Wait(ctx context.Context) error {
	if err := s.Acquire(ctx); err != nil {
		return err
	}
	s.Release()
	return nil
}

// Waiting returns how many wait for a place.
func (s *Slots) Waiting() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiters)
}
