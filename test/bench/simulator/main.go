//go:build linux

// Command simulator measures how fast the simulator is: events per second of one
// core, an hour of the Social Network, and an hour of a cluster of 4,000
// containers, written to campaigns' directories as users get them.
//
// It prints one line per figure, "BENCH name value unit":
//
//	go run ./test/bench/simulator
//
// CPU seconds are those of the whole process, user and kernel, its garbage
// collector included. Wall time depends on what else the machine does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/sim/record"
	"seer/test/apps"
)

func main() {
	var (
		cluster  = flag.Duration("cluster", time.Hour, "simulated time of the cluster; 0: leave it out")
		rate     = flag.Float64("cluster-rate", 5000, "requests per second of the cluster")
		replicas = flag.Int("replicas", 109, "of every service of the Social Network in the cluster: 37 containers each")
		dir      = flag.String("dir", "", "where to write (default a temporary directory)")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *cluster, *rate, *replicas, *dir); err != nil {
		fmt.Fprintf(os.Stderr, "simulator: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cluster time.Duration, rate float64, replicas int, dir string) error {
	dir, err := os.MkdirTemp(dir, "seer-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := events(); err != nil {
		return err
	}
	err = recorded(ctx, "social_network_hour", filepath.Join(dir, "hour"), 1, campaign.PlanOptions{Rate: 200}, time.Hour, 100*time.Millisecond)
	if err != nil || cluster == 0 {
		return err
	}
	return recorded(ctx, "cluster", filepath.Join(dir, "cluster"), replicas, campaign.PlanOptions{Rate: rate}, cluster, time.Second)
}

// events measures the bare simulator, sampling included and kept by nobody.
func events() error {
	app, err := apps.Load("social-network")
	if err != nil {
		return err
	}
	const warm, runs = 10 * time.Second, 5
	for k := range runs {
		s, err := sim.New(sim.Config{App: app, Seed: uint64(k), Nominal: 200})
		if err != nil {
			return err
		}
		if err := s.Step(warm); err != nil {
			return err
		}
		before, cpu := s.Events(), cpuTime()
		if err := s.Step(warm + 5*time.Minute); err != nil {
			return err
		}
		figure("sim_events_"+strconv.Itoa(k+1), float64(s.Events()-before)/(cpuTime()-cpu).Seconds()/1e6, "million/s/core")
	}
	return nil
}

// recorded measures a campaign with faults, as seersim runs it.
func recorded(ctx context.Context, name, dir string, replicas int, o campaign.PlanOptions, duration, tick time.Duration) error {
	app, err := apps.Load("social-network")
	if err != nil {
		return err
	}
	for _, s := range app.Services {
		s.Replicas = max(1, s.Replicas) * replicas
	}
	app.Load.Connections *= replicas
	plan, err := campaign.NewPlan(app, 1, duration, o)
	if err != nil {
		return err
	}
	cpu, begin := cpuTime(), time.Now()
	next := begin.Add(10 * time.Second)
	result, err := record.Run(ctx, dir, record.Options{
		Plan: plan, Sim: sim.Config{Hosts: replicas, Tick: tick},
		Progress: func(done time.Duration) {
			if now := time.Now(); now.After(next) {
				fmt.Printf("%s: %v of %v\n", name, done, duration)
				next = now.Add(10 * time.Second)
			}
		},
	})
	if err != nil {
		return err
	}
	spent, wall := cpuTime()-cpu, time.Since(begin)
	figure(name+"_containers", float64(len(app.Containers())), "containers")
	figure(name+"_rate", o.Rate, "requests/s")
	figure(name+"_simulated", duration.Seconds(), "s")
	figure(name+"_cpu", spent.Seconds(), "s")
	figure(name+"_wall", wall.Seconds(), "s")
	figure(name+"_events", float64(result.Events)/1e6, "million")
	figure(name+"_violations", float64(len(result.Violations)), "violations")
	size, err := sizeOf(dir)
	if err != nil {
		return err
	}
	figure(name+"_directory", float64(size)/(1<<20), "MiB")
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	figure(name+"_peak_memory", float64(peak)/(1<<20), "MiB")
	return os.RemoveAll(dir)
}

func figure(name string, value float64, unit string) {
	fmt.Printf("BENCH %s %.4g %s\n", name, value, unit)
}

func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// peakMemory is the largest resident size that this process has had, bytes.
func peakMemory() (int64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status: no VmHWM")
}

func sizeOf(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}
