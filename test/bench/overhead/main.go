//go:build linux

// Command overhead measures what the tracer costs those it watches: CPU time
// per request and throughput of redis, nginx and memcached with the tracer on
// and off.
//
// One block is four slices, off on on off, of one arm; the ratio of the on
// slices to the off slices cancels drift. Arms take turns, in random order, so
// that all of them see the same machine. The control arm toggles nothing: its
// scatter is what the method cannot see. The peer is bpftrace with a script
// that reads the receive queue at each receive.
//
// Requests are counted by the servers. CPU time is the scheduler's, of the
// server's threads (schedstat), so it includes every BPF program that runs in
// them. The server has one CPU for itself, the load the other.
//
//	go run ./test/bench/overhead                      # about 15 minutes
//	go run ./test/bench/overhead -targets redis -blocks 5
//	go run ./test/bench/overhead -scale               # sockets, budget, memory
//
// Results are tables and one line per figure, "BENCH name value unit".
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"time"

	"seer/test/lab"
)

// workloads are the child processes that this program can be.
var workloads = map[string]lab.Workload{
	"tracer":         tracerWorkload,
	"bpftrace":       bpftraceWorkload,
	"memcached-load": memcachedLoadWorkload,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := lab.Program(ctx, workloads, func(t lab.TB) {
		var o options
		targets := flag.String("targets", "redis,nginx,memcached", "servers to measure")
		arms := flag.String("arms", "control,passive,exact,bpftrace", "what to toggle")
		flag.IntVar(&o.blocks, "blocks", 20, "blocks of four slices per arm and server")
		flag.DurationVar(&o.slice, "slice", time.Second, "length of a slice")
		flag.Uint64Var(&o.seed, "seed", 1, "of the order of the arms and of the bootstrap")
		scale := flag.Bool("scale", false, "measure the tracer itself at 1,000 to 50,000 sockets instead")
		flag.Parse()
		o.targets, o.arms = strings.Split(*targets, ","), strings.Split(*arms, ",")
		if *scale {
			measureScale(t)
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
	fmt.Println("| server | arm | CPU us/request | CPU per request % (95 %) | throughput % (95 %) | BPF runs/request |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: |")
	for _, name := range o.targets {
		srv, err := startTarget(t, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		measured := compare(t, srv, o)
		for _, name := range o.arms {
			m := measured[name]
			cpu, through := m.cpu.summary(o.seed), m.throughput.summary(o.seed)
			runs := countRuns(t, srv, m.arm)
			fmt.Printf("| %s | %s | %.2f | %+.2f (%+.2f to %+.2f) | %+.2f (%+.2f to %+.2f) | %.2f |\n", srv.name, name,
				m.onCPU, cpu.median, cpu.low, cpu.high, through.median, through.low, through.high, runs.perRequest)
			figure := func(what string, value float64, unit string) {
				figures = append(figures, fmt.Sprintf("BENCH overhead_%s_%s_%s %.4g %s", srv.name, name, what, value, unit))
			}
			figure("cpu_per_request", cpu.median, "%")
			figure("cpu_per_request_low", cpu.low, "%")
			figure("cpu_per_request_high", cpu.high, "%")
			figure("throughput", through.median, "%")
			figure("bpf_runs_per_request", runs.perRequest, "runs")
			for program, ns := range runs.nanos {
				figure("ns_per_run_"+program, ns, "ns")
			}
		}
		srv.stop()
	}
	fmt.Println(strings.Join(figures, "\n"))
}

// measurement is one arm's blocks on one server.
type measurement struct {
	arm             arm
	cpu, throughput ratios
	onCPU           float64 // CPU time per request while on, microseconds
}

// compare runs all blocks on one server.
func compare(t lab.TB, srv *target, o options) map[string]*measurement {
	out := map[string]*measurement{}
	var turns []string
	for _, name := range o.arms {
		a, err := newArm(t, name)
		if err != nil {
			t.Fatalf("arm %s: %v", name, err)
		}
		out[name] = &measurement{arm: a}
		for range o.blocks {
			turns = append(turns, name)
		}
	}
	// Every arm has one turn per round; within a round the order is random.
	rng := rand.New(rand.NewPCG(o.seed, 0))
	for round := range o.blocks {
		order := rng.Perm(len(o.arms))
		for i, k := range order {
			turns[round*len(o.arms)+i] = o.arms[k]
		}
	}
	for _, name := range turns {
		m := out[name]
		off := srv.slice(t, o.slice)
		m.arm.on()
		on := srv.slice(t, o.slice).plus(srv.slice(t, o.slice))
		m.arm.off()
		off = off.plus(srv.slice(t, o.slice))
		m.cpu = append(m.cpu, on.cpuPerRequest()/off.cpuPerRequest())
		m.throughput = append(m.throughput, on.rate()/off.rate())
		m.onCPU += on.cpuPerRequest() * 1e6 / float64(o.blocks)
	}
	return out
}
