//go:build linux

package main

import (
	"sync"
	"time"

	"seer/collector"
	"seer/collector/latency"
	"seer/test/lab"
)

// watcher adds up what the collector says of two containers.
type watcher struct {
	server, client uint64 // cgroup ids

	mu                          sync.Mutex
	chosen                      bool // both were counted exactly in the last tick
	end                         time.Time
	served, servedFirst, called latency.Histogram
	atServer, atClient          int64 // requests begun
}

// Consume implements collector.Sink.
func (w *watcher) Consume(tk *collector.Tick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = tk.End
	found := 0
	for i := range tk.Requests {
		r := &tk.Requests[i]
		row := &tk.Rows[r.Row]
		switch row.Container.ID.CgroupID() {
		case w.server:
			w.served.Merge(&r.Served)
			w.servedFirst.Merge(&r.ServedFirst)
			w.atServer += int64(row.Cells[collector.QueueOutstanding].Arrivals)
		case w.client:
			w.called.Merge(&r.Called)
			w.atClient += int64(row.Cells[collector.QueueDownstream].Arrivals)
		default:
			continue
		}
		found++
	}
	w.chosen = found == 2
}

// waitChosen waits until both containers are counted.
func (w *watcher) waitChosen(t lab.TB) {
	lab.Wait(t, "both containers to be counted exactly", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.chosen, "a container is not counted: see seer doctor for request hooks"
	})
}

// waitPast waits until all that has happened by now is in a tick.
func (w *watcher) waitPast(t lab.TB) {
	now := time.Now()
	lab.Wait(t, "the last tick", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.end.After(now.Add(100 * time.Millisecond)), "last tick ended " + w.end.String()
	})
}
