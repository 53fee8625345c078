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
		protocol topology.Protocol // of the apps behind the front-end
		names    []string          // that the text of the paper gives
	}{
		{
			app: "social-network", services: 36, protocol: topology.ProtocolThrift,
			names: []string{"load-balancer", "web-server", "compose-post", "read-post", "login", "text", "image", "video", "url-shorten",
				"user-tag", "favorite", "direct-message", "ads", "recommender", "search", "follow-user", "blocked-users"},
		},
		{
			app: "media", services: 38, protocol: topology.ProtocolThrift,
			names: []string{"load-balancer", "web-server", "search", "plot", "photos", "videos", "compose-review", "rating", "login",
				"rent-movie", "payment-authentication", "video-streaming", "nfs", "movie-db-0", "movie-db-1"},
		},
		{
			app: "ecommerce", services: 41, protocol: topology.ProtocolHTTP,
			names: []string{"front-end", "catalogue", "orders", "cart", "login", "shipping", "payment", "invoicing", "queue-master",
				"recommender", "wishlist"},
		},
		{
			app: "banking", services: 28, protocol: topology.ProtocolThrift,
			names: []string{"front-end", "login", "search", "contact", "payments", "credit-card", "open-credit-card", "personal-lending",
				"wealth-management", "bank-info-db"},
		},
		{
			app: "hotel", services: 15, protocol: topology.ProtocolGRPC,
			names: []string{"load-balancer", "front-end", "search", "ads", "recommender", "reservation"},
		},
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
			if order, cycles := app.Order(); len(cycles) != 0 || len(order) != tt.services {
				t.Errorf("Order() = %v, %v, want all services and no cycle: that is a fault, not a nominal state", order, cycles)
			}
		})
	}
	if got := len(Names()); got != len(tests) {
		t.Errorf("%d applications: %v, want the %d of the table", got, Names(), len(tests))
	}
}

// TestBackEnds: every kind of request is served by a store in the end, and no
// store calls anybody.
func TestBackEnds(t *testing.T) {
	for _, name := range Names() {
		app := load(t, name)
		for _, r := range app.Requests {
			one := *app
			one.Requests = []topology.Request{r}
			store := ""
			for target := range one.Visits() {
				if s := app.Service(target.Service); isStore(s) {
					store = s.Name
				}
			}
			if store == "" {
				t.Errorf("%s: %s reaches no store", name, r.Name)
			}
		}
		for _, edge := range app.Edges() {
			if isStore(app.Service(edge.Caller)) {
				t.Errorf("%s: %s, a store, calls %s", name, edge.Caller, edge.Callee)
			}
		}
	}
}

// isStore says whether a service keeps data. The paper's movies are in NFS, for
// which an app stands in.
func isStore(s *topology.Service) bool {
	return s.Kind != topology.KindApp && s.Kind != topology.KindNginx || s.StandsFor == "NFS"
}

// TestStandIns: whatever is not the paper's program says what it replaces.
func TestStandIns(t *testing.T) {
	for _, name := range Names() {
		for _, s := range load(t, name).Services {
			switch s.Kind {
			case topology.KindApp, topology.KindPostgreSQL, topology.KindMariaDB:
				if s.StandsFor == "" {
					t.Errorf("%s: %s, %s, does not say what it stands for", name, s.Name, s.Kind)
				}
			}
		}
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
		// CPU seconds of sending, routing and receiving on both ends, load
		// generator and soft interrupts included: with it, the sum is within a
		// fifth of what each application was measured to use on the testbed.
		const perCall = 300e-6
		demand := app.Load.Rate * (work + calls*perCall)
		t.Logf("%s: %.1f calls and %.2f ms of work per request, %.2f CPUs at %v requests/s", name, calls, work*1e3, demand, app.Load.Rate)
		if demand < 0.6 || demand > 1.2 {
			t.Errorf("%s needs %.2f CPUs at its nominal load, want 0.6 to 1.2 of 2", name, demand)
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
