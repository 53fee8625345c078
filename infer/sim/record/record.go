// Package record runs a campaign in the simulator and keeps it in a campaign's
// directory.
package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/sim"
)

// Start is the zero of time of every simulated campaign: the same for all, so
// that equal ones are equal byte by byte.
var Start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Options say what to run. Plan and Sim.Tick are required; Run fills in the rest
// of Sim that follows from the plan.
type Options struct {
	Plan     *campaign.Plan
	Sim      sim.Config
	Versions map[string]string // of the manifest
	Options  map[string]string // of the manifest, beside the plan's
	Notes    []string          // of the manifest

	// Progress is called after every simulated second. It may be nil.
	Progress func(done time.Duration)
}

// Result is what a campaign came to.
type Result struct {
	Violations []campaign.Violation
	Faults     int
	Events     uint64
}

// Run simulates a campaign into a directory that does not exist or is empty.
//
// Cancelled, it leaves the directory as an unfinished campaign, which its
// manifest says, and returns the context's error. After any other error all that
// it created is removed.
func Run(ctx context.Context, dir string, o Options) (*Result, error) {
	plan := o.Plan
	config := o.Sim
	config.App, config.Seed, config.Faults = plan.App, plan.Seed, plan.Faults
	config.Nominal, config.Arrivals = plan.Options.Rate, plan.Arrivals()
	sink := &sink{}
	config.Sink = sink
	s, err := sim.New(config)
	if err != nil {
		return nil, err
	}
	_, statErr := os.Stat(dir)
	w, err := campaign.Create(dir, manifest(&o, s), plan.App)
	if err != nil {
		return nil, err
	}
	sink.w, sink.s = w, s
	sink.containers = s.Containers()
	violations, err := run(ctx, s, sink, plan, o.Progress)
	if err != nil {
		closed := w.Close()
		if ctx.Err() != nil {
			return nil, errors.Join(err, closed)
		}
		remove(dir, errors.Is(statErr, os.ErrNotExist))
		return nil, fmt.Errorf("what was simulated is removed: %w", err)
	}
	return &Result{Violations: violations, Faults: len(plan.Faults), Events: s.Events()}, nil
}

func run(ctx context.Context, s *sim.Simulation, sink *sink, plan *campaign.Plan, progress func(time.Duration)) ([]campaign.Violation, error) {
	faults := plan.Faults
	for at := time.Duration(0); at < plan.Duration; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at = min(at+time.Second, plan.Duration)
		// The truth is written before the fault begins.
		for len(faults) > 0 && faults[0].OnsetMS <= at.Milliseconds() {
			if err := sink.w.Fault(faults[0]); err != nil {
				return nil, err
			}
			faults = faults[1:]
		}
		if err := s.Step(at); err != nil {
			return nil, err
		}
		if err := sink.news(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(at)
		}
	}
	return sink.w.Finish()
}

// manifest describes the campaign before it begins.
func manifest(o *Options, s *sim.Simulation) campaign.Manifest {
	plan := o.Plan
	m := campaign.Manifest{
		App: plan.App.Name, Seed: plan.Seed, Source: campaign.SourceSimulator, Start: Start,
		DurationMS: plan.Duration.Milliseconds(), TickMS: o.Sim.Tick.Milliseconds(),
		Options: plan.Options.Strings(), Versions: o.Versions, Notes: o.Notes,
	}
	for k, v := range o.Options {
		m.Options[k] = v
	}
	m.Services, _ = plan.App.Order()
	for _, u := range o.Sim.Updates {
		names, _ := u.App.Order()
		for _, name := range names {
			if !slices.Contains(m.Services, name) {
				m.Services = append(m.Services, name)
			}
		}
	}
	for _, c := range s.Containers() {
		m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service, Host: c.Host})
	}
	for _, q := range collector.Queues {
		m.Queues = append(m.Queues, q.Name)
	}
	for _, q := range plan.App.QoS {
		m.QoS = append(m.QoS, campaign.QoS{Service: q.Service, Percentile: q.Percentile, TargetMS: float64(q.Target) / 1e6})
	}
	return m
}

// sink writes what the simulation shows.
type sink struct {
	w          *campaign.Writer
	s          *sim.Simulation
	containers []sim.Container
}

// Request is part of sim.Sink.
func (k *sink) Request(r campaign.Request) error { return k.w.Request(r) }

// Tick is part of sim.Sink.
func (k *sink) Tick(t *sim.Tick) error {
	if len(t.Cells) != len(k.containers) {
		if err := k.news(); err != nil {
			return err
		}
	}
	samples := k.w.Samples()
	for i := range t.Cells {
		c := &k.containers[i]
		if t.StartNS < int64(c.From) || c.Until > 0 && t.StartNS >= int64(c.Until) {
			continue
		}
		if err := samples.Add(i, t.StartNS, t.EndNS, &t.Cells[i]); err != nil {
			return err
		}
	}
	return nil
}

// news brings the manifest up to date after an update of the application.
func (k *sink) news() error {
	now := k.s.Containers()
	if slices.Equal(now, k.containers) {
		return nil
	}
	k.containers = now
	return k.w.Update(func(m *campaign.Manifest) {
		for i, c := range now {
			if i == len(m.Containers) {
				m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service, Host: c.Host, FromMS: c.From.Milliseconds()})
			}
			m.Containers[i].UntilMS = c.Until.Milliseconds()
		}
	})
}

// remove deletes what a failed campaign left in dir.
func remove(dir string, made bool) {
	if made {
		os.RemoveAll(dir)
		return
	}
	// It was there, and empty.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		os.Remove(filepath.Join(dir, e.Name()))
	}
}
