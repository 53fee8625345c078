package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/api"
	"seer/collector/qos"
	"seer/collector/tracedb/embedded"
)

// brokenPromise is a violation of front that db started.
func brokenPromise() qos.Violation {
	onset := time.Date(2026, 3, 1, 12, 0, 3, 0, time.UTC)
	return qos.Violation{
		ID: "20260301T120003.0-front", Service: "front", Percentile: 99, TargetMS: 20, Onset: onset, End: onset.Add(12300 * time.Millisecond),
		WorstMS: 140.25, WorstShare: .31, Requests: 2000, Late: 320,
		Label: &qos.Label{Culprit: "db", By: qos.ByEvidence, Why: "8.0 requests more than nominal wait in it, and its calls to others are not slow",
			Evidence: []qos.Evidence{{Service: "db", OnPath: true, Own: 8, Answered: .9}}},
	}
}

// command runs one of seer's commands, and returns what it printed.
func command(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	cmd := newRootCommand()
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestViolationsOfADatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	nobody := filepath.Join(t.TempDir(), "none.sock")
	if _, _, err := command(t, "inspect", "violation", "--db", dir); exitCode(err) != exitFailed {
		t.Errorf("inspect violation without a database = %v, want exit 1", err)
	}
	if _, _, err := command(t, "label", "x", "db", "--db", dir, "--socket", nobody); exitCode(err) != exitFailed {
		t.Errorf("label without a database = %v, want exit 1", err)
	}
	db, err := embedded.Open(dir, embedded.Options{Logger: slog.New(slog.DiscardHandler), MinFreeBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	v := brokenPromise()
	v.Open = true // when its Seer died
	if err := (qos.StoreJournal{Store: db}).Violation(t.Context(), &v); err != nil {
		t.Fatal(err)
	}
	db.Close()

	out, _, err := command(t, "inspect", "violation", "--db", dir)
	want := `VIOLATION                TARGET    LASTED  WORST ms  LATE  CULPRIT
20260301T120003.0-front  p99 20ms   12.3s       140   31%  db
`
	if diff := cmp.Diff(want, out); diff != "" || err != nil {
		t.Errorf("inspect violation: %v (-want +got):\n%s", err, diff)
	}
	for name, want := range map[string]string{"v.csv": "id,service,", "v.jsonl": `{"id":"20260301T120003.0-front"`, "v.parquet": "PAR1"} {
		file := filepath.Join(t.TempDir(), name)
		if _, _, err := command(t, "export", "--object", "violation", "--db", dir, "--out", file); err != nil {
			t.Errorf("export to %s = %v", name, err)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s begins %.30q, %v, want %q", name, text, err, want)
		}
	}
	for _, tt := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"--object", "violation", "--queue", "run_queue"}},
		{exitUsage, []string{"--object", "nonsense"}},
		{exitUsage, []string{"--format", "jsonl"}},
		{exitNothingMatched, []string{"--object", "violation", "--service", "nope"}},
	} {
		if _, _, err := command(t, append([]string{"export", "--db", dir, "--out", "-"}, tt.args...)...); exitCode(err) != tt.code {
			t.Errorf("export %q = %v, want exit %d", tt.args, err, tt.code)
		}
	}
	out, notes, err := command(t, "label", "20260301T120003.0-front", "cache", "--db", dir, "--socket", nobody)
	if err != nil || out != "20260301T120003.0-front: culprit cache\n" {
		t.Errorf("label = %q, %q, %v", out, notes, err)
	}
	out, notes, err = command(t, "inspect", "-j", "violation", "service", "cache", "--socket", nobody, "--db", dir)
	for _, part := range []string{`"culprit":"cache"`, `"labelled_by":"user `, `the evidence said db: 8.0 requests`, `"own":8`, `"schema":1`, `"open":false`} {
		if !strings.Contains(out, part) {
			t.Errorf("inspect -j violation = %s, %q, %v; want %s in it", out, notes, err, part)
		}
	}
	if _, _, err := command(t, "label", "nope", "db", "--db", dir, "--socket", nobody); exitCode(err) != exitNothingMatched {
		t.Errorf("label of an unknown violation = %v, want exit 4", err)
	}
	if _, _, err := command(t, "inspect", "violation", "service", "nope", "--db", dir); exitCode(err) != exitNothingMatched {
		t.Errorf("inspect violation of an unknown service = %v, want exit 4", err)
	}
}

func TestLabelUsage(t *testing.T) {
	for _, args := range [][]string{{"label"}, {"label", "x"}, {"label", "x", "y", "z"}, {"label", "x", ""}, {"label", "x", "a\nb"}, {"label", "--nope"}} {
		if _, _, err := command(t, args...); exitCode(err) != exitUsage {
			t.Errorf("seer %q = %v, want exit 2", args, err)
		}
	}
}

// A running Seer is asked, and told.
func TestViolationsOfARunningSeer(t *testing.T) {
	learned := qos.Target{Service: "front", Percentile: 99, Bound: 20 * time.Millisecond, Learned: true}
	sink := qos.NewSink(qos.SinkOptions{Learned: []qos.Target{learned}, Past: []qos.Violation{brokenPromise()}})
	server := api.New(api.Config{Source: shopSource{}, Promises: sink})
	path := filepath.Join(t.TempDir(), "seer.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := command(t, "label", "20260301T120003.0-front", "load", "--socket", path); err != nil {
		t.Errorf("label = %v", err)
	}
	if _, _, err := command(t, "label", "nope", "load", "--socket", path); exitCode(err) != exitNothingMatched {
		t.Errorf("label of an unknown violation = %v, want exit 4", err)
	}
	out, notes, err := command(t, "inspect", "violation", "--socket", path)
	want := `VIOLATION                TARGET    LASTED  WORST ms  LATE  CULPRIT
20260301T120003.0-front  p99 20ms   12.3s       140   31%  load
front p99 20 ms (learned): too few requests
`
	if diff := cmp.Diff(want, out); diff != "" || err != nil || notes != "" {
		t.Errorf("inspect violation: %v, notes %q (-want +got):\n%s", err, notes, diff)
	}
	if out, _, err := command(t, "inspect", "-j", "violation", "--socket", path); err != nil || !strings.Contains(out, `"promises":[{"service":"front","percentile":99,"target_ms":20`) {
		t.Errorf("inspect -j violation = %s, %v, want the promise in it", out, err)
	}
}
