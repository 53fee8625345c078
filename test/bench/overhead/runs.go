//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"seer/test/lab"
)

// bpfRuns says how often BPF programs run because of requests.
type bpfRuns struct {
	perRequest float64
	each       map[string]float64 // program -> runs per request
	nanos      map[string]float64 // program -> nanoseconds per run, of those that run per request
}

// programRuns is the kernel's count of one program.
type programRuns struct {
	name  string
	runs  uint64
	nanos time.Duration
}

// countRuns turns an arm on once more, with the kernel's BPF statistics on,
// and counts the runs of the programs that the arm's processes hold, in a slice of
// load that serve waits for and counts the requests of.
// Iterators are left out: a pass runs them, whether or not there are requests.
func countRuns(t lab.TB, a *arm, serve func(time.Duration) (requests int64)) (bpfRuns, error) {
	out := bpfRuns{each: map[string]float64{}, nanos: map[string]float64{}}
	stats, err := ebpf.EnableStats(bpfStatsRunTime)
	if err != nil {
		return out, fmt.Errorf("enable BPF statistics: %w", err)
	}
	defer stats.Close()
	if err := a.on(); err != nil {
		return out, fmt.Errorf("switch on: %w", err)
	}
	held, err := heldPrograms(a.pids())
	if err != nil {
		return out, err
	}
	iterators := allIterators(t)
	start := allPrograms(t)
	requests := serve(2 * time.Second)
	for id, p := range allPrograms(t) {
		if !held[id] || iterators[id] {
			continue
		}
		runs := float64(p.runs - start[id].runs)
		perRequest := runs / float64(requests)
		out.perRequest += perRequest
		out.each[p.name] += perRequest
		if perRequest > .01 {
			out.nanos[p.name] = float64(p.nanos-start[id].nanos) / runs
		}
	}
	if err := a.off(); err != nil {
		return out, fmt.Errorf("switch off: %w", err)
	}
	return out, nil
}

// heldPrograms returns the programs that processes have open: others on the host
// may load and run programs meanwhile.
func heldPrograms(pids []int) (map[ebpf.ProgramID]bool, error) {
	held := map[ebpf.ProgramID]bool{}
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // closed meanwhile
			}
			for line := range strings.Lines(string(text)) {
				id, found := strings.CutPrefix(line, "prog_id:")
				if !found {
					continue
				}
				n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 32)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				held[ebpf.ProgramID(n)] = true
			}
		}
	}
	return held, nil
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
