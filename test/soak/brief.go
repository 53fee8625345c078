//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
	"seer/test/lab"
)

// briefBacklog is the depth known of every short-lived container.
const briefBacklog = 3

// brief is a container that lives for a few seconds.
type brief struct {
	id       container.ID
	name     string
	cleanups []func()
}

// newBrief makes one, with connections that nobody accepts.
func newBrief(t lab.TB) *brief {
	b := &brief{}
	c := lab.NewContainer(lifetime{t, b}, "brief", lab.Options{})
	p := c.Sockets()
	l := p.Listen("tcp4", "127.0.0.1:0", 16)
	p.Connect("tcp4", l.Addr, briefBacklog)
	b.id, b.name = container.ID(c.CgroupID), c.Name
	t.Cleanup(b.end)
	return b
}

// end removes the container and its process; once is enough.
func (b *brief) end() {
	for len(b.cleanups) > 0 {
		last := b.cleanups[len(b.cleanups)-1]
		b.cleanups = b.cleanups[:len(b.cleanups)-1]
		last()
	}
}

// lifetime is a TB whose cleanups run when the container ends, not the soak.
type lifetime struct {
	lab.TB
	b *brief
}

func (l lifetime) Cleanup(f func()) { l.b.cleanups = append(l.b.cleanups, f) }

// watcher follows Seer's ticks and keeps which containers it has shown.
type watcher struct {
	own string // part of the path of the soak's containers

	mu      sync.Mutex
	right   map[container.ID]bool // shown with the known depth
	present map[container.ID]bool // in the newest snapshot
	rows    int                   // of the soak's own containers, in the newest snapshot
	sockets int                   // in those
	missed  uint64                // snapshots that did not get here
	err     error
}

// watchEvery is how often to look: often enough for the shortest life.
const watchEvery = 200 * time.Millisecond

func watch(t lab.TB, socket string) *watcher {
	w := &watcher{own: fmt.Sprintf("seer-lab-%d-", os.Getpid()), right: map[container.ID]bool{}, present: map[container.ID]bool{}}
	client, err := api.Dial(t.Context(), socket)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for snap, err := range client.Stream(ctx, watchEvery) {
			w.take(snap, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		client.Close()
	})
	return w
}

func (w *watcher) take(snap *api.Snapshot, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = err
		return
	}
	w.missed = snap.Skipped
	clear(w.present)
	w.rows, w.sockets = 0, 0
	for i := range snap.Rows {
		row := &snap.Rows[i]
		w.present[row.Container.ID] = true
		if strings.Contains(row.Container.Path, w.own) {
			w.rows++
			w.sockets += row.Sockets
		}
		if cell := &row.Cells[collector.QueueAcceptBacklog]; cell.Valid && cell.Depth == briefBacklog {
			w.right[row.Container.ID] = true
		}
	}
}

// wait returns once Seer has shown the container with its depth, or has had
// long enough to: lost then counts it.
func (w *watcher) wait(t lab.TB, b *brief) {
	poll := time.NewTicker(watchEvery)
	defer poll.Stop()
	for end := time.Now().Add(lab.Deadline); time.Now().Before(end) && !w.saw(b.id); {
		select {
		case <-poll.C:
		case <-t.Context().Done():
			return
		}
	}
}

func (w *watcher) saw(id container.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.right[id]
}

// waitGone fails the soak when a container outlives its cgroup.
func (w *watcher) waitGone(t lab.TB, gone []*brief) {
	lab.Wait(t, "no row of a container that is gone", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err != nil {
			return false, w.err.Error()
		}
		n, example := 0, ""
		for _, b := range gone {
			if w.present[b.id] {
				n, example = n+1, b.name
			}
		}
		return n == 0, fmt.Sprintf("%d still shown, such as %s", n, example)
	})
}

// lost names the containers that were never shown with their depth.
func (w *watcher) lost(made []*brief) []string {
	var names []string
	for _, b := range made {
		if !w.saw(b.id) {
			names = append(names, b.name)
		}
	}
	return names
}

// add puts what Seer keeps of the soak's own containers beside its metrics,
// which are of the whole host.
func (w *watcher) add(s sample) sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.values["containers"], s.values["sockets"] = float64(w.rows), float64(w.sockets)
	s.values["skipped"] = float64(w.missed)
	return s
}
