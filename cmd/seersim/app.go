package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"seer/infer/sim"
	"seer/infer/topology"
	"seer/test/apps"
)

// loadApp finds an application by name, or reads it from a file.
func loadApp(name string) (*topology.App, error) {
	if name == "" {
		return nil, usageError{fmt.Errorf("--app: which application? %s, or a file", strings.Join(apps.Names(), ", "))}
	}
	if _, err := os.Stat(name); err == nil || strings.ContainsAny(name, "/.") {
		return topology.Load(name)
	}
	app, err := apps.Load(name)
	if err != nil {
		return nil, usageError{err}
	}
	return app, nil
}

// scaleReplicas multiplies the application, and the users' connections with it.
func scaleReplicas(app *topology.App, times int) {
	for _, s := range app.Services {
		s.Replicas = max(1, s.Replicas) * times
	}
	app.Load.Rate *= float64(times)
	app.Load.Connections *= times
}

// parseUpdates reads TIME=FILE.
func parseUpdates(texts []string, replicas int) ([]sim.Update, error) {
	var updates []sim.Update
	for _, text := range texts {
		at, name, ok := strings.Cut(text, "=")
		d, err := time.ParseDuration(at)
		if !ok || err != nil || d < 0 {
			return nil, usageError{fmt.Errorf("--update %q: want TIME=FILE, such as 30m=new.yaml", text)}
		}
		app, err := loadApp(name)
		if err != nil {
			return nil, err
		}
		scaleReplicas(app, replicas)
		updates = append(updates, sim.Update{At: d, App: app})
	}
	return updates, nil
}
