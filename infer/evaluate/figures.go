package evaluate

import (
	"math"
	"slices"

	"seer/infer/campaign"
)

// Figures are how good alarms were, at one horizon', over some violations. Each
// share has its 95 % interval (Wilson); one without a denominator is absent.
type Figures struct {
	Violations int     `json:"violations"`
	Possible   int     `json:"possible"` // of them, in how many a tick ended between the fault and the last moment to act
	Detected   int     `json:"detected"`
	Detection  *Share  `json:"detection"`
	Interval   *Bounds `json:"detection_95,omitempty"`

	CulpritKnown  int     `json:"culprit_known"` // violations whose culprit is known
	Culprit       *Share  `json:"culprit"`       // named, of those detected
	CulpritBounds *Bounds `json:"culprit_95,omitempty"`
	CulpritJoint  *Share  `json:"culprit_joint"` // detected and named, of all
	JointBounds   *Bounds `json:"culprit_joint_95,omitempty"`

	Episodes           int     `json:"episodes"`        // that begin outside violations
	EpisodesDuring     int     `json:"episodes_during"` // that begin within one: neither right nor false
	FalseAlarms        int     `json:"false_alarms"`
	FalseAlarmShare    *Share  `json:"false_alarm_share"`
	FalseAlarmBounds   *Bounds `json:"false_alarm_share_95,omitempty"`
	FalseAlarmsPerHour float64 `json:"false_alarms_per_hour"`

	LeadMS *Lead `json:"lead_ms"`
}

// Share is a part of 1.
type Share float64

// Bounds is the interval in which a share lies with 95 %.
type Bounds [2]float64

// Lead says how long before the onset the first alarm in time came.
type Lead struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// share returns n/of and its interval, nil for 0/0.
func share(n, of int) (*Share, *Bounds) {
	if of == 0 {
		return nil, nil
	}
	s, b := Share(float64(n)/float64(of)), Wilson(n, of)
	return &s, &b
}

// Wilson returns the 95 % interval of a share by Wilson's score, which holds for
// few and for extreme shares, too.
func Wilson(n, of int) Bounds {
	const z = 1.959964
	p, total := float64(n)/float64(of), float64(of)
	centre := (p + z*z/(2*total)) / (1 + z*z/total)
	half := z / (1 + z*z/total) * math.Sqrt(p*(1-p)/total+z*z/(4*total*total))
	return Bounds{max(0, centre-half), min(1, centre+half)}
}

// quantile returns a quantile of sorted values, by the nearest rank.
func quantile(sorted []int64, q float64) float64 {
	return float64(sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)])
}

// selection picks part of what happened.
type selection struct {
	outcome func(*outcome) bool
	episode func(*episode) bool
}

var everything = selection{func(*outcome) bool { return true }, func(*episode) bool { return true }}

// byCause picks what a cause brought about.
func byCause(c campaign.Cause) selection {
	return selection{
		func(o *outcome) bool { return o.violation.Cause == c },
		func(e *episode) bool { return e.cause == c },
	}
}

// byOrder picks the first violations of faults, or those that follow. An alarm does
// not say which it means.
func byOrder(repeat bool) selection {
	return selection{
		func(o *outcome) bool { return o.violation.Repeat == repeat },
		func(*episode) bool { return false },
	}
}

// figures sums up.
func figures(all []matching, hours float64, pick selection) Figures {
	var f Figures
	var leads []int64
	right, detectedKnown := 0, 0
	for i := range all {
		for k := range all[i].outcomes {
			o := &all[i].outcomes[k]
			if !pick.outcome(o) {
				continue
			}
			f.Violations++
			if o.possible {
				f.Possible++
			}
			if o.detected {
				f.Detected++
				leads = append(leads, o.leadMS)
			}
			if o.violation.Culprit < 0 {
				continue
			}
			f.CulpritKnown++
			if o.detected {
				detectedKnown++
			}
			if o.right() {
				right++
			}
		}
		for k := range all[i].episodes {
			e := &all[i].episodes[k]
			switch {
			case !pick.episode(e):
			case e.during:
				f.EpisodesDuring++
			default:
				f.Episodes++
				if !e.right {
					f.FalseAlarms++
				}
			}
		}
	}
	f.Detection, f.Interval = share(f.Detected, f.Violations)
	f.Culprit, f.CulpritBounds = share(right, detectedKnown)
	f.CulpritJoint, f.JointBounds = share(right, f.CulpritKnown)
	f.FalseAlarmShare, f.FalseAlarmBounds = share(f.FalseAlarms, f.Episodes)
	if hours > 0 {
		f.FalseAlarmsPerHour = float64(f.FalseAlarms) / hours
	}
	if slices.Sort(leads); len(leads) > 0 {
		f.LeadMS = &Lead{quantile(leads, 0.1), quantile(leads, 0.5), quantile(leads, 0.9)}
	}
	return f
}
