package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the program inside the tests' containers: with this
// variable it waits to be told to end.
const waitVariable = "SEER_TEST_WAIT"

func TestMain(m *testing.M) {
	if os.Getenv(waitVariable) != "" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return
	}
	os.Exit(m.Run())
}

// waitFor waits for a condition with a deadline.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		case <-tick.C:
		}
	}
}

// startWaiting starts this binary as a process that waits.
func startWaiting(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{waitVariable + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// makeLiveCgroup makes a cgroup below h's mount and removes it afterwards. It
// skips on a host that does not let it.
func makeLiveCgroup(t testing.TB, h Hierarchy, path string) string {
	t.Helper()
	dir := filepath.Join(h.Mount, path)
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		t.Skipf("not supported: making a cgroup in %s needs root: %v", h.Mount, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	return dir
}

func enter(t *testing.T, dir string, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// kernfsID asks the kernel for a cgroup's id, the one that
// bpf_get_current_cgroup_id and cgroup->kn->id give.
func kernfsID(t *testing.T, dir string) uint64 {
	t.Helper()
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
	if err != nil {
		t.Fatalf("name_to_handle_at(%s) = %v", dir, err)
	}
	const fileidKernfs = 0xfe // FILEID_KERNFS, include/linux/exportfs.h
	if handle.Type() != fileidKernfs || handle.Size() != 8 {
		t.Fatalf("name_to_handle_at(%s) = type %#x of %d bytes, want a kernfs id", dir, handle.Type(), handle.Size())
	}
	return binary.NativeEndian.Uint64(handle.Bytes())
}

// TestLiveCgroups puts a process into a new cgroup of each hierarchy that
// identifies containers on this host, and follows it until it is gone.
func TestLiveCgroups(t *testing.T) {
	r := newResolver(t, Config{Grace: time.Hour})
	choice := r.Choice()
	t.Logf("primary %s, secondary %s: %s", choice.Primary, choice.Secondary, choice.Reason)
	for _, h := range []Hierarchy{choice.Primary, choice.Secondary} {
		if !h.Exists() {
			continue
		}
		t.Run(h.String(), func(t *testing.T) {
			top := fmt.Sprintf("seer-test-container-%d", os.Getpid())
			makeLiveCgroup(t, h, top)
			dir := makeLiveCgroup(t, h, top+"/shop")
			neighbour := makeLiveCgroup(t, h, top+"/neighbour")
			child := startWaiting(t)
			pid := child.Process.Pid
			if h.Mount == choice.Secondary.Mount {
				enter(t, choice.Primary.Mount, pid) // which says nothing about it then
			}
			enter(t, dir, pid)

			id, err := r.IDOf(pid)
			if err != nil {
				t.Fatalf("IDOf(%d) = %v", pid, err)
			}
			if want := h.mark(kernfsID(t, dir)); id != want {
				t.Fatalf("IDOf(%d) = %v, want the kernel's %v", pid, id, want)
			}
			if got := id&Legacy != 0; got != (h.Version == 1) {
				t.Errorf("ID %v in %s: Legacy is %v", id, h, got)
			}
			r.Resolve(id)
			refresh(t, r)
			c := r.Resolve(id)
			if c.Name != "shop" || c.Service != "shop" || c.Runtime != "cgroup" || c.Path != "/"+top+"/shop" {
				t.Errorf("Resolve(%v) = %+v, want shop", id, c)
			}

			// The process moves next door: another container, at once.
			enter(t, neighbour, pid)
			moved, err := r.IDOf(pid)
			if want := h.mark(kernfsID(t, neighbour)); moved != want || err != nil {
				t.Errorf("IDOf after the move = %v, %v, want %v", moved, err, want)
			}

			enter(t, dir, pid)
			_ = child.Process.Kill()
			_ = child.Wait()
			if _, err := r.IDOf(pid); !errors.Is(err, ErrGone) {
				t.Errorf("IDOf of an ended process = %v, want ErrGone", err)
			}
			waitFor(t, "the empty cgroup to be removable", func() bool { return os.Remove(dir) == nil })
			refresh(t, r)
			if gone := r.Gone(nil); !slices.Contains(gone, id) {
				t.Errorf("Gone() = %v, want %v among them", gone, id)
			}
			if c := r.Resolve(id); c.Name != "shop" {
				t.Errorf("Resolve of the gone cgroup = %q, want shop", c.Name)
			}
		})
	}
}

// TestLiveSelf finds this process, wherever it is, and every other one.
func TestLiveSelf(t *testing.T) {
	r := newResolver(t, Config{})
	id, err := r.IDOf(os.Getpid())
	if err != nil {
		t.Fatalf("IDOf(self) = %v", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	r.Resolve(id)
	ids := map[ID]bool{id: true}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		other, err := r.IDOf(pid)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			t.Errorf("IDOf(%d) = %v", pid, err)
			continue
		}
		ids[other] = true
		r.Resolve(other)
	}
	refresh(t, r)
	// Others may be gone by now; this process is not.
	c := r.Resolve(id)
	if c.Path == "" || c.Name == "" || c.Service == "" {
		t.Errorf("Resolve(%v) = %+v, want a path and names", id, c)
	}
	t.Logf("%d containers, this one is %+v, %+v", len(ids), *c, r.Stats())
}

// BenchmarkRefreshLive is BenchmarkRefresh on the kernel's own files: 1,000
// cgroups in the primary hierarchy, all named, nothing new.
func BenchmarkRefreshLive(b *testing.B) {
	const n = 1000
	r := newResolver(b, Config{})
	h := r.Choice().Primary
	top := fmt.Sprintf("seer-test-bench-%d", os.Getpid())
	makeLiveCgroup(b, h, top)
	for i := range n {
		dir := makeLiveCgroup(b, h, fmt.Sprintf("%s/c%d", top, i))
		ino, _, err := inode(dir)
		if err != nil {
			b.Fatal(err)
		}
		r.Resolve(h.mark(ino))
	}
	refresh(b, r)
	b.ReportAllocs()
	for b.Loop() {
		refresh(b, r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/cgroup")
}
