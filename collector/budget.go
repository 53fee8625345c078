package collector

import (
	"math"
	"time"
)

// pace is what the budget controller decides (DESIGN.md section 3.3). Each
// step gives up something, in this order, and takes it back in reverse.
type pace struct {
	Exact       bool    // 1. request hooks: where they cost more than half of the budget, or leave too little
	PassHz      float64 // 2. socket passes per second, wanted rate down to MinPassHz
	QuietEvery  uint32  // 3. sockets that were quiet are read every n-th pass
	SubsetCount uint32  // 4. one visit in n takes a pass, of all families, at the lowest rate
}

// Bounds of a pace, and what makes it change.
const (
	maxQuietEvery  = 16
	maxSubsetCount = 64
	relaxMargin    = 1.3 // something is taken back only if it then fits with this much to spare
	firstHz        = 20  // passes a second until the first second has shown what they cost

	exactShare  = 0.5 // of the budget, which request hooks may use at the price of passes
	exactLeaves = 2   // times the lowest pass rate: below it they go
	exactNeeds  = 3   // times the lowest pass rate, with as much set aside: then they are tried
)

// spending is what was measured since the last decision, in CPU time.
type spending struct {
	Wall    time.Duration
	CPUs    int
	Visits  int           // one in SubsetCount takes a pass
	Sockets time.Duration // in socket passes
	Walks   time.Duration // in the other families' passes, which keep the sockets' beat
	Others  time.Duration // in discovery
	Process time.Duration // of Seer's process outside passes
	Hooks   time.Duration // in event-driven programs other than request hooks
	Exact   time.Duration // in request hooks
}

func (s spending) share(d time.Duration) float64 {
	if s.Wall <= 0 || s.CPUs == 0 {
		return 0
	}
	return float64(d) / float64(s.Wall) / float64(s.CPUs)
}

// total is the share of the host's CPU that Seer used.
func (s spending) total() float64 {
	return s.share(s.Sockets + s.Walks + s.Others + s.Process + s.Hooks + s.Exact)
}

// nextPace decides how to go on. budget is a share of the host's CPU; wanted
// is the pace without one; floor is the lowest pass rate, in Hz. It is pure:
// the same spending gives the same pace.
//
// The rate that the budget pays for decides: below the floor a pass must become
// cheaper, and when there is plenty something is taken back. It is estimated as
// if everything but the event-driven programs grew with the rate. Part of it
// does not, so one step goes only part of the way; but to take a cost for fixed
// that grows with the rate would overshoot, and swing for ever where that cost
// is more than a pass's own.
func nextPace(now, wanted pace, s spending, budget, floor float64) pace {
	next := now
	if now.Exact && s.share(s.Exact) > exactShare*budget {
		next.Exact = false
		return next // measure again without it before giving up more
	}
	spent := s.share(s.Sockets + s.Walks + s.Others + s.Process)
	if s.Visits == 0 || spent <= 0 {
		return next
	}
	left := budget - s.share(s.Hooks+s.Exact)
	affordable := float64(s.Visits) / s.Wall.Seconds() * left / spent

	floor = min(floor, wanted.PassHz)
	if now.Exact && affordable < min(exactLeaves*floor, wanted.PassHz) {
		next.Exact = false
		return next
	}
	// A cheaper pass helps only where passes are what costs. They may always
	// have a quarter of the budget: a Seer that spends it all on itself and
	// does not look is of no use.
	guaranteed, passes := budget/4, s.share(s.Sockets+s.Walks)
	dear := affordable < floor && passes > guaranteed
	plenty := affordable > 2*relaxMargin*floor || 2*relaxMargin*passes < guaranteed
	switch {
	case dear && next.QuietEvery < maxQuietEvery:
		next.QuietEvery *= 2
	case dear && next.SubsetCount < maxSubsetCount:
		// Rarer passes cost less in proportion, so as much as is needed: after
		// this it takes as long as a pass is rare to learn more.
		visits := float64(s.Visits) / s.Wall.Seconds()
		for dear && next.SubsetCount < maxSubsetCount {
			next.SubsetCount *= 2
			spent -= passes / 2
			passes /= 2
			affordable = visits * left / spent
			dear = affordable < floor && passes > guaranteed
		}
		affordable = math.Min(affordable, floor)
	case plenty && next.SubsetCount > wanted.SubsetCount:
		next.SubsetCount /= 2
		affordable /= 2 // a pass may cost twice as much from now on
	case plenty && next.QuietEvery > wanted.QuietEvery:
		next.QuietEvery /= 2
		affordable /= 2
	}
	next.PassHz = math.Min(wanted.PassHz, math.Max(floor, affordable))
	// Do not chase noise: a change of less than a tenth is none.
	if math.Abs(next.PassHz-now.PassHz) < 0.1*now.PassHz && next.PassHz < wanted.PassHz && next.PassHz > floor {
		next.PassHz = now.PassHz
	}
	if now.Exact || !wanted.Exact || now != next || now.QuietEvery != wanted.QuietEvery || now.SubsetCount != wanted.SubsetCount {
		return next
	}
	// What request hooks cost here shows when they run: room is made for the most.
	beside := math.Min(wanted.PassHz, affordable*(left-exactShare*budget)/left)
	if left > 0 && beside >= math.Min(exactNeeds*floor, wanted.PassHz) {
		next.Exact, next.PassHz = true, beside
	}
	return next
}

// exactRetry says when request hooks that the budget dropped may be tried
// again. What they cost is known only while they run, so that a host that
// cannot afford them would drop and try them for ever: the pause doubles when
// they are dropped again soon.
type exactRetry struct {
	pause time.Duration
	until time.Time
}

// Bounds of the pause. Hooks that lasted as long as the last pause did not
// fail soon.
const (
	minExactPause = time.Minute
	maxExactPause = time.Hour
)

func (r *exactRetry) dropped(now time.Time) {
	if now.Sub(r.until) > r.pause {
		r.pause = 0
	}
	r.pause = min(max(minExactPause, 2*r.pause), maxExactPause)
	r.until = now.Add(r.pause)
}

func (r *exactRetry) waiting(now time.Time) bool { return now.Before(r.until) }

// passesIn returns how many passes a tick takes at a rate, at least one. What
// is left of a pass is carried to the next tick.
func passesIn(tick time.Duration, hz float64, carry *float64) int {
	due := tick.Seconds()*hz + *carry
	n := max(1, int(due+1e-9))
	*carry = max(0, due-float64(n))
	return n
}

// gaveUp says in words what a pace gives up against the one wanted.
func gaveUp(now, wanted pace) []string {
	var lost []string
	if wanted.Exact && !now.Exact {
		lost = append(lost, "exact request counts")
	}
	if now.PassHz < wanted.PassHz {
		lost = append(lost, "passes")
	}
	if now.QuietEvery > wanted.QuietEvery {
		lost = append(lost, "visits to quiet sockets")
	}
	if now.SubsetCount > wanted.SubsetCount {
		lost = append(lost, "passes in most ticks")
	}
	return lost
}

// relativeError is the expected error of a mean depth over one tick: about
// 1/sqrt(depth x independent passes) (DESIGN.md section 3.3). Ticks that repeat
// the last pass depend on each other.
func relativeError(p pace, tick time.Duration, depth float64) float64 {
	passes := math.Max(1, p.PassHz*tick.Seconds()) / float64(max(1, p.SubsetCount))
	return 1 / math.Sqrt(depth*math.Max(passes, 1e-3))
}
