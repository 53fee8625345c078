package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
	"seer/infer/evaluate"
	"seer/infer/sim"
	"seer/infer/sim/record"
	"seer/infer/window"
	"seer/test/apps"
)

// simulated writes some time of hotel with faults of disks.
func simulated(t *testing.T, seed uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprint(seed))
	app, err := apps.Load("hotel")
	if err != nil {
		t.Fatal(err)
	}
	o := campaign.PlanOptions{
		Mix: campaign.Mix{campaign.CauseDisk: 1}, Acceptance: seed >= campaign.FirstAcceptanceSeed, Rate: 60,
		Warmup: 5 * time.Second, Gap: 3 * time.Second, Recovery: 6 * time.Second, Shortest: 3 * time.Second, Longest: 5 * time.Second,
	}
	plan, err := campaign.NewPlan(app, seed, 100*time.Second, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Run(t.Context(), dir, record.Options{Plan: plan, Sim: sim.Config{Tick: 100 * time.Millisecond}, Versions: map[string]string{"simulator": sim.Version}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// running runs a command and returns what it printed.
func running(t *testing.T, cmd *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out, said bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&said)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), said.String(), err
}

// TestTrainEval trains on one campaign and judges another, from its directory and
// from a database it was imported to.
func TestTrainEval(t *testing.T) {
	learn, tune, test := simulated(t, 11), simulated(t, 12), simulated(t, 13)
	model, db, plots := filepath.Join(t.TempDir(), "m"), filepath.Join(t.TempDir(), "db"), filepath.Join(t.TempDir(), "plots")
	said, _, err := running(t, newTrainCommand(), "--data", learn, "--validation", tune, "--out", model, "--kind", "logistic")
	if err != nil || !strings.Contains(said, "on validation it detects") {
		t.Fatalf("train says %q, %v", said, err)
	}
	var reports [2]evaluate.Report
	for i, source := range [][]string{{"--data", test}, {"--db", db}} {
		if i == 1 {
			if _, err := importing(t, "--db", db, test); err != nil {
				t.Fatal(err)
			}
		}
		out, _, err := running(t, newEvalCommand(), append(source, "--model", model, "-j", "--plot", plots)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &reports[i]); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	r := reports[0]
	if r.Model != "logistic" || r.Violations == 0 || r.Detected == 0 || r.Detected > r.Possible {
		t.Errorf("%s detected %d of %d violations, of which %d are possible: want some, and no more than possible", r.Model, r.Detected, r.Violations, r.Possible)
	}
	if a, b := r.Figures, reports[1].Figures; a.Violations != b.Violations || a.Detected != b.Detected || a.FalseAlarms != b.FalseAlarms {
		t.Errorf("from the directory %+v, from the database %+v", a, b)
	}
	if _, err := os.Stat(filepath.Join(plots, "culprits.png")); err != nil {
		t.Error(err)
	}
	// A network's file goes the same way; an epoch on so little makes no good one.
	if said, _, err := running(t, newTrainCommand(), "--data", learn, "--validation", tune, "--out", model, "--kind", "graph", "--window", "3"); err != nil || !strings.Contains(said, "graph, trained in") {
		t.Fatalf("train says %q, %v", said, err)
	}
	text, _, err := running(t, newEvalCommand(), "--data", test, "--model", model)
	if err != nil || !strings.Contains(text, "graph") {
		t.Errorf("eval of a network says %q, %v", text, err)
	}
	text, _, err = running(t, newEvalCommand(), "--data", test)
	if err != nil || !strings.Contains(text, "MODEL") || !strings.Contains(text, "growth") {
		t.Errorf("eval without a model says %q, %v: want that growth was judged", text, err)
	}
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 90 {
			t.Errorf("a line of %d columns: %q", len(line), line)
		}
	}
}

func TestTrainEvalRefuse(t *testing.T) {
	kept := simulated(t, campaign.FirstAcceptanceSeed)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cmd  *cobra.Command
		args []string
		want string
		code int
	}{
		{newTrainCommand(), nil, "--data DIR", exitUsage},
		{newTrainCommand(), []string{"--data", kept}, "--out FILE", exitUsage},
		{newTrainCommand(), []string{"--data", kept, "--out", "x", "--kind", "oracle"}, `no kind of model "oracle"`, exitUsage},
		{newTrainCommand(), []string{"--data", kept, "--out", "x"}, "seed 9000: kept for acceptance", exitFailed},
		{newTrainCommand(), []string{"--data", "nowhere", "--out", "x"}, "is no campaign", exitFailed},
		{newEvalCommand(), nil, "--data DIR", exitUsage},
		{newEvalCommand(), []string{"--data", kept, "--db", kept}, "want one of them", exitUsage},
		{newEvalCommand(), []string{"--data", kept, "--baseline", "trees"}, "--train DIR", exitUsage},
		{newEvalCommand(), []string{"--data", kept, "--baseline", "luck"}, `no baseline "luck"`, exitUsage},
		{newEvalCommand(), []string{"--data", kept, "--model", junk}, "no model, or of a newer seer", exitFailed},
		{newEvalCommand(), []string{"--data", kept, "--model", junk + "2"}, "no such file", exitFailed},
		{newEvalCommand(), []string{"--data", kept, "--baseline", "trees", "--train", kept}, "kept for acceptance", exitFailed},
	} {
		_, _, err := running(t, tt.cmd, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || exitCode(err) != tt.code {
			t.Errorf("%s %q = %v (exit %d), want %q (exit %d)", tt.cmd.Name(), tt.args, err, exitCode(err), tt.want, tt.code)
		}
	}
	if _, err := window.OpenData(t.Context(), []string{kept}, window.DataOptions{}); !errors.Is(err, window.ErrAcceptance) {
		t.Errorf("OpenData = %v, want ErrAcceptance", err)
	}
	// To judge what is kept for acceptance is what it is kept for.
	if _, _, err := running(t, newEvalCommand(), "--data", kept, "-j"); err != nil {
		t.Errorf("eval of an acceptance seed: %v", err)
	}
}
