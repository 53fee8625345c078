package campaign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"seer/infer/topology"
)

// FirstAcceptanceSeed is the first of the seeds that are kept for acceptance:
// nothing is ever trained, tuned or tested on them (DESIGN.md section 9).
const FirstAcceptanceSeed = 9000

// Plan is a schedule of load and faults. It follows from the application, the
// seed, the duration and the options alone, to the last bit and on any machine:
// the simulator and the testbed run the same one.
type Plan struct {
	App      *topology.App
	Seed     uint64
	Duration time.Duration
	Options  PlanOptions // with the defaults filled in
	Load     Load        // load spikes included
	Faults   []Fault     // by onset, one at a time
}

// Streams of random numbers. Each has a purpose, so that another shape of the
// load leaves the faults as they were.
const (
	streamFaults = iota + 1
	streamLoad
	streamArrivals
)

func stream(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }

// NewPlan draws a schedule. It refuses a seed kept for acceptance unless the
// options say that this is acceptance.
func NewPlan(app *topology.App, seed uint64, duration time.Duration, o PlanOptions) (*Plan, error) {
	if seed >= FirstAcceptanceSeed && !o.Acceptance {
		return nil, fmt.Errorf("seed %d: seeds from %d are kept for acceptance: take a lower one", seed, FirstAcceptanceSeed)
	}
	if duration < time.Second || duration%time.Millisecond != 0 {
		return nil, fmt.Errorf("duration %v: want a second or more, in whole milliseconds", duration)
	}
	o = o.withDefaults(app, duration)
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := &Plan{App: app, Seed: seed, Duration: duration, Options: o}
	p.Load = Load{Base: o.Rate}
	loadRand := stream(seed, streamLoad)
	var bursts []burst
	switch o.Shape {
	case ShapeDiurnal:
		p.Load.Swing = o.Swing
		p.Load.PeriodMS = o.Period.Milliseconds()
		p.Load.PhaseMS = loadRand.Int64N(p.Load.PeriodMS)
	case ShapeSpiky:
		bursts = spiky(loadRand, duration)
	}
	if !o.NoFaults {
		if err := p.drawFaults(); err != nil {
			return nil, err
		}
	}
	for _, f := range p.Faults {
		if f.Cause == CauseLoadSpike {
			bursts = append(bursts, burst{f.OnsetMS, f.EndMS, 1 + float64(f.Intensity*(o.Spike-1))})
		}
	}
	p.Load.Levels = levels(bursts)
	return p, nil
}

// Rate returns the rate of requests at a time since the start, in requests per
// second, load spikes included.
func (p *Plan) Rate(tMS float64) float64 { return p.Load.Rate(tMS) }

// Antagonists returns the names of the containers that the faults need beside
// the application's own, each once.
func (p *Plan) Antagonists() []string {
	var names []string
	for _, f := range p.Faults {
		if f.Antagonist != "" && !slices.Contains(names, f.Antagonist) {
			names = append(names, f.Antagonist)
		}
	}
	slices.Sort(names)
	return names
}

// Antagonist returns the name of the container that uses up the resource of a
// cause, or "" where the cause needs none.
func (c Cause) Antagonist() string {
	switch c {
	case CauseCPU:
		return "antagonist-cpu"
	case CauseMemoryBandwidth:
		return "antagonist-memory"
	case CauseDisk:
		return "antagonist-disk"
	}
	return ""
}

func (p *Plan) drawFaults() error {
	rng := stream(p.Seed, streamFaults)
	o := &p.Options
	draw, err := newFaultDrawer(p.App, o.Mix)
	if err != nil {
		return err
	}
	end := p.Duration.Milliseconds()
	for t := o.Warmup.Milliseconds(); ; {
		f := draw.fault(rng)
		f.ID = len(p.Faults) + 1
		f.Intensity = hundredths(rng, o.MinIntensity, 1)
		f.OnsetMS = t + memoryless(rng, o.Gap)
		f.EndMS = f.OnsetMS + int64(between(rng, float64(o.Shortest.Milliseconds()), float64(o.Longest.Milliseconds())))
		t = f.EndMS + o.Recovery.Milliseconds()
		// A fault whose end or aftermath the campaign does not see teaches
		// nothing about recovery.
		if t > end {
			break
		}
		p.Faults = append(p.Faults, f)
	}
	return nil
}

// hundredths draws from [low, high] in steps of a hundredth.
func hundredths(rng *rand.Rand, low, high float64) float64 {
	l, h := int64(float64(low*100)+0.5), int64(float64(high*100)+0.5)
	return float64(l+rng.Int64N(max(1, h-l+1))) / 100
}

// faultDrawer draws causes and culprits.
type faultDrawer struct {
	causes   []Cause
	weights  []float64 // cumulated
	eligible map[Cause][]string
	cycles   [][3]string
}

func newFaultDrawer(app *topology.App, mix Mix) (*faultDrawer, error) {
	d := &faultDrawer{eligible: make(map[Cause][]string), cycles: Cycles(app)}
	sum := 0.0
	for _, c := range Causes {
		names := Eligible(app, c.Cause)
		if mix[c.Cause] <= 0 || len(names) == 0 {
			continue
		}
		sum += mix[c.Cause]
		d.causes = append(d.causes, c.Cause)
		d.weights = append(d.weights, sum)
		d.eligible[c.Cause] = names
	}
	if sum == 0 {
		return nil, fmt.Errorf("mix of faults %v: %q has no service that any of them could hit", mix, app.Name)
	}
	return d, nil
}

// fault draws a cause by its weight, and a culprit among all services that can
// be one, each as likely as the next.
func (d *faultDrawer) fault(rng *rand.Rand) Fault {
	x := rng.Float64() * d.weights[len(d.weights)-1]
	i := 0
	for i < len(d.weights)-1 && x >= d.weights[i] {
		i++
	}
	f := Fault{Cause: d.causes[i]}
	names := d.eligible[f.Cause]
	f.Culprit = names[rng.IntN(len(names))]
	f.Antagonist = f.Cause.Antagonist()
	if f.Cause == CauseCycle {
		var from [][3]string
		for _, c := range d.cycles {
			if c[0] == f.Culprit {
				from = append(from, c)
			}
		}
		c := from[rng.IntN(len(from))]
		f.Peers = []string{c[1], c[2]}
	}
	return f
}
