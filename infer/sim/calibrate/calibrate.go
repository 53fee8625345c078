// Package calibrate fits the description of an application to a run of it
// without faults, so that the simulator shows what was measured: the time that a
// request spends in each service, that of messages between services, and how far
// the users' latencies are spread.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/topology"
)

// Options of a fit. The zero value takes every default.
type Options struct {
	Hosts, Cores int           // of the machine that was measured, default 1 and 2
	Warmup       time.Duration // left out at the beginning, default 5 s
	Rounds       int           // simulations, default 24
}

const (
	shortest = 10 * time.Second // of what is measured
	longest  = 5 * time.Minute  // of a simulation
	// calm is a rate, in answers per second, below which a service is left as it
	// is described: its mean says too little.
	calm = 0.5
	// faint is a mean of outstanding requests below which nothing was measured:
	// requests of less than 100 us that passes hardly meet.
	faint = 0.001
	// mostKernel bounds what a message may cost the host. Threads that wait for
	// longer than that explains wait for something that is not of the application.
	mostKernel = 60 * time.Microsecond
)

// Report says how well a fit came out.
type Report struct {
	Rate     float64 // requests per second that were measured
	Services []ServiceFit
	// Threads that wait for a CPU, measured and simulated.
	Ready, FittedReady float64
	// Users' latency, measured and simulated, us.
	P50, FittedP50 float64
	P99, FittedP99 float64
	Machine        topology.Machine
}

// ServiceFit is the time that a request spends in a service itself, in us, and
// the mean number of outstanding requests.
type ServiceFit struct {
	Name               string
	Rate               float64 // answers per second
	Own, FittedOwn     float64
	Depth, FittedDepth float64
	Measured           bool // else its CPU time was scaled as the median of the others was
}

// Fit returns the application of a directory with its costs fitted.
func Fit(ctx context.Context, dir *campaign.Dir, o Options) (*topology.App, *Report, error) {
	if o.Hosts == 0 {
		o.Hosts = 1
	}
	if o.Cores == 0 {
		o.Cores = 2
	}
	if o.Warmup == 0 {
		o.Warmup = 5 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 24
	}
	from, to, err := nominal(dir, o.Warmup)
	if err != nil {
		return nil, nil, err
	}
	want, err := measured(dir, from, to)
	if err != nil {
		return nil, nil, err
	}
	if len(want.latencies) < 1000 {
		return nil, nil, fmt.Errorf("%d requests in %v without fault: a thousand are needed: measure for longer", len(want.latencies), time.Duration(to-from))
	}
	f := &fit{
		app: dir.Manifest.Topology, want: want, hosts: o.Hosts, cores: o.Cores,
		rate:   float64(len(want.latencies)) / (float64(to-from) / 1e9),
		length: min(2*time.Duration(to-from), longest).Truncate(time.Second),
	}
	f.begin()
	for round := range o.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := f.simulate(uint64(round)); err != nil {
			return nil, nil, err
		}
		gain := 0.8
		if round > o.Rounds/2 {
			gain = 0.3 // what is left is chance
		}
		f.adjust(gain, round >= o.Rounds/3, round >= o.Rounds/2)
	}
	if err := f.simulate(uint64(o.Rounds)); err != nil {
		return nil, nil, err
	}
	return f.app, f.report(), nil
}

// nominal is the part of a campaign before its first fault.
func nominal(dir *campaign.Dir, warmup time.Duration) (from, to int64, err error) {
	from, to = int64(warmup), dir.Manifest.DurationMS*1e6
	faults, err := dir.Faults()
	if err != nil {
		return 0, 0, err
	}
	if len(faults) > 0 {
		to = faults[0].OnsetMS * 1e6
	}
	if !dir.Manifest.Complete {
		return 0, 0, errors.New("the campaign is not complete: resume it, or give another")
	}
	if to-from < int64(shortest) {
		return 0, 0, fmt.Errorf("%v without fault after %v of warm-up: %v are needed: give a run without faults", time.Duration(to-from), warmup, shortest)
	}
	return from, to, nil
}

// fit is a fit under way. It changes app.
type fit struct {
	app          *topology.App
	want, got    *stats
	hosts, cores int
	rate         float64
	length       time.Duration
	spread       float64                  // factor by which every CV was multiplied
	rest         float64                  // the same of the CPU time of services that were not measured
	described    map[string]time.Duration // mean CPU time of each service at first
}

