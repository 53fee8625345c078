package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seer/infer/campaign"
)

// seersim runs a command line, and returns what it wrote and how it ended.
func seersim(ctx context.Context, args ...string) (stdout string, err error) {
	var out, stderr bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&stderr)
	err = cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestBadUsage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	for _, test := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"--out", dir}, "which application?", 2},
		{[]string{"--app", "hotel"}, "which directory to write?", 2},
		{[]string{"--app", "motel", "--out", dir}, `no application "motel": choose from banking, ecommerce, hotel`, 2},
		{[]string{"--app", "missing.yaml", "--out", dir}, "missing.yaml", 1},
		{[]string{"--app", "hotel", "--out", dir, "--faults", "gremlins=1"}, `no cause or class "gremlins"`, 2},
		{[]string{"--app", "hotel", "--out", dir, "--load", "wavy"}, `load "wavy"`, 2},
		{[]string{"--app", "hotel", "--out", dir, "--seed", "9001"}, "kept for acceptance", 2},
		{[]string{"--app", "hotel", "--out", dir, "--tick", "7ms"}, "is a multiple", 2},
		{[]string{"--app", "hotel", "--out", dir, "--hosts", "-1"}, "-1 hosts", 1},
		{[]string{"--app", "hotel", "--out", dir, "--update", "soon=x.yaml"}, "want TIME=FILE", 2},
		{[]string{"--app", "hotel", "--out", dir, "--speed", "9"}, "unknown flag", 2},
		{[]string{"explode"}, `no command "explode"`, 2},
		{[]string{"check"}, "which directory?", 2},
		{[]string{"check", dir}, "1 of 1 directories", 1},
		{[]string{"calibrate", "--from", dir}, "--out", 2},
		{[]string{"compare", dir}, "1 directories given, want two", 2},
		{[]string{"compare", dir, dir}, "is no campaign", 1},
		{[]string{"plot"}, "which directory?", 2},
		{[]string{"plot", dir, "--out", "run.jpg"}, ".png or .svg", 2},
		{[]string{"plot", dir, "--out", "run.png"}, dir, 1},
		{[]string{"calibrate", "--from", dir, "--out", dir}, "is no campaign", 1},
	} {
		_, err := seersim(t.Context(), test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("seersim %q: %v, want %q", test.args, err, test.want)
			continue
		}
		if got := exitCode(err); got != test.code {
			t.Errorf("seersim %q: exit status %d, want %d", test.args, got, test.code)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused command has left a directory")
	}
}

// TestSimulate goes the way of a user: simulate, check, calibrate, simulate that.
func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	run, fitted := filepath.Join(dir, "run"), filepath.Join(dir, "fitted.yaml")
	out, err := seersim(t.Context(), "--app", "hotel", "--seed", "3", "--duration", "60s", "--faults", "off", "--out", run, "--check")
	if err != nil || !strings.Contains(out, "1m0s of hotel, 0 faults") {
		t.Fatalf("simulate: %q, %v", out, err)
	}
	if out, err := seersim(t.Context(), "check", run); err != nil || out != "" {
		t.Errorf("check: %q, %v", out, err)
	}
	if _, err := seersim(t.Context(), "--app", "hotel", "--duration", "10s", "--out", run); err == nil || !strings.Contains(err.Error(), "holds a campaign already") {
		t.Errorf("simulate into a campaign's directory: %v", err)
	}
	out, err = seersim(t.Context(), "calibrate", "--from", run, "--out", fitted)
	if err != nil || !strings.Contains(out, "front-end") || !strings.Contains(out, "users: p50") {
		t.Fatalf("calibrate: %q, %v", out, err)
	}
	if out, err = seersim(t.Context(), "compare", run, run); err != nil || !strings.Contains(out, "median error 0%; violations agree to 100%") {
		t.Errorf("compare a run with itself: %q, %v", out, err)
	}
	if _, err := seersim(t.Context(), "--app", fitted, "--duration", "10s", "--faults", "off", "--out", filepath.Join(dir, "again"), "--check"); err != nil {
		t.Errorf("simulate what was fitted: %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := filepath.Join(t.TempDir(), "run")
	_, err := seersim(ctx, "--app", "hotel", "--out", run)
	if err == nil || !strings.Contains(err.Error(), "is incomplete") {
		t.Fatalf("simulate: %v, want that it was interrupted", err)
	}
	dir, err := campaign.Open(run)
	if err != nil {
		t.Fatal(err)
	}
	if dir.Manifest.Complete {
		t.Error("the manifest says that the campaign is complete")
	}
}
