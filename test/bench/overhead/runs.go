//go:build linux

package main

import (
	"errors"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"seer/test/lab"
)

// bpfRuns says how often BPF programs run because of requests.
type bpfRuns struct {
	perRequest float64
	nanos      map[string]float64 // program -> nanoseconds per run, of those that run per request
}

// programRuns is the kernel's count of one program.
type programRuns struct {
	name  string
	runs  uint64
	nanos time.Duration
}

// countRuns turns an arm on once more, with the kernel's BPF statistics on,
// and counts the runs under load of the programs that appeared. Iterators are
// left out: a pass runs them, whether or not there are requests.
func countRuns(t lab.TB, srv *target, a arm) bpfRuns {
	stats, err := ebpf.EnableStats(bpfStatsRunTime)
	if err != nil {
		t.Fatalf("enable BPF statistics: %v", err)
	}
	defer stats.Close()
	before := allPrograms(t)
	a.on()
	defer a.off()
	iterators := allIterators(t)
	start := allPrograms(t)
	s := srv.slice(t, 2*time.Second)
	out := bpfRuns{nanos: map[string]float64{}}
	for id, p := range allPrograms(t) {
		if _, old := before[id]; old || iterators[id] {
			continue
		}
		runs := float64(p.runs - start[id].runs)
		perRequest := runs / float64(s.requests)
		out.perRequest += perRequest
		if perRequest > .01 {
			out.nanos[p.name] = float64(p.nanos-start[id].nanos) / runs
		}
	}
	return out
}

// allIterators returns the programs that are attached as iterators.
func allIterators(t lab.TB) map[ebpf.ProgramID]bool {
	out := map[ebpf.ProgramID]bool{}
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		info, err := links.Link.Info()
		if err == nil && info.Type == link.IterType {
			out[info.Program] = true
		}
	}
	if err := links.Err(); err != nil {
		t.Fatalf("list BPF links: %v", err)
	}
	return out
}

// bpfStatsRunTime is BPF_STATS_RUN_TIME (linux/bpf.h).
const bpfStatsRunTime = 0

// allPrograms reads the counters of every loaded program.
func allPrograms(t lab.TB) map[ebpf.ProgramID]programRuns {
	out := map[ebpf.ProgramID]programRuns{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return out
		}
		if err != nil {
			t.Fatalf("list BPF programs: %v", err)
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // unloaded meanwhile
		}
		info, err := p.Info()
		if err == nil {
			stats, serr := p.Stats()
			if serr == nil {
				out[id] = programRuns{info.Name, stats.RunCount, stats.Runtime}
			}
		}
		p.Close()
	}
}
