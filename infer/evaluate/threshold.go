package evaluate

import (
	"errors"
	"slices"

	"seer/infer/alarm"
)

// Point is how good alarms are at a threshold.
type Point struct {
	Threshold float32 `json:"threshold"`
	Detection float64 `json:"detection"`
	// FalseShare is the share of false episodes, 0 without episodes.
	FalseShare float64 `json:"false_alarm_share"`
	PerHour    float64 `json:"false_alarms_per_hour"`
	Joint      float64 `json:"culprit_joint"` // detected with the culprit, of all whose culprit is known
}

// Precision is the share of episodes that were right.
func (p *Point) Precision() float64 { return 1 - p.FalseShare }

// curvePoints bounds the thresholds that are tried.
const curvePoints = 120

// Curve returns what other thresholds would give at the headline horizon', from
// the highest threshold on. The thresholds are quantiles of what the predictor said,
// ever finer towards the top, where alarms are as rare as violations.
func Curve(traces []*Trace, o Options) []Point {
	var scores []float32
	for _, t := range traces {
		for i := range t.judge {
			scores = append(scores, t.judge[i].Onset)
		}
	}
	if len(scores) == 0 {
		return nil
	}
	slices.Sort(scores)
	var out []Point
	above := 1.0 // ticks at or above the threshold
	for range curvePoints {
		threshold := scores[max(0, len(scores)-int(above))]
		if threshold <= 0 {
			break
		}
		if n := len(out); n == 0 || out[n-1].Threshold > threshold {
			out = append(out, try(traces, threshold, o))
		}
		above = max(above+1, above*pointsRatio(len(scores)))
		if int(above) > len(scores) {
			break
		}
	}
	return out
}

// pointsRatio spreads the points evenly over the logarithm of the ticks above.
func pointsRatio(ticks int) float64 {
	ratio := 1.0
	for step := 0.5; step > 1e-6; step /= 2 {
		v := 1.0
		for range curvePoints {
			v *= ratio + step
		}
		if v <= float64(ticks) {
			ratio += step
		}
	}
	return ratio
}

func try(traces []*Trace, threshold float32, o Options) Point {
	all := make([]matching, len(traces))
	var alarms []alarm.Alarm
	for i, t := range traces {
		alarms = t.alarms(threshold, alarms)
		all[i] = t.match(alarms, HeadlineMS, o.ReactionMS)
	}
	f := figures(all, Hours(traces), everything)
	p := Point{Threshold: threshold, PerHour: f.FalseAlarmsPerHour}
	if f.Detection != nil {
		p.Detection = float64(*f.Detection)
	}
	if f.FalseAlarmShare != nil {
		p.FalseShare = float64(*f.FalseAlarmShare)
	}
	if f.CulpritJoint != nil {
		p.Joint = float64(*f.CulpritJoint)
	}
	return p
}

// Choose returns the point of a curve at which most is detected while no more than a
// share of the episodes is false. Where no threshold keeps to it, it returns the one
// with the smallest share. The curve is that of validation, never of the test.
func Choose(curve []Point, falseShare float64) (Point, error) {
	var best *Point
	for i := range curve {
		p := &curve[i]
		switch {
		case p.Detection == 0:
		case best == nil:
			best = p
		case (p.FalseShare <= falseShare) != (best.FalseShare <= falseShare):
			if p.FalseShare <= falseShare {
				best = p
			}
		case p.FalseShare <= falseShare && p.Detection > best.Detection,
			p.FalseShare > falseShare && p.FalseShare < best.FalseShare:
			best = p
		}
	}
	if best == nil {
		return Point{}, errors.New("no threshold detects any violation of the validation runs: the model has learnt nothing, or they hold too few")
	}
	return *best, nil
}
