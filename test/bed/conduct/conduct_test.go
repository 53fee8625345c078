//go:build linux

package conduct

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed"
	"seer/test/bed/host"
	"seer/test/bed/host/footprint"
	"seer/test/bed/servers"
	"seer/test/bed/tier"
)

// The test binary is also the tiers' program.
func TestMain(m *testing.M) {
	host.Launch()
	if len(os.Args) == 4 && os.Args[1] == "tier" {
		cfg, err := tier.LoadConfig(os.Args[3])
		if err == nil {
			err = tier.Main(context.Background(), cfg)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const testTopology = `schema: 1
name: NAME
qos: [{service: front, percentile: 99, target: 50ms}]
requests: [{name: ask, weight: 1, call: front.ask}]
load: {rate: 50, connections: 8}
services:
  - {name: front, kind: app, protocol: http, workers: 8, endpoints: {ask: [{work: {cpu: 20us}}, {call: back.ask}]}}
  - {name: back, kind: app, protocol: thrift, workers: 8, endpoints: {ask: [{work: {cpu: 20us}}, {call: cache.get}]}}
  - {name: cache, kind: memcached, endpoints: {get: [{work: {cpu: 10us}}]}}
`

// A campaign is interrupted and gone on with. What it leaves is a directory that
// holds all that is promised of one, and nothing else.
func TestRunResume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	name := fmt.Sprintf("test-%d-conduct", os.Getpid())
	app, err := topology.Parse("test.yaml", []byte(strings.Replace(testTopology, "NAME", name, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Installed(app); err != nil {
		if os.Getenv("SEER_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("not supported: ", err)
	}
	// Not t.TempDir, which only root may enter.
	dir, err := os.MkdirTemp("", "seerbed-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	seer := filepath.Join(dir, "seer")
	if out, err := exec.Command("go", "build", "-o", seer, "seer/cmd/seer").CombinedOutput(); err != nil {
		t.Fatalf("build seer: %v: %s", err, out)
	}
	cfg := Config{
		App: app, Seed: 5, Duration: 24 * time.Second, Out: filepath.Join(dir, "campaign"), Seer: seer,
		Bed: bed.Options{State: filepath.Join(dir, "state"), Data: filepath.Join(dir, "data")},
		Plan: campaign.PlanOptions{
			Mix: campaign.Mix{campaign.CauseLock: 1}, MinIntensity: 0.9,
			Warmup: 2 * time.Second, Gap: time.Second, Recovery: 2 * time.Second, Shortest: 2 * time.Second, Longest: 3 * time.Second,
		},
	}
	mark := footprint.Mark{Cgroup: name, Dirs: []string{filepath.Join(dir, "state", name), filepath.Join(dir, "data", name)}}
	gone := func() {
		t.Helper()
		if left, err := footprint.Find(mark); err != nil || len(left) > 0 {
			t.Errorf("left on the host: %q, %v", left, err)
		}
	}

	// The first attempt is interrupted while the first fault is there, or later.
	ctx, interrupt := context.WithTimeout(context.Background(), 2*time.Minute)
	defer interrupt()
	first := cfg
	first.Progress = func(Progress) { interrupt() } // after ten seconds
	if _, err := Run(ctx, first); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run that is interrupted = %v, want %v", err, context.Canceled)
	}
	gone()
	d, err := campaign.Open(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := d.Faults()
	if err != nil || len(begun) == 0 || d.Manifest.Complete {
		t.Fatalf("interrupted: faults %+v, %v, complete %v; want at least one of an incomplete campaign", begun, err, d.Manifest.Complete)
	}

	// Not with another plan.
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	other := cfg
	other.Resume, other.Plan.MinIntensity = true, 0.5
	if _, err := Run(ctx, other); err == nil || !strings.Contains(err.Error(), "give the same options") {
		t.Errorf("Run that resumes with other options = %v, want an error that says so", err)
	}
	cfg.Resume = true
	result, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	gone()
	if result.Report.OK == 0 || result.Report.Errors > 0 {
		t.Errorf("the users saw %+v, want answers and no errors", result.Report.Counts)
	}
	for _, p := range campaign.Check(cfg.Out) {
		t.Errorf("Check: %s", p)
	}
	if d, err = campaign.Open(cfg.Out); err != nil {
		t.Fatal(err)
	}
	if m := d.Manifest; len(m.Resumes) != 1 || m.Versions["seer"] == "" || m.Versions["memcached"] == "" || m.Host["kernel"] == "" {
		t.Errorf("manifest = %+v, want one interruption, versions and host", m)
	}
	plan, err := campaign.NewPlan(app, cfg.Seed, cfg.Duration, cfg.Plan)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := d.Faults()
	if err != nil || len(faults) <= len(begun) || !slices.ContainsFunc(plan.Faults, func(f campaign.Fault) bool {
		last := faults[len(faults)-1]
		return f.ID == last.ID && f.OnsetMS == last.OnsetMS && f.Culprit == last.Culprit
	}) {
		t.Errorf("truth = %+v, %v, want more than %d of the plan's faults %+v", faults, err, len(begun), plan.Faults)
	}
	if _, err := Run(ctx, cfg); err == nil || !strings.Contains(err.Error(), "complete") {
		t.Errorf("Run that resumes a complete campaign = %v, want that it is complete", err)
	}
}
