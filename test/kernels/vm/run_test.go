//go:build linux && amd64

package vm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/kernels/job"
)

// TestMain is also the program that the machines below run: the way it ends
// is its first argument.
func TestMain(m *testing.M) {
	if os.Getenv("SEER_TEST_KERNEL") == "" {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "exit":
		os.Stdout.WriteString("one line\n")
		os.Exit(7)
	case "panic the kernel":
		os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "hang":
		unix.Pause()
	}
}

// TestRunEnds checks each way a machine can end: with a program's status, by a
// panic, and out of time. None may read as success.
func TestRunEnds(t *testing.T) {
	const cache = "../../../.cache/kernels"
	if _, err := os.Stat(filepath.Join(cache, "debian-6.1", "release")); err != nil {
		t.Skip("no kernel in the cache: run `make kernels` first")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs QEMU: install qemu-system-x86")
	}
	k, err := Find("debian-6.1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := Prepare(k, cache, false)
	if err != nil {
		t.Fatal(err)
	}
	// Built here, not /proc/self/exe: that one may need a dynamic linker.
	init, program := filepath.Join(t.TempDir(), "init"), filepath.Join(t.TempDir(), "program")
	for _, args := range [][]string{
		{"build", "-o", init, "seer/test/kernels/init"},
		{"test", "-c", "-o", program, "."},
	} {
		build := exec.Command("go", args...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	tests := []struct {
		how     string
		timeout time.Duration
		status  int
		err     error
		output  string
	}{
		{how: "exit", timeout: time.Minute, status: 7, output: "one line\n"},
		{how: "panic the kernel", timeout: time.Minute, err: ErrCrashed},
		{how: "hang", timeout: 8 * time.Second, err: ErrTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			var files Archive
			if err := files.Copy(program, "/program"); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			result, err := Run(context.Background(), Config{
				Image: img, Init: init, Files: &files, Timeout: tt.timeout, Output: &out,
				Job: job.Job{Kernel: img.Name, Cgroup: job.CgroupHybrid,
					Programs: []job.Program{{Path: "/program", Dir: "/root", Args: []string{tt.how}}}},
			})
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Fatalf("Run = %v, want %v", err, tt.err)
			}
			if result.Status != tt.status || !strings.HasPrefix(out.String(), tt.output) {
				t.Errorf("Run = status %d, output %q, want %d and %q", result.Status, out.String(), tt.status, tt.output)
			}
		})
	}
}
