package sim

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/infer/campaign"
)

const (
	onset    = 20 * time.Second
	faultEnd = 40 * time.Second
	recovery = 25 * time.Second // after which nothing of a fault is left
	testEnd  = faultEnd + recovery + 20*time.Second
)

// own is the depth of what a container makes requests wait for by itself, in the
// queues that a cause acts on.
func own(cause campaign.Cause, row *[collector.NumQueues]float64) float64 {
	inside := row[collector.QueueOutstanding] + row[collector.QueueUnreadRequests] - row[collector.QueueDownstream]
	if cause == campaign.CausePacketFilter {
		return row[collector.QueueSend] / 1000
	}
	switch cause.Class() {
	case campaign.ClassCompute:
		return row[collector.QueueRun]
	case campaign.ClassNetwork:
		return row[collector.QueueSend] / 1000 // about a message
	case campaign.ClassDisk:
		return row[collector.QueueBlockIO]
	}
	return inside
}

// TestFaults holds each cause to what it claims: users suffer, the culprit's own
// queue is the first to grow, and all is well again afterwards.
func TestFaults(t *testing.T) {
	app := loadApp(t, "social-network")
	_, calm := play(t, Config{App: app, Seed: 5}, testEnd)
	for _, known := range campaign.Causes {
		t.Run(string(known.Cause), func(t *testing.T) {
			f := campaign.Fault{
				ID: 1, OnsetMS: onset.Milliseconds(), EndMS: faultEnd.Milliseconds(),
				Cause: known.Cause, Intensity: 0.9, Antagonist: known.Cause.Antagonist(),
			}
			config := Config{App: app, Seed: 5}
			calm := calm
			switch known.Cause {
			case campaign.CauseLoadSpike:
				config.Arrivals = spike(t, config, app.Load.Rate, 10*app.Load.Rate)
			case campaign.CauseNetworkFailure:
			case campaign.CauseCycle:
				c := campaign.Cycles(app)[0]
				f.Culprit, f.Peers = c[0], c[1:]
			default:
				f.Culprit = busiest(t, config, known.Cause)
			}
			config.Faults = []campaign.Fault{f}
			s, r := play(t, config, testEnd)

			before, during := calm.percentile(onset, faultEnd, 99), r.percentile(onset, faultEnd, 99)
			after, afterCalm := r.percentile(faultEnd+recovery, testEnd, 99), calm.percentile(faultEnd+recovery, testEnd, 99)
			t.Logf("%s: p99 %v, without fault %v, afterwards %v", f.Culprit, during, before, after)
			if during < before*2 {
				t.Errorf("p99 during the fault %v, without it %v: want at least twice that", during, before)
			}
			if after > afterCalm*11/10 {
				t.Errorf("p99 %v after the fault: %v, without it %v", recovery, after, afterCalm)
			}
			if s.tasks.used > 1000 {
				t.Errorf("%d tasks are left", s.tasks.used)
			}
			if f.Culprit != "" {
				if first := firstToGrow(s, calm, r, known.Cause); first != f.Culprit && !slices.Contains(f.Peers, first) {
					t.Errorf("first to grow: %s, want the culprit %s, or a peer of a cycle", first, f.Culprit)
				}
			}
		})
	}
}

// busiest is the service that a cause can hit and that users' requests visit most.
func busiest(t *testing.T, c Config, cause campaign.Cause) string {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	names := campaign.Eligible(c.App, cause)
	if len(names) == 0 {
		t.Fatalf("no service can have %s", cause)
	}
	return slices.MaxFunc(names, func(a, b string) int {
		return cmp.Compare(s.services[s.serviceNamed(a)].nominal.requests, s.services[s.serviceNamed(b)].nominal.requests)
	})
}

// firstToGrow is the service whose own queue is the first to hold, beyond that
// of the twin without fault, a twentieth of a request for a second in all.
func firstToGrow(s *Simulation, calm, r *recorder, cause campaign.Cause) string {
	const enough = 0.05 // request-seconds
	tick := s.config.Tick.Seconds()
	grown := make([]float64, len(s.visible()))
	for k := int(onset / s.config.Tick); k < len(calm.ticks); k++ {
		best := -1
		for i, c := range s.Containers() {
			if c.Service == "" || i >= len(calm.ticks[k]) {
				continue
			}
			grown[i] += (own(cause, &r.ticks[k][i]) - own(cause, &calm.ticks[k][i])) * tick
			if grown[i] > enough && (best < 0 || grown[i] > grown[best]) {
				best = i
			}
		}
		if best >= 0 {
			return s.Containers()[best].Service
		}
	}
	return "none"
}

// script is a list of requests.
type script []arrival

type arrival struct {
	at   int64
	kind int
}

func (s *script) Next() (int64, int, bool) {
	if len(*s) == 0 {
		return 0, 0, false
	}
	first := (*s)[0]
	*s = (*s)[1:]
	return first.at, first.kind, true
}

// spike returns arrivals at one rate, and at another during the fault.
func spike(t *testing.T, c Config, calm, high float64) *script {
	t.Helper()
	var all script
	for _, rate := range []float64{calm, high} {
		plan, err := campaign.NewPlan(c.App, c.Seed, testEnd, campaign.PlanOptions{Rate: rate, NoFaults: true})
		if err != nil {
			t.Fatal(err)
		}
		arrivals := plan.Arrivals()
		for at, kind, ok := arrivals.Next(); ok; at, kind, ok = arrivals.Next() {
			if during := at >= onset.Microseconds() && at < faultEnd.Microseconds(); during == (rate == high) {
				all = append(all, arrival{at, kind})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return &all
}

// TestBadFaults holds messages to name what is wrong.
func TestBadFaults(t *testing.T) {
	app := loadApp(t, "hotel")
	good := campaign.Fault{ID: 1, OnsetMS: 1000, EndMS: 2000, Cause: campaign.CauseCPU, Culprit: app.Services[0].Name, Intensity: 0.5}
	for _, test := range []struct {
		change func(*campaign.Fault)
		want   string
	}{
		{func(f *campaign.Fault) { f.Cause = "gremlins" }, "no such cause"},
		{func(f *campaign.Fault) { f.Culprit = "nobody" }, `no service "nobody"`},
		{func(f *campaign.Fault) { f.Intensity = 2 }, "intensity 2"},
		{func(f *campaign.Fault) { f.EndMS = 1000 }, "an end after the onset"},
		{func(f *campaign.Fault) { f.Cause = campaign.CauseCycle }, "two peers"},
		{func(f *campaign.Fault) { f.Cause, f.Peers = campaign.CauseCycle, []string{"x", "y"} }, `no service "x"`},
	} {
		f := good
		test.change(&f)
		_, err := New(Config{App: app, Faults: []campaign.Fault{f}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New with fault %+v: %v, want %q", f, err, test.want)
		}
	}
}
