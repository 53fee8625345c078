//go:build linux

package conduct

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/fault"
	"seer/test/bed/load"
)

// Config says what to run.
type Config struct {
	App      *topology.App
	Seed     uint64
	Duration time.Duration
	Plan     campaign.PlanOptions

	Out    string // the campaign's directory
	Resume bool   // go on with the one that is there

	Bed  bed.Options
	Seer string        // the program bin/seer
	Tick time.Duration // of its samples, default 100 ms
	// Budget is its --cpu-budget, default [DefaultBudget].
	Budget string
	Load   load.Config // Connections, InFlight and Timeout count

	// Progress is called every ten seconds or so, and Note with what a person
	// who watches should know. Calls do not overlap.
	Progress func(Progress)
	Note     func(string)
}

// Progress is how far a campaign has come.
type Progress struct {
	Done, Total time.Duration
	Fault       *campaign.Fault // that is there now, nil for none
	Window      load.Window     // what users saw last
}

// Result is what a campaign came to.
type Result struct {
	Violations []campaign.Violation
	Faults     int // that were injected
	Report     *load.Report
	Notes      []string
}

// DefaultBudget is what Seer may use of the host: more than where it watches
// others' production, as a whole application shares the CPUs of one host here and
// is to be sampled several times a tick.
const DefaultBudget = "5%"

// lead is the time between the last preparation and the zero of the campaign's
// clock: connections have to be opened.
const lead = 2 * time.Second

// Run runs a campaign to its end. When ctx ends before, or after an error, it
// leaves an unfinished campaign, which can be resumed, and no application.
func Run(ctx context.Context, cfg Config) (_ *Result, err error) {
	plan, err := campaign.NewPlan(cfg.App, cfg.Seed, cfg.Duration, cfg.Plan)
	if err != nil {
		return nil, err
	}
	if cfg.Tick == 0 {
		cfg.Tick = 100 * time.Millisecond
	}
	if cfg.Budget == "" {
		cfg.Budget = DefaultBudget
	}
	if cfg.Resume {
		// Before the application is taken up for nothing.
		if err := resumable(cfg, plan); err != nil {
			return nil, err
		}
		// What the interrupted one left.
		if err := bed.Down(ctx, cfg.App.Name, cfg.Bed); err != nil {
			return nil, err
		}
	}
	cfg.Bed.Seed = cfg.Seed
	b, err := bed.Up(ctx, cfg.App, cfg.Bed)
	if err != nil {
		return nil, err
	}
	defer func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, b.Down(down))
	}()
	r := &run{cfg: cfg, plan: plan, bed: b}
	return r.run(ctx)
}

// run is a campaign under way.
type run struct {
	cfg  Config
	plan *campaign.Plan
	bed  *bed.Bed
	seer *seer
	w    *campaign.Writer

	start time.Time     // of the campaign's clock; before now by as much as was run earlier
	from  time.Duration // on that clock, where this run begins
	last  int           // ID of the last fault that an earlier run injected

	mu      sync.Mutex
	present *campaign.Fault
	faults  int
	notes   []string
}

func (r *run) run(ctx context.Context) (_ *Result, err error) {
	if r.seer, err = startSeer(ctx, r.bed, r.cfg.Seer, r.cfg.Tick, r.cfg.Budget); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.w.Close()) }()

	samples := newSamples(r.w, r.bed, r.seer.db, r.start, r.from)
	var report *load.Report
	work, ctxRun := errgroup.WithContext(ctx)
	loaded := make(chan struct{})
	work.Go(func() (err error) {
		defer close(loaded)
		report, err = r.load(ctxRun)
		return err
	})
	work.Go(func() error { return r.inject(ctxRun) })
	work.Go(func() error { return samples.follow(ctxRun, loaded) })
	failed := work.Wait()

	// Seer's last samples are written when it ends; keep them, whatever failed.
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	failed = errors.Join(failed, r.seer.stop(rest), samples.drain(rest, r.start.Add(r.plan.Duration)))
	if report != nil {
		r.notes = append(r.notes, report.Notes()...)
	}
	failed = errors.Join(failed, r.w.Update(func(m *campaign.Manifest) { m.Notes = append(m.Notes, r.notes...) }))
	if failed != nil {
		return nil, failed
	}
	violations, err := r.w.Finish()
	return &Result{violations, r.faults, report, r.notes}, err
}

// resumable makes sure that the directory holds the campaign that is to be gone
// on with, and that it is not complete.
func resumable(cfg Config, plan *campaign.Plan) error {
	d, err := campaign.Open(cfg.Out)
	if err != nil {
		return err
	}
	m := d.Manifest
	switch {
	case m.Complete:
		return fmt.Errorf("campaign %q is complete: there is nothing to resume", cfg.Out)
	case m.App != cfg.App.Name || m.Seed != plan.Seed || m.DurationMS != plan.Duration.Milliseconds() || m.TickMS != cfg.Tick.Milliseconds():
		return fmt.Errorf("campaign %q is one of %s, seed %d, %s, tick %d ms: give the same, or another --out",
			cfg.Out, m.App, m.Seed, time.Duration(m.DurationMS)*time.Millisecond, m.TickMS)
	}
	for key, value := range plan.Options.Strings() {
		if m.Options[key] != value {
			return fmt.Errorf("campaign %q has %s=%s, not %s: give the same options, or another --out", cfg.Out, key, m.Options[key], value)
		}
	}
	return nil
}

