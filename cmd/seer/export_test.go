package main

import (
	"strings"
	"testing"
)

// Export reads where run records unless told otherwise: the flag before the
// environment before the default.
func TestExportDatabase(t *testing.T) {
	missing, other := t.TempDir()+"/none", t.TempDir()+"/other"
	run := func(args ...string) string {
		cmd := newExportCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append(args, "--out", "-"))
		err := cmd.ExecuteContext(t.Context())
		if err == nil {
			t.Fatalf("export %q succeeded without a database", args)
		}
		return err.Error()
	}
	if got, want := newRunCommand().Flag("db").DefValue, newExportCommand().Flag("db").DefValue; got != want || got == "" {
		t.Errorf("--db of run is %q by default, of export %q", got, want)
	}
	t.Setenv("SEER_DB", missing)
	if got := run(); !strings.Contains(got, missing) {
		t.Errorf("export with SEER_DB = %s, want %q in it", got, missing)
	}
	if got := run("--db", other); !strings.Contains(got, other) {
		t.Errorf("export with --db and SEER_DB = %s, want %q in it", got, other)
	}
	if got := run("--db", ""); !strings.Contains(got, "--db") {
		t.Errorf(`export --db "" = %s, want it to name the flag`, got)
	}
}
