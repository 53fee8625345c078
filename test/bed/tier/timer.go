package tier

import (
	"context"
	"sync"
	"time"

	"seer/test/bed/timerfd"
)

// timers has a timer for each goroutine that waits.
type timers struct {
	mu   sync.Mutex
	idle []*timerfd.Timer
}

func (t *timers) wait(ctx context.Context, d time.Duration) error {
	timer, err := t.get()
	if err != nil {
		return err
	}
	if err := timer.Wait(ctx, d); err != nil {
		timer.Close()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, timer)
	return nil
}

func (t *timers) get() (*timerfd.Timer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		timer := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return timer, nil
	}
	return timerfd.New()
}