// open creates the campaign's directory, or goes on with it, and starts the clock.
func (r *run) open() error {
	if !r.cfg.Resume {
		r.start = time.Now().Add(lead).Truncate(time.Millisecond)
		w, err := campaign.Create(r.cfg.Out, r.manifest(), r.plan.App)
		r.w = w
		return err
	}
	w, resumed, err := campaign.Resume(r.cfg.Out)
	if err != nil {
		return err
	}
	r.w = w
	for _, dropped := range resumed.Dropped {
		r.note("resumed without " + dropped)
	}
	if n := len(resumed.Faults); n > 0 {
		r.last = resumed.Faults[n-1].ID
	}
	r.from = time.Duration(resumed.ToMS) * time.Millisecond
	begin := time.Now().Add(lead).Truncate(time.Millisecond)
	r.start = begin.Add(-r.from)
	return w.Update(func(m *campaign.Manifest) {
		if n := len(m.Resumes); n > 0 {
			m.Resumes[n-1].At = begin.UTC()
		}
	})
}

// load sends the users' requests.
func (r *run) load(ctx context.Context) (*load.Report, error) {
	cfg := r.cfg.Load
	cfg.Aim(r.bed)
	cfg.Plan, cfg.Start, cfg.From, cfg.Record = r.plan, r.start, r.from, r.w.Request
	cfg.Progress = func(w load.Window) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cfg.Progress != nil {
			r.cfg.Progress(Progress{min(time.Since(r.start), r.plan.Duration), r.plan.Duration, r.present, w})
		}
	}
	return load.Run(ctx, cfg)
}

// inject injects the faults, one after the other.
func (r *run) inject(ctx context.Context) error {
	for _, f := range r.plan.Faults {
		if f.ID <= r.last || f.OnsetMS < r.from.Milliseconds() {
			continue
		}
		if err := r.injectOne(ctx, f); err != nil {
			return fmt.Errorf("fault %d, %s of %s: %w", f.ID, f.Cause, f.Culprit, err)
		}
	}
	return nil
}

const (
	// prepareAhead is when to begin with a fault's preparation, which measures
	// for up to two seconds.
	prepareAhead = 4 * time.Second
	// recordAhead is for a slow disk to keep the truth.
	recordAhead = 200 * time.Millisecond
	// lateFault is how late a fault may begin before that is worth a note.
	lateFault = 100 * time.Millisecond
)

func (r *run) injectOne(ctx context.Context, f campaign.Fault) error {
	onset, end := r.at(f.OnsetMS), r.at(f.EndMS)
	if err := sleepUntil(ctx, onset.Add(-prepareAhead)); err != nil {
		return err
	}
	begin := func(context.Context) error { return nil } // a load spike is the load's matter
	finish := begin
	if f.Cause != campaign.CauseLoadSpike {
		i, err := fault.Prepare(ctx, r.bed, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.note(fmt.Sprintf("fault %d, %s of %s, was not injected: %v", f.ID, f.Cause, f.Culprit, err))
			return nil
		}
		f, begin, finish = i.Fault, i.Start, i.Stop
	}
	// Late enough that a campaign which is cut short has no truth of what never
	// began.
	if err := sleepUntil(ctx, onset.Add(-recordAhead)); err != nil {
		return err
	}
	if err := r.w.Fault(f); err != nil {
		return err
	}
	if err := sleepUntil(ctx, onset); err != nil {
		return err
	}
	if err := begin(ctx); err != nil {
		return err
	}
	late := time.Since(onset)
	if late > lateFault {
		r.note(fmt.Sprintf("fault %d, %s of %s, began %d ms late", f.ID, f.Cause, f.Culprit, late.Milliseconds()))
	}
	r.set(&f)
	err := sleepUntil(ctx, end)
	r.set(nil)
	return errors.Join(finish(ctx), err)
}

// at returns a time of the campaign's clock on the host's.
func (r *run) at(ms int64) time.Time { return r.start.Add(time.Duration(ms) * time.Millisecond) }

// set says which fault is there.
func (r *run) set(f *campaign.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present = f; f != nil {
		r.faults++
	}
}

// note keeps a remark for the manifest, and shows it.
func (r *run) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, text)
	if r.cfg.Note != nil {
		r.cfg.Note(text)
	}
}

// manifest describes the campaign.
func (r *run) manifest() campaign.Manifest {
	services, _ := r.plan.App.Order()
	m := campaign.Manifest{
		App: r.plan.App.Name, Seed: r.plan.Seed, Source: campaign.SourceTestbed, Start: r.start.UTC(),
		DurationMS: r.plan.Duration.Milliseconds(), TickMS: r.cfg.Tick.Milliseconds(),
		Services: services, Queues: r.seer.queues,
		Options: r.plan.Options.Strings(), Versions: versions(r.plan.App, r.cfg.Seer), Host: hostFacts(),
		Notes: []string{"seer ran with --cpu-budget " + r.cfg.Budget},
	}
	for _, c := range r.bed.Containers() {
		m.Containers = append(m.Containers, campaign.Container{Name: c.Name, Service: c.Service})
	}
	for _, name := range r.plan.Antagonists() {
		if !slices.ContainsFunc(m.Containers, func(c campaign.Container) bool { return c.Name == name }) {
			m.Containers = append(m.Containers, campaign.Container{Name: name})
		}
	}
	for _, q := range r.plan.App.QoS {
		m.QoS = append(m.QoS, campaign.QoS{Service: q.Service, Percentile: q.Percentile, TargetMS: q.Target.Seconds() * 1000})
	}
	return m
}

func sleepUntil(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
