package calibrate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"seer/infer/campaign"
)

// Comparison is what two runs of one application showed without faults, such as
// a measured one and a simulated one at the same load.
type Comparison struct {
	Rate     [2]float64 // requests per second
	P50, P99 [2]float64 // of the users' latency, us
	Services []ServicePair
	// DepthError is the median, over services that are not faint in both, of how
	// far the second's mean depth is from the first's, as a share of the first's.
	DepthError float64
	Agreement  float64 // of violations (campaign.Agreement)
}

// ServicePair is one service in both runs: requests answered per second, and mean
// numbers of outstanding requests and of threads that wait for a CPU.
type ServicePair struct {
	Name                     string
	Rate, Outstanding, Ready [2]float64
}

// DepthError is how far the second's mean depth is from the first's, as a share
// of the first's; false where either is too faint to tell.
func (p *ServicePair) DepthError() (float64, bool) {
	a, b := p.Outstanding[0], p.Outstanding[1]
	if a < comparable || b < comparable {
		return 0, false
	}
	return b/a - 1, true
}

// comparable is a mean depth from which an error is told: below it passes meet too
// few requests.
const comparable = 0.01

// Compare compares what two directories show before their first faults.
func Compare(a, b *campaign.Dir, warmup time.Duration) (*Comparison, error) {
	c := &Comparison{}
	var shown [2]*stats
	var violations [2][]campaign.Violation
	for i, dir := range []*campaign.Dir{a, b} {
		from, to, err := nominal(dir, warmup)
		if err != nil {
			return nil, err
		}
		if shown[i], err = measured(dir, from, to); err != nil {
			return nil, err
		}
		if violations[i], err = dir.Violations(); err != nil {
			return nil, err
		}
		c.Rate[i] = float64(len(shown[i].latencies)) / (float64(to-from) / 1e9)
		c.P50[i], c.P99[i] = shown[i].percentile(50), shown[i].percentile(99)
	}
	c.Agreement = campaign.Agreement(violations[0], violations[1])
	var errs []float64
	for _, name := range a.Manifest.Services {
		v, w := shown[0].services[name], shown[1].services[name]
		if v == nil || w == nil {
			return nil, fmt.Errorf("service %q is in one of the two only: compare runs of one application", name)
		}
		p := ServicePair{name, [2]float64{v.answered, w.answered}, [2]float64{v.outstanding, w.outstanding}, [2]float64{v.ready, w.ready}}
		if e, told := p.DepthError(); told {
			errs = append(errs, math.Abs(e))
		}
		c.Services = append(c.Services, p)
	}
	slices.Sort(errs)
	if len(errs) > 0 {
		c.DepthError = errs[len(errs)/2]
	}
	return c, nil
}
