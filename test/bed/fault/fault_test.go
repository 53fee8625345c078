//go:build linux

package fault

import (
	"context"
	"strings"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/test/bed"
)

// TestFaults holds every cause to its word: users suffer, what it claims to use up
// or to break is short at the culprit, there more than before and more than
// elsewhere, and all is well once it has ended.
func TestFaults(t *testing.T) {
	x := upTrio(t)
	x.load()
	x.take(120) // caches, connections

	const before, while = 120, 240 // requests
	tests := []struct {
		cause     campaign.Cause
		culprit   string
		intensity float64

		// claim is a counter of a service. Its growth per request at the culprit
		// is at least least, rises by the factor rise, and is larger than at the
		// services in others by the factor 2.
		claim  func(*trio, *bed.Container) float64
		what   string
		least  float64
		rise   float64
		others []string

		// first says that the culprit's queue is the first to grow. Where a link
		// or the host's own CPUs and disk are hit, its neighbours' may be.
		first bool
	}{
		// Whoever calls the culprit waits for it, too, but its callee has nothing to do.
		{campaign.CauseLock, "middle", 0.8, (*trio).insideMS, "ms inside", 5, 3, []string{"back"}, true},
		{campaign.CauseDeadlock, "middle", 0.5, (*trio).insideMS, "ms inside", 5, 3, []string{"back"}, true},
		{campaign.CauseSlowDependency, "middle", 0.5, (*trio).insideMS, "ms inside", 5, 3, []string{"front", "back"}, true},
		{campaign.CausePool, "middle", 0.8, (*trio).insideMS, "ms inside", 5, 3, []string{"back"}, true},
		{campaign.CauseCycle, "front", 0.6, (*trio).aheadMS, "ms inside or waiting", 5, 3, []string{"middle", "back"}, true},

		{campaign.CausePacketFilter, "middle", 0.7, (*trio).dropped, "packets dropped", 0.02, 0, []string{"front", "back"}, false},
		{campaign.CauseCPULimit, "middle", 0.95, (*trio).throttled, "periods throttled", 0.02, 0, []string{"front", "back"}, true},
		{campaign.CauseNetworkShaping, "middle", 0.7, (*trio).shaped, "packets held up", 0.1, 0, []string{"front", "back"}, false},
		{campaign.CauseNetworkLoss, "middle", 0.5, (*trio).dropped, "packets dropped", 0.02, 0, []string{"front", "back"}, false},
		{campaign.CauseMemoryCapacity, "back", 0.9, (*trio).majorFaults, "major faults", 0.1, 0, []string{"front", "middle"}, true},
		{campaign.CauseDisk, "back", 1, (*trio).diskStallMS, "ms stalled on the disk", 0.3, 1.2, []string{"front", "middle"}, true},

		// Their neighbours share the host, and feel it. Where there are two CPUs one
		// stream is all that competes with the culprit, and takes a sixth of its
		// speed if they are else idle (docs/RESULTS.md), nothing if they are busy:
		// what is certain is that the antagonist streams in all the time there is.
		{campaign.CauseCPU, "back", 0.8, (*trio).runDelayMS, "ms of run-queue delay", 1, 2, nil, true},
		{campaign.CauseMemoryBandwidth, "back", 1, (*trio).cpuMS, "ms of CPU time", 0, 0, nil, false},
		{campaign.CauseNetworkFailure, "", 1, nil, "", 0, 0, nil, false},
	}
	x.watch()
	nominal := x.observe(before, nil)
	for _, tt := range tests {
		t.Run(string(tt.cause), func(t *testing.T) {
			x := x.in(t)
			var healthy, during period
			var streamed, lasted time.Duration
			var order []grown
			strike := func() {
				began := time.Now()
				healthy = x.observe(before, tt.claim)
				i, err := Prepare(t.Context(), x.bed, campaign.Fault{Cause: tt.cause, Culprit: tt.culprit, Intensity: tt.intensity})
				if err != nil {
					t.Fatal(err)
				}
				if err := i.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				onset := time.Now()
				during = x.observe(while, tt.claim)
				if e, ok := i.effect.(*memoryAntagonist); ok {
					if streamed, err = e.job.Container.Cgroup.CPUTime(); err != nil {
						t.Fatal(err)
					}
				}
				lasted = time.Since(onset)
				if err := i.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Logf("p50 %.1f -> %.1f ms, p95 %.1f -> %.1f ms, %.0f %% failed; %s: %s, before: %s",
					healthy.p50, during.p50, healthy.p95, during.p95, during.failed*100, tt.what, during.growth, healthy.growth)
				order = x.order(began, onset)
				t.Logf("queues: %v", order)
				x.recover(nominal)
				x.plot(string(tt.cause), onset, began, time.Now())
			}
			strike()
			if tt.first && !first(order, tt.culprit) {
				// Chance moves queues, too, but not twice in the same way.
				t.Logf("not that of %s first: once more", tt.culprit)
				strike()
			}
			if tt.first && !first(order, tt.culprit) {
				t.Errorf("queues grew in the order %v, want that of %s first", order, tt.culprit)
			}
			switch {
			case tt.cause == campaign.CauseMemoryBandwidth:
				t.Logf("the antagonist streamed for %v of %v", streamed, lasted)
				if streamed < lasted/10 {
					t.Errorf("the antagonist had a CPU for %v of %v: it takes nothing", streamed, lasted)
				}
			case during.p50 < 1.3*healthy.p50 && during.p95 < 1.5*healthy.p95 && during.failed == 0:
				t.Errorf("p50 and p95 are %.1f and %.1f ms, without it %.1f and %.1f ms: it does no harm", during.p50, during.p95, healthy.p50, healthy.p95)
			}
			if tt.claim == nil {
				if during.failed < 0.9 {
					t.Errorf("%.0f %% of the requests fail, want all: no packet passes", during.failed*100)
				}
				return
			}
			own := during.growth[tt.culprit]
			if want := max(tt.least, tt.rise*healthy.growth[tt.culprit]); own < want {
				t.Errorf("%s of %s, per request: %.2f, want at least %.2f", tt.what, tt.culprit, own, want)
			}
			for _, other := range tt.others {
				if n := during.growth[other]; 2*n > own {
					t.Errorf("%s of %s, per request: %.2f, want far less than the %.2f of the culprit, %s", tt.what, other, n, own, tt.culprit)
				}
			}
		})
	}
}

