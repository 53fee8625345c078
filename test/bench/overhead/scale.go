//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"seer/collector"
	"seer/test/lab"
)

// measureScale measures what the tracer itself uses, by number of sockets:
// the CPU time per socket visited with a budget that never limits, and with the
// default budget what is used of it and what was given up. With a program seer it
// measures the memory of that, too.
func measureScale(t lab.TB, sizes []int, seer string) {
	var figures []string
	figure := func(format string, args ...any) { figures = append(figures, "BENCH "+fmt.Sprintf(format, args...)) }
	tracer := lab.NewContainer(t, "tracer", lab.Options{})
	crowd := &crowd{t: t}
	fmt.Println("| sockets | us/socket/pass | RSS MB | peak MB | default budget: used % of limit | passes /s, own account | of the limit, by its own account: passes, hooks, process | gave up |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |")
	for _, n := range sizes {
		crowd.grow(n)
		full := observe(t, tracer, tracerConfig{Budget: 1}, 5*time.Second)
		perSocket := full.socketCPU.Seconds() * 1e6 / float64(full.visits)
		limited := observe(t, tracer, tracerConfig{}, 20*time.Second)
		used := limited.cpu.Seconds() / limited.took.Seconds() / float64(runtime.NumCPU()) / limited.cost.BudgetShare * 100
		fmt.Printf("| %d | %.3f | %.0f | %.0f | %.0f | %.2f | %.0f %% %.0f %% %.0f %% | %s |\n", full.sockets, perSocket,
			mb(limited.rss), mb(limited.peak), used, limited.cost.PassHz,
			limited.share(limited.cost.SamplerShare), limited.share(limited.cost.ProgramShare), limited.share(limited.cost.ProcessShare), strings.Join(limited.cost.GaveUp, "; "))
		figure("sampler_us_per_socket_%d %.4g us", n, perSocket)
		figure("budget_used_%d %.4g %%", n, used)
		figure("rss_%d %.4g MB", n, mb(limited.rss))
		figure("rss_peak_%d %.4g MB", n, mb(limited.peak))
		if seer != "" {
			now, highest := wholeMemory(t, seer)
			figure("seer_rss_%d %.4g MB", n, mb(now))
			figure("seer_rss_peak_%d %.4g MB", n, mb(highest))
		}
	}
	fmt.Println(strings.Join(figures, "\n"))
}

// sizes reads rising numbers of sockets.
func sizes(t lab.TB, list string) []int {
	var out []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 2 || len(out) > 0 && n <= out[len(out)-1] {
			t.Fatalf("-sockets %q: want numbers from 2 on, rising, separated by commas", list)
		}
		out = append(out, n)
	}
	return out
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// observation is what a tracer used over an interval.
type observation struct {
	took      time.Duration
	cpu       time.Duration // of the whole process
	socketCPU time.Duration // of the socket passes
	visits    uint64        // to sockets, by all passes; CPU time is of the same
	sockets   int64
	cost      collector.Cost
	rss, peak int64
}

// share turns a share of the host into percent of the limit.
func (o observation) share(ofHost float64) float64 { return ofHost / o.cost.BudgetShare * 100 }

// settle is how long the budget controller gets before it is judged.
const settle = 25 * time.Second

// observe runs a fresh tracer, so that its peak memory is its own.
func observe(t lab.TB, c *lab.Container, cfg tracerConfig, length time.Duration) observation {
	p := c.Start("tracer", nil)
	defer p.Stop()
	p.Call("on", cfg, nil)
	pause(t, settle)
	report := func() (r tracerReport, cpu time.Duration) {
		p.Call("report", nil, &r)
		cpu, err := cpuTime(c)
		if err != nil {
			t.Fatalf("CPU time of the tracer: %v", err)
		}
		return r, cpu
	}
	start := time.Now()
	a, cpuA := report()
	pause(t, length)
	b, cpuB := report()
	before, after := socketProbe(t, a), socketProbe(t, b)
	return observation{
		took: time.Since(start), cpu: cpuB - cpuA, socketCPU: after.CPU - before.CPU,
		visits: after.Runs - before.Runs, sockets: b.Sockets, cost: b.Cost, rss: b.RSSBytes, peak: b.HWMBytes,
	}
}

func socketProbe(t lab.TB, r tracerReport) collector.Probe {
	for _, p := range r.Probes {
		if p.Name == "socket" {
			return p
		}
	}
	t.Fatalf("the tracer reports no socket probe")
	return collector.Probe{}
}

func pause(t lab.TB, length time.Duration) {
	select {
	case <-time.After(length):
	case <-t.Context().Done():
		t.Fatalf("interrupted")
	}
}

// crowd is a growing number of idle connections over loopback, in containers
// of a few thousand each: a process may not hold more descriptors than that.
type crowd struct {
	t       lab.TB
	sockets int
}

// pairsEach is the connections per container.
const pairsEach = 2_500

func (c *crowd) grow(sockets int) {
	for c.sockets < sockets {
		pairs := min(pairsEach, (sockets-c.sockets)/2)
		p := lab.NewContainer(c.t, "crowd", lab.Options{}).Sockets()
		l := p.Listen("tcp4", "127.0.0.1:0", 1024)
		for left := pairs; left > 0; {
			n := min(left, 500)
			out := p.Connect("tcp4", l.Addr, n)
			in := p.Accept(l, n)
			p.Send(out, 10)
			p.Receive(in, 10)
			p.Send(in, 10)
			p.Receive(out, 10)
			left -= n
		}
		c.sockets += 2 * pairs
	}
}
