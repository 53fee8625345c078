package qos

import (
	"time"

	"seer/collector/latency"
)

// Monitor watches one promise.
type Monitor struct {
	window  window
	broken  bool
	current *Violation // open, or nil
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
// violation that began, went on or ended, nil if there is none; it is the
// monitor's while it is open, and the caller's once it is not.
func (m *Monitor) Observe(start, end time.Time, ended, open *latency.Histogram) *Violation {
	w := &m.window
	w.add(end, ended, open)
	m.broken = w.broken()
	v := m.current
	if v != nil && start.Sub(v.End) >= merge { // end of the last tick that broke it
		v.Open = false
		m.current = nil
		if !m.broken {
			return v
		}
		// No tick between: one that was missing. The old one ends with the new one's start.
		closed := *v
		m.begin(start)
		m.extend(end)
		return &closed
	}
	switch {
	case v == nil && !m.broken:
		return nil
	case v == nil:
		m.begin(start)
	}
	if m.broken {
		m.extend(end)
	}
	return m.current
}

func (m *Monitor) begin(start time.Time) {
	t := &m.window.target
	m.current = &Violation{
		ID: violationID(t.Service, start), Service: t.Service, Percentile: t.Percentile, TargetMS: milliseconds(t.Bound),
		Learned: t.Learned, Onset: start, Open: true,
	}
}

// extend takes a tick that breaks the promise into the current violation.
func (m *Monitor) extend(end time.Time) {
	v, w := m.current, &m.window
	last := &w.ticks[len(w.ticks)-1]
	v.End = end
	v.Requests += last.n
	v.Late += int64(max(last.late, 0) + .5)
	v.WorstShare = max(v.WorstShare, w.share())
	if worst, ok := w.percentile(); ok {
		v.WorstMS = max(v.WorstMS, milliseconds(worst))
	}
}

// State says how the promise stands.
func (m *Monitor) State() State {
	w := &m.window
	p, ok := w.percentile()
	return State{Target: w.target, Enough: ok, Percentile: p, Requests: w.n, Share: w.share(), Violated: m.broken}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
