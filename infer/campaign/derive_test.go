package campaign

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var p99 = []QoS{{Service: "web", Percentile: 99, TargetMS: 20}}

// steady makes requests at a rate over [fromMS, toMS) of a latency that late
// tells by number.
func steady(fromMS, toMS, perSecond int64, latencyMS func(i int64) int64) []Request {
	var out []Request
	for i := int64(0); ; i++ {
		at := fromMS*1000 + i*1_000_000/perSecond
		if at >= toMS*1000 {
			return out
		}
		out = append(out, Request{IntendedUS: at, SentUS: at, LatencyUS: latencyMS(i) * 1000, Type: "browse", Service: "web", Status: "ok"})
	}
}

func always(ms int64) func(int64) int64 { return func(int64) int64 { return ms } }

func near(t *testing.T, what string, got, want, within int64) {
	t.Helper()
	if got < want-within || got > want+within {
		t.Errorf("%s at %d ms, want %d within %d", what, got, want, within)
	}
}

// TestStep: the latency steps up and down at known times.
func TestStep(t *testing.T) {
	for _, perSecond := range []int64{20, 50, 200, 5000} {
		requests := slices.Concat(
			steady(0, 30_000, perSecond, always(5)),
			steady(30_000, 40_000, perSecond, always(50)),
			steady(40_000, 60_000, perSecond, always(5)))
		found := Violations(slices.Values(requests), p99)
		if len(found) != 1 {
			t.Fatalf("%d/s: violations %+v, want one", perSecond, found)
		}
		v := found[0]
		// The first late request is known to be late when it is 20 ms old. The
		// promise is broken with the second late one of a hundred, or once more
		// than a hundredth of the window is late.
		enough := max(1000/perSecond, 10) + 20
		near(t, "onset", v.OnsetMS, 30_000+enough, enough)
		// It holds for as long as late ones are in the window, which has a
		// second, or a hundred requests.
		window := max(1000, 100_000/perSecond)
		near(t, "end", v.EndMS, 40_000+window, 100+2000/perSecond)
		if v.P99MS != 50 || v.TargetMS != 20 || v.Service != "web" {
			t.Errorf("%d/s: violation %+v", perSecond, v)
		}
	}
}

// TestStuck: requests that never end break the promise when they are as old as
// the target, not when they time out.
func TestStuck(t *testing.T) {
	requests := slices.Concat(
		steady(0, 10_000, 100, always(5)),
		steady(10_000, 12_000, 100, always(10_000)),
		steady(12_000, 30_000, 100, always(5)))
	for i := range requests {
		if requests[i].LatencyUS > 1e6 {
			requests[i].Status = "timeout"
		}
	}
	found := Violations(slices.Values(requests), p99)
	if len(found) != 1 {
		t.Fatalf("violations %+v, want one", found)
	}
	near(t, "onset", found[0].OnsetMS, 10_030, 10)
	near(t, "end", found[0].EndMS, 13_000, 30)
	if found[0].P99MS != 10_000 {
		t.Errorf("worst p99 %v ms, want 10000", found[0].P99MS)
	}
}

// TestExactlyAtTheBound: one late request of a hundred leaves p99 alone, two
// break it; a latency of the target is on time.
func TestExactlyAtTheBound(t *testing.T) {
	lateEvery := func(k int64) func(int64) int64 {
		return func(i int64) int64 {
			if i%k == k-1 {
				return 50
			}
			return 20
		}
	}
	if found := Violations(slices.Values(steady(0, 60_000, 100, lateEvery(100))), p99); len(found) != 0 {
		t.Errorf("one late of a hundred: %+v, want no violation", found)
	}
	found := Violations(slices.Values(steady(0, 60_000, 100, lateEvery(50))), p99)
	if len(found) != 1 || found[0].OnsetMS > 1100 || found[0].EndMS < 59_000 {
		t.Errorf("two late of a hundred: %+v, want one violation throughout", found)
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		pauseMS int64 // between the ends of the bad stretches, as the window sees them
		want    int
	}{{900, 1}, {1200, 2}} {
		// A stretch ends for the window a second after its last late request.
		second := 11_000 + 1000 + tt.pauseMS
		requests := slices.Concat(
			steady(0, 10_000, 200, always(5)),
			steady(10_000, 11_000, 200, always(50)),
			steady(11_000, second, 200, always(5)),
			steady(second, second+1000, 200, always(50)),
			steady(second+1000, 30_000, 200, always(5)))
		if found := Violations(slices.Values(requests), p99); len(found) != tt.want {
			t.Errorf("stretches %d ms apart: %+v, want %d violations", tt.pauseMS, found, tt.want)
		}
	}
}

// TestFewRequests: below ten requests a second a p99 says nothing.
func TestFewRequests(t *testing.T) {
	if found := Violations(slices.Values(steady(0, 600_000, 5, always(50))), p99); len(found) != 0 {
		t.Errorf("5 requests a second: %+v, want no violation", found)
	}
	median := []QoS{{Service: "web", Percentile: 50, TargetMS: 20}}
	if found := Violations(slices.Values(steady(0, 600_000, 5, always(50))), median); len(found) != 1 {
		t.Errorf("median of 5 requests a second: %+v, want a violation", found)
	}
	if found := Violations(slices.Values([]Request(nil)), p99); len(found) != 0 {
		t.Errorf("no requests: %+v", found)
	}
}

