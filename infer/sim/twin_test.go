package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/topology"
)

// digest is the hash of all that a simulation shows, bit by bit.
type digest struct{ hash.Hash }

func (d digest) put(v any) error { return binary.Write(d, binary.LittleEndian, v) }

func (d digest) Request(r campaign.Request) error {
	d.Write([]byte(r.Type + r.Service + r.Status))
	return d.put([]int64{r.IntendedUS, r.SentUS, r.LatencyUS})
}

func (d digest) Tick(t *Tick) error {
	for i := range t.Cells {
		for q := range t.Cells[i] {
			c := &t.Cells[i][q]
			var bits [7]uint64
			for k, v := range []float64{c.Depth, c.Mean, c.Max, c.Limit, c.Arrivals, c.Departures, float64(c.Wait)} {
				bits[k] = math.Float64bits(v)
			}
			if err := d.put(bits[:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// everything is a run of 40 s with every cause of fault, an action and an update
// in it.
func everything(t *testing.T, seed uint64) string {
	t.Helper()
	app, err := topology.Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var faults []campaign.Fault
	for i, known := range campaign.Causes {
		f := campaign.Fault{ID: i + 1, OnsetMS: int64(1000 + 2000*i), EndMS: int64(2000 + 2000*i), Cause: known.Cause, Intensity: 0.7, Antagonist: known.Cause.Antagonist()}
		if known.Cause != campaign.CauseNetworkFailure && known.Cause != campaign.CauseLoadSpike {
			f.Culprit = campaign.Eligible(app, known.Cause)[0]
		}
		if known.Cause == campaign.CauseCycle {
			c := campaign.Cycles(app)[0]
			f.Culprit, f.Peers = c[0], c[1:]
		}
		faults = append(faults, f)
	}
	d := digest{sha256.New()}
	s, err := New(Config{App: app, Seed: seed, Hosts: 2, Nominal: 150, Faults: faults, Sink: d,
		Updates: []Update{{At: 30 * time.Second, App: withWishes(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Step(14 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(Action{Kind: ActionThrottle, Container: "antagonist-cpu", Value: 0.1, Latency: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if err := s.Step(40 * time.Second); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(d.Sum(nil))
}

// withWishes is the shop with one more service and another database.
func withWishes(t *testing.T) *topology.App {
	t.Helper()
	app, err := topology.Load("testdata/shop-next.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// TestDeterminism holds the simulator to the same bytes on every machine. A
// change of the model changes the hash, and calls for another Version.
func TestDeterminism(t *testing.T) {
	const want = "570ce2d33494b28eb2a0e330e57e3dfb2b3b9037c9f870467552ecada742611b"
	got := everything(t, 1)
	if got != want {
		t.Errorf("seed 1, version %s of the model: hash %s, want %s", Version, got, want)
	}
	if again := everything(t, 1); again != got {
		t.Errorf("seed 1 again: hash %s, was %s", again, got)
	}
	if other := everything(t, 2); other == got {
		t.Error("seed 2 shows the same as seed 1")
	}
}

// TestTwins holds a run with an action to its twin without: they differ while
// the fault that was acted on lasts, and shortly after, and nowhere else.
func TestTwins(t *testing.T) {
	app := loadApp(t, "social-network")
	plan, err := campaign.NewPlan(app, 7, 15*time.Minute, campaign.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	acted := slices.IndexFunc(plan.Faults, func(f campaign.Fault) bool { return f.Cause == campaign.CauseCPU && f.Intensity > 0.4 })
	if acted < 0 {
		t.Fatal("the plan has no fault of the CPU: take another seed")
	}
	f := plan.Faults[acted]
	run := func(act bool) *recorder {
		r := &recorder{}
		s, err := New(Config{App: app, Seed: 7, Faults: plan.Faults, Arrivals: plan.Arrivals(), Sink: r})
		if err != nil {
			t.Fatal(err)
		}
		if act {
			if err := s.Step(time.Duration(f.OnsetMS+1000) * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(Action{Kind: ActionThrottle, Container: f.Antagonist, Value: 0.02, Latency: 2 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Step(plan.Duration); err != nil {
			t.Fatal(err)
		}
		return r
	}
	without, with := run(false), run(true)

	end := time.Duration(f.EndMS) * time.Millisecond
	from := time.Duration(f.OnsetMS+1500) * time.Millisecond
	if a, b := with.percentile(from, end, 99), without.percentile(from, end, 99); a > b*2/3 {
		t.Errorf("p99 after the action %v, without it %v: want a third less", a, b)
	}

	// By the time at which they were meant to be sent: they end in another order.
	byTime := func(r *recorder) map[int64]int64 {
		m := make(map[int64]int64)
		for _, q := range r.requests {
			if at := time.Duration(q.IntendedUS) * time.Microsecond; at < from-2*time.Second || at > end+15*time.Second {
				m[q.IntendedUS] = q.LatencyUS
			}
		}
		return m
	}
	a, b := byTime(without), byTime(with)
	same := 0
	for at, latency := range a {
		if b[at] == latency {
			same++
		}
	}
	t.Logf("%d of %d requests outside the fault have the same latency to the microsecond", same, len(a))
	if len(a) != len(b) || float64(same) < 0.95*float64(len(a)) {
		t.Errorf("%d and %d requests outside the fault, %d of them with the same latency: want 95 %%", len(a), len(b), same)
	}

	outside := func(r *recorder) []campaign.Violation {
		slices.SortStableFunc(r.requests, func(a, b campaign.Request) int { return int(a.IntendedUS - b.IntendedUS) })
		qos := []campaign.QoS{{Service: app.QoS[0].Service, Percentile: app.QoS[0].Percentile, TargetMS: float64(app.QoS[0].Target) / 1e6}}
		all := campaign.Violations(slices.Values(r.requests), qos)
		return slices.DeleteFunc(all, func(v campaign.Violation) bool {
			return v.EndMS > f.OnsetMS && v.OnsetMS < f.EndMS+15_000
		})
	}
	va, vb := outside(without), outside(with)
	if len(va) == 0 {
		t.Error("no violations outside the fault: nothing was compared")
	}
	if agreement := campaign.Agreement(va, vb); agreement != 1 {
		t.Errorf("agreement %v of the violations outside the fault, want 1:\n%+v\n%+v", agreement, va, vb)
	}
}

// TestActions holds each action to end what it is against.
func TestActions(t *testing.T) {
	app := loadApp(t, "social-network")
	const culprit = "posts-storage"
	for _, test := range []struct {
		cause   campaign.Cause
		culprit string
		action  Action
	}{
		{campaign.CauseCPU, culprit, Action{Kind: ActionThrottle, Container: "antagonist-cpu", Value: 0.02}},
		{campaign.CauseCPU, culprit, Action{Kind: ActionCPUWeight, Container: culprit, Value: 50}},
		{campaign.CauseCPULimit, culprit, Action{Kind: ActionCPULimit, Container: culprit, Value: 2}},
		{campaign.CauseNetworkShaping, culprit, Action{Kind: ActionBandwidth, Container: culprit, Value: 1e9}},
		{campaign.CauseMemoryCapacity, "image", Action{Kind: ActionMemory, Container: "image"}},
		{campaign.CauseMemoryBandwidth, "image", Action{Kind: ActionThrottle, Container: "antagonist-memory", Value: 0}},
		{campaign.CauseDisk, "posts-mongodb", Action{Kind: ActionThrottle, Container: "antagonist-disk", Value: 0.1}},
	} {
		t.Run(string(test.action.Kind)+" against "+string(test.cause), func(t *testing.T) {
			f := campaign.Fault{ID: 1, OnsetMS: onset.Milliseconds(), EndMS: faultEnd.Milliseconds(), Cause: test.cause, Culprit: test.culprit, Intensity: 0.9}
			run := func(act bool) *recorder {
				_, r := play(t, Config{App: app, Seed: 5, Faults: []campaign.Fault{f}}, faultEnd, func(s *Simulation) error {
					if err := s.Step(onset + 100*time.Millisecond); err != nil || !act {
						return err
					}
					return s.Apply(test.action)
				})
				return r
			}
			late := onset + 10*time.Second
			without, with := run(false).percentile(late, faultEnd-time.Second, 99), run(true).percentile(late, faultEnd-time.Second, 99)
			t.Logf("p99 %v, with the action %v", without, with)
			if with > without*2/3 {
				t.Errorf("p99 with the action %v, without %v: want a third less", with, without)
			}
		})
	}
}

func TestBadActions(t *testing.T) {
	s, err := New(Config{App: loadApp(t, "hotel")})
	if err != nil {
		t.Fatal(err)
	}
	name := s.Containers()[0].Name
	for _, test := range []struct {
		action Action
		want   string
	}{
		{Action{Kind: "pray", Container: name}, "no such action"},
		{Action{Kind: ActionCPULimit, Container: "nobody"}, `no container "nobody"`},
		{Action{Kind: ActionCPULimit, Container: name, Value: -1}, "value -1"},
		{Action{Kind: ActionThrottle, Container: name}, "only antagonists"},
	} {
		if err := s.Apply(test.action); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Apply(%+v) = %v, want %q", test.action, err, test.want)
		}
	}
}

// TestUpdate adds a service and replaces a database while requests are under way.
func TestUpdate(t *testing.T) {
	app, err := topology.Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const at = 10 * time.Second
	s, r := play(t, Config{App: app, Seed: 3, Nominal: 400, Updates: []Update{{At: at, App: withWishes(t)}}}, 20*time.Second)
	for _, q := range r.requests {
		if q.Status != string(campaign.StatusOK) {
			t.Fatalf("request %+v: an update makes no request fail", q)
		}
	}
	served := make(map[string]float64) // outstanding, of all ticks
	for _, rows := range r.ticks {
		for i := range rows {
			served[s.Containers()[i].Name] += rows[i][collector.QueueOutstanding]
		}
	}
	for _, c := range s.Containers() {
		switch c.Name {
		case "wishes":
			if c.From != at {
				t.Errorf("%s is there from %v, want %v", c.Name, c.From, at)
			}
		case "audit":
			if c.Until != at {
				t.Errorf("%s is there until %v, want %v", c.Name, c.Until, at)
			}
		}
	}
	if served["wishes"] == 0 || served["audit"] == 0 {
		t.Errorf("outstanding requests of wishes %v, of audit %v: want some of each", served["wishes"], served["audit"])
	}
}

// TestNoAllocations counts what a simulated second in the steady state takes.
func TestNoAllocations(t *testing.T) {
	s, _ := play(t, Config{App: loadApp(t, "social-network"), Seed: 1}, 20*time.Second)
	s.config.Sink = nil
	at := s.Now()
	allocations := testing.AllocsPerRun(10, func() {
		at += time.Second
		if err := s.Step(at); err != nil {
			t.Fatal(err)
		}
	})
	// A longer queue of timers than ever before may still have to grow.
	if allocations > 2 {
		t.Errorf("%v allocations per second of about 7000 events, want none", allocations)
	}
}
