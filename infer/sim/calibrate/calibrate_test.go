package calibrate

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/sim/record"
	"seer/infer/topology"
	"seer/test/apps"
)

func load(t *testing.T) *topology.App {
	t.Helper()
	app, err := apps.Load("social-network")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// other is the same application on a machine, and with programs, that nobody
// has described.
func other(t *testing.T) *topology.App {
	app := load(t)
	for i, s := range app.Services {
		for _, steps := range s.Endpoints {
			eachStep(steps, func(step *topology.Step) {
				if w := step.Work; w != nil {
					w.CPU = w.CPU * time.Duration(6+(i*7)%20) / 10
					w.CV *= 1.5
				}
			})
		}
	}
	app.Machine = &topology.Machine{Receive: 60 * time.Microsecond, Send: 40 * time.Microsecond, Hop: 30 * time.Microsecond, Kernel: 25 * time.Microsecond}
	return app
}

func latencies(t *testing.T, app *topology.App, rate float64) (p50, p99 float64) {
	t.Helper()
	s := newStats(0, int64(time.Minute))
	plan, err := campaign.NewPlan(app, 99, time.Minute, campaign.PlanOptions{Rate: rate, NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	run, err := sim.New(sim.Config{App: app, Seed: 99, Nominal: rate, Arrivals: plan.Arrivals(), Sink: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Step(time.Minute); err != nil {
		t.Fatal(err)
	}
	s.finish()
	return s.percentile(50), s.percentile(99)
}

// TestFit describes an application wrongly, and fits it to what the right one
// shows. Both ends of the fit are simulations: it tells whether the fit finds
// what is there to be found, not whether the simulator is like a testbed.
func TestFit(t *testing.T) {
	truth := other(t)
	path := filepath.Join(t.TempDir(), "run")
	plan, err := campaign.NewPlan(load(t), 3, 2*time.Minute, campaign.PlanOptions{NoFaults: true})
	if err != nil {
		t.Fatal(err)
	}
	// The directory describes the application as it is thought to be.
	described := plan.App
	plan.App = truth
	if _, err := record.Run(t.Context(), path, record.Options{Plan: plan, Sim: sim.Config{Tick: 100 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	dir, err := campaign.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	dir.Manifest.Topology = described

	app, report, err := Fit(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want, share float64) {
		t.Helper()
		if math.Abs(got-want) > share*want {
			t.Errorf("%s: %.0f, want %.0f within %.0f %%", what, got, want, share*100)
		}
	}
	compared := 0
	for _, s := range report.Services {
		// What the passes of the run, a hundred a second, leave to chance.
		chance := math.Sqrt(2 * s.Depth / (plan.Duration.Seconds() * 100))
		if share := 0.05 + 3*chance/(s.Own*s.Rate/1e6); s.Measured && s.Own > 0 && share < 0.5 {
			near(s.Name+": us in the service", s.FittedOwn, s.Own, share)
			compared++
		}
	}
	if compared < 10 {
		t.Errorf("%d services were seen often enough to be compared, want 10", compared)
	}
	near("threads that wait, thousandths", report.FittedReady*1000, report.Ready*1000, 0.15)
	near("p50, us", report.FittedP50, report.P50, 0.05)
	near("p99, us", report.FittedP99, report.P99, 0.10)
	t.Logf("%+v", report.Machine)

	// It was fitted at 100 requests per second; what of other loads?
	for _, rate := range []float64{50, 150, 200} {
		want50, want99 := latencies(t, truth, rate)
		got50, got99 := latencies(t, app, rate)
		t.Logf("%v/s: p50 %.0f us, want %.0f; p99 %.0f us, want %.0f", rate, got50, want50, got99, want99)
		near("p50 at another load", got50, want50, 0.10)
		near("p99 at another load", got99, want99, 0.20)
	}

	// What was fitted is a description like any other.
	text, err := app.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topology.Parse("calibrated.yaml", text); err != nil {
		t.Errorf("the fitted description: %v", err)
	}
}
