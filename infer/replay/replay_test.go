package replay

import (
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"seer/collector/latency"
	"seer/collector/qos"
	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/sim/record"
	"seer/test/apps"
)

const tick = 100 * time.Millisecond

// sequence is requests in order of the intended time.
func sequence(requests []campaign.Request) iter.Seq2[campaign.Request, error] {
	return func(yield func(campaign.Request, error) bool) {
		for _, r := range requests {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestTicks(t *testing.T) {
	requests := []campaign.Request{
		{IntendedUS: 10_000, LatencyUS: 5_000, Service: "front"},
		{IntendedUS: 20_000, LatencyUS: 5_000, Service: "other"},
		{IntendedUS: 50_000, LatencyUS: 120_000, Service: "front"},
		{IntendedUS: 250_000, LatencyUS: 1_000_000, Service: "front"},
	}
	type row struct{ ended, open int64 }
	var got []row
	var age time.Duration
	err := Ticks(sequence(requests), "front", tick, 400*time.Millisecond, func(_, end time.Time, ended, open *latency.Histogram) {
		got = append(got, row{ended.N, open.N})
		age = open.Mean()
	})
	if want := []row{{1, 1}, {1, 0}, {0, 1}, {0, 1}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("ended and open = %v, %v, want %v", got, err, want)
	}
	if age < 147*time.Millisecond || age > 153*time.Millisecond {
		t.Errorf("the last is %v old at the end, want 150 ms", age)
	}
}

// Random requests with slow stretches: the watcher agrees with what the users' log
// gives, to a tick. One in 8,000 nominal requests is late: where a violation hangs on
// one request more or less, a tick is too coarse to see it.
func TestSyntheticViolations(t *testing.T) {
	promise := campaign.QoS{Service: "front", Percentile: 99, TargetMS: 20}
	const length = 12 * time.Minute
	var sum Agreement
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var requests []campaign.Request
		rate := 50 * float64(uint(1)<<seed) // per second
		slowUntil, quietUntil := 0., 20.
		for at := 0.; at < length.Seconds(); at += rng.ExpFloat64() / rate {
			if at > slowUntil && at > quietUntil {
				slowUntil = at + .5 + 10*rng.Float64()
				quietUntil = slowUntil + 5 + 20*rng.Float64()
			}
			latencyMS := 2 + 2*rng.ExpFloat64()
			if at < slowUntil && rng.Float64() < .3 {
				latencyMS = 25 + 400*rng.Float64()
			}
			requests = append(requests, campaign.Request{IntendedUS: int64(at * 1e6), LatencyUS: int64(latencyMS * 1000), Service: "front"})
		}
		truth := campaign.Violations(slices.Values(requests), []campaign.QoS{promise})
		watched, err := Violations(sequence(requests), promise, tick, length, true)
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(Compare(truth, watched, tick))
	}
	t.Logf("%+v: %.3f within a tick", sum, sum.Share())
	if sum.Truth < 100 || sum.Share() < .95 {
		t.Errorf("%+v: %.3f of the violations within a tick, want 0.95 of 100 or more", sum, sum.Share())
	}
}

func TestCompare(t *testing.T) {
	truth := []campaign.Violation{{OnsetMS: 1000, EndMS: 3000}, {OnsetMS: 10_000, EndMS: 12_000}, {OnsetMS: 20_000, EndMS: 21_000}}
	watched := func(onset, end int64) qos.Violation {
		return qos.Violation{Onset: time.UnixMilli(onset), End: time.UnixMilli(end)}
	}
	got := Compare(truth, []qos.Violation{watched(1090, 2910), watched(10_000, 12_150), watched(20_400, 21_000)}, tick)
	if want := (Agreement{Truth: 3, Found: 3, Onsets: 2, Ends: 2, Both: 1}); got != want {
		t.Errorf("Compare() = %+v, want %+v", got, want)
	}
	if got := Compare(truth, nil, tick); got != (Agreement{Truth: 3}) || got.Share() != 0 {
		t.Errorf("Compare() with nothing watched = %+v", got)
	}
}

// A simulated campaign, from its requests and queues: what is watched and labelled
// is held to what was injected. `make bench-violations` does it at length.
func TestCampaign(t *testing.T) {
	app, err := apps.Load("hotel")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := campaign.NewPlan(app, 7, 8*time.Minute, campaign.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hotel")
	options := record.Options{Plan: plan, Versions: map[string]string{"simulator": sim.Version}, Sim: sim.Config{Tick: tick}}
	if _, err := record.Run(t.Context(), path, options); err != nil {
		t.Fatal(err)
	}
	dir, err := campaign.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	truth, err := dir.Violations()
	if err != nil {
		t.Fatal(err)
	}
	watched, err := Violations(dir.Requests(), dir.Manifest.QoS[0], tick, 8*time.Minute, true)
	if err != nil {
		t.Fatal(err)
	}
	if a := Compare(truth, watched, tick); a.Truth < 5 || a.Share() < .8 {
		t.Errorf("violations: %+v, want five or more, eight of ten within a tick", a)
	}
	labelled, err := Labels(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range labelled {
		if labelled[i].Right() {
			right++
			continue
		}
		t.Logf("%s of %s was labelled %s: %s", labelled[i].Fault.Cause, labelled[i].Want(), labelled[i].Label.Culprit, labelled[i].Label.Why)
	}
	if len(labelled) < 5 || float64(right) < .8*float64(len(labelled)) {
		t.Errorf("%d of %d labels are right, want eight of ten of five or more", right, len(labelled))
	}
}
