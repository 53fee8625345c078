package collector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var full = pace{Exact: true, PassHz: 100, QuietEvery: 1, SubsetCount: 1}

func TestNextPace(t *testing.T) {
	const budget, floor = 0.005, 10 // 10 ms of two CPUs per second
	passive := full
	passive.Exact = false
	second := func(passes int, sockets, others, process, hooks, exact time.Duration) spending {
		return spending{Wall: time.Second, CPUs: 2, Visits: passes, Sockets: sockets, Others: others, Process: process, Hooks: hooks, Exact: exact}
	}
	const ms = time.Millisecond
	tests := []struct {
		name   string
		now    pace
		wanted pace
		spent  spending
		want   pace
	}{
		{"fits", full, full, second(100, 5*ms, 2*ms, 1*ms, 0, 1*ms), full},
		{"exact mode goes first, alone", full, full, second(100, 50*ms, 0, 0, 0, 1*ms), passive},
		{"what it costs of the budget comes off the passes", full, full, second(100, 10*ms, 0, 0, 0, 5*ms), pace{Exact: true, PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"but not more than half", full, full, second(100, 3*ms, 0, 0, 0, 6*ms), passive},
		{"then passes", passive, full, second(100, 20*ms, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"what others cost counts", passive, full, second(100, 10*ms, 6*ms, 4*ms, 0, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"hooks are not slowed by fewer passes", passive, full, second(100, 10*ms, 0, 0, 5*ms, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"then quiet sockets", passive, full, second(100, 200*ms, 0, 0, 0, 0), pace{PassHz: 10, QuietEvery: 2, SubsetCount: 1}},
		{"quiet sockets as far as it goes", pace{PassHz: 10, QuietEvery: 8, SubsetCount: 1}, full, second(10, 20*ms, 0, 0, 0, 0), pace{PassHz: 10, QuietEvery: 16, SubsetCount: 1}},
		{"then a subset", pace{PassHz: 10, QuietEvery: 16, SubsetCount: 1}, full, second(10, 20*ms, 0, 0, 0, 0), pace{PassHz: 10, QuietEvery: 16, SubsetCount: 2}},
		{"nothing is left to give up", pace{PassHz: 10, QuietEvery: 16, SubsetCount: 64}, full, second(10, 20*ms, 0, 0, 0, 0), pace{PassHz: 10, QuietEvery: 16, SubsetCount: 64}},
		{"hooks alone exceed the budget: cheaper passes would not help", passive, full, second(100, 1*ms, 0, 0, 11*ms, 0), pace{PassHz: 10, QuietEvery: 1, SubsetCount: 1}},
		{"and what was given up comes back", pace{PassHz: 10, QuietEvery: 16, SubsetCount: 8}, full, second(10, 100*time.Microsecond, 0, 0, 11*ms, 0), pace{PassHz: 10, QuietEvery: 16, SubsetCount: 4}},
		{"the subset is taken back first", pace{PassHz: 20, QuietEvery: 16, SubsetCount: 4}, full, second(20, 2*ms, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 16, SubsetCount: 2}},
		{"then quiet sockets", pace{PassHz: 20, QuietEvery: 16, SubsetCount: 1}, full, second(20, 2*ms, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 8, SubsetCount: 1}},
		{"then passes", pace{PassHz: 20, QuietEvery: 1, SubsetCount: 1}, full, second(20, 4*ms, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"exact mode is not back with the last passes", pace{PassHz: 90, QuietEvery: 1, SubsetCount: 1}, full, second(90, 2*ms, 0, 0, 0, 0), passive},
		{"exact mode is back last", passive, full, second(100, 4*ms, 0, 0, 0, 0), full},
		{"with room for the most that it may cost", passive, full, second(100, 10*ms, 0, 0, 0, 0), pace{Exact: true, PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"also where passes are few", pace{PassHz: 60, QuietEvery: 1, SubsetCount: 1}, full, second(60, 10*ms, 0, 0, 0, 0), pace{Exact: true, PassHz: 30, QuietEvery: 1, SubsetCount: 1}},
		{"but not too few", pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}, full, second(50, 10*ms, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"exact mode that nobody asked for", passive, passive, second(100, 1*ms, 0, 0, 0, 0), passive},
		{"not enough to spare for quiet sockets", pace{PassHz: 20, QuietEvery: 2, SubsetCount: 1}, full, second(20, 8*ms, 0, 0, 0, 0), pace{PassHz: 25, QuietEvery: 2, SubsetCount: 1}},
		{"noise is not chased", pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}, full, second(50, 10500*time.Microsecond, 0, 0, 0, 0), pace{PassHz: 50, QuietEvery: 1, SubsetCount: 1}},
		{"nothing measured", passive, full, second(0, 0, 0, 50*ms, 0, 0), passive},
		{"no time has passed", passive, full, spending{CPUs: 2, Visits: 1, Sockets: ms}, passive},
		{"a rate below the floor may be wanted", pace{PassHz: 1, QuietEvery: 1, SubsetCount: 1}, pace{PassHz: 1, QuietEvery: 1, SubsetCount: 1},
			second(1, 9*ms, 0, 0, 0, 0), pace{PassHz: 1, QuietEvery: 1, SubsetCount: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := nextPace(tt.now, tt.wanted, tt.spent, budget, floor)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
				t.Errorf("nextPace(%+v, %+v) (-want +got):\n%s", tt.now, tt.spent, diff)
			}
		})
	}
}

// host is what a second of sampling costs on a host.
type host struct {
	fixed, perSocket, perSkipped time.Duration // of a pass
	perPass                      time.Duration // of the other families and of Go's own part, per socket pass
	constant                     time.Duration // per second: discovery, names, ticks
	hooks, exact                 time.Duration // per second
	sockets                      int
	quiet                        float64 // share of the sockets
}

func (h host) second(p pace, carry *float64) spending {
	passes := 0
	for range 10 {
		passes += passesIn(100*time.Millisecond, p.PassHz, carry)
	}
	active := float64(h.sockets) * (1 - h.quiet) / float64(p.SubsetCount)
	quiet := float64(h.sockets) * h.quiet / float64(max(p.SubsetCount, p.QuietEvery))
	pass := float64(h.fixed) + (active+quiet)*float64(h.perSocket) + (float64(h.sockets)-active-quiet)*float64(h.perSkipped)
	s := spending{Wall: time.Second, CPUs: 2, Visits: passes, Sockets: time.Duration(float64(passes) * pass), Hooks: h.hooks}
	perPass := time.Duration(passes) * h.perPass
	s.Walks, s.Process = perPass/2/time.Duration(p.SubsetCount), perPass-perPass/2+h.constant
	if p.Exact {
		s.Exact = h.exact
	}
	return s
}

func randomHost(r *rand.Rand) host {
	spread := func(low, high time.Duration) time.Duration {
		return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), r.Float64()))
	}
	return host{
		fixed: spread(20*time.Microsecond, 300*time.Microsecond), perSocket: spread(300, 2000), perSkipped: spread(50, 200),
		perPass: spread(time.Microsecond, time.Millisecond), constant: spread(100*time.Microsecond, 8*time.Millisecond),
		hooks: spread(time.Microsecond, 3*time.Millisecond), exact: spread(time.Microsecond, 50*time.Millisecond),
		sockets: int(math.Pow(10, 5*r.Float64())), quiet: r.Float64(),
	}
}

// In a closed loop the pace keeps the budget wherever it can, soon, from any
// start, does not waste it, comes to rest, and gives up and takes back in the
// documented order.
func TestPaceInClosedLoop(t *testing.T) {
	const budget, floor = 0.005, 10.0
	random := rand.New(rand.NewPCG(7, 11))
	powers := func(most uint32) uint32 { return 1 << random.IntN(int(math.Log2(float64(most)))+1) }
	rested := map[string]int{}
	for range 3000 {
		h := randomHost(random)
		wanted := full
		wanted.Exact = random.IntN(2) == 0
		start := pace{Exact: wanted.Exact && random.IntN(2) == 0, PassHz: floor + 90*random.Float64(), QuietEvery: powers(maxQuietEvery), SubsetCount: powers(maxSubsetCount)}
		var carry, ignored float64
		least := pace{PassHz: floor, QuietEvery: maxQuietEvery, SubsetCount: maxSubsetCount}
		affordable := h.second(least, &ignored).total() <= budget
		name := fmt.Sprintf("%+v from %+v", h, start)

		var retry exactRetry
		now := start
		var at time.Time
		var steady pace
		last, before := start, start
		for second := range 300 {
			at = at.Add(time.Second)
			s := h.second(now, &carry)
			// What hooks cost shows only when they run, and what that leaves a second later.
			trying := now.Exact != before.Exact || before.Exact != last.Exact
			last, before = before, now
			exactKept := now.Exact == steady.Exact && !trying
			if second >= 20 && affordable && !trying && s.total() > 1.2*budget {
				t.Fatalf("%s: second %d at %+v uses %.4f of %.4f", name, second, now, s.total(), budget)
			}
			if second >= 60 && affordable && !trying && now.PassHz < wanted.PassHz && s.total() < 0.8*budget {
				t.Fatalf("%s: second %d at %+v uses only %.4f of %.4f", name, second, now, s.total(), budget)
			}
			if second == 200 || !exactKept {
				steady = now
			}
			// Where most of the cost is constant the rate creeps up to its place.
			if second > 200 && (now.QuietEvery != steady.QuietEvery || now.SubsetCount != steady.SubsetCount ||
				now.PassHz < 0.95*steady.PassHz || now.PassHz > 1.25*steady.PassHz) {
				t.Fatalf("%s: still moving in second %d: %+v, was %+v", name, second, now, steady)
			}
			allowed := wanted
			allowed.Exact = wanted.Exact && !retry.waiting(at)
			next := nextPace(now, allowed, s, budget, floor)
			if err := ordered(now, next, wanted, floor); err != nil {
				t.Fatalf("%s: second %d: %v", name, second, err)
			}
			if now.Exact && !next.Exact {
				retry.dropped(at)
			}
			now = next
		}
		for _, what := range append(gaveUp(now, wanted), fmt.Sprintf("affordable: %v", affordable)) {
			rested[what]++
		}
	}
	// The hosts above must be of all kinds, or this proves little.
	for _, what := range []string{"exact request counts", "passes", "visits to quiet sockets", "passes in most ticks", "affordable: true", "affordable: false"} {
		if rested[what] < 30 {
			t.Errorf("only %d of the hosts rest at %q", rested[what], what)
		}
	}
}

// ordered checks one step against the order of DESIGN.md section 3.3.
func ordered(now, next, wanted pace, floor float64) error {
	gives := next.QuietEvery > now.QuietEvery || next.SubsetCount > now.SubsetCount
	switch {
	case now.Exact && !next.Exact && (next.PassHz != now.PassHz || gives):
		return fmt.Errorf("%+v to %+v gives up more than exact mode at once", now, next)
	case now.Exact && next.Exact && gives:
		return fmt.Errorf("%+v to %+v gives up visits before exact mode", now, next)
	case gives && next.PassHz > floor:
		return fmt.Errorf("%+v to %+v gives up visits before passes", now, next)
	case next.SubsetCount > now.SubsetCount && now.QuietEvery < maxQuietEvery:
		return fmt.Errorf("%+v to %+v gives up sockets before quiet ones", now, next)
	case next.QuietEvery < now.QuietEvery && now.SubsetCount > wanted.SubsetCount:
		return fmt.Errorf("%+v to %+v takes back quiet sockets first", now, next)
	case next.Exact && !now.Exact && (next.PassHz < min(wanted.PassHz, 3*floor) || now.QuietEvery != wanted.QuietEvery || now.SubsetCount != wanted.SubsetCount):
		return fmt.Errorf("%+v to %+v takes back exact mode before the rest", now, next)
	case next.QuietEvery > maxQuietEvery || next.SubsetCount > maxSubsetCount || next.QuietEvery < 1 || next.SubsetCount < 1:
		return fmt.Errorf("%+v is out of bounds", next)
	}
	return nil
}

// Measurements are noisy and load comes and goes: the budget holds on average.
func TestPaceUnderNoise(t *testing.T) {
	const budget, floor = 0.005, 10.0
	random := rand.New(rand.NewPCG(3, 5))
	wanted := full
	wanted.Exact = false
	for range 300 {
		h := randomHost(random)
		h.constant = min(h.constant, 2*time.Millisecond)
		least := pace{PassHz: floor, QuietEvery: maxQuietEvery, SubsetCount: maxSubsetCount}
		now, sum, carry := wanted, 0.0, 0.0
		if h.second(least, &carry).total() > budget/2 {
			continue // not affordable, or hardly
		}
		const settle, seconds = 20, 220
		for second := range seconds {
			s := h.second(now, &carry)
			s.Sockets = time.Duration(float64(s.Sockets) * (0.7 + 0.6*random.Float64()))
			if second >= settle {
				sum += s.total()
			}
			now = nextPace(now, wanted, s, budget, floor)
		}
		if mean := sum / (seconds - settle); mean > 1.2*budget {
			t.Errorf("%+v: uses %.4f of %.4f on average", h, mean, budget)
		}
	}
}

func TestExactRetry(t *testing.T) {
	var r exactRetry
	at := time.Unix(1000, 0)
	if r.waiting(at) {
		t.Error("waits before it was dropped")
	}
	// On a host that cannot afford it, it is dropped a second after each try.
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		r.dropped(at)
		want *= time.Minute
		if !r.waiting(at.Add(want-time.Second)) || r.waiting(at.Add(want)) {
			t.Fatalf("dropped at %v, waits until %v, want %v later", at, r.until, want)
		}
		at = at.Add(want + time.Second)
	}
	at = at.Add(2 * maxExactPause)
	r.dropped(at)
	if r.waiting(at.Add(minExactPause)) {
		t.Errorf("after a long run it waits until %v, want the shortest pause again", r.until)
	}
}

