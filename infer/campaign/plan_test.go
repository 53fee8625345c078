package campaign

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seer/infer/topology"
	"seer/test/apps"
)

func loadApp(t testing.TB, name string) *topology.App {
	t.Helper()
	app, err := apps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func newPlan(t testing.TB, app *topology.App, seed uint64, d time.Duration, o PlanOptions) *Plan {
	t.Helper()
	p, err := NewPlan(app, seed, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanFollowsFromSeed(t *testing.T) {
	app := loadApp(t, "hotel")
	for _, shape := range Shapes {
		o := PlanOptions{Shape: shape}
		a, b := newPlan(t, app, 7, time.Hour, o), newPlan(t, app, 7, time.Hour, o)
		if diff := cmp.Diff(a, b, cmpopts.IgnoreFields(Plan{}, "App")); diff != "" {
			t.Errorf("%s: two plans of one seed differ: %s", shape, diff)
		}
		c := newPlan(t, app, 8, time.Hour, o)
		if cmp.Equal(a.Faults, c.Faults) {
			t.Errorf("%s: plans of different seeds have the same faults", shape)
		}
	}
	if !cmp.Equal(newPlan(t, app, 7, time.Hour, PlanOptions{}).Faults, newPlan(t, app, 7, time.Hour, PlanOptions{Shape: ShapeDiurnal}).Faults) {
		t.Error("another shape of load changed the faults")
	}
}

// TestPlanOnAnyMachine holds a plan to bytes that were made once: a difference
// means that a stored campaign can no longer be resumed or repeated.
func TestPlanOnAnyMachine(t *testing.T) {
	// Of a fixed application: a change in test/apps is no change of the plan.
	app, err := topology.Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for shape, want := range map[Shape]string{
		ShapeConstant: "ea0bfd15041e79ff", ShapeDiurnal: "b0dbb0e8dff96f18", ShapeSpiky: "fc4bdc1137076d3e",
	} {
		p := newPlan(t, app, 42, time.Hour, PlanOptions{Shape: shape})
		sum := fnv.New64a()
		fmt.Fprintf(sum, "%+v", p.Faults)
		arrivals := p.Arrivals()
		for at, kind, ok := arrivals.Next(); ok; at, kind, ok = arrivals.Next() {
			fmt.Fprint(sum, at, kind, math.Float64bits(p.Rate(float64(at)/1000)))
		}
		if got := fmt.Sprintf("%016x", sum.Sum64()); got != want {
			t.Errorf("plan of seed 42, load %s: got %s, want %s", shape, got, want)
		}
	}
}

func TestPlanKeepsAcceptanceSeeds(t *testing.T) {
	app := loadApp(t, "hotel")
	_, err := NewPlan(app, FirstAcceptanceSeed, time.Minute, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "9000 are kept for acceptance") {
		t.Errorf("seed 9000: %v", err)
	}
	p := newPlan(t, app, FirstAcceptanceSeed, time.Minute, PlanOptions{Acceptance: true})
	if p.Options.Strings()["acceptance"] != "true" {
		t.Errorf("options do not record acceptance: %v", p.Options.Strings())
	}
}

// TestPlanFaults checks every fault of long plans of all applications.
func TestPlanFaults(t *testing.T) {
	const duration = 14 * 24 * time.Hour
	for _, name := range apps.Names() {
		app := loadApp(t, name)
		p := newPlan(t, app, 3, duration, PlanOptions{})
		o := p.Options
		count := make(map[Cause]int)
		culprits := make(map[Cause]map[string]int)
		m := Manifest{DurationMS: duration.Milliseconds()}
		for _, s := range app.Services {
			m.Services = append(m.Services, s.Name)
		}
		for _, a := range p.Antagonists() {
			m.Containers = append(m.Containers, Container{Name: a})
		}
		before := Fault{EndMS: (o.Warmup - o.Recovery).Milliseconds()}
		for _, f := range p.Faults {
			if problems := f.problems(&m); len(problems) > 0 {
				t.Fatalf("%s: %+v: %q", name, f, problems)
			}
			length := time.Duration(f.EndMS-f.OnsetMS) * time.Millisecond
			gap := time.Duration(f.OnsetMS-before.EndMS) * time.Millisecond
			if f.ID != before.ID+1 || gap < o.Recovery || length < o.Shortest || length > o.Longest || f.Intensity < o.MinIntensity {
				t.Fatalf("%s: fault %+v after %+v breaks the options %+v", name, f, before, o)
			}
			if culprits[f.Cause] == nil {
				culprits[f.Cause] = make(map[string]int)
			}
			count[f.Cause]++
			culprits[f.Cause][f.Culprit]++
			before = f
		}
		// 15 s of recovery, 20 s of gap and 15 s of fault on average.
		if n, want := len(p.Faults), int(duration/(50*time.Second)); math.Abs(float64(n-want)) > 0.02*float64(want) {
			t.Errorf("%s: %d faults, want about %d", name, n, want)
		}
		total := 0.0
		for _, c := range Causes {
			if len(Eligible(app, c.Cause)) > 0 {
				total += o.Mix[c.Cause]
			}
		}
		for _, c := range Causes {
			eligible := Eligible(app, c.Cause)
			if len(eligible) == 0 {
				if count[c.Cause] > 0 {
					t.Errorf("%s: %d faults %s, which it cannot have", name, count[c.Cause], c.Cause)
				}
				continue
			}
			n := len(p.Faults)
			expected := o.Mix[c.Cause] / total * float64(n)
			// Five standard deviations.
			if math.Abs(float64(count[c.Cause])-expected) > 5*math.Sqrt(expected) {
				t.Errorf("%s: %d faults %s, want about %.0f", name, count[c.Cause], c.Cause, expected)
			}
			each := float64(count[c.Cause]) / float64(len(eligible))
			for _, s := range eligible {
				if got := culprits[c.Cause][s]; math.Abs(float64(got)-each) > 5*math.Sqrt(each) {
					t.Errorf("%s: %s hit %q %d times, want about %.0f", name, c.Cause, s, got, each)
				}
			}
		}
	}
}

func TestEligible(t *testing.T) {
	app, err := topology.Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cause Cause
		want  []string
	}{
		{CauseLock, []string{"web", "cart", "items"}},
		{CauseDeadlock, []string{"web", "cart", "items"}},
		{CauseCycle, []string{"web"}},
		// cart calls a gRPC service only.
		{CausePool, []string{"web", "items"}},
		{CauseCPU, []string{"web", "cart", "items", "items-cache", "items-db"}},
		{CauseNetworkLoss, []string{"web", "cart", "items", "items-cache", "items-db"}},
		{CauseMemoryBandwidth, []string{"items"}},
		{CauseDisk, []string{"items-db"}},
		{CauseLoadSpike, []string{""}},
		{CauseNetworkFailure, []string{""}},
		{Cause("gremlin"), nil},
	} {
		if got := Eligible(app, tt.cause); !slices.Equal(got, tt.want) {
			t.Errorf("Eligible(%s) = %q, want %q", tt.cause, got, tt.want)
		}
	}
	if got, want := Cycles(app), [][3]string{{"web", "cart", "items"}}; !slices.Equal(got, want) {
		t.Errorf("Cycles() = %q, want %q", got, want)
	}
}

func TestPlanOptionsRoundTrip(t *testing.T) {
	app := loadApp(t, "social-network")
	mix, err := ParseMix("application=3, disk=1,cpu=2")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []PlanOptions{
		{},
		{Shape: ShapeDiurnal, Rate: 333.25, Period: time.Hour, Mix: mix},
		{Shape: ShapeSpiky, NoFaults: true, Acceptance: true},
		{Warmup: time.Minute, Gap: 3 * time.Second, Recovery: time.Second, Shortest: time.Second, Longest: 2 * time.Second, MinIntensity: .5, Spike: 2},
	} {
		p := newPlan(t, app, 5, time.Hour, o)
		parsed, err := ParsePlanOptions(p.Options.Strings())
		if err != nil {
			t.Fatal(err)
		}
		q := newPlan(t, app, 5, time.Hour, parsed)
		if diff := cmp.Diff(p.Faults, q.Faults); diff != "" {
			t.Errorf("plan from recorded options %v differs: %s", p.Options.Strings(), diff)
		}
		if diff := cmp.Diff(p.Load, q.Load); diff != "" {
			t.Errorf("load from recorded options %v differs: %s", p.Options.Strings(), diff)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	app := loadApp(t, "hotel")
	for _, tt := range []struct {
		name string
		d    time.Duration
		o    PlanOptions
		want string
	}{
		{"short", time.Millisecond, PlanOptions{}, "want a second or more"},
		{"shape", time.Minute, PlanOptions{Shape: "square"}, `load "square": want one of`},
		{"rate", time.Minute, PlanOptions{Rate: -1}, "rate -1"},
		{"nan", time.Minute, PlanOptions{Rate: math.NaN()}, "rate NaN"},
		{"lengths", time.Minute, PlanOptions{Shortest: time.Minute, Longest: time.Second}, "the longest is shorter"},
		{"cause", time.Minute, PlanOptions{Mix: Mix{"gremlin": 1}}, `no cause "gremlin"`},
		{"weight", time.Minute, PlanOptions{Mix: Mix{CauseCPU: -1}}, "weight -1"},
		{"nothing", time.Minute, PlanOptions{Mix: Mix{CauseCPU: 0}}, "every weight is zero"},
	} {
		if _, err := NewPlan(app, 1, tt.d, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.name, err, tt.want)
		}
	}
	for _, bad := range []string{"", "cpu", "cpu=x", "cpu=-1", "gremlin=1", "cpu=NaN", "cpu=1,,disk=1"} {
		if m, err := ParseMix(bad); err == nil {
			t.Errorf("ParseMix(%q) = %v, want an error", bad, m)
		}
	}
}

func TestArrivals(t *testing.T) {
	app := loadApp(t, "hotel")
	p := newPlan(t, app, 1, time.Hour, PlanOptions{
		Shape: ShapeDiurnal, Rate: 100, Swing: 0.5, Period: time.Hour,
		Mix: Mix{CauseLoadSpike: 1}, Gap: 3 * time.Minute, Spike: 3, MinIntensity: 1,
	})
	// By minute: the rate integrated, and what came.
	expected, got := make([]float64, 60), make([]float64, 60)
	for s := range 3600 * 10 {
		expected[s/600] += p.Rate(float64(s)*100+50) / 10
	}
	kinds := make([]float64, len(app.Requests))
	a := p.Arrivals()
	var n float64
	last := int64(0)
	for at, kind, ok := a.Next(); ok; at, kind, ok = a.Next() {
		if at < last {
			t.Fatalf("request at %d us after one at %d us", at, last)
		}
		last = at
		got[at/60e6]++
		kinds[kind]++
		n++
	}
	for i := range got {
		if math.Abs(got[i]-expected[i]) > 5*math.Sqrt(expected[i]) {
			t.Errorf("minute %d: %.0f requests, want about %.0f", i, got[i], expected[i])
		}
	}
	weight := 0.0
	for _, r := range app.Requests {
		weight += r.Weight
	}
	for i, r := range app.Requests {
		want := n * r.Weight / weight
		if math.Abs(kinds[i]-want) > 5*math.Sqrt(want) {
			t.Errorf("%.0f requests %q, want about %.0f", kinds[i], r.Name, want)
		}
	}

	// Gaps of a Poisson process of constant rate: standard deviation equals mean.
	p = newPlan(t, app, 1, time.Hour, PlanOptions{Rate: 100, NoFaults: true})
	a = p.Arrivals()
	var sum, squares float64
	last, n = 0, 0
	for at, _, ok := a.Next(); ok; at, _, ok = a.Next() {
		gap := float64(at - last)
		sum, squares, n, last = sum+gap, squares+gap*gap, n+1, at
	}
	mean := sum / n
	if cv := math.Sqrt(squares/n-mean*mean) / mean; math.Abs(cv-1) > 0.01 || math.Abs(mean-1e4) > 100 {
		t.Errorf("gaps have mean %.0f us and coefficient of variation %.3f, want 10000 and 1", mean, cv)
	}
}
