//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"seer/collector/api"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
)

// watcher asks a Seer that runs beside an application what it sees.
type watcher struct {
	bed    *bed.Bed
	job    *bed.Job
	socket string

	service  map[string]string      // by container
	measured map[string]bool        // containers of which all queues of threads and sockets were measured
	edges    map[topology.Edge]bool // between services
	strays   map[string]bool        // from services to anybody else
}

const (
	askEvery   = 5 * time.Second
	seerStarts = 30 * time.Second
)

// startWatcher starts Seer as users run it, in a container of its own.
func startWatcher(ctx context.Context, b *bed.Bed, program string) (*watcher, error) {
	w := &watcher{
		bed: b, socket: filepath.Join(b.Data, "seer.sock"), service: map[string]string{}, measured: map[string]bool{},
		edges: map[topology.Edge]bool{}, strays: map[string]bool{},
	}
	for _, c := range b.Containers() {
		w.service[c.Name] = c.Service
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "run", "--db", "none", "--socket", w.socket, "--config", os.DevNull)
	if w.job, err = b.RunOnHost(ctx, "seer", host.Limits{}, cmd); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, seerStarts)
	defer cancel()
	for {
		err := w.ask(ctx)
		if err == nil {
			return w, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("seer does not answer after %s: %w", seerStarts, err)
		}
	}
}

// stop ends Seer; what is left of it goes with the application.
func (w *watcher) stop() error { return w.job.Signal(syscall.SIGTERM) }

// watch asks until the load has ended.
func (w *watcher) watch(ctx context.Context, loaded <-chan struct{}) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-loaded:
			return nil
		case <-tick.C:
			if err := w.ask(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (w *watcher) ask(ctx context.Context) error {
	client, err := api.Dial(ctx, w.socket)
	if err != nil {
		return err
	}
	defer client.Close()
	var queues []api.QueueRow
	var edges []api.EdgeRow
	if err := errors.Join(get(ctx, client, "queue", &queues), get(ctx, client, "edge", &edges)); err != nil {
		return err
	}
	invalid := map[string]bool{}
	for _, q := range queues {
		invalid[q.Container] = invalid[q.Container] || !q.Valid
	}
	for name, any := range invalid {
		if w.service[name] != "" && !any {
			w.measured[name] = true
		}
	}
	for _, e := range edges {
		w.add(&e)
	}
	return nil
}

// add keeps a call from one service to another; what a server says to itself,
// such as the members of a cluster of one, is none.
func (w *watcher) add(e *api.EdgeRow) {
	from, to := w.service[e.Client], w.service[e.Server]
	switch {
	case from == "" || e.Client == e.Server:
	case to == "":
		w.strays[fmt.Sprintf("%s to port %d of %s", from, e.Port, e.Server)] = true
	default:
		w.edges[topology.Edge{Caller: from, Callee: to}] = true
	}
}

func get(ctx context.Context, client *api.Client, object string, rows any) error {
	document, err := client.Get(ctx, object, api.Selector{})
	if err != nil {
		return err
	}
	return json.Unmarshal(document.Rows, rows)
}

// seen compares what was seen with the topology: containers measured, calls that
// are missing, calls that it does not have.
func (w *watcher) seen() (containers int, missing, extra []string) {
	extra = slices.Collect(maps.Keys(w.strays))
	described := map[topology.Edge]bool{}
	for _, e := range w.bed.App.Edges() {
		described[e] = true
		if !w.edges[e] {
			missing = append(missing, e.Caller+" to "+e.Callee)
		}
	}
	for e := range w.edges {
		if !described[e] {
			extra = append(extra, e.Caller+" to "+e.Callee)
		}
	}
	slices.Sort(missing)
	slices.Sort(extra)
	return len(w.measured), missing, extra
}
