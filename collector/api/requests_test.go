package api

import (
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// A row covers the last ten seconds: what is older goes, slice by slice, and who
// is not counted any more goes, too.
func TestRequestsAreRecent(t *testing.T) {
	_, tick := shop()
	var r requests
	at := time.Unix(1_000_000, 0)
	feed := func(n int, d time.Duration) {
		rows := []collector.RequestRow{{Row: 1}}
		for range n {
			rows[0].Served.Add(d)
			rows[0].ServedFirst.Add(d / 2)
		}
		r.add(&collector.Tick{Start: at, End: at.Add(time.Second), Rows: tick.Rows, Requests: rows})
		at = at.Add(time.Second)
	}
	id := tick.Rows[1].Container.ID
	check := func(when string, requests int64, over time.Duration, p50, first time.Duration) {
		t.Helper()
		timed, ok := r.recently(id)
		if !ok {
			t.Fatalf("%s: not known", when)
		}
		got, _ := timed[served].last.Quantile(.5)
		gotFirst, _ := timed[served].first.Quantile(.5)
		near := func(a, b time.Duration) bool { return a >= b*98/100 && a <= b*102/100 }
		if timed[served].last.N != requests || timed[served].over != over || !near(got, p50) || !near(gotFirst, first) {
			t.Errorf("%s: %d requests in %v, p50 %v, first %v; want %d in %v, %v, %v", when, timed[served].last.N, timed[served].over, got, gotFirst, requests, over, p50, first)
		}
		if timed[called].last.N != 0 {
			t.Errorf("%s: %d requests made, want none", when, timed[called].last.N)
		}
	}
	const ms = time.Millisecond
	feed(10, 4*ms)
	check("a second", 10, time.Second, 4*ms, 2*ms)
	feed(10, 4*ms)
	feed(30, 8*ms)
	check("more of the second", 50, 3*time.Second, 8*ms, 4*ms)
	for range 6 {
		feed(0, 0)
	}
	check("nine seconds", 50, 9*time.Second, 8*ms, 4*ms)
	for range 2 {
		feed(1, ms)
	}
	// The first slice has gone, and of the last a second is yet to come.
	check("eleven seconds", 32, 9*time.Second, 8*ms, 4*ms)
	if total, sum, _ := r.totals(id); total[served].N != 52 || sum[served] < .98*.322 || sum[served] > 1.02*.322 {
		t.Errorf("in total %d requests of %v s, want 52 of .322", total[served].N, sum[served])
	}

	for range 14 {
		r.add(&collector.Tick{Start: at, End: at.Add(time.Second), Rows: tick.Rows})
		at = at.Add(time.Second)
	}
	if _, ok := r.recently(id); ok {
		t.Error("a container that is not counted any more is kept")
	}
	feed(3, ms)
	check("counted again", 3, time.Second, ms, ms/2)

	// The clock is set back.
	at = at.Add(-time.Hour)
	feed(2, 2*ms)
	check("an hour before", 2, time.Second, 2*ms, ms)
}

// A crowd is bounded.
func TestRequestsAreBounded(t *testing.T) {
	rows := make([]collector.Row, maxRequestSeries+50)
	for i := range rows {
		rows[i].Container = &container.Container{ID: container.ID(i + 1)}
	}
	var r requests
	requests := make([]collector.RequestRow, len(rows))
	for i := range requests {
		requests[i].Row = i
		requests[i].Served.Add(time.Millisecond)
	}
	r.add(&collector.Tick{Start: epoch, End: epoch.Add(tickLength), Rows: rows, Requests: requests})
	if len(r.byID) != maxRequestSeries {
		t.Errorf("%d containers kept, want %d", len(r.byID), maxRequestSeries)
	}
}
