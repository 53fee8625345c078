package campaign

import "math/rand/v2"

// Arrivals draws the requests of the users: a Poisson process whose rate is the
// plan's, so that whoever runs the plan sends the same requests at the same
// times.
type Arrivals struct {
	plan    *Plan
	rng     *rand.Rand
	weights []float64 // of the kinds of requests, cumulated
	atUS    float64
	endUS   float64
}

// Arrivals begins at the start of the plan.
func (p *Plan) Arrivals() *Arrivals {
	a := &Arrivals{plan: p, rng: stream(p.Seed, streamArrivals), endUS: float64(p.Duration.Microseconds())}
	sum := 0.0
	for _, r := range p.App.Requests {
		sum += r.Weight
		a.weights = append(a.weights, sum)
	}
	return a
}

// Next returns the time of the next request, in microseconds since the start,
// and its kind, an index of App.Requests. It returns false after the last.
func (a *Arrivals) Next() (atUS int64, request int, ok bool) {
	for {
		// Thinning: candidates come at a rate that is never exceeded for the next
		// while, and some are passed over.
		bound, untilUS := a.plan.Load.bound(a.atUS)
		next := a.atUS + float64(exponential(a.rng)*1e6)/bound
		if a.atUS = min(next, untilUS); a.atUS >= a.endUS {
			return 0, 0, false
		}
		if next >= untilUS {
			// Beyond, the rate may be higher. Nothing is lost by drawing again
			// from there: the process has no memory.
			continue
		}
		if float64(a.rng.Float64()*bound) < a.plan.Rate(next/1000) {
			return int64(next), a.kind(), true
		}
	}
}

func (a *Arrivals) kind() int {
	x := a.rng.Float64() * a.weights[len(a.weights)-1]
	for i, w := range a.weights[:len(a.weights)-1] {
		if x < w {
			return i
		}
	}
	return len(a.weights) - 1
}

// bound returns a rate that is not exceeded from atUS to untilUS.
func (l *Load) bound(atUS float64) (rate, untilUS float64) {
	factor, untilMS := l.level(atUS / 1000)
	return l.Base * factor * (1 + l.Swing), untilMS * 1000
}

// exponential draws from the exponential distribution of mean 1 by von
// Neumann's method, which only compares: logarithms differ between machines in
// the last bit. A run of descending numbers is odd with probability 1-1/e.
func exponential(rng *rand.Rand) float64 {
	for whole := 0.0; ; whole++ {
		first := float64(rng.Float64())
		last, n := first, 1
		for {
			next := rng.Float64()
			if next > last {
				break
			}
			last, n = next, n+1
		}
		if n%2 == 1 {
			return whole + first
		}
	}
}
