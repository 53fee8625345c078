//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"seer/test/lab"
)

// flat lists what may not grow, and by how much it may seem to: the heap
// breathes, connections come and go, and so do rows: that of a container which
// is gone stays for a moment.
var flat = []struct {
	series, name, unit string
	bound              float64
}{
	{"process_resident_memory_bytes", "rss", "bytes", 8 << 20},
	{"process_open_fds", "fds", "fds", 2},
	{"go_goroutines", "goroutines", "goroutines", 2},
	{"containers", "containers", "containers", 3},
	{"sockets", "sockets", "sockets", 10},
}

// explained are losses that churn on a busy host brings about, with the reason
// that no fact is missing after them.
var explained = map[string]string{
	"epoll_race":   "a ready list changed hands while it was counted: the next pass counts it again",
	"block_unseen": "no program was told that a request had ended: it is taken out when seen to be over, 64 requests later",
	"late_ticks":   "the host had no CPU for Seer when a tick was due: the next tick is longer and covers it",
}

// result is everything a soak has found.
type result struct {
	trace    trace
	made     int // containers
	lost     []string
	connects int64
	forks    int64
	exit     error
}

// report prints the table and the figures, and fails t for each check.
func (r *result) report(t lab.TB, out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "SERIES\tFIRST\tLAST\tLEAST\tMOST\tGROWTH\tBOUND\t")
	for _, f := range flat {
		tr := r.trace.trend(f.series)
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%+.1f\t%.0f\t\n", f.name, tr.first, tr.last, tr.least, tr.most, tr.growth, f.bound)
		if tr.most == 0 {
			t.Errorf("FAIL %s: not measured", f.series)
		}
		if tr.growth > f.bound {
			t.Errorf("FAIL %s grew by %.1f %s in %s, want at most %.0f", f.name, tr.growth, f.unit, tr.span, f.bound)
		}
	}
	table.Flush()
	end := r.trace.samples[len(r.trace.samples)-1]
	r.reportStore(t, end)
	losses := r.reportLosses(t, out, end)
	if len(r.lost) > 0 {
		t.Errorf("FAIL %d of %d containers were never seen with their depth: %s", len(r.lost), r.made, strings.Join(r.lost, " "))
	}
	if r.exit != nil {
		t.Errorf("FAIL end of seer: %v", r.exit)
	}

	seconds := end.at.Seconds()
	rss := r.trace.trend("process_resident_memory_bytes")
	for _, b := range []struct {
		name  string
		value float64
		unit  string
	}{
		{"soak_duration", seconds, "s"},
		{"soak_connects", float64(r.connects) / seconds, "1/s"},
		{"soak_forks", float64(r.forks) / seconds, "1/s"},
		{"soak_containers", float64(r.made), "containers"},
		{"soak_containers_lost", float64(len(r.lost)), "containers"},
		{"soak_losses", losses, "facts"},
		{"soak_rss_most", rss.most, "bytes"},
		{"soak_rss_growth", rss.growth, "bytes"},
		{"soak_fds_growth", r.trace.trend("process_open_fds").growth, "fds"},
		{"soak_goroutines_growth", r.trace.trend("go_goroutines").growth, "goroutines"},
		{"soak_cpu", end.values["process_cpu_seconds_total"] / seconds, "cores"},
		{"soak_tracedb", end.values["seer_tracedb_disk_bytes"], "bytes"},
		{"soak_snapshots_skipped", end.values["skipped"], "snapshots"},
	} {
		fmt.Fprintf(out, "BENCH %s %.4g %s\n", b.name, b.value, b.unit)
	}
}

// reportStore checks that the database takes everything and stays in bounds.
func (r *result) reportStore(t lab.TB, end sample) {
	points := r.trace.trend("seer_tracedb_points_total")
	if points.last <= points.first {
		t.Errorf("FAIL tracedb: %.0f points then and now: nothing is stored", points.last)
	}
	if n := end.values["seer_tracedb_dropped_points_total"]; n != 0 {
		t.Errorf("FAIL tracedb: dropped %.0f points", n)
	}
	if disk := r.trace.trend("seer_tracedb_disk_bytes"); disk.most > 1.1*keepBytes {
		t.Errorf("FAIL tracedb: %.0f bytes on disk, want at most %d and a tenth", disk.most, keepBytes)
	}
}

// reportLosses lists every loss and fails for those without an explanation.
func (r *result) reportLosses(t lab.TB, out io.Writer, end sample) (sum float64) {
	for _, series := range slices.Sorted(maps.Keys(end.values)) {
		reason, ok := strings.CutPrefix(series, `seer_losses_total{reason="`)
		n := end.values[series]
		if !ok || n == 0 {
			continue
		}
		reason = strings.TrimSuffix(reason, `"}`)
		why, ok := explained[reason]
		if !ok {
			t.Errorf("FAIL %.0f losses for %s", n, reason)
		}
		fmt.Fprintf(out, "loss %s %.0f: %s\n", reason, n, why)
		sum += n
	}
	return sum
}
