package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/topology"
)

// A station is a service of c workers on c CPUs that computes for 1 ms on
// average: one queue of the textbook, first come first served.
const station = `
schema: 1
name: queue
qos: [{service: %[1]s, percentile: 99, target: 20ms}]
load: {rate: %[2]d, connections: 10000}
requests: [{name: ask, weight: 1, call: %[1]s.ask}]
services:
`

func stationService(name string, workers int) string {
	return fmt.Sprintf("  - {name: %s, kind: app, protocol: http, workers: %d, endpoints: {ask: [{work: {cpu: 1ms, cv: 1.5}}]}}\n", name, workers)
}

// depths adds up what passes saw.
type depths struct {
	ticks int
	sum   map[int]float64 // requests in the socket and in service, by container
}

func (d *depths) Request(campaign.Request) error { return nil }

func (d *depths) Tick(t *Tick) error {
	d.ticks++
	for i := range t.Cells {
		d.sum[i] += t.Cells[i][collector.QueueOutstanding].Mean + t.Cells[i][collector.QueueUnreadRequests].Mean
	}
	return nil
}

// queueing runs an application in which nothing but the services' own work takes
// time, and returns the mean depth and the 99th percentile of the time until a
// request was read, ms, of each container.
func queueing(t *testing.T, description string, cores int, dist int32, duration time.Duration) (depth, p99 []float64) {
	t.Helper()
	app, err := topology.Parse("queue.yaml", []byte(description))
	if err != nil {
		t.Fatal(err)
	}
	d := &depths{sum: make(map[int]float64)}
	s, err := New(Config{
		App: app, Seed: 1, Cores: cores, Sink: d, Exact: true,
		Costs: &Costs{LinkBytesPerSecond: 1e15, NICBytesPerSecond: 1e15, MemoryBytesPerSecond: 1e9, CoreBytesPerSecond: 1e9, DiskBytesPerSecond: 1e9},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.programs.ops {
		if o := &s.programs.ops[i]; o.kind == opCPU && dist >= 0 {
			o.dist = dist
		}
	}
	waits := make([][]int64, len(s.containers))
	s.onRead = func(t *task) { waits[t.container] = append(waits[t.container], s.now-t.sent) }
	if err := s.Step(duration); err != nil {
		t.Fatal(err)
	}
	for i := range s.Containers() {
		w := waits[len(s.containers)-len(s.visible())+i]
		slices.Sort(w)
		depth = append(depth, d.sum[i]/float64(d.ticks))
		p99 = append(p99, float64(w[len(w)*99/100])/1e6)
	}
	return depth, p99
}

func within(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	off := got/want - 1
	t.Logf("%s: %.4f, theory %.4f (%+.2f %%)", what, got, want, off*100)
	if math.Abs(off) > share {
		t.Errorf("%s: got %.4f, want %.4f within %.0f %%", what, got, want, share*100)
	}
}

const (
	exact    = 0.02
	longTest = 5000 * time.Second
)

// mmc returns mean depth and 99th percentile of the wait, ms, of M/M/c with
// services of 1 ms.
func mmc(perSecond float64, c int) (depth, p99 float64) {
	a := perSecond / 1000 // Erlangs
	term, sum := 1.0, 0.0
	for k := range c {
		sum += term
		term *= a / float64(k+1)
	}
	rho := a / float64(c)
	waits := term / (1 - rho) / (sum + term/(1-rho)) // Erlang C
	return a + waits*rho/(1-rho), math.Log(waits/0.01) / (float64(c) - a)
}

func TestMM1(t *testing.T) {
	depth, p99 := queueing(t, fmt.Sprintf(station, "web", 600)+stationService("web", 1), 1, distExponential, longTest)
	wantDepth, wantP99 := mmc(600, 1)
	within(t, "M/M/1 depth", depth[0], wantDepth, exact)
	within(t, "M/M/1 p99 wait", p99[0], wantP99, exact)
}

func TestMMc(t *testing.T) {
	depth, p99 := queueing(t, fmt.Sprintf(station, "web", 3000)+stationService("web", 4), 4, distExponential, longTest/4)
	wantDepth, wantP99 := mmc(3000, 4)
	within(t, "M/M/4 depth", depth[0], wantDepth, exact)
	within(t, "M/M/4 p99 wait", p99[0], wantP99, exact)
}

func TestTandem(t *testing.T) {
	description := fmt.Sprintf(station, "front", 500) +
		"  - {name: front, kind: app, protocol: http, pool: 1000, endpoints: {ask: [{call: first.ask}, {call: second.ask}]}}\n" +
		stationService("first", 1) + strings.Replace(stationService("second", 1), "1ms", "1200us", 1)
	depth, p99 := queueing(t, description, 2, distExponential, longTest)
	wantDepth, wantP99 := mmc(500, 1)
	within(t, "first depth", depth[1], wantDepth, exact)
	within(t, "first p99 wait", p99[1], wantP99, exact)
	// What leaves an M/M/1 queue is a Poisson process again (Burke).
	wantDepth, wantP99 = mmc(600, 1)
	within(t, "second depth", depth[2], wantDepth, exact)
	within(t, "second p99 wait", p99[2], wantP99*1.2, exact)
}

func TestMG1(t *testing.T) {
	const cv, rho = 1.5, 0.6
	depth, p99 := queueing(t, fmt.Sprintf(station, "web", 600)+stationService("web", 1), 1, -1, 2*longTest)
	// Pollaczek and Khinchine.
	within(t, "M/G/1 depth", depth[0], rho+rho*rho*(1+cv*cv)/2/(1-rho), exact)
	within(t, "M/G/1 p99 wait", p99[0], mg1Wait(cv, rho, 0.99), exact)
}

// mg1Wait returns a percentile of the wait in M/G/1 with log-normal services of
// mean 1. The wait is a geometric sum of residual services, so that its tail G
// solves G(t) = rho (R(t) + integral of r(u) G(t-u)) with the residual density r.
func mg1Wait(cv, rho, percentile float64) float64 {
	const step = 0.01
	sigma := math.Sqrt(math.Log(1 + cv*cv))
	tail := func(x float64) float64 {
		return 0.5 * math.Erfc((math.Log(x)+sigma*sigma/2)/sigma/math.Sqrt2)
	}
	// r holds the residual's probability of each step, by the midpoint rule.
	var r, g []float64
	left := 1.0
	g = append(g, rho)
	for n := 1; ; n++ {
		r = append(r, tail((float64(n)-0.5)*step)*step)
		left -= r[n-1]
		sum := left + r[0]*g[n-1]/2
		for k := 2; k <= n; k++ {
			sum += r[k-1] * (g[n-k] + g[n-k+1]) / 2
		}
		g = append(g, rho*sum/(1-rho*r[0]/2)) // which is itself in the first step's mean
		if g[n] < 1-percentile {
			// Interpolate.
			return step * (float64(n-1) + (g[n-1]-(1-percentile))/(g[n-1]-g[n]))
		}
	}
}
