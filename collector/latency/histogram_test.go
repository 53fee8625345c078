package latency

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsMeet(t *testing.T) {
	last := time.Duration(0)
	for b := range Buckets - 1 {
		from, to := Bounds(b)
		if from != last {
			t.Fatalf("bucket %d begins at %d, the one before it ends at %d", b, from, last)
		}
		if got := Bucket(uint64(from)); got != b {
			t.Errorf("Bucket(%d) = %d, want %d, which begins there", from, got, b)
		}
		if got := Bucket(uint64(to) - 1); got != b {
			t.Errorf("Bucket(%d) = %d, want %d, which ends there", to-1, got, b)
		}
		if b > 0 && float64(to-from) > float64(from)/PerOctave {
			t.Errorf("bucket %d is %d wide, more than a %d-th of %d", b, to-from, PerOctave, from)
		}
		last = to
	}
	for _, ns := range []uint64{uint64(last), 1 << 40, math.MaxUint64} {
		if got := Bucket(ns); got != Buckets-1 {
			t.Errorf("Bucket(%d) = %d, want the last", ns, got)
		}
	}
}

// Against the sorted values themselves.
func TestQuantileIsWithinTwoPercent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 99, 100, 101, 5000} {
		var h Histogram
		values := make([]float64, n)
		for i := range values {
			values[i] = 2e3 * math.Exp(rng.Float64()*math.Log(3e7))
			h.Add(time.Duration(values[i]))
		}
		slices.Sort(values)
		for _, q := range []float64{0, .5, .9, .99, 1} {
			want := values[max(int(math.Ceil(q*float64(n)-1e-9)), 1)-1]
			got, ok := h.Quantile(q)
			if !ok || math.Abs(float64(got)-want) > .02*want {
				t.Errorf("quantile %v of %d = %v, %v; want %v", q, n, got, ok, time.Duration(want))
			}
		}
	}
}

func TestMergeAndSubtract(t *testing.T) {
	var a, b, sum Histogram
	for i := range 100 {
		a.Add(time.Duration(i) * time.Millisecond)
		b.Add(time.Duration(i) * time.Microsecond)
	}
	sum.Merge(&a)
	sum.Merge(&b)
	if sum.N != 200 || sum.Above(time.Millisecond) != a.Above(time.Millisecond) {
		t.Errorf("%d requests, %d above 1 ms; want 200, %d", sum.N, sum.Above(time.Millisecond), a.Above(time.Millisecond))
	}
	if sum.Subtract(&b); sum != a {
		t.Error("taking away what was added leaves something else")
	}
	if got := a.Mean(); math.Abs(float64(got)/49.5e6-1) > .02 {
		t.Errorf("mean = %v, want 49.5 ms", got)
	}
	var none Histogram
	if d, ok := none.Quantile(.5); ok || d != 0 || none.Mean() != 0 {
		t.Errorf("without requests: quantile %v, %v, mean %v", d, ok, none.Mean())
	}
}