// begin sets what messages cost to the simulator's defaults, less where the
// fastest service answers in less than that.
func (f *fit) begin() {
	f.spread, f.rest = 1, 1
	f.described = make(map[string]time.Duration)
	visits := f.app.Visits()
	for _, s := range f.app.Services {
		f.described[s.Name] = serviceCPU(s, visits)
	}
	if f.app.Machine != nil {
		return
	}
	costs := sim.DefaultCosts()
	m := &topology.Machine{Receive: costs.Receive, Send: costs.Send, Hop: costs.HopLocal, Kernel: costs.Kernel}
	for _, s := range f.app.Services {
		v := f.want.services[s.Name]
		if !f.measured(s) || v.calls > 0 || v.own() <= 0 {
			continue
		}
		if share := 0.8 * v.own() / (m.Receive + m.Send).Seconds(); share < 1 {
			m.Receive = time.Duration(float64(m.Receive) * share)
			m.Send = time.Duration(float64(m.Send) * share)
		}
	}
	f.app.Machine = m
}

func (f *fit) simulate(seed uint64) error {
	plan, err := campaign.NewPlan(f.app, seed, f.length, campaign.PlanOptions{Rate: f.rate, NoFaults: true})
	if err != nil {
		return err
	}
	f.got = newStats(0, int64(f.length))
	s, err := sim.New(sim.Config{
		App: f.app, Seed: seed, Hosts: f.hosts, Cores: f.cores, Nominal: f.rate, Arrivals: plan.Arrivals(), Sink: f.got,
	})
	if err != nil {
		return err
	}
	for _, c := range s.Containers() {
		f.got.names = append(f.got.names, c.Service)
	}
	if err := s.Step(f.length); err != nil {
		return err
	}
	f.got.finish()
	return nil
}

// adjust changes what the last simulation had wrong. The spread follows the means:
// it is no use before those are about right. The time on the way is the small
// difference of large depths, which passes know about; at the end the users' median
// makes it exact.
func (f *fit) adjust(gain float64, spreadToo, medianToo bool) {
	visits := f.app.Visits()
	for _, s := range f.app.Services {
		want, got := f.want.services[s.Name], f.got.services[s.Name]
		if f.measured(s) && got != nil && got.answered >= calm && (want.own() > 0 || got.own() < 0) {
			addCPU(s, visits, f.rate, got.answered, time.Duration((want.own()-got.own())*gain*1e9))
		}
	}
	few := f.scaleRest(visits, gain)
	entries := f.app.Entries()
	m := f.app.Machine
	if medianToo && !few {
		m.Hop = time.Duration(float64(m.Hop) * min(max(math.Pow(f.want.percentile(50)/f.got.percentile(50), 5*gain), 0.7), 1.4))
	} else {
		m.Hop += time.Duration((f.want.hop(entries) - f.got.hop(entries)) * gain * 1e9)
	}
	m.Hop = min(max(m.Hop, time.Microsecond), 10*time.Millisecond)
	// What runs outside of all containers, the users' program included, shows in
	// how long threads wait for a CPU.
	if want, got := f.want.ready(), f.got.ready(); want > 0 && got > 0 {
		step := math.Pow(min(max(want/got, 0.3), 3), gain/2)
		m.Kernel = min(max(time.Duration(float64(m.Kernel)*step), 100*time.Nanosecond), mostKernel)
	}
	if spreadToo {
		wantTail := f.want.percentile(99) / f.want.percentile(50)
		gotTail := f.got.percentile(99) / f.got.percentile(50)
		step := math.Sqrt(min(max(wantTail/gotTail, 0.7), 1.4))
		if next := f.spread * step; next > 0.2 && next < 4 {
			f.spread = next
			eachWork(f.app, func(w *topology.Work) { w.CV = min(max(w.CV*step, 0.05), 8) })
		}
	}
}

// measured says whether samples tell what a service takes. They do not where
// calls share a connection, as gRPC's: passive mode cannot tell whose turn it is.
func (f *fit) measured(s *topology.Service) bool {
	v := f.want.services[s.Name]
	if v == nil || v.answered < calm || v.outstanding < faint || s.Protocol == topology.ProtocolGRPC {
		return false
	}
	for _, steps := range s.Endpoints {
		for _, call := range steps.Calls() {
			if callee := f.app.Service(call.Target.Service); callee != nil && callee.Protocol == topology.ProtocolGRPC {
				return false
			}
		}
	}
	return true
}

