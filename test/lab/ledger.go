//go:build linux

package lab

import (
	"fmt"
	"sync"
	"time"
)

// ledger is a process's own record of its outstanding requests: the instants
// at which each began and ended. It is the truth that passive measurement is
// compared with, so it is exact, not sampled; 16 bytes a request.
type ledger struct {
	mu   sync.Mutex
	base time.Time
	log  []int64 // nanoseconds since base, shifted left by one; low bit: ended
}

func newLedger() *ledger { return &ledger{base: time.Now()} }

func (l *ledger) begin() { l.add(0) }
func (l *ledger) end()   { l.add(1) }

func (l *ledger) add(ended int64) {
	l.mu.Lock()
	// The clock is read under the lock, so that the log is in order.
	l.log = append(l.log, int64(time.Since(l.base))<<1|ended)
	l.mu.Unlock()
}

// Interval is the truth about one interval of time.
type Interval struct {
	Depth float64 `json:"depth"` // mean requests outstanding
	Begun int     `json:"begun"`
	Ended int     `json:"ended"`
}

// intervals integrates the log between consecutive bounds, in ascending
// order, of the host's wall clock.
func (l *ledger) intervals(bounds []time.Time) ([]Interval, error) {
	if len(bounds) < 2 {
		return nil, fmt.Errorf("%d bounds make no interval", len(bounds))
	}
	l.mu.Lock()
	log := l.log
	l.mu.Unlock()
	// Bounds come from another process, as wall clock; ours is read with the
	// monotonic one, from the same base.
	wall := l.base.Round(0)
	at := func(i int) int64 { return int64(bounds[i].Round(0).Sub(wall)) }

	out := make([]Interval, len(bounds)-1)
	level, i := 0, -1 // i is the interval we are in, -1 before the first
	from, area := at(0), 0.0
	flush := func(to int64) {
		if i >= 0 {
			area += float64(level) * float64(to-from)
		}
		from = to
	}
	close := func() { // ends interval i at its bound
		flush(at(i + 1))
		if i >= 0 {
			if width := at(i+1) - at(i); width > 0 {
				out[i].Depth = area / float64(width)
			}
		}
		area = 0
		i++
	}
	for _, e := range log {
		t, ended := e>>1, e&1 == 1
		for i < len(out) && t >= at(i+1) {
			close()
		}
		if i == len(out) {
			break
		}
		flush(t)
		if ended {
			level--
		} else {
			level++
		}
		if i < 0 {
			continue
		}
		if ended {
			out[i].Ended++
		} else {
			out[i].Begun++
		}
	}
	for i < len(out) {
		close()
	}
	return out, nil
}
