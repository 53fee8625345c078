//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"seer/test/lab"
)

// wholeMemory runs Seer as users do, database and control socket included, and
// returns its resident set once its budget has settled, and at its highest.
func wholeMemory(t lab.TB, program string) (now, highest int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "seer-bench-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(program, "run", "--db", filepath.Join(dir, "db"), "--socket", filepath.Join(dir, "seer.sock"), "--config", os.DevNull)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: %v", program, err)
		}
	}()
	pause(t, settle)
	now, highest, err = memory(cmd.Process.Pid)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return now, highest
}
