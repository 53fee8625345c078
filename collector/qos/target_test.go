package qos

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		text string
		want Target
		err  string // part of it
	}{
		{text: "frontend p99 20ms", want: Target{Service: "frontend", Percentile: 99, Bound: 20 * time.Millisecond}},
		{text: "  cart\tp99.9   1.5s ", want: Target{Service: "cart", Percentile: 99.9, Bound: 1500 * time.Millisecond}},
		{text: "a p50 10us", want: Target{Service: "a", Percentile: 50, Bound: 10 * time.Microsecond}},
		{text: "", err: `want SERVICE PERCENTILE BOUND`},
		{text: "frontend 20ms", err: `want SERVICE PERCENTILE BOUND`},
		{text: "frontend 99 20ms", err: `percentile "99"`},
		{text: "frontend pp 20ms", err: `percentile "pp"`},
		{text: "frontend pNaN 20ms", err: "want p50 to p99.99"},
		{text: "frontend p100 20ms", err: "want p50 to p99.99"},
		{text: "frontend p99 20", err: "with its unit"},
		{text: "frontend p99 -20ms", err: "want 10µs to 1m0s"},
		{text: "frontend p99 2h", err: "want 10µs to 1m0s"},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseTarget(%q) = %v, want an error with %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("ParseTarget(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		if again, err := ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("ParseTarget(%q) = %+v, %v, want what was written", got.String(), again, err)
		}
	}
}

func TestTargetsFlag(t *testing.T) {
	var list Targets
	for _, text := range []string{"a p99 20ms", "b p95 1s, c p99 5ms"} {
		if err := list.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := list.String(), "a p99 20ms, b p95 1s, c p99 5ms"; got != want {
		t.Errorf("targets = %q, want %q", got, want)
	}
	if err := list.Set("b p50 1s"); err == nil || !strings.Contains(err.Error(), `two targets for "b"`) {
		t.Errorf("a second target for b: %v, want it refused", err)
	}
	if len(list) != 3 {
		t.Errorf("%d targets after one was refused, want 3", len(list))
	}
}

// Rank ceil(p n): how many may be late, by hand.
func TestAllowed(t *testing.T) {
	type row struct {
		p       float64
		n, want int64
	}
	for _, tt := range []row{
		{99, 100, 1}, {99, 199, 1}, {99, 200, 2}, {99, 1000, 10}, {99, 1099, 10},
		{95, 20, 1}, {95, 39, 1}, {95, 40, 2}, {99.9, 1000, 1}, {50, 2, 1}, {50, 3, 1},
	} {
		if got := (Target{Percentile: tt.p}).allowed(tt.n); got != tt.want {
			t.Errorf("allowed late of %d at p%v = %d, want %d", tt.n, tt.p, got, tt.want)
		}
	}
	var got []int64
	for _, p := range []float64{50, 95, 99, 99.9} {
		got = append(got, Target{Percentile: p}.least())
	}
	if diff := cmp.Diff([]int64{2, 20, 100, 1000}, got); diff != "" {
		t.Errorf("least requests for p50, p95, p99, p99.9 (-want +got):\n%s", diff)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"frontend p99 20ms", "a p99.9 1h", "p99", "a pNaN 1s", "a p1e2 1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := ParseTarget(text)
		if err != nil {
			return
		}
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("ParseTarget(%q) = %+v; written and read again %+v, %v", text, target, again, err)
		}
		if target.least() < 2 || target.least() > 10_000 {
			t.Errorf("%q needs %d requests", text, target.least())
		}
	})
}