// TestRefused: a fault that cannot be is refused before anything is changed.
func TestRefused(t *testing.T) {
	x := upTrio(t)
	tests := []struct {
		fault campaign.Fault
		want  string
	}{
		{campaign.Fault{Cause: "sharks", Culprit: "back", Intensity: 1}, "no such cause"},
		{campaign.Fault{Cause: campaign.CauseCPU, Culprit: "db", Intensity: 1}, `no service "db"`},
		{campaign.Fault{Cause: campaign.CauseCPU, Culprit: "back"}, "intensity 0"},
		{campaign.Fault{Cause: campaign.CauseCPU, Culprit: "back", Intensity: 1.5}, "intensity 1.5"},
		{campaign.Fault{Cause: campaign.CauseCycle, Culprit: "back", Intensity: 1}, "no circle"},
		{campaign.Fault{Cause: campaign.CauseCycle, Culprit: "front", Peers: []string{"back", "middle"}, Intensity: 1}, "no circle"},
		{campaign.Fault{Cause: campaign.CauseMemoryCapacity, Culprit: "front", Intensity: 1}, "nothing to lose"},
		{campaign.Fault{Cause: campaign.CauseNetworkFailure, Culprit: "back", Intensity: 1}, "leave the culprit out"},
		{campaign.Fault{Cause: campaign.CauseLoadSpike, Intensity: 1}, "load generator"},
	}
	for _, tt := range tests {
		if _, err := Prepare(t.Context(), x.bed, tt.fault); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Prepare(%+v) = %v, want an error with %q", tt.fault, err, tt.want)
		}
	}

	slow := campaign.Fault{Cause: campaign.CauseSlowDependency, Culprit: "back", Intensity: 1}
	first, err := Prepare(t.Context(), x.bed, slow)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Prepare(t.Context(), x.bed, slow)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "one at a time") {
		t.Errorf("Start of a second fault = %v, want a refusal", err)
	}
	if err := Clear(t.Context(), x.bed); err == nil {
		t.Error("Clear took away the fault of somebody who is alive")
	}
	if x.stats()["back"].Fault == nil {
		t.Error("the first fault has gone")
	}
	// An injector that is told to stop has to end what it began.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Stop(over); err != nil {
		t.Error(err)
	}
	if f := x.stats()["back"].Fault; f != nil {
		t.Errorf("fault after Stop: %+v, want none", f)
	}
}

// TestKilled kills the injector in the middle of each kind of fault. The next one
// ends what it left.
func TestKilled(t *testing.T) {
	x := upTrio(t)
	x.load()
	x.take(60)
	for _, cause := range []campaign.Cause{
		campaign.CauseCPU, campaign.CauseCPULimit, campaign.CauseNetworkShaping, campaign.CauseNetworkLoss,
		campaign.CauseNetworkFailure, campaign.CauseMemoryCapacity, campaign.CauseDisk, campaign.CauseLock,
	} {
		culprit := "back"
		if cause == campaign.CauseNetworkFailure {
			culprit = ""
		}
		clean := x.settings()
		x.killInjector(campaign.Fault{Cause: cause, Culprit: culprit, Intensity: 0.5})
		if got := x.settings(); got == clean {
			t.Errorf("%s: nothing differs while it lasts: the test sees too little", cause)
		}
		if err := Clear(t.Context(), x.bed); err != nil {
			t.Errorf("Clear(%s) = %v", cause, err)
		}
		if got := x.settings(); got != clean {
			t.Errorf("after %s:\n%s\nwant\n%s", cause, got, clean)
		}
	}
}
