package window

import (
	"slices"

	"seer/infer/campaign"
)

// interval is a stretch of time, in ms.
type interval struct{ from, to int64 }

// shadowMS is how long after a violation another cannot begin: they would be one.
const shadowMS = 1000

// condition is what users feel at a moment.
type condition int

const (
	quiet    condition = iota
	violated           // within a violation
	shadow             // less than shadowMS after one
)

// state returns the condition at a time.
func (r *Run) state(ms int64) condition {
	i, _ := slices.BinarySearchFunc(r.broken, ms, func(b interval, ms int64) int {
		if b.from <= ms {
			return -1
		}
		return 1
	})
	switch {
	case i == 0 || ms >= r.broken[i-1].to+shadowMS:
		return quiet
	case ms < r.broken[i-1].to:
		return violated
	}
	return shadow
}

// next returns the first violation whose onset lies after a time, nil without one.
func (r *Run) next(ms int64) *Violation {
	i, _ := slices.BinarySearchFunc(r.Violations, ms, func(v Violation, ms int64) int {
		if v.OnsetMS <= ms {
			return -1
		}
		return 1
	})
	if i == len(r.Violations) {
		return nil
	}
	return &r.Violations[i]
}

// Label returns the label of the window that ends with a tick, and whether it is
// fit to learn from: see the package's documentation. guardMS is how long before
// the horizon windows are left out.
func (r *Run) Label(tick int, guardMS int64) (label int32, fit bool) {
	none := int32(r.Layout.Shape.Services)
	end := r.EndMS(tick)
	state := r.state(end)
	if state == violated {
		return none, false
	}
	if v := r.next(end); v != nil {
		switch ahead := v.OnsetMS - end; {
		case ahead <= r.Layout.HorizonMS:
			return int32(v.Culprit), v.Culprit >= 0 && end > v.FaultMS
		case ahead <= r.Layout.HorizonMS+guardMS:
			return none, false
		}
	}
	return none, state == quiet
}

// disturbed says whether a fault is there, or can still be felt.
func (r *Run) disturbed(ms int64) bool {
	i, _ := slices.BinarySearchFunc(r.Faults, ms, func(f campaign.Fault, ms int64) int {
		if f.OnsetMS <= ms {
			return -1
		}
		return 1
	})
	return i > 0 && ms < r.Faults[i-1].EndMS+faultShadowMS
}
