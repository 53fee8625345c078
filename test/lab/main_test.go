//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m, nil) }

// cgroupLine returns what /proc/PID/cgroup says for a controller; "" is v2.
func cgroupLine(t *testing.T, pid int, controller string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] == controller {
			return f[2]
		}
	}
	return ""
}

func TestContainerHoldsItsProcess(t *testing.T) {
	c := NewContainer(t, "web", Options{})
	p := c.Sockets()
	if got, want := cgroupLine(t, p.PID, ""), "/"+c.Name; got != want {
		t.Errorf("cgroup(%d) = %q, want %q", p.PID, got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(c.Path, &st); err != nil || st.Ino != c.CgroupID {
		t.Errorf("CgroupID = %d, want inode %d (%v)", c.CgroupID, st.Ino, err)
	}
}

func TestContainerLegacyOnly(t *testing.T) {
	if !HasLegacy("memory") {
		t.Skip("not supported: no cgroup v1 memory hierarchy on this host")
	}
	c := NewContainer(t, "old", Options{LegacyOnly: "memory"})
	p := c.Sockets()
	if got, want := cgroupLine(t, p.PID, "memory"), "/"+c.Name; got != want {
		t.Errorf("memory cgroup(%d) = %q, want %q", p.PID, got, want)
	}
	if got, want := cgroupLine(t, p.PID, ""), cgroupLine(t, os.Getpid(), ""); got != want {
		t.Errorf("v2 cgroup(%d) = %q, want the test's own %q", p.PID, got, want)
	}
}

// A container is gone with its processes at the end of the test.
func TestCleanup(t *testing.T) {
	var path string
	var pid int
	t.Run("inner", func(t *testing.T) {
		c := NewContainer(t, "gone", Options{Network: NewNetwork(t)})
		path, pid = c.Path, c.Sockets().PID
	})
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("Stat(%s) = %v, want not exist", path, err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("Kill(%d, 0) = %v, want ESRCH", pid, err)
	}
}

func TestCleanupAfterPanic(t *testing.T) {
	var path string
	var log strings.Builder
	p := &program{ctx: t.Context(), log: &log}
	p.run(func(tb TB) {
		c := NewContainer(tb, "panic", Options{})
		path = c.Path
		c.Sockets()
		panic("on purpose")
	})
	if !p.failed || !strings.Contains(log.String(), "on purpose") {
		t.Errorf("a program that panicked: failed = %v, log %q, want the panic", p.failed, log.String())
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("Stat(%s) = %v, want not exist", path, err)
	}
}

// Sweep removes what a dead run left, and nothing of a live one.
func TestSweep(t *testing.T) {
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	live := NewContainer(t, "live", Options{})
	dead := filepath.Join(h.unified, cgroupPrefix+strconv.Itoa(deadPID(t))+"-left1")
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	Sweep()
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("Stat(%s) after Sweep = %v, want not exist", dead, err)
	}
	if _, err := os.Stat(live.Path); err != nil {
		t.Errorf("Stat(%s) after Sweep = %v, want it still there", live.Path, err)
	}
}

// deadPID returns a process id that was just in use and no longer is.
func deadPID(t *testing.T) int {
	p := NewContainer(t, "dead", Options{}).Sockets()
	p.Stop()
	return p.PID
}

// A failing command is reported with its cause, and the worker goes on.
func TestCallError(t *testing.T) {
	p := NewContainer(t, "err", Options{}).Sockets()
	err := p.TryCall("listen", listenArgs{"tcp4", "192.0.2.1:0", 1}, nil)
	if err == nil || !strings.Contains(err.Error(), unix.EADDRNOTAVAIL.Error()) {
		t.Errorf("listen on a foreign address: %v, want %v", err, unix.EADDRNOTAVAIL)
	}
	if err := p.TryCall("listen", listenArgs{"tcp4", "127.0.0.1:0", 1}, nil); err != nil {
		t.Errorf("listen after an error: %v", err)
	}
}

func TestFindHierarchies(t *testing.T) {
	tests := []struct {
		name    string
		text    string
		unified string
		legacy  map[string]string
	}{
		{"unified", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup", nil},
		{"hybrid", "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
			"32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"/sys/fs/cgroup/unified", map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}},
		{"none", "22 1 0:20 / /proc rw - proc proc rw\n", "", nil},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := findHierarchies(path)
		if err != nil || h.unified != tt.unified {
			t.Errorf("%s: findHierarchies = %q, %v, want %q", tt.name, h.unified, err, tt.unified)
		}
		for controller, want := range tt.legacy {
			if h.legacy[controller] != want {
				t.Errorf("%s: legacy[%s] = %q, want %q", tt.name, controller, h.legacy[controller], want)
			}
		}
	}
}
