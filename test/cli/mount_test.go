//go:build linux

package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// envMounts holds the mounts of a child, as JSON.
const envMounts = "SEER_CLI_MOUNTS"

// mount is an empty tmpfs over a directory.
type mount struct {
	Target string
	Data   string  // options of tmpfs (tmpfs(5))
	Flags  uintptr // MS_RDONLY, as an example
}

// inPrivateMounts makes cmd see mounts that nobody else does: the test binary
// mounts them in a mount namespace of its own and then becomes cmd. The
// namespace, and all in it, ends with the process.
func inPrivateMounts(t *testing.T, cmd *exec.Cmd, mounts ...mount) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(mounts)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = self
	cmd.Args = append([]string{program}, cmd.Args[1:]...)
	cmd.Env = append(cmd.Env, envMounts+"="+string(spec))
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	return cmd
}

// runInPrivateMounts is the child's side. It does not return.
func runInPrivateMounts() {
	err := func() error {
		var mounts []mount
		if err := json.Unmarshal([]byte(os.Getenv(envMounts)), &mounts); err != nil {
			return err
		}
		// Before anything else: no mount may reach the host.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		for _, m := range mounts {
			if err := unix.Mount("tmpfs", m.Target, "tmpfs", m.Flags, m.Data); err != nil {
				return fmt.Errorf("mount %s: %w", m.Target, err)
			}
		}
		if err := os.Unsetenv(envMounts); err != nil {
			return err
		}
		return unix.Exec(os.Args[0], os.Args, os.Environ())
	}()
	fmt.Fprintf(os.Stderr, "private mounts: %v\n", err)
	os.Exit(100)
}
