//go:build linux

// Command steady takes each application of the testbed up, loads it as usual for
// ten minutes with a Seer beside it, and takes it down. It says how long the
// application took to be ready and how much memory it uses, which requests
// failed, whether latency stayed what it was, and whether Seer saw all of it: the
// queues of every container, and as edges just the calls that the topology
// describes.
//
//	sudo bin/steady -apps hotel -for 2m
//
// It ends with one line per figure, "BENCH name value unit".
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/apps"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/load"
)

type options struct {
	length    time.Duration
	rate      float64
	seed      uint64
	seer, bed string
}

func main() {
	host.Launch() // containers begin as this program
	var o options
	names := flag.String("apps", strings.Join(apps.Names(), ","), "applications, one after the other")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long to load each")
	flag.Float64Var(&o.rate, "rate", 0, "requests per second (default the application's nominal load)")
	flag.Uint64Var(&o.seed, "seed", 1, "of the requests, and of what services do by chance")
	flag.StringVar(&o.seer, "seer", "bin/seer", "the program seer")
	flag.StringVar(&o.bed, "seerbed", "bin/seerbed", "the program seerbed, which runs the services")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := all(ctx, strings.Split(*names, ","), o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "steady:", err)
		os.Exit(1)
	}
}

func all(ctx context.Context, names []string, o options) error {
	if err := load.Prioritise(); err != nil {
		fmt.Fprintln(os.Stderr, "requests may be sent late:", err)
	}
	for _, name := range names {
		app, err := apps.Load(name)
		if err != nil {
			return err
		}
		if err := one(ctx, app, o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// one measures one application and leaves nothing of it.
func one(ctx context.Context, app *topology.App, o options) (err error) {
	program, err := filepath.Abs(o.bed)
	if err != nil {
		return err
	}
	where := bed.Options{Program: program, Seed: o.seed}
	b, err := bed.Up(ctx, app, where)
	if err != nil {
		return err
	}
	up := true
	down := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		up = false
		return b.Down(ctx)
	}
	defer func() {
		if up {
			err = cmp.Or(err, down())
		}
	}()
	w, err := startWatcher(ctx, b, o.seer)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d services ready after %.1f s\n", app.Name, len(app.Services), b.Took.Seconds())
	r := result{app: app, ready: b.Took}
	g, running := errgroup.WithContext(ctx)
	loaded := make(chan struct{})
	g.Go(func() (err error) {
		defer close(loaded)
		r.report, err = sendLoad(running, b, o)
		return err
	})
	g.Go(func() error { return w.watch(running, loaded) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, s := range b.Status(ctx) {
		r.memory += s.Memory
	}
	r.seen, r.missing, r.extra = w.seen()
	if err := w.stop(); err != nil { // it ran to the end
		return err
	}
	dirs := b.Containers()[0].Cgroup.Dirs()
	if err := down(); err != nil {
		return err
	}
	r.left = leftovers(dirs)
	r.print()
	return nil
}

func sendLoad(ctx context.Context, b *bed.Bed, o options) (*load.Report, error) {
	plan, err := campaign.NewPlan(b.App, o.seed, o.length, campaign.PlanOptions{Rate: o.rate, NoFaults: true})
	if err != nil {
		return nil, err
	}
	cfg := load.Config{Plan: plan}
	cfg.Aim(b)
	return load.Run(ctx, cfg)
}

// leftovers returns what is still there of a container's parent.
func leftovers(containers []string) []string {
	var left []string
	for _, dir := range containers {
		if _, err := os.Stat(filepath.Dir(dir)); err == nil {
			left = append(left, filepath.Dir(dir))
		}
	}
	return left
}

// result is what one application showed.
type result struct {
	app     *topology.App
	ready   time.Duration
	memory  int64
	report  *load.Report
	seen    int      // containers of which every queue of a socket or thread was measured
	missing []string // calls of the topology that were not seen
	extra   []string // calls that were seen and that the topology does not have
	left    []string
}

func (r *result) print() {
	p := r.report
	fmt.Printf("%s: %d requests, %d errors, %d timeouts, %d late; p50 %.2f ms, p99 %.2f ms\n",
		r.app.Name, p.Requests, p.Errors, p.Timeouts, p.Late, p.Latency.P50, p.Latency.P99)
	for message, n := range p.Failures {
		fmt.Printf("  %d times: %s\n", n, message)
	}
	for _, side := range []struct {
		what  string
		edges []string
	}{{"not seen", r.missing}, {"not in the topology", r.extra}, {"left behind", r.left}} {
		if len(side.edges) > 0 {
			fmt.Printf("  %s: %s\n", side.what, strings.Join(side.edges, ", "))
		}
	}
	first, second := halves(p.Windows)
	bench := func(what string, value float64, unit string) {
		fmt.Printf("BENCH steady_%s_%s %.4g %s\n", strings.ReplaceAll(r.app.Name, "-", "_"), what, value, unit)
	}
	bench("ready", r.ready.Seconds(), "s")
	bench("memory", float64(r.memory)/(1<<20), "MiB")
	bench("requests", float64(p.Requests), "requests")
	bench("failed", float64(p.Errors+p.Timeouts), "requests")
	bench("late", float64(p.Late), "requests")
	bench("p50", p.Latency.P50, "ms")
	bench("p99", p.Latency.P99, "ms")
	bench("p99_first_half", first, "ms")
	bench("p99_second_half", second, "ms")
	bench("containers", float64(len(r.app.Containers())), "containers")
	bench("containers_seen", float64(r.seen), "containers")
	bench("edges", float64(len(r.app.Edges())), "edges")
	bench("edges_missing", float64(len(r.missing)), "edges")
	bench("edges_extra", float64(len(r.extra)), "edges")
	bench("left_behind", float64(len(r.left)), "cgroups")
}

// halves returns the median of the windows' p99 in each half of a run, in ms,
// without the last window, which is cut short.
func halves(windows []load.Window) (first, second float64) {
	if len(windows) > 1 {
		windows = windows[:len(windows)-1]
	}
	median := func(w []load.Window) float64 {
		var values []float64
		for _, x := range w {
			values = append(values, x.Latency.P99)
		}
		slices.Sort(values)
		if len(values) == 0 {
			return 0
		}
		return values[len(values)/2]
	}
	half := len(windows) / 2
	return median(windows[:half]), median(windows[half:])
}
