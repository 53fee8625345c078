package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/sim"
	"seer/infer/topology"
)

func options(t *testing.T, seed uint64, duration time.Duration) Options {
	t.Helper()
	app, err := topology.Load("../testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := campaign.NewPlan(app, seed, duration, campaign.PlanOptions{Warmup: time.Second, Gap: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Plan: plan, Versions: map[string]string{"simulator": sim.Version}, Sim: sim.Config{Tick: 100 * time.Millisecond}}
}

// hashes returns the hash of each file.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		all[e.Name()] = hex.EncodeToString(sum[:])
	}
	return all
}

// TestRun holds directories to their format, and equal ones to be equal.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, seed uint64) map[string]string {
		t.Helper()
		path := filepath.Join(dir, name)
		result, err := Run(t.Context(), path, options(t, seed, 2*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if result.Faults == 0 || len(result.Violations) == 0 || result.Events == 0 {
			t.Errorf("%+v: want faults, violations and events", result)
		}
		for _, p := range campaign.Check(path) {
			t.Errorf("%s: %s", name, p)
		}
		return hashes(t, path)
	}
	one, again, two := write("one", 1), write("again", 1), write("two", 2)
	for name, hash := range one {
		if again[name] != hash {
			t.Errorf("%s differs between two runs of one seed", name)
		}
		if name != "topology.yaml" && two[name] == hash {
			t.Errorf("%s is the same for two seeds", name)
		}
	}
}

func TestUpdate(t *testing.T) {
	o := options(t, 1, time.Minute)
	next, err := topology.Load("../testdata/shop-next.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o.Sim.Updates = []sim.Update{{At: 20 * time.Second, App: next}}
	path := filepath.Join(t.TempDir(), "run")
	if _, err := Run(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	for _, p := range campaign.Check(path) {
		t.Error(p)
	}
	dir, err := campaign.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	lives := make(map[string][2]int64)
	for _, c := range dir.Manifest.Containers {
		lives[c.Name] = [2]int64{c.FromMS, c.UntilMS}
	}
	if got, want := lives["wishes"], [2]int64{20_000, 0}; got != want {
		t.Errorf("wishes was there %v ms, want %v", got, want)
	}
	if got, want := lives["audit"], [2]int64{0, 20_000}; got != want {
		t.Errorf("audit was there %v ms, want %v", got, want)
	}
}

// TestExisting holds Run to leave alone what is there.
func TestExisting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if _, err := Run(t.Context(), path, options(t, 1, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	before := hashes(t, path)
	_, err := Run(t.Context(), path, options(t, 1, 10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "holds a campaign already") {
		t.Errorf("Run into a campaign's directory: %v", err)
	}
	for name, hash := range hashes(t, path) {
		if before[name] != hash {
			t.Errorf("%s has changed", name)
		}
	}
}

// TestCancel holds an interrupted run to say that it is incomplete.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, 1, time.Hour)
	o.Progress = func(done time.Duration) {
		if done >= 30*time.Second {
			cancel()
		}
	}
	path := filepath.Join(t.TempDir(), "run")
	if _, err := Run(ctx, path, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v, want that it was cancelled", err)
	}
	dir, err := campaign.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if dir.Manifest.Complete {
		t.Error("the manifest says that the campaign is complete")
	}
}