// scaleRest gives the services that were not measured the median factor of
// those that were: the machine is as much slower for them. Where these are few, it
// is the users' median that says how slow.
func (f *fit) scaleRest(visits map[topology.Target]float64, gain float64) (few bool) {
	var factors []float64
	for _, s := range f.app.Services {
		if before := f.described[s.Name]; before >= time.Microsecond && f.measured(s) {
			factors = append(factors, float64(serviceCPU(s, visits))/float64(before))
		}
	}
	if few = 2*len(factors) < len(f.app.Services); few {
		f.rest *= min(max(math.Pow(f.want.percentile(50)/f.got.percentile(50), gain), 0.7), 1.4)
		f.rest = min(max(f.rest, 0.1), 10)
	} else {
		slices.Sort(factors)
		f.rest = factors[len(factors)/2]
	}
	for _, s := range f.app.Services {
		if now := serviceCPU(s, visits); now > 0 && !f.measured(s) {
			scaleCPU(s, f.rest*float64(f.described[s.Name])/float64(now))
		}
	}
	return few
}

// serviceCPU is the CPU time of a service per call, on average.
func serviceCPU(s *topology.Service, visits map[topology.Target]float64) time.Duration {
	sum, calls := 0.0, 0.0
	for name, steps := range s.Endpoints {
		n := visits[topology.Target{Service: s.Name, Endpoint: name}]
		sum += n * float64(meanCPU(steps))
		calls += n
	}
	if calls == 0 {
		return 0
	}
	return time.Duration(sum / calls)
}

// addCPU adds to the CPU time of a service, per request on average, the same
// share to each of its steps.
func addCPU(s *topology.Service, visits map[topology.Target]float64, rate, answered float64, more time.Duration) {
	sum := 0.0
	for name, steps := range s.Endpoints {
		sum += visits[topology.Target{Service: s.Name, Endpoint: name}] * rate / answered * float64(meanCPU(steps))
	}
	if sum < 1000 { // described as taking no time
		for name, steps := range s.Endpoints {
			if more < time.Microsecond {
				return
			}
			if len(steps) == 0 || steps[0].Work == nil {
				first := topology.Step{Work: &topology.Work{CV: 0.5}, Chance: 1, Repeat: 1}
				steps = append(topology.Endpoint{first}, steps...)
				s.Endpoints[name] = steps
			}
			steps[0].Work.CPU = more
		}
		return
	}
	scaleCPU(s, min(max(1+float64(more)/sum, 0.3), 3))
}

// scaleCPU multiplies the CPU time of every step of a service.
func scaleCPU(s *topology.Service, factor float64) {
	for _, steps := range s.Endpoints {
		eachStep(steps, func(step *topology.Step) {
			if w := step.Work; w != nil && w.CPU > 0 {
				w.CPU = max(100*time.Nanosecond, time.Duration(float64(w.CPU)*factor))
			}
		})
	}
}

// meanCPU is the CPU time of steps, on average.
func meanCPU(steps []topology.Step) time.Duration {
	sum := time.Duration(0)
	for i := range steps {
		step := &steps[i]
		one := meanCPU(step.Parallel)
		if step.Work != nil {
			one += time.Duration(float64(step.Work.CPU) * (1 + 9*step.Work.Tail))
		}
		if step.Lock != nil {
			one += meanCPU(step.Lock.Steps)
		}
		if step.Cache != nil {
			one += time.Duration((1 - step.Cache.Hit) * float64(meanCPU(step.Cache.Miss)))
		}
		sum += time.Duration(float64(one) * step.Chance * float64(step.Repeat))
	}
	return sum
}

func eachWork(app *topology.App, do func(*topology.Work)) {
	for _, s := range app.Services {
		for _, steps := range s.Endpoints {
			eachStep(steps, func(step *topology.Step) {
				if step.Work != nil {
					do(step.Work)
				}
			})
		}
	}
}

// eachStep calls do for every step, those within steps included.
func eachStep(steps []topology.Step, do func(*topology.Step)) {
	for i := range steps {
		step := &steps[i]
		do(step)
		eachStep(step.Parallel, do)
		if step.Lock != nil {
			eachStep(step.Lock.Steps, do)
		}
		if step.Cache != nil {
			eachStep(step.Cache.Miss, do)
		}
	}
}

func (f *fit) report() *Report {
	r := &Report{
		Rate: f.rate, P50: f.want.percentile(50), P99: f.want.percentile(99),
		FittedP50: f.got.percentile(50), FittedP99: f.got.percentile(99), Machine: *f.app.Machine,
		Ready: f.want.ready(), FittedReady: f.got.ready(),
	}
	for name, want := range f.want.services {
		got := f.got.services[name]
		if got == nil {
			continue
		}
		r.Services = append(r.Services, ServiceFit{
			Name: name, Rate: want.answered, Own: want.own() * 1e6, FittedOwn: got.own() * 1e6,
			Depth: want.outstanding, FittedDepth: got.outstanding,
			Measured: f.measured(f.app.Service(name)),
		})
	}
	slices.SortFunc(r.Services, func(a, b ServiceFit) int { return strings.Compare(a.Name, b.Name) })
	return r
}
