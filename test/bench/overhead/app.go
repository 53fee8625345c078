//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"seer/infer/campaign"
	"seer/test/apps"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/load"
	"seer/test/lab"
)

// What the paper says that its tracing costs, in percent (section 6.1).
const (
	claimedThroughput = .15
	claimedLatency    = .1
)

// appArms: nothing; all of Seer; all of Seer with exact mode for all services; and
// only that, in a Seer that runs anyhow.
var appArms = []string{"control", "passive", "exact", "counting"}

// warmUp is how long an application is loaded before anything is measured.
const warmUp = 5 * time.Second

// measureApp loads an application of the testbed as usual and lets the arms take
// turns, as on a single server. The load is open: users send when they do, so what
// throughput the application could give shows in its CPU time per request.
func measureApp(t lab.TB, o options, name, seerbed string) {
	u := startApp(t, name, seerbed)
	out := make([]*appMeasurement, len(appArms))
	for i, name := range appArms {
		a, err := newArm(t, name)
		if err == nil {
			defer a.stop()
			err = a.try()
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[i] = &appMeasurement{arm: a}
	}
	u.load(t, o.seed)
	u.slice(t, warmUp)
	rng := rand.New(rand.NewPCG(o.seed, 0))
	wait := &progress{start: time.Now(), total: len(out) * o.blocks}
	for range o.blocks {
		for _, i := range rng.Perm(len(out)) {
			m := out[i]
			if err := m.arm.around(func() error { m.block(t, u, o.slice); return nil }); err != nil {
				t.Fatalf("%s: %v", m.arm.name, err)
			}
			wait.step(name)
		}
	}
	for _, m := range out {
		err := m.arm.around(func() (err error) {
			m.runs, err = countRuns(t, m.arm, func(d time.Duration) int64 { return int64(len(u.slice(t, d).latencies)) })
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", m.arm.name, err)
		}
	}
	u.stop(t)
	printApp(o, name, out)
	counting := out[len(out)-1]
	printClaim(name, eventCost(t, o), counting)
}

// appSlice is what an application did in an interval.
type appSlice struct {
	latencies []time.Duration // of the answers, in no order
	cpu       time.Duration   // of all services
	took      time.Duration
	failed    int
}

func (s appSlice) plus(o appSlice) appSlice {
	return appSlice{slices.Concat(s.latencies, o.latencies), s.cpu + o.cpu, s.took + o.took, s.failed + o.failed}
}

// quantity is something of a slice that an arm may change.
type quantity struct {
	name string
	of   func(appSlice) float64
}

var quantities = []quantity{
	{"throughput", func(s appSlice) float64 { return float64(len(s.latencies)) / s.took.Seconds() }},
	{"cpu_per_request", func(s appSlice) float64 { return s.cpu.Seconds() / float64(len(s.latencies)) }},
	{"latency_mean", func(s appSlice) float64 {
		sum := time.Duration(0)
		for _, d := range s.latencies {
			sum += d
		}
		return sum.Seconds() / float64(len(s.latencies))
	}},
	{"latency_p50", func(s appSlice) float64 { return quantile(s.latencies, .5).Seconds() }},
	{"latency_p99", func(s appSlice) float64 { return quantile(s.latencies, .99).Seconds() }},
}

// quantile is the ceil(q*n)-th of n times.
func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q*float64(len(sorted)) + 1 - 1e-9)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// appMeasurement is one arm's blocks.
type appMeasurement struct {
	arm    *arm
	ratios map[string]ratios // by quantity
	off    appSlice          // all slices without the arm
	failed int
	runs   bpfRuns // per user's request
}

// block is four slices, off on on off.
func (m *appMeasurement) block(t lab.TB, u *loadedApp, length time.Duration) {
	off := u.slice(t, length)
	switchTo(t, m.arm.name, m.arm.on)
	on := u.slice(t, length).plus(u.slice(t, length))
	switchTo(t, m.arm.name, m.arm.off)
	off = off.plus(u.slice(t, length))
	if m.ratios == nil {
		m.ratios = map[string]ratios{}
	}
	for _, q := range quantities {
		m.ratios[q.name] = append(m.ratios[q.name], q.of(on)/q.of(off))
	}
	m.off = m.off.plus(off)
	m.failed += on.failed + off.failed
}

// loadedApp is an application under its working load.
type loadedApp struct {
	bed    *bed.Bed
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	ended  []time.Duration // latencies, in the order in which the requests ended
	failed int
}

// startApp takes an application up; the end of the program takes it down.
func startApp(t lab.TB, name, seerbed string) *loadedApp {
	app, err := apps.Load(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	program, err := filepath.Abs(seerbed)
	if err != nil {
		t.Fatalf("%v", err)
	}
	u := &loadedApp{done: make(chan error, 1)}
	if u.bed, err = bed.Up(t.Context(), app, bed.Options{Program: program, Seed: 1}); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := u.bed.Down(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return u
}

// longest is more than any measurement takes.
const longest = 12 * time.Hour

// load begins the load, from this process, which runs before all others.
func (u *loadedApp) load(t lab.TB, seed uint64) {
	plan, err := campaign.NewPlan(u.bed.App, seed, longest, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := load.Prioritise(); err != nil {
		t.Logf("requests may be sent late: %v", err)
	}
	cfg := load.Config{Plan: plan, Record: func(r campaign.Request) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if campaign.Status(r.Status) == campaign.StatusOK {
			u.ended = append(u.ended, time.Duration(r.LatencyUS)*time.Microsecond)
		} else {
			u.failed++
		}
		return nil
	}}
	cfg.Aim(u.bed)
	ctx, cancel := context.WithCancel(t.Context())
	u.cancel = cancel
	go func() {
		_, err := load.Run(ctx, cfg)
		u.done <- err
	}()
}

// stop ends the load.
func (u *loadedApp) stop(t lab.TB) {
	u.cancel()
	if err := <-u.done; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

// slice measures the application for a while.
func (u *loadedApp) slice(t lab.TB, length time.Duration) appSlice {
	read := func() (at, failed int, cpu time.Duration) {
		cpu, err := u.cpu()
		if err != nil {
			t.Fatalf("CPU time of %s: %v", u.bed.App.Name, err)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		return len(u.ended), u.failed, cpu
	}
	start := time.Now()
	from, failed, cpu := read()
	select {
	case <-time.After(length):
	case err := <-u.done:
		t.Fatalf("the load has ended: %v", err)
	}
	to, failedBy, cpuBy := read()
	u.mu.Lock()
	defer u.mu.Unlock()
	return appSlice{slices.Clone(u.ended[from:to]), cpuBy - cpu, time.Since(start), failedBy - failed}
}

// cpu is the CPU time of all services, from cgroup v2, which has it without a
// controller.
func (u *loadedApp) cpu() (time.Duration, error) {
	container := u.bed.Containers()[0]
	dir := container.CgroupPath(host.Unified)
	if dir == "" {
		return 0, errors.New("no cgroup v2 hierarchy is mounted")
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if us, found := strings.CutPrefix(line, "usage_usec "); found {
			n, err := strconv.ParseInt(strings.TrimSpace(us), 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, errors.New("cpu.stat has no usage_usec")
}

func printApp(o options, app string, measured []*appMeasurement) {
	fmt.Printf("| %s | blocks |", app)
	for _, q := range quantities {
		fmt.Printf(" %s %% (95 %%) |", strings.ReplaceAll(q.name, "_", " "))
	}
	fmt.Println(" failed | BPF runs/request |")
	fmt.Println("| --- | ---: |" + strings.Repeat(" ---: |", len(quantities)+2))
	var figures []string
	for _, m := range measured {
		fmt.Printf("| %s | %d |", m.arm.name, o.blocks)
		for _, q := range quantities {
			s := m.ratios[q.name].summary(o.seed)
			fmt.Printf(" %+.2f (%+.2f to %+.2f) |", s.median, s.low, s.high)
			for _, f := range []struct {
				end   string
				value float64
			}{{"", s.median}, {"_low", s.low}, {"_high", s.high}} {
				figures = append(figures, fmt.Sprintf("BENCH cost_%s_%s_%s%s %.4g %%", app, m.arm.name, q.name, f.end, f.value))
			}
		}
		fmt.Printf(" %d | %.1f |\n", m.failed, m.runs.perRequest)
		figures = append(figures, fmt.Sprintf("BENCH cost_%s_%s_bpf_runs_per_request %.4g runs", app, m.arm.name, m.runs.perRequest))
	}
	off := measured[0].off
	for _, q := range quantities[1:] {
		figures = append(figures, fmt.Sprintf("BENCH cost_%s_untraced_%s %.4g us", app, q.name, q.of(off)*1e6))
	}
	fmt.Println(strings.Join(figures, "\n"))
}

// printClaim says where what the paper claims stops being true, by what a receive or
// a send costs in exact mode; and what that makes of the application. A service that
// calls nobody has two events a request; a call has four on its way there and back,
// both ends counted.
func printClaim(app string, event time.Duration, counting *appMeasurement) {
	const perRequest, perCall = 2, 4
	events := counting.runs.each["request_receive"] + counting.runs.each["request_send"]
	cpu := counting.off.cpu.Seconds() / float64(len(counting.off.latencies))
	cpuPerEvent := event.Seconds() / (claimedThroughput / 100)
	hop := perCall * event.Seconds() / (claimedLatency / 100)
	fmt.Printf("A receive or send costs %v more while requests are counted. %s has %.0f of them and %.0f us of CPU time per user's request: %.3f %%.\n",
		event, app, events, cpu*1e6, 100*events*event.Seconds()/cpu)
	fmt.Printf("At most %g %% of throughput is lost where a receive or send comes with at least %.0f us of CPU time: %.0f us a request for a service that calls nobody.\n",
		claimedThroughput, cpuPerEvent*1e6, perRequest*cpuPerEvent*1e6)
	fmt.Printf("At most %g %% of latency is added where each call on the way takes at least %.0f us.\n", claimedLatency, hop*1e6)
	fmt.Printf("BENCH cost_event %d ns\n", event.Nanoseconds())
	fmt.Printf("BENCH cost_%s_events_per_request %.4g events\n", app, events)
	fmt.Printf("BENCH cost_%s_counting_computed %.4g %%\n", app, 100*events*event.Seconds()/cpu)
	fmt.Printf("BENCH cost_claim_cpu_per_leaf_request %.4g us\n", perRequest*cpuPerEvent*1e6)
	fmt.Printf("BENCH cost_claim_latency_per_call %.4g us\n", hop*1e6)
}

// eventCost is what exact mode adds to a receive or send, in a loop that does
// nothing else.
func eventCost(t lab.TB, o options) time.Duration {
	arms := make([]*arm, 2)
	for i, name := range []string{"control", "counting"} {
		var err error
		if arms[i], err = newArm(t, name); err != nil {
			t.Fatalf("%v", err)
		}
		defer arms[i].stop()
	}
	var event time.Duration
	err := arms[1].around(func() error {
		event = time.Duration(loop(t, o, arms)["counting"])
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return event
}
