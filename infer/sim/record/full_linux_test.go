package record

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiskFull fills a file system of 1 MiB, in a mount namespace of its own.
func TestDiskFull(t *testing.T) {
	if os.Getenv("SEER_TEST_MOUNT") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		cmd.Env = append(os.Environ(), "SEER_TEST_MOUNT=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("a mount namespace needs CAP_SYS_ADMIN: %v", err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: TestDiskFull") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(disk, 0)

	for _, made := range []bool{false, true} {
		path := filepath.Join(disk, "run")
		if made {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Run(t.Context(), path, options(t, 1, time.Hour))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Run: %v, want that the disk is full", err)
		}
		if n := strings.Count(err.Error(), syscall.ENOSPC.Error()); n != 1 {
			t.Errorf("%q says %d times that the disk is full", err, n)
		}
		entries, err := os.ReadDir(path)
		if made && (err != nil || len(entries) > 0) {
			t.Errorf("the directory that was there holds %v, %v; want nothing", entries, err)
		}
		if !made && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory is still there: %v, %v", entries, err)
		}
	}
}
