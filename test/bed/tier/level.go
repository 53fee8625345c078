package tier

import (
	"sync"
	"time"
)

// level is a number of requests under way, and its integral over time: the mean
// between two readings is exact, whatever happened in between.
type level struct {
	mu    sync.Mutex
	n     int64
	count int64         // that have entered
	area  time.Duration // integral of n
	since time.Time     // of the last change
}

func (l *level) add(n int64) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	l.n += n
	if n > 0 {
		l.count += n
	}
}

func (l *level) enter() { l.add(1) }
func (l *level) leave() { l.add(-1) }

func (l *level) advance(now time.Time) {
	// Another may have read the clock later and come first.
	if d := now.Sub(l.since); d > 0 {
		if !l.since.IsZero() {
			l.area += time.Duration(l.n) * d
		}
		l.since = now
	}
}

// Level is a number of requests under way.
type Level struct {
	Now   int64 `json:"now"`
	Count int64 `json:"count"` // begun, ever
	// AreaNS is the integral over time: its growth between two readings,
	// divided by the time between them, is the mean number.
	AreaNS int64 `json:"area_ns"`
}

func (l *level) read() Level {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	return Level{l.n, l.count, l.area.Nanoseconds()}
}
