package evaluate

import (
	"seer/infer/window"
)

// Visible says of how many violations the queues showed anything in time: between
// headline horizon' and reaction time before the onset, and after the fault began,
// some queue was longer than it ever was in all ticks without a fault near. What is not
// visible so can only be predicted from faint signs.
type Visible struct {
	Violations int    `json:"violations"`
	Culprit    int    `json:"culprit"`  // a queue of the culprit's
	Anywhere   int    `json:"anywhere"` // a queue of anybody's
	Share      *Share `json:"share"`    // of Anywhere
	QuietTicks int    `json:"quiet_ticks"`
}

// settledMS after a fault and a violation nothing of them is left.
const settledMS = 10_000

// See looks for what was visible in runs of one layout.
func See(runs []*window.Run, o Options) (*Visible, error) {
	v := &Visible{}
	var highest []float32
	for _, r := range runs {
		err := r.Scan(func(tick int, cells []float32) {
			if highest == nil {
				highest = make([]float32, len(cells))
			}
			if disturbed(r, r.EndMS(tick)) {
				return
			}
			v.QuietTicks++
			for i, x := range cells {
				highest[i] = max(highest[i], x)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, r := range runs {
		anywhere, culprit := make([]bool, len(r.Violations)), make([]bool, len(r.Violations))
		err := r.Scan(func(tick int, cells []float32) {
			end := r.EndMS(tick)
			for i, w := range r.Violations {
				if end < w.OnsetMS-HeadlineMS || end > w.OnsetMS-o.ReactionMS || w.Fault != 0 && end <= w.FaultMS {
					continue
				}
				for k, x := range cells {
					if x > highest[k] {
						anywhere[i] = true
						culprit[i] = culprit[i] || k%r.Layout.Shape.Services == w.Culprit
					}
				}
			}
		})
		if err != nil {
			return nil, err
		}
		for i := range anywhere {
			v.Violations++
			if anywhere[i] {
				v.Anywhere++
			}
			if culprit[i] {
				v.Culprit++
			}
		}
	}
	v.Share, _ = share(v.Anywhere, v.Violations)
	return v, nil
}

// disturbed says whether a fault or a violation is near.
func disturbed(r *window.Run, ms int64) bool {
	for _, f := range r.Faults {
		if f.OnsetMS < ms && ms < f.EndMS+settledMS {
			return true
		}
	}
	for _, w := range r.Violations {
		if w.OnsetMS-settledMS < ms && ms < w.EndMS+settledMS {
			return true
		}
	}
	return false
}
