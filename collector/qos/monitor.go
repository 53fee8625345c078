package qos

import (
	"math"
	"time"

	"seer/collector/latency"
)

// Monitor watches one promise.
type Monitor struct {
	window         window
	broken         bool
	current        *Violation // open, or nil
	requests, late float64    // during it
	changed        []*Violation
}

// State is what a monitor knows after a tick.
type State struct {
	Target     Target
	Enough     bool          // requests to say anything
	Percentile time.Duration // of the window; 0 without enough
	Requests   int64         // in the window
	Share      float64       // of these, late
	Violated   bool          // the promise is broken now
}

// NewMonitor returns a monitor that has seen nothing.
func NewMonitor(t Target) *Monitor { return &Monitor{window: window{target: t}} }

// Observe takes one tick: the latencies of the requests that ended in it, and the
// ages of those open at its end, nil where they are not known. It returns the
// violations that began, went on or ended. One that is open is the monitor's; the
// slice is until the next call.
func (m *Monitor) Observe(start, end time.Time, ended, open *latency.Histogram) []*Violation {
	m.changed = m.changed[:0]
	w := &m.window
	slots := w.cut(start, end, ended, open)
	from := start
	for i := range slots {
		if i == len(slots)-1 {
			w.push(slots[i], ended)
		} else {
			w.push(slots[i], nil)
		}
		m.look(from, &slots[i])
		from = slots[i].end
	}
	if v := m.current; v != nil {
		if v.End.After(start) {
			// The slowest of a tick are known at its end, perhaps too late for the
			// window: the percentile was above its bound all the same.
			worst, _ := w.percentile()
			v.WorstMS = max(v.WorstMS, milliseconds(max(worst, w.target.Bound)))
			v.Requests, v.Late = int64(math.Round(m.requests)), int64(math.Round(m.late))
		}
		m.changed = append(m.changed, v)
	}
	return m.changed
}

// look decides, after a slot, whether a violation begins, goes on or has ended.
func (m *Monitor) look(from time.Time, s *slot) {
	m.broken = m.window.broken()
	if v := m.current; v != nil && from.Sub(v.End) >= merge {
		v.Open = false
		m.changed = append(m.changed, v)
		m.current = nil
	}
	if !m.broken {
		return
	}
	v := m.current
	if v == nil {
		t := &m.window.target
		v = &Violation{
			ID: violationID(t.Service, from), Service: t.Service, Percentile: t.Percentile, TargetMS: milliseconds(t.Bound),
			Learned: t.Learned, Onset: from, Open: true,
		}
		m.current, m.requests, m.late = v, 0, 0
	}
	v.End = s.end
	m.requests += s.n
	m.late += s.late
	v.WorstShare = max(v.WorstShare, m.window.share())
}

// State says how the promise stands.
func (m *Monitor) State() State {
	w := &m.window
	p, ok := w.percentile()
	return State{Target: w.target, Enough: ok, Percentile: p, Requests: w.requests(), Share: w.share(), Violated: m.broken}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