func TestPassesIn(t *testing.T) {
	for _, tt := range []struct {
		tick time.Duration
		hz   float64
		want int // in 1000 ticks
	}{
		{100 * time.Millisecond, 100, 10000},
		{100 * time.Millisecond, 10, 1000},
		{100 * time.Millisecond, 19.5, 1950},
		{100 * time.Millisecond, 99.9, 9990},
		{290 * time.Millisecond, 100, 29000},
		{10 * time.Millisecond, 100, 1000},
		{10 * time.Millisecond, 1, 1000}, // one per tick at least
	} {
		carry, got := 0.0, 0
		lowest, highest := math.MaxInt, 0
		for range 1000 {
			n := passesIn(tt.tick, tt.hz, &carry)
			got, lowest, highest = got+n, min(lowest, n), max(highest, n)
		}
		if got < tt.want-1 || got > tt.want+1 || highest-lowest > 1 {
			t.Errorf("1000 ticks of %v at %v Hz take %d passes (%d to %d each), want %d", tt.tick, tt.hz, got, lowest, highest, tt.want)
		}
	}
}

func TestGaveUp(t *testing.T) {
	if got := gaveUp(full, full); len(got) != 0 {
		t.Errorf("gaveUp(all) = %q, want nothing", got)
	}
	want := []string{"exact request counts", "passes", "visits to quiet sockets", "passes in most ticks"}
	if diff := cmp.Diff(want, gaveUp(pace{PassHz: 10, QuietEvery: 2, SubsetCount: 2}, full)); diff != "" {
		t.Error(diff)
	}
}

func TestRelativeError(t *testing.T) {
	tests := []struct {
		p     pace
		tick  time.Duration
		depth float64
		want  float64
	}{
		{pace{PassHz: 100, SubsetCount: 1}, 100 * time.Millisecond, 10, 0.1},
		{pace{PassHz: 10, SubsetCount: 1}, 100 * time.Millisecond, 1, 1},
		{pace{PassHz: 1, SubsetCount: 1}, 100 * time.Millisecond, 4, 0.5}, // one pass per tick at least
		{pace{PassHz: 100, SubsetCount: 4}, 100 * time.Millisecond, 10, 0.2},
		{pace{PassHz: 100}, time.Second, 1, 0.1},
	}
	for _, tt := range tests {
		if got := relativeError(tt.p, tt.tick, tt.depth); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("relativeError(%+v, %v, %v) = %v, want %v", tt.p, tt.tick, tt.depth, got, tt.want)
		}
	}
}
