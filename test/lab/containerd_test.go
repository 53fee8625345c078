//go:build linux

package lab

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SEER_TEST_CONTAINERD=required makes a missing containerd a failure.
func TestContainerd(t *testing.T) {
	if !HasContainerd() {
		if os.Getenv("SEER_TEST_CONTAINERD") == "required" {
			t.Fatal("containerd, ctr and runc are required and not installed")
		}
		t.Skip("not supported: containerd, ctr or runc is not installed")
	}
	d := NewContainerd(t, t.TempDir())
	p := d.Sockets("web")
	c := p.Container
	if pids := cgroupPIDs(c.Path); len(pids) != 1 || pids[0] != p.PID {
		t.Errorf("processes of %s = %v, want %d", c.Path, pids, p.PID)
	}
	if !strings.HasSuffix(c.Path, c.Name) {
		t.Errorf("Path = %q, want it to end in %q", c.Path, c.Name)
	}
	l := p.Listen("tcp4", "127.0.0.1:0", 7)
	p.Connect("tcp4", l.Addr, 2)
	if got := p.Stat(l)[0].Backlog; got != 2 {
		t.Errorf("backlog = %d, want 2", got)
	}
	p.Stop()
	if err := unix.Kill(p.PID, 0); err != unix.ESRCH {
		t.Errorf("Kill(%d, 0) after Stop = %v, want ESRCH", p.PID, err)
	}
	if _, err := os.Stat(c.Path); !os.IsNotExist(err) {
		t.Errorf("Stat(%s) after Stop = %v, want the runtime to have removed it", c.Path, err)
	}
}
