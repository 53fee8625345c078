//go:build linux

package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"seer/test/lab"
)

// launchArg makes the test binary set up a sandbox and become the program in
// it. The kernel keeps mounts and credentials per thread until exec, so this
// must happen in a process that is nothing else.
const launchArg = "deploy-launch"

// sandbox is what the unit does before it starts Seer.
type sandbox struct {
	UID          int         // user and group
	Capabilities []cap.Value // all of its bounding, permitted, effective, inheritable and ambient sets
	RunRoot      string      // seen as /run; empty leaves the host's
	Writable     []string    // the only folders that are not read-only
	Argv         []string
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == launchArg {
		var s sandbox
		err := json.Unmarshal([]byte(os.Args[2]), &s)
		if err == nil {
			err = s.enter()
		}
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(125)
	}
	lab.Main(m, nil)
}

// command returns a command that runs s.Argv inside the sandbox, with the
// environment of a service: nothing of the caller's but PATH.
func (s sandbox) command(t *testing.T) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", launchArg, string(spec))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// enter confines the calling thread and executes Argv. It returns only errors.
func (s sandbox) enter() error {
	runtime.LockOSThread()
	if err := s.confineFiles(); err != nil {
		return err
	}
	if err := s.confinePrivileges(); err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", s.Argv[0], unix.Exec(s.Argv[0], s.Argv, os.Environ()))
}

// confineFiles makes every mount read-only but the writable folders, in a mount
// namespace that nothing propagates out of (ProtectSystem=strict).
func (s sandbox) confineFiles() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if s.RunRoot != "" {
		if err := unix.Mount(s.RunRoot, "/run", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s to /run: %w", s.RunRoot, err)
		}
	}
	for _, dir := range s.Writable {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &readOnly); err != nil {
		return fmt.Errorf("read-only mounts (needs Linux 5.12): %w", err)
	}
	writable := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	for _, dir := range s.Writable {
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &writable); err != nil {
			return fmt.Errorf("writable %s: %w", dir, err)
		}
	}
	return nil
}

// confinePrivileges changes user and leaves the thread with the capabilities,
// handed on through the ambient set (AmbientCapabilities, NoNewPrivileges).
// Raw system calls keep it to this thread, the one that executes the program.
func (s sandbox) confinePrivileges() error {
	var mask uint64
	for _, v := range s.Capabilities {
		mask |= 1 << v
	}
	for v := range cap.MaxBits() {
		if mask>>v&1 == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(v), 0, 0, 0); err != nil {
				return fmt.Errorf("drop %v from the bounding set: %w", v, err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	id := uintptr(s.UID)
	for _, call := range []struct {
		name    string
		number  uintptr
		a, b, c uintptr
	}{
		{"setgroups", unix.SYS_SETGROUPS, 0, 0, 0},
		{"setresgid", unix.SYS_SETRESGID, id, id, id},
		{"setresuid", unix.SYS_SETRESUID, id, id, id},
	} {
		if _, _, errno := unix.RawSyscall(call.number, call.a, call.b, call.c); errno != 0 {
			return fmt.Errorf("%s: %w", call.name, errno)
		}
	}
	low, high := uint32(mask), uint32(mask>>32)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: low, Permitted: low, Inheritable: low},
		{Effective: high, Permitted: high, Inheritable: high},
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	for _, v := range s.Capabilities {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(v), 0, 0); err != nil {
			return fmt.Errorf("ambient %v: %w", v, err)
		}
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// needRoot skips where the sandbox cannot be built.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to build the sandbox: sudo go test ./deploy")
	}
	if !kernelAtLeast(t, 5, 12) {
		t.Skip("needs Linux 5.12 (mount_setattr)")
	}
}

// kernelAtLeast compares the running kernel's release.
func kernelAtLeast(t *testing.T, major, minor int) bool {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var a, b int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &a, &b); err != nil {
		t.Fatalf("kernel release %q: %v", release, err)
	}
	return a > major || a == major && b >= minor
}
