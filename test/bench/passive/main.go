//go:build linux

// Command passive measures how right the passive mode is (DESIGN.md section
// 3.1): a server logs every instant at which a request entered and left it,
// the collector watches from outside, and the two series are compared tick by
// tick. Both ends are: the server's outstanding and the client's downstream.
//
// It prints a table and one line per figure, "BENCH name value unit":
//
//	go run ./test/bench/passive
//
// Depths follow from open-loop Poisson arrivals at rate depth / service time,
// exponential service times, on as many connections as that can need. A mean of
// depth d over n passes has a sampling error of 1/sqrt(d n), which the table
// shows as one standard deviation. Shallow queues are therefore watched longer,
// and in several pairs of containers at once, as far as two CPUs serve them: the
// errors are then those of all pairs together, r is the mean of theirs.
//
// The correlation of the series depends on how much the load varies. A
// stationary one is the hardest: what varies from tick to tick is then only
// chance, of the size of the sampling error (at 10 passes per tick and 5 ms,
// r is at most about .85). Real load varies more: -swing .5.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"seer/collector"
	"seer/test/lab"
)

func main() {
	var o options
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// A child is told by its environment and has no flags.
	status := lab.Program(ctx, nil, func(t lab.TB) {
		flag.DurationVar(&o.length, "for", 20*time.Second, "how long to measure a point of depth 5 or more; up to five times as long, in up to eight pairs at once, below")
		flag.Float64Var(&o.budget, "cpu-budget", 1, "the collector's CPU budget; 1 never lowers the pass rate, 0 is the default budget")
		flag.Float64Var(&o.passHz, "pass-hz", 0, "passes per second; 0 is the default")
		flag.Float64Var(&o.swing, "swing", 0, "share by which the load swings up and down in 2 s; 0 is stationary")
		only := flag.String("only", "", "points to measure, by service time and depth: 5ms:25,600us:3 (default: all)")
		flag.StringVar(&o.name, "name", "passive", "prefix of the BENCH names")
		flag.Parse()
		run(t, o, choose(t, *only))
	})
	stop()
	os.Exit(status)
}

type options struct {
	length time.Duration
	budget float64
	passHz float64
	swing  float64
	name   string
}

// point is one load: requests held for a mean time, at a mean depth.
type point struct {
	service time.Duration
	depth   float64
}

// String returns the point as -only takes it.
func (p point) String() string { return fmt.Sprintf("%v:%g", p.service, p.depth) }

const us, ms = time.Microsecond, time.Millisecond

// points stay below some 6,000 requests a second, which two cores serve with
// both ends on them.
var points = []point{
	{600 * us, .3}, {600 * us, 1}, {600 * us, 3},
	{1600 * us, .3}, {1600 * us, 1}, {1600 * us, 6},
	{5 * ms, .3}, {5 * ms, 5}, {5 * ms, 25},
	{20 * ms, 1}, {20 * ms, 10}, {20 * ms, 100},
	{200 * ms, 3}, {200 * ms, 30}, {200 * ms, 300},
}

// choose returns the points of a list, or all of them for an empty one.
func choose(t lab.TB, list string) []point {
	if list == "" {
		return points
	}
	var out []point
	for want := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(points, func(p point) bool { return p.String() == want })
		if i < 0 {
			t.Fatalf("-only %q: no such point; they are %s", want, points)
		}
		out = append(out, points[i])
	}
	return out
}

func run(t lab.TB, o options, points []point) {
	fmt.Println("| service ms | depth | pairs | rate /s | passes /s | sampling error % | mean error % | r of 100 ms series | rate error % | latency error % | downstream error % |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	var figures []string
	for _, p := range points {
		r := measure(t, p, p.seed(), o)
		fmt.Printf("| %.1f | %.2f | %d | %.0f | %.0f | %.2f | %+.2f | %.3f | %+.2f | %+.2f | %+.2f |\n", p.service.Seconds()*1e3,
			r.depth, r.pairs, r.rate, r.passes, r.samplingError, r.meanError, r.correlation, r.rateError, r.latencyError, r.downstreamError)
		figure := func(what string, value float64, unit string) {
			figures = append(figures, fmt.Sprintf("BENCH %s_%gms_depth%g_%s %.4g %s", o.name, p.service.Seconds()*1e3, p.depth, what, value, unit))
		}
		figure("mean_error", r.meanError, "%")
		figure("correlation", r.correlation, "r")
		figure("rate_error", r.rateError, "%")
		figure("latency_error", r.latencyError, "%")
		figure("downstream_error", r.downstreamError, "%")
	}
	fmt.Println(strings.Join(figures, "\n"))
}

// result compares what was seen with what was. Errors are in percent of the
// truth.
type result struct {
	depth, rate     float64 // the truth, of one pair
	pairs           int
	passes          float64 // socket passes per second
	samplingError   float64 // one standard deviation of meanError to be expected
	meanError       float64
	correlation     float64 // Pearson's, of the series of tick means
	rateError       float64
	latencyError    float64 // depth / rate, by Little's law
	downstreamError float64 // of the mean depth, at the client
}

// seed is the point's own, whichever others are measured.
func (p point) seed() uint64 { return uint64(slices.Index(points, p) + 1) }

// pairsFor is how many pairs of containers a point is measured on at once.
func pairsFor(p point) int {
	const maxRate, maxPairs = 5000, 8
	rate := p.depth / p.service.Seconds()
	return max(1, min(maxPairs, int(maxRate/rate), int(math.Ceil(5/p.depth))))
}

func measure(t lab.TB, p point, seed uint64, o options) result {
	// Six deviations of a Poisson number, and some for the ones on the wire.
	conns := int(p.depth*(1+o.swing)+6*math.Sqrt(p.depth)) + 8
	rec := &recorder{skip: time.Now().Add(2 * time.Second), full: make(chan struct{})}
	rec.length = time.Duration(float64(o.length) * min(max(5/p.depth, 1), 5))
	for i := range pairsFor(p) {
		seed := seed + uint64(i)*10_000
		server := lab.NewContainer(t, fmt.Sprintf("server%d", i), lab.Options{})
		client := lab.NewContainer(t, fmt.Sprintf("client%d", i), lab.Options{})
		s := server.Service(lab.ServiceConfig{Network: "tcp4", Addr: "127.0.0.1:0", Time: p.service, Exp: true, Seed: seed})
		defer s.Stop()
		l := client.Load(lab.LoadConfig{Network: "tcp4", Addr: s.Addr, Conns: conns, Rate: p.depth / p.service.Seconds(), Swing: o.swing, Seed: seed + 1000})
		defer l.Stop()
		rec.pairs = append(rec.pairs, &pair{
			server: server.CgroupID, client: client.CgroupID,
			truth: func(bounds []time.Time) (atServer, atClient []lab.Interval) { return s.Truth(bounds), l.Truth(bounds) },
		})
	}

	c, err := collector.New(collector.Config{
		CPUBudget: o.budget, PassHz: o.passHz,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatalf("collector.New: %v", err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, rec) }()
	select {
	case <-rec.full:
	case err := <-ended:
		t.Fatalf("collector.Run: %v", err)
	}
	cancel()
	<-ended
	return rec.compare(t)
}
