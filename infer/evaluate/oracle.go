package evaluate

import (
	"slices"

	"seer/infer/alarm"
	"seer/infer/window"
)

// Oracle returns what an observer would say who is told of every fault at the end of
// the tick in which it begins, and of its end: the best that could be done by seeing
// faults as such. It misses violations that come at once, and takes for a threat the
// faults that users do not feel, or not until much later.
func Oracle(r *window.Run) *Trace {
	first, end := r.Ticks()
	t := &Trace{Run: r, first: first, judge: make([]alarm.Judgement, end-first)}
	services := r.Layout.Shape.Services
	p := make([]float32, services+1)
	for tick := first; tick < end; tick++ {
		clear(p)
		p[services] = 1
		at := r.EndMS(tick)
		for _, f := range r.Faults {
			if f.OnsetMS < at && at <= f.EndMS {
				p[services] = 0
				if n := slices.Index(r.Slots, f.Culprit); n >= 0 && f.Culprit != "" {
					p[n] = 1
				}
			}
		}
		t.judge[tick-first] = alarm.Judge(p)
	}
	return t
}
