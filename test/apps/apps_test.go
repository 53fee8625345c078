package apps

import (
	"slices"
	"testing"

	"seer/infer/topology"
)

func load(t *testing.T, name string) *topology.App {
	t.Helper()
	app, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// TestCounts holds the applications to table 1 of the paper.
func TestCounts(t *testing.T) {
	tests := []struct {
		app      string
		services int
		protocol topology.Protocol // between the apps behind the entry
		names    []string          // that the paper gives
	}{
		{"hotel", 15, topology.ProtocolGRPC, []string{"load-balancer", "front-end", "search", "ads", "recommender"}},
		{"social-network", 36, topology.ProtocolThrift, []string{
			"load-balancer", "web-server", "compose-post", "read-post", "login", "search", "ads", "recommender", "follow-user", "blocked-users", "favorite",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.app, func(t *testing.T) {
			app := load(t, tt.app)
			if app.Name != tt.app {
				t.Errorf("name = %q, want that of the file", app.Name)
			}
			if got := len(app.Services); got != tt.services {
				t.Errorf("%d services, want %d", got, tt.services)
			}
			for _, name := range tt.names {
				if app.Service(name) == nil {
					t.Errorf("no service %q", name)
				}
			}
			spoken := make(map[topology.Protocol]int)
			for _, s := range app.Services {
				if s.Kind == topology.KindApp {
					spoken[s.Protocol]++
				}
			}
			for protocol, n := range spoken {
				if protocol != tt.protocol && n > spoken[tt.protocol]/4 {
					t.Errorf("%d apps speak %s, want nearly all to speak %s", n, protocol, tt.protocol)
				}
			}
			if _, cycles := app.Order(); len(cycles) != 0 {
				t.Errorf("cycles %v, want none: a cycle is a fault, not a nominal state", cycles)
			}
		})
	}
}

// TestDemand prints what a request costs, and holds the nominal load to what two
// CPUs can carry with room for faults.
func TestDemand(t *testing.T) {
	for _, name := range Names() {
		app := load(t, name)
		calls, work := 0.0, 0.0
		for target, n := range app.Visits() {
			calls += n
			for _, step := range app.Service(target.Service).Endpoints[target.Endpoint] {
				if step.Work != nil {
					work += n * step.Chance * float64(step.Repeat) * step.Work.CPU.Seconds()
				}
			}
		}
		const perCall = 150e-6 // CPU seconds: sending, routing, receiving on both ends
		demand := app.Load.Rate * (work + calls*perCall)
		t.Logf("%s: %.1f calls and %.2f ms of work per request, %.2f CPUs at %v requests/s", name, calls, work*1e3, demand, app.Load.Rate)
		if demand < 0.3 || demand > 1.3 {
			t.Errorf("%s needs %.2f CPUs at its nominal load, want 0.3 to 1.3 of 2", name, demand)
		}
	}
}

func TestUnknown(t *testing.T) {
	if _, err := Load("../apps/hotel"); err == nil {
		t.Error("Load of a path gave an application, want an error")
	}
	if !slices.IsSorted(Names()) {
		t.Errorf("Names() = %v, want them sorted", Names())
	}
}
