package topology

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// calls makes an application of apps from lines like "a.x: b.y c.z"; a call that
// begins with ~ is asynchronous. Users call the first endpoint.
func calls(t *testing.T, lines ...string) *App {
	t.Helper()
	app := &App{
		Schema: SchemaVersion, Name: "test", Load: NominalLoad{Rate: 1, Connections: 1},
	}
	for _, line := range lines {
		head, rest, _ := strings.Cut(line, ":")
		target, err := ParseTarget(head)
		if err != nil {
			t.Fatal(err)
		}
		if len(app.Requests) == 0 {
			app.Requests = []Request{{Name: "r", Weight: 1, Call: target}}
			app.QoS = []QoS{{Service: target.Service, Percentile: 99, Target: 1e9}}
		}
		s := app.Service(target.Service)
		if s == nil {
			s = &Service{Name: target.Service, Kind: KindApp, Protocol: ProtocolHTTP, Replicas: 1, Backlog: 1, Pool: 1, Endpoints: map[string]Endpoint{}}
			app.Services = append(app.Services, s)
		}
		steps := Endpoint{}
		for _, word := range strings.Fields(rest) {
			name, async := strings.CutPrefix(word, "~")
			callee, err := ParseTarget(name)
			if err != nil {
				t.Fatal(err)
			}
			steps = append(steps, Step{Call: &callee, Async: async, Timeout: DefaultTimeout, Chance: 1, Repeat: 1})
		}
		s.Endpoints[target.Endpoint] = steps
	}
	return app
}

func TestOrder(t *testing.T) {
	tests := []struct {
		name   string
		app    *App
		order  string
		cycles [][]string
	}{
		{"one", calls(t, "a.x:"), "a", nil},
		{"chain", calls(t, "a.x: b.x", "b.x: c.x", "c.x:"), "c b a", nil},
		{"diamond", calls(t, "a.x: b.x c.x", "b.x: d.x", "c.x: d.x", "d.x:"), "d b c a", nil},
		{"in the order of the file", calls(t, "a.x: c.x b.x", "b.x:", "c.x:"), "b c a", nil},
		{"asynchronous calls count", calls(t, "a.x: ~b.x", "b.x:"), "b a", nil},
		{"circle", calls(t, "a.x: b.x", "b.x: c.x d.x", "c.x: b.y", "b.y:", "d.x:"), "d b c a", [][]string{{"b", "c"}}},
		{"itself", calls(t, "a.x: a.y", "a.y:"), "a", [][]string{{"a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order, cycles := tt.app.Order()
			if got := strings.Join(order, " "); got != tt.order {
				t.Errorf("Order() = %q, want %q", got, tt.order)
			}
			if diff := cmp.Diff(tt.cycles, cycles); diff != "" {
				t.Errorf("cycles (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOrderShop: whatever a service calls comes before it.
func TestOrderShop(t *testing.T) {
	app := loadShop(t)
	order, _ := app.Order()
	if len(order) != len(app.Services) {
		t.Fatalf("Order() = %v, want all %d services", order, len(app.Services))
	}
	for _, edge := range app.Edges() {
		if slices.Index(order, edge.Callee) > slices.Index(order, edge.Caller) {
			t.Errorf("%s comes before %s, which it calls", edge.Caller, edge.Callee)
		}
	}
}

func TestEdges(t *testing.T) {
	app := loadShop(t)
	want := []Edge{
		{"balancer", "web"},
		{"web", "items"}, {"web", "ads"}, {"web", "payment"}, {"web", "orders"}, {"web", "audit"},
		{"items", "items-cache"}, {"items", "items-db"},
		{"payment", "ledger"},
	}
	if diff := cmp.Diff(want, app.Edges()); diff != "" {
		t.Errorf("Edges() (-want +got):\n%s", diff)
	}
}

func TestContainers(t *testing.T) {
	app := loadShop(t)
	got := app.Containers()[:4]
	want := []Container{{"balancer", "balancer"}, {"web-1", "web"}, {"web-2", "web"}, {"items", "items"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Containers() (-want +got):\n%s", diff)
	}
}

// TestVisits counts by hand: of 12 requests, 9 browse, 1 buys and 2 fetch the logo.
func TestVisits(t *testing.T) {
	got := loadShop(t).Visits()
	want := map[string]float64{
		"balancer.browse": 9. / 12,
		"balancer.buy":    1. / 12,
		"balancer.logo":   2. / 12,
		"web.browse":      9. / 12,
		"web.buy":         1. / 12,
		"items.list":      9. / 12,
		"items.reserve":   2. / 12, // twice
		"ads.pick":        9. / 12 * 0.2,
		"items-cache.get": 9. / 12,
		"items-cache.set": 9. / 12 * 0.1, // misses
		"items-db.query":  9. / 12 * 0.1,
		"items-db.update": 2. / 12, // within the lock
		"payment.charge":  1. / 12,
		"ledger.insert":   1. / 12,
		"orders.push":     1. / 12,
		"audit.publish":   1. / 12,
	}
	for target, n := range got {
		if math.Abs(n-want[target.String()]) > 1e-9 {
			t.Errorf("visits of %s = %v, want %v", target, n, want[target.String()])
		}
		delete(want, target.String())
	}
	for _, missing := range slices.Sorted(maps.Keys(want)) {
		t.Errorf("%s is missing", missing)
	}
}

// TestOrderDeep: a chain as long as a description may be.
func TestOrderDeep(t *testing.T) {
	var lines []string
	for i := range maxServices {
		call := fmt.Sprintf("s%d.x: s%d.x", i, i+1)
		if i == maxServices-1 {
			call = fmt.Sprintf("s%d.x:", i)
		}
		lines = append(lines, call)
	}
	app := calls(t, lines...)
	if err := app.Validate(); err != nil {
		t.Error(err)
	}
	if order, _ := app.Order(); order[0] != fmt.Sprintf("s%d", maxServices-1) {
		t.Errorf("Order() begins with %s, want the last of the chain", order[0])
	}
}
