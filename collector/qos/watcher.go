package qos

import (
	"cmp"
	"slices"
	"time"

	"seer/collector/latency"
)

// maxServices bounds the promises watched; each takes about 20 KB.
const maxServices = 256

// Options configure a Watcher.
type Options struct {
	Targets []Target
	// Learn makes a target for every service that is observed and has none.
	Learn bool
}

// Watcher watches the promises of all entry services. It is not safe for
// concurrent use: ticks come one after the other.
type Watcher struct {
	opts    Options
	watched map[string]*watched
	changed []*Violation
	learned []Target
}

// watched is a promise, or one that is being learned.
type watched struct {
	monitor *Monitor // nil while learning
	learner *learner
	total   uint64 // violations so far
}

// NewWatcher returns a watcher that has seen nothing.
func NewWatcher(o Options) *Watcher {
	w := &Watcher{opts: o, watched: map[string]*watched{}}
	for _, t := range o.Targets {
		w.watched[t.Service] = &watched{monitor: NewMonitor(t)}
	}
	return w
}

// Observe takes one tick of one service, see Monitor.Observe. A service without a
// target is ignored, or learned.
func (w *Watcher) Observe(start, end time.Time, service string, ended, open *latency.Histogram) {
	p := w.watched[service]
	if p == nil {
		if !w.opts.Learn || len(w.watched) >= maxServices {
			return
		}
		p = &watched{learner: &learner{target: Target{Service: service, Percentile: DefaultPercentile}}}
		w.watched[service] = p
	}
	if p.monitor == nil {
		t, known := p.learner.observe(start, ended)
		if !known {
			return
		}
		p.monitor, p.learner = NewMonitor(t), nil
		w.learned = append(w.learned, t)
	}
	before := p.monitor.current
	changed := p.monitor.Observe(start, end, ended, open)
	for _, v := range changed {
		if v != before {
			p.total++
		}
	}
	w.changed = append(w.changed, changed...)
}

// Watches says whether a service has a target, or one is being learned.
func (w *Watcher) Watches(service string) bool { return w.watched[service] != nil }

// Changed returns the violations that the ticks since the last call began,
// continued or ended.
func (w *Watcher) Changed() []*Violation {
	changed := w.changed
	w.changed = nil
	return changed
}

// Learned returns the targets found since the last call.
func (w *Watcher) Learned() []Target {
	learned := w.learned
	w.learned = nil
	return learned
}

// Promise is what a watcher knows of one service.
type Promise struct {
	State
	Violations uint64  // begun since the start
	Learning   float64 // 0..1 while its target is being learned, else 0
}

// Promises returns every service, by name.
func (w *Watcher) Promises() []Promise {
	list := make([]Promise, 0, len(w.watched))
	for _, p := range w.watched {
		if p.monitor == nil {
			list = append(list, Promise{State: State{Target: p.learner.target}, Learning: p.learner.progress()})
			continue
		}
		list = append(list, Promise{State: p.monitor.State(), Violations: p.total})
	}
	slices.SortFunc(list, func(a, b Promise) int { return cmp.Compare(a.Target.Service, b.Target.Service) })
	return list
}
