//go:build linux

// Package cli_test uses the seer binary as its users do: command lines in,
// exit status, messages and files out. It needs root. SEER_TEST_BIN names a
// binary to test; without it, one is built.
package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"seer/test/lab"
)

// Exit codes (DESIGN.md section 10).
const (
	exitOK             = 0
	exitFailed         = 1
	exitUsage          = 2
	exitKernel         = 3
	exitNothingMatched = 4
)

// program is the binary under test.
var program string

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envMounts) != "":
		runInPrivateMounts()
	case os.Getenv(envBacklog) != "":
		holdBacklog()
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	lab.Sweep()
	if program = os.Getenv("SEER_TEST_BIN"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "seer-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // also for a user that is not root
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "seer")
	build := exec.Command("go", "build", "-o", program, "seer/cmd/seer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build seer: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// result is what a command that ended has left.
type result struct {
	args           []string
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("seer %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), r.code, r.stdout, r.stderr)
}

// seer runs a command to its end.
func seer(t *testing.T, args ...string) result {
	t.Helper()
	return runCommand(t, command(t, args...))
}

// command returns a command whose environment has nothing of Seer's in it,
// and whose standard input is empty.
func command(t *testing.T, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), lab.Deadline)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SEER_") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func runCommand(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r := result{args: cmd.Args[1:], stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || r.code < 0 {
		t.Fatalf("%v: %v", r, err)
	}
	return r
}

// wantError checks that a command failed as a user should see it: the exit
// status, and one line of error, the last, that says all of want.
func (r result) wantError(t *testing.T, code int, want ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("%v\nwant exit %d", r, code)
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	errorLines := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "seer: ") })
	last := lines[len(lines)-1]
	if len(errorLines) != 1 || errorLines[0] != last {
		t.Fatalf("%v\nwant exactly one line of error, the last", r)
	}
	for _, text := range want {
		if !strings.Contains(last, text) {
			t.Errorf("%v\nwant %q in the error", r, text)
		}
	}
}

func (r result) wantOK(t *testing.T) {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("%v\nwant exit 0", r)
	}
}

// wantNothing checks that no file is below dir.
func wantNothing(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("%s holds %v, want nothing", dir, entries)
	}
}