func TestSeveralPromises(t *testing.T) {
	qos := append(slices.Clone(p99), QoS{Service: "admin", Percentile: 50, TargetMS: 100}, QoS{Service: "web", Percentile: 50, TargetMS: 10})
	web := steady(0, 10_000, 100, always(15))
	admin := steady(0, 10_000, 100, always(150))
	for i := range admin {
		admin[i].Service = "admin"
	}
	requests := slices.Concat(web, admin)
	slices.SortStableFunc(requests, func(a, b Request) int { return int(a.IntendedUS - b.IntendedUS) })
	var got []string
	for _, v := range Violations(slices.Values(requests), qos) {
		got = append(got, v.Service)
	}
	if want := []string{"web", "admin"}; !slices.Equal(got, want) {
		t.Errorf("violations of %q, want %q", got, want)
	}
}

// TestAgainstTheRule compares the derivation with the rule applied to the
// letter, to random requests.
func TestAgainstTheRule(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var requests []Request
		at, slow := int64(0), false
		for range 5000 {
			if rng.IntN(200) == 0 {
				slow = !slow
			}
			at += rng.Int64N(20_000)
			r := Request{IntendedUS: at, SentUS: at, LatencyUS: rng.Int64N(18_000), Type: "buy", Service: "web", Status: "ok"}
			if slow && rng.IntN(20) == 0 {
				r.LatencyUS += rng.Int64N(2_000_000)
			}
			requests = append(requests, r)
		}
		type span struct{ OnsetMS, EndMS int64 }
		var got []span
		for _, v := range Violations(slices.Values(requests), p99) {
			got = append(got, span{v.OnsetMS, v.EndMS})
		}

		var all []verdict
		for _, r := range requests {
			all = append(all, verdict{r.IntendedUS + min(r.LatencyUS, 20_000), r.LatencyUS})
		}
		slices.SortFunc(all, func(a, b verdict) int {
			if a.atUS != b.atUS {
				return int(a.atUS - b.atUS)
			}
			return int(a.latencyUS - b.latencyUS)
		})
		var want []span
		last := int64(-10_000_000)
		for i, v := range all {
			first := i
			for first > 0 && (v.atUS-all[first-1].atUS < 1_000_000 || i-first+1 < 100 && v.atUS-all[first-1].atUS < 10_000_000) {
				first--
			}
			var window []int64
			for _, w := range all[first : i+1] {
				window = append(window, w.latencyUS)
			}
			slices.Sort(window)
			n := len(window)
			if n < 100 || window[(99*n+99)/100-1] <= 20_000 {
				continue
			}
			if v.atUS-last >= 1_000_000 {
				want = append(want, span{v.atUS / 1000, 0})
			}
			last = v.atUS
			want[len(want)-1].EndMS = v.atUS/1000 + 1
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

func TestExplain(t *testing.T) {
	faults := []Fault{{ID: 1, OnsetMS: 10_000, EndMS: 20_000}, {ID: 2, OnsetMS: 22_000, EndMS: 30_000}}
	for onset, want := range map[int64]int{
		9_999: 0, 10_000: 1, 19_999: 1, 21_999: 1, 22_000: 2, 34_999: 2, 35_000: 0,
	} {
		v := []Violation{{OnsetMS: onset, EndMS: onset + 60_000}}
		if Explain(v, faults); v[0].Fault != want {
			t.Errorf("violation at %d ms is explained by fault %d, want %d", onset, v[0].Fault, want)
		}
	}
}

func TestAgreement(t *testing.T) {
	v := func(service string, onset, end int64) Violation {
		return Violation{Service: service, OnsetMS: onset, EndMS: end}
	}
	a := []Violation{v("web", 1000, 2000), v("web", 50_000, 60_000), v("admin", 1000, 2000), v("web", 90_000, 91_000)}
	for _, tt := range []struct {
		name string
		b    []Violation
		want float64
	}{
		{"itself", a, 1},
		{"none", nil, 0},
		{"half a second later", []Violation{v("web", 1500, 2500), v("web", 50_500, 60_500), v("admin", 1500, 2500), v("web", 90_500, 91_500)}, 1},
		{"one missing", a[1:], 6.0 / 7},
		{"one more", append(slices.Clone(a), v("web", 70_000, 71_000)), 8.0 / 9},
		{"another service", []Violation{v("db", 1000, 2000)}, 0},
	} {
		if got := Agreement(a, tt.b); got != tt.want {
			t.Errorf("%s: agreement %v, want %v", tt.name, got, tt.want)
		}
		if got := Agreement(tt.b, a); got != tt.want {
			t.Errorf("%s: agreement the other way %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := Agreement(nil, nil); got != 1 {
		t.Errorf("of two quiet runs: %v, want 1", got)
	}
}

func BenchmarkViolations(b *testing.B) {
	requests := steady(0, 600_000, 200, func(i int64) int64 { return 5 + i%7 + i/1000%10*5 })
	b.ReportAllocs()
	for b.Loop() {
		Violations(slices.Values(requests), p99)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(requests)), "ns/request")
}

func TestPercentile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, percentile := range []float64{50, 90, 99, 99.9} {
		p := newPromise(QoS{Service: "web", Percentile: percentile, TargetMS: 20})
		for range 100 {
			n := p.least + rng.IntN(500)
			var all []int64
			p.window, p.head = nil, 3
			for i := range n + p.head {
				v := verdict{latencyUS: rng.Int64N(50)} // with equal ones
				p.window = append(p.window, v)
				if i >= p.head {
					all = append(all, v.latencyUS)
				}
			}
			slices.Sort(all)
			rank := p.rank(n)
			if got, want := p.percentile(rank), all[rank-1]; got != want {
				t.Fatalf("p%v of %d: %d, want %d", percentile, n, got, want)
			}
			if exact := percentile / 100 * float64(n); float64(rank) < exact-1e-6 || float64(rank) > exact+1 {
				t.Fatalf("rank of p%v of %d: %d", percentile, n, rank)
			}
		}
	}
}
