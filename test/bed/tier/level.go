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

	// Two earlier counts, for the rate of late.
	recent, before mark
}

// mark is a count at a time.
type mark struct {
	at    time.Time
	count int64
}

// markEvery is how far apart marks are; a rate covers one to two of these.
const markEvery = 5 * time.Second

func (l *level) add(n int64) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	l.n += n
	if n > 0 {
		l.count += n
		l.mark(now)
	}
}

func (l *level) mark(now time.Time) {
	if now.Sub(l.recent.at) >= markEvery {
		l.before, l.recent = l.recent, mark{now, l.count}
	}
}

// recentRate returns how many entered per second, of late.
func (l *level) recentRate() float64 {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.before
	if from.at.IsZero() {
		from = l.recent
	}
	d := now.Sub(from.at).Seconds()
	if from.at.IsZero() || d <= 0 {
		return 0
	}
	return float64(l.count-from.count) / d
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
