//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// One line for the first sample and one for the first of each minute, with
// what the line before has not said yet.
func TestProgress(t *testing.T) {
	var out strings.Builder
	p := progress{out: &out, length: 20 * time.Minute}
	for second := range 130 {
		p.add(sample{at: time.Duration(second+1) * time.Second, values: map[string]float64{
			"process_resident_memory_bytes":          61.5e6,
			"process_cpu_seconds_total":              0.02 * float64(second+1),
			`seer_losses_total{reason="late_ticks"}`: 2,
			`seer_losses_total{reason="epoll_race"}`: 1,
			"containers":                             8,
			"seer_tracedb_dropped_points_total":      5,
		}})
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3: %s", len(lines), out.String())
	}
	for _, want := range []string{"2m0s of 20m0s, 18m0s left", "rss 61.5 MB", "cpu 0.020 cores", "8 containers", "3 losses", "5 points dropped"} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("%s: want %q", lines[2], want)
		}
	}
}
