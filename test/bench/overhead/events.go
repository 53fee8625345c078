//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"seer/test/lab"
)

// measureEvents measures what one event costs in exact mode, in two ways.
//
// Under the load of the first target, by the kernel's own statistics: these read a clock
// before and after each run, so a program that does nothing is measured, too, and
// beside it programs that do one of the things that a request hook does.
//
// In a loop, without the statistics: one thread talks to itself over loopback,
// which is four events a round, and its CPU time is compared with and without
// programs. That includes the way from the tracepoint to the program.
func measureEvents(t lab.TB, o options) {
	maps, err := newPartMaps()
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer maps.close()
	exact, err := newArm(t, "exact")
	if err != nil {
		t.Fatalf("%v", err)
	}
	nothing, err := newArm(t, "control")
	if err != nil {
		t.Fatalf("%v", err)
	}
	arms := []*arm{exact}
	for _, p := range parts {
		arms = append(arms, newPartArm(p, maps))
	}
	empty := arms[1]
	byStatistics := statistics(t, o, arms)
	inLoop := loop(t, o, []*arm{nothing, empty, exact})

	fmt.Println("| program | per receive ns (min to max) | per send ns (min to max) |")
	fmt.Println("| --- | ---: | ---: |")
	mean := map[string]float64{}
	for _, a := range arms {
		fmt.Printf("| %s |", a.name)
		for i := range requestHooks {
			x := byStatistics[a.name][i]
			if len(x) == 0 {
				t.Fatalf("%s: no run of %s was counted", a.name, requestHooks[i].program)
			}
			fmt.Printf(" %.0f (%.0f to %.0f) |", median(x), slices.Min(x), slices.Max(x))
			mean[a.name] += median(x) / float64(len(requestHooks))
		}
		fmt.Println()
	}
	fmt.Println()
	fmt.Println("| in a loop, without statistics | per event ns |")
	fmt.Println("| --- | ---: |")
	for _, a := range []*arm{empty, exact} {
		fmt.Printf("| %s | %.0f |\n", a.name, inLoop[a.name])
	}
	fmt.Printf("BENCH exact_ns_per_event %.3g ns\n", mean["exact"]-mean["empty"])
	fmt.Printf("BENCH exact_ns_per_event_with_statistics %.4g ns\n", mean["exact"])
	fmt.Printf("BENCH bpf_stats_floor_ns %.3g ns\n", mean["empty"])
	fmt.Printf("BENCH exact_ns_per_event_in_loop %.3g ns\n", inLoop["exact"])
	fmt.Printf("BENCH empty_ns_per_event_in_loop %.3g ns\n", inLoop["empty"])
}

// statistics lets the arms take turns under the load of the first target, and
// returns for each the time per run of each request hook, one value per block.
func statistics(t lab.TB, o options, arms []*arm) map[string][][]float64 {
	srv, err := startTarget(t, o.targets[0])
	if err != nil {
		t.Fatalf("%s: %v", o.targets[0], err)
	}
	defer srv.stop()
	stats, err := ebpf.EnableStats(bpfStatsRunTime)
	if err != nil {
		t.Fatalf("enable BPF statistics: %v", err)
	}
	defer stats.Close()
	out := map[string][][]float64{}
	rng := rand.New(rand.NewPCG(o.seed, 0))
	for range o.blocks {
		for _, i := range rng.Perm(len(arms)) {
			a := arms[i]
			if out[a.name] == nil {
				out[a.name] = make([][]float64, len(requestHooks))
			}
			switchTo(t, a.name, a.on)
			held, err := heldPrograms(a.pids())
			if err != nil {
				t.Fatalf("%v", err)
			}
			start := allPrograms(t)
			srv.slice(t, o.slice)
			end := allPrograms(t)
			switchTo(t, a.name, a.off)
			for hook, h := range requestHooks {
				for id, p := range end {
					if held[id] && p.name == h.program && p.runs > start[id].runs {
						out[a.name][hook] = append(out[a.name][hook], float64(p.nanos-start[id].nanos)/float64(p.runs-start[id].runs))
					}
				}
			}
		}
	}
	return out
}

// loop lets the arms take turns under a thread that talks to itself, and returns
// what an event costs more with each than with the first. Whatever else the
// machine does only adds to a try, so the least of all tries counts.
func loop(t lab.TB, o options, arms []*arm) map[string]float64 {
	p := lab.NewContainer(t, "selftalk", lab.Options{}).Start("selftalk", nil)
	defer p.Stop()
	least := map[string]time.Duration{}
	rng := rand.New(rand.NewPCG(o.seed, 1))
	for range o.blocks {
		for _, i := range rng.Perm(len(arms)) {
			a := arms[i]
			switchTo(t, a.name, a.on)
			for range talkTries {
				var used time.Duration
				p.Call("talk", talkRounds, &used)
				if before, found := least[a.name]; !found || used < before {
					least[a.name] = used
				}
			}
			switchTo(t, a.name, a.off)
		}
	}
	more := map[string]float64{}
	for _, a := range arms[1:] {
		more[a.name] = float64((least[a.name] - least[arms[0].name]).Nanoseconds()) / (talkRounds * talkEvents)
	}
	return more
}

func switchTo(t lab.TB, name string, f func() error) {
	if err := f(); err != nil {
		t.Fatalf("switch %s on or off: %v", name, err)
	}
}
