package evaluate

import (
	"seer/infer/alarm"
	"seer/infer/campaign"
	"seer/infer/window"
)

// outcome is what became of a violation.
type outcome struct {
	violation *window.Violation
	possible  bool  // a tick ended after the fault began and in time
	detected  bool  // by an alarm in time
	named     int   // slot that the last alarm in time named
	leadMS    int64 // of the first alarm in time
}

// right says whether the culprit was named.
func (o *outcome) right() bool { return o.detected && o.named == o.violation.Culprit }

// episode is a stretch of consecutive alarms for one culprit.
type episode struct {
	fromMS, toMS int64 // of the first and of the last alarm
	culprit      int
	during       bool           // it began within a violation, or in its shadow
	right        bool           // an onset came during it, or within the horizon after
	cause        campaign.Cause // of the fault that was there, "" without
}

// matching is how the alarms of a run match its violations at one horizon.
type matching struct {
	outcomes []outcome
	episodes []episode
}

// shadowMS is how long after a violation nothing can be said: it may go on.
const shadowMS = 1000

// match matches alarms with the violations of their run.
func (t *Trace) match(alarms []alarm.Alarm, horizonMS, reactionMS int64) matching {
	r := t.Run
	var m matching
	at := func(ms int64) int { return int((ms - r.EndMS(t.first) + r.Layout.TickMS - 1) / r.Layout.TickMS) } // first tick that ends at or after
	for i := range r.Violations {
		v := &r.Violations[i]
		o := outcome{violation: v, named: -1}
		for k := max(0, at(v.OnsetMS-horizonMS)); k < len(alarms) && r.EndMS(t.first+k) <= v.OnsetMS-reactionMS; k++ {
			if v.Fault == 0 || r.EndMS(t.first+k) > v.FaultMS {
				o.possible = true
			}
			if !alarms[k].On {
				continue
			}
			if o.named = alarms[k].Culprit; !o.detected {
				o.detected, o.leadMS = true, v.OnsetMS-r.EndMS(t.first+k)
			}
		}
		m.outcomes = append(m.outcomes, o)
	}
	for k, a := range alarms {
		end := r.EndMS(t.first + k)
		switch {
		case !a.On:
		case a.New:
			m.episodes = append(m.episodes, episode{fromMS: end, toMS: end, culprit: a.Culprit})
		default:
			m.episodes[len(m.episodes)-1].toMS = end
		}
	}
	for i := range m.episodes {
		e := &m.episodes[i]
		for _, v := range r.Violations {
			if v.OnsetMS <= e.fromMS && e.fromMS < v.EndMS+shadowMS {
				e.during = true
			}
			if e.fromMS < v.OnsetMS && v.OnsetMS <= e.toMS+horizonMS {
				e.right = true
			}
		}
		for _, f := range r.Faults {
			if f.OnsetMS <= e.fromMS && e.fromMS < f.EndMS+faultShadowMS {
				e.cause = f.Cause
			}
		}
	}
	return m
}

// faultShadowMS is how long after its end a fault is still felt, as in
// campaign.Explain.
const faultShadowMS = 5000
