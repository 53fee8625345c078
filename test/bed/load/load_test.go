package load

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed/wire"
)

const app = `
schema: 1
name: shop
qos: [{service: web, percentile: 99, target: 20ms}]
load: {rate: 300, connections: 4}
requests:
  - {name: browse, weight: 3, call: web.browse}
  - {name: buy, weight: 1, call: web.buy}
services:
  - name: web
    kind: app
    protocol: PROTOCOL
    endpoints: {browse: [{work: {cpu: 1us}}], buy: [{work: {cpu: 1us}}]}
`

// plan is a schedule of users of the shop.
func plan(t *testing.T, p topology.Protocol, seed uint64, d time.Duration, o campaign.PlanOptions) *campaign.Plan {
	t.Helper()
	shop, err := topology.Parse("shop.yaml", []byte(strings.ReplaceAll(app, "PROTOCOL", string(p))))
	if err != nil {
		t.Fatal(err)
	}
	o.NoFaults = true
	out, err := campaign.NewPlan(shop, seed, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// serve answers requests by handle and returns the entries.
func serve(t *testing.T, p topology.Protocol, handle func(endpoint string) error) map[string]Entry {
	t.Helper()
	l, err := wire.Listen("127.0.0.1:0", 511)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	s := wire.Server{Protocol: p, Handle: func(_ context.Context, r wire.Request) wire.Reply {
		return wire.Reply{Size: 100, Err: handle(r.Endpoint)}
	}}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return map[string]Entry{"web": {p, []string{l.Addr().String()}}}
}

// run runs a load to its end and returns the rows in order of the intended time.
func run(t *testing.T, cfg Config) (*Report, []campaign.Request) {
	t.Helper()
	var rows []campaign.Request
	cfg.Record = func(r campaign.Request) error {
		rows = append(rows, r)
		return nil
	}
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	slices.SortStableFunc(rows, func(a, b campaign.Request) int { return int(a.IntendedUS - b.IntendedUS) })
	return report, rows
}

// schedule lists what a plan sends.
func schedule(p *campaign.Plan) (rows []campaign.Request) {
	for a := p.Arrivals(); ; {
		at, kind, ok := a.Next()
		if !ok {
			return rows
		}
		rows = append(rows, campaign.Request{IntendedUS: at, Type: p.App.Requests[kind].Name, Service: "web"})
	}
}

func TestEveryRequestIsAccountedFor(t *testing.T) {
	for _, p := range []topology.Protocol{topology.ProtocolHTTP, topology.ProtocolThrift, topology.ProtocolGRPC} {
		t.Run(string(p), func(t *testing.T) {
			var browsed, bought atomic.Int64
			entries := serve(t, p, func(endpoint string) error {
				if endpoint == "buy" {
					bought.Add(1)
					return errors.New("sold out")
				}
				browsed.Add(1)
				return nil
			})
			plan := plan(t, p, 7, time.Second, campaign.PlanOptions{Shape: campaign.ShapeSpiky})
			report, rows := run(t, Config{Plan: plan, Entries: entries})

			// The schedule follows from the seed, whatever the answers.
			want := schedule(plan)
			for i := range want {
				want[i].Status = string(campaign.StatusOK)
				if want[i].Type == "buy" {
					want[i].Status = string(campaign.StatusError)
				}
			}
			got := slices.Clone(rows)
			for i := range got {
				got[i].SentUS, got[i].LatencyUS = 0, 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("requests recorded (-want +got):\n%s", diff)
			}
			for _, r := range rows {
				if r.SentUS < r.IntendedUS || r.LatencyUS < r.SentUS-r.IntendedUS {
					t.Errorf("%+v: sent before it was due, or ended before it was sent", r)
				}
			}
			if wantCounts := (Counts{int64(len(want)), browsed.Load(), bought.Load(), 0, 0}); report.Counts != wantCounts {
				t.Errorf("report counts %+v, want %+v", report.Counts, wantCounts)
			}
			if browsed.Load()+bought.Load() != int64(len(want)) {
				t.Errorf("the server saw %d + %d requests, want %d", browsed.Load(), bought.Load(), len(want))
			}
		})
	}
}

// TestStallIsSeenByAllWhoWouldHaveCome is coordinated omission: a server stands
// still for half a second, with more users than connections.
func TestStallIsSeenByAllWhoWouldHaveCome(t *testing.T) {
	const from, until = 1 * time.Second, 1500 * time.Millisecond
	start := time.Now().Add(50 * time.Millisecond)
	entries := serve(t, topology.ProtocolHTTP, func(string) error {
		if at := time.Since(start); at >= from && at < until {
			<-time.After(until - at)
		}
		return nil
	})
	plan := plan(t, topology.ProtocolHTTP, 1, 3*time.Second, campaign.PlanOptions{})
	report, rows := run(t, Config{Plan: plan, Entries: entries, Start: start, Connections: 2})

	// Nobody who comes during the stall is answered before its end. A generator
	// that waits for answers would have sent two requests in that time.
	var least []float64
	for _, r := range rows {
		want := int64(0)
		if at := time.Duration(r.IntendedUS) * time.Microsecond; at >= from && at < until {
			want = (until - at).Microseconds()
		}
		if r.LatencyUS < want-1000 {
			t.Errorf("request due at %d us: latency %d us, want at least %d", r.IntendedUS, r.LatencyUS, want)
		}
		least = append(least, float64(want)/1000)
	}
	slices.Sort(least)
	wantP99 := least[len(least)*99/100] // 1/6 of all waited, so about 470 ms
	if wantP99 < 400 || report.Latency.P99 < wantP99*0.99 {
		t.Errorf("p99 = %.1f ms, want at least %.1f (and that at least 400)", report.Latency.P99, wantP99)
	}
	if report.Counts.OK != int64(len(rows)) || report.MostInFlight < 100 {
		t.Errorf("%+v with %d under way at most, want %d answered and more than 100 under way", report.Counts, report.MostInFlight, len(rows))
	}
}

// TestAppThatNeverAnswers must cost bounded memory and lose no request.
func TestAppThatNeverAnswers(t *testing.T) {
	release := make(chan struct{})
	entries := serve(t, topology.ProtocolHTTP, func(string) error {
		<-release
		return nil
	})
	defer close(release)
	plan := plan(t, topology.ProtocolHTTP, 3, time.Second, campaign.PlanOptions{})
	const timeout = 2 * time.Second // later than the last request is due
	report, rows := run(t, Config{Plan: plan, Entries: entries, InFlight: 10, Timeout: timeout})

	all := int64(len(schedule(plan)))
	if want := (Counts{Requests: all, Errors: all - 10, Timeouts: 10, Refused: all - 10}); report.Counts != want {
		t.Errorf("report counts %+v, want %+v", report.Counts, want)
	}
	for _, r := range rows {
		if r.LatencyUS < timeout.Microseconds() {
			t.Errorf("%+v: an unanswered request took less than the timeout", r)
		}
	}
	if report.MostInFlight != 10 {
		t.Errorf("%d requests under way at most, want 10", report.MostInFlight)
	}
	if notes := strings.Join(report.Notes(), "\n"); !strings.Contains(notes, "did not send") {
		t.Errorf("Notes() = %q, want one of the requests that were not sent", notes)
	}
}

// TestLateGeneratorSaysSo starts when a third of the requests were due already.
func TestLateGeneratorSaysSo(t *testing.T) {
	entries := serve(t, topology.ProtocolHTTP, func(string) error { return nil })
	plan := plan(t, topology.ProtocolHTTP, 5, 1500*time.Millisecond, campaign.PlanOptions{})
	const behind = 500 * time.Millisecond
	report, rows := run(t, Config{Plan: plan, Entries: entries, Start: time.Now().Add(-behind)})
	var due int64
	for _, r := range rows {
		if at := time.Duration(r.IntendedUS) * time.Microsecond; at < behind {
			if due++; r.LatencyUS < (behind - at).Microseconds() {
				t.Errorf("%+v: does not count from its due time", r)
			}
		}
	}
	if report.Late < due || report.Lateness.Max < 400 {
		t.Errorf("%d sent late, by at most %.1f ms, want at least %d and about 500 ms", report.Late, report.Lateness.Max, due)
	}
	if notes := strings.Join(report.Notes(), "\n"); !strings.Contains(notes, "more than 1 ms late") {
		t.Errorf("Notes() = %q, want one of the lateness", notes)
	}
}

func TestFromLeavesOutWhatWasSent(t *testing.T) {
	entries := serve(t, topology.ProtocolHTTP, func(string) error { return nil })
	plan := plan(t, topology.ProtocolHTTP, 5, time.Second, campaign.PlanOptions{})
	const from = 700 * time.Millisecond
	_, rows := run(t, Config{Plan: plan, Entries: entries, Start: time.Now().Add(-from), From: from})
	var want []int64
	for _, r := range schedule(plan) {
		if r.IntendedUS >= from.Microseconds() {
			want = append(want, r.IntendedUS)
		}
	}
	var got []int64
	for _, r := range rows {
		got = append(got, r.IntendedUS)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("due times (-want +got):\n%s", diff)
	}
}

func TestRunStops(t *testing.T) {
	t.Run("when its context is done", func(t *testing.T) {
		entries := serve(t, topology.ProtocolHTTP, func(string) error { return nil })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		report, err := Run(ctx, Config{
			Plan: plan(t, topology.ProtocolHTTP, 5, time.Hour, campaign.PlanOptions{}), Entries: entries,
			Record: func(campaign.Request) error {
				if n++; n == 10 {
					cancel()
				}
				return nil
			},
		})
		if !errors.Is(err, context.Canceled) || report == nil || report.OK < 10 {
			t.Errorf("Run = %+v, %v, want a report of at least 10 requests and %v", report, err, context.Canceled)
		}
	})
	t.Run("when requests cannot be recorded", func(t *testing.T) {
		entries := serve(t, topology.ProtocolHTTP, func(string) error { return nil })
		full := errors.New("disk full")
		_, err := Run(t.Context(), Config{
			Plan: plan(t, topology.ProtocolHTTP, 5, time.Hour, campaign.PlanOptions{}), Entries: entries,
			Record: func(campaign.Request) error { return full },
		})
		if !errors.Is(err, full) {
			t.Errorf("Run = %v, want %v", err, full)
		}
	})
	t.Run("when nobody listens", func(t *testing.T) {
		_, err := Run(t.Context(), Config{
			Plan:    plan(t, topology.ProtocolHTTP, 5, time.Hour, campaign.PlanOptions{}),
			Entries: map[string]Entry{"web": {topology.ProtocolHTTP, []string{"127.0.0.1:1"}}},
		})
		if err == nil {
			t.Error("Run of an application that is down succeeded")
		}
	})
	t.Run("when an entry has no address", func(t *testing.T) {
		if _, err := Run(t.Context(), Config{Plan: plan(t, topology.ProtocolHTTP, 5, time.Hour, campaign.PlanOptions{})}); err == nil {
			t.Error("Run without entries succeeded")
		}
	})
}

func TestText(t *testing.T) {
	r := &Report{
		App: "shop", DurationS: 10, Counts: Counts{1000, 990, 6, 4, 2},
		Latency: Latency{1, 2, 3, 4, 5, 6, 7}, Kinds: []Kind{{"browse", "web", Counts{1000, 990, 6, 4, 2}, Latency{1, 2, 3, 4, 5, 6, 7}}},
		Late: 3, MostInFlight: 12, Failures: map[string]int64{"sold out": 6},
	}
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `  REQUEST  COUNT  ERRORS  TIMEOUTS  MEAN ms   P50   P90   P99  P99.9   MAX
   browse   1000       6         4     1.00  2.00  3.00  5.00   6.00  7.00
      all   1000       6         4     1.00  2.00  3.00  5.00   6.00  7.00
shop: 99.0 requests/s answered over 10.0 s; latency from the intended send time
sent late by p50 0.000 ms, p99 0.000 ms, at most 0.000 ms; 3 over 1 ms; 12 under way at most, 2 refused
     6 x sold out
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("Text() (-want +got):\n%s", diff)
	}
}
