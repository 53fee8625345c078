//go:build linux

// Command overhead measures what the tracer costs those it watches: CPU time
// per request and throughput of redis, nginx and memcached with the tracer on
// and off.
//
// One block is four slices, off on on off, of one arm; the ratio of the on
// slices to the off slices cancels drift. Arms take turns, in random order, so
// that all of them see the same machine. The control arm toggles nothing: its
// scatter is what the method cannot see. The peer is bpftrace with a script
// that reads the receive queue at each receive; where it does not run, one line
// says why and the others go on.
//
// Requests are counted by the servers. CPU time is the scheduler's, of the
// server's threads (schedstat), so it includes every BPF program that runs in
// them. The server has one CPU for itself, the load the other.
//
//	go run ./test/bench/overhead                      # about 15 minutes
//	go run ./test/bench/overhead -events              # what one event costs
//	go run ./test/bench/overhead -targets redis -blocks 5
//	go run ./test/bench/overhead -scale               # sockets, budget, memory
//	go run ./test/bench/overhead -app hotel           # an application of the testbed
//
// Results are tables and one line per figure, "BENCH name value unit".
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"seer/test/bed/host"
	"seer/test/lab"
)

// workloads are the child processes that this program can be.
var workloads = map[string]lab.Workload{
	"tracer":         tracerWorkload,
	"bpftrace":       bpftraceWorkload,
	"memcached-load": memcachedLoadWorkload,
	"selftalk":       selftalkWorkload,
}

func main() {
	host.Launch() // containers of the testbed begin as this program
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := lab.Program(ctx, workloads, func(t lab.TB) {
		var o options
		targets := flag.String("targets", "redis,nginx,memcached", "servers to measure")
		arms := flag.String("arms", "control,passive,exact,bpftrace", "what to toggle")
		flag.IntVar(&o.blocks, "blocks", 20, "blocks of four slices per arm and server")
		flag.DurationVar(&o.slice, "slice", 500*time.Millisecond, "length of a slice")
		flag.Uint64Var(&o.seed, "seed", 1, "of the order of the arms and of the bootstrap")
		scale := flag.Bool("scale", false, "measure the tracer itself by number of sockets instead")
		sockets := flag.String("sockets", "1000,10000,20000,50000", "numbers of sockets for -scale, rising")
		seer := flag.String("seer", "", "the program seer, whose memory -scale measures as well")
		app := flag.String("app", "", "measure an application of the testbed at its working load instead")
		seerbed := flag.String("seerbed", "bin/seerbed", "the program seerbed, which runs the services of -app")
		events := flag.Bool("events", false, "measure what one run of a request hook takes instead")
		flag.Parse()
		o.targets, o.arms = strings.Split(*targets, ","), strings.Split(*arms, ",")
		if *app != "" {
			measureApp(t, o, *app, *seerbed)
			return
		}
		if *events {
			measureEvents(t, o)
			return
		}
		if *scale {
			measureScale(t, sizes(t, *sockets), *seer)
			return
		}
		run(t, o)
	})
	stop()
	os.Exit(status)
}

type options struct {
	targets, arms []string
	blocks        int
	slice         time.Duration
	seed          uint64
}

func run(t lab.TB, o options) {
	var figures []string
	wait := &progress{start: time.Now(), total: len(o.targets) * len(o.arms) * o.blocks}
	fmt.Println("| server | arm | blocks | CPU us/request | CPU per request % (95 %) | throughput % (95 %) | BPF runs/request |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
	for _, name := range o.targets {
		srv, err := startTarget(t, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, m := range compare(t, srv, o, wait) {
			cpu, through := m.cpu.summary(o.seed), m.throughput.summary(o.seed)
			fmt.Printf("| %s | %s | %d | %.2f | %+.2f (%+.2f to %+.2f) | %+.2f (%+.2f to %+.2f) | %.2f |\n", srv.name, m.arm.name, len(m.cpu),
				m.onCPU/float64(len(m.cpu)), cpu.median, cpu.low, cpu.high, through.median, through.low, through.high, m.runs.perRequest)
			figure := func(what string, value float64, unit string) {
				figures = append(figures, fmt.Sprintf("BENCH overhead_%s_%s_%s %.4g %s", srv.name, m.arm.name, what, value, unit))
			}
			figure("cpu_per_request", cpu.median, "%")
			figure("cpu_per_request_low", cpu.low, "%")
			figure("cpu_per_request_high", cpu.high, "%")
			figure("throughput", through.median, "%")
			figure("bpf_runs_per_request", m.runs.perRequest, "runs")
			for _, program := range slices.Sorted(maps.Keys(m.runs.nanos)) {
				figure("ns_per_run_"+program, m.runs.nanos[program], "ns")
			}
		}
		srv.stop()
	}
	fmt.Println(strings.Join(figures, "\n"))
}

// measurement is one arm's blocks on one server.
type measurement struct {
	arm             *arm
	cpu, throughput ratios
	onCPU           float64 // CPU time per request while on, microseconds, summed over blocks
	runs            bpfRuns
}

// compare runs all blocks on one server. An arm that cannot be had, or fails, is
// named with its reason and left out; what it gave until then counts.
func compare(t lab.TB, srv *target, o options, wait *progress) []*measurement {
	out := make([]*measurement, len(o.arms))
	leave := func(i int, name string, err error) {
		fmt.Fprintf(os.Stderr, "%s: %s is left out: %v\n", srv.name, name, err)
		if name != "bpftrace" { // the peer need not run everywhere
			t.Errorf("%s: arm %s failed", srv.name, name)
		}
		done := 0
		if out[i] != nil {
			done = len(out[i].cpu)
		}
		wait.total -= o.blocks - done
	}
	live := make([]bool, len(o.arms))
	for i, name := range o.arms {
		a, err := newArm(t, name)
		if err == nil {
			defer a.stop()
			err = a.try()
		}
		if err != nil {
			leave(i, name, err)
			continue
		}
		out[i], live[i] = &measurement{arm: a}, true
	}
	// Every arm has one turn per round; within a round the order is random.
	rng := rand.New(rand.NewPCG(o.seed, 0))
	for range o.blocks {
		for _, i := range rng.Perm(len(o.arms)) {
			if !live[i] {
				continue
			}
			if err := out[i].arm.around(func() error { return out[i].block(t, srv, o.slice) }); err != nil {
				live[i] = false
				leave(i, o.arms[i], err)
				continue
			}
			wait.step(srv.name)
		}
	}
	for i, m := range out {
		if !live[i] {
			continue
		}
		err := m.arm.around(func() (err error) {
			m.runs, err = countRuns(t, m.arm, func(d time.Duration) int64 { return srv.slice(t, d).requests })
			return err
		})
		if err != nil {
			leave(i, o.arms[i], err)
			m.runs.perRequest = math.NaN()
		}
	}
	return slices.DeleteFunc(out, func(m *measurement) bool { return m == nil || len(m.cpu) == 0 })
}

// block is four slices, off on on off.
func (m *measurement) block(t lab.TB, srv *target, length time.Duration) error {
	off := srv.slice(t, length)
	if err := m.arm.on(); err != nil {
		return fmt.Errorf("switch on: %w", err)
	}
	on := srv.slice(t, length).plus(srv.slice(t, length))
	if err := m.arm.off(); err != nil {
		return fmt.Errorf("switch off: %w", err)
	}
	off = off.plus(srv.slice(t, length))
	m.cpu = append(m.cpu, on.cpuPerRequest()/off.cpuPerRequest())
	m.throughput = append(m.throughput, on.rate()/off.rate())
	m.onCPU += on.cpuPerRequest() * 1e6
	return nil
}
