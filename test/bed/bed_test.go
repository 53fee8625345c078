//go:build linux

package bed

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/containerd"
	"seer/test/bed/host"
	"seer/test/bed/host/footprint"
)

// An application with one server of each kind answers a request that goes through
// all of its services, is found again by another process, and leaves nothing.
func TestUpDown(t *testing.T) {
	for _, kind := range topology.Kinds() {
		if kind == topology.KindApp {
			continue // each of them has two
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			upDown(t, newTestbed(t, kind))
		})
	}
}

// The same in containers of containerd. SEER_TEST_CONTAINERD=required makes a
// missing containerd a failure.
func TestContainerd(t *testing.T) {
	if err := containerd.Installed(); err != nil {
		if os.Getenv("SEER_TEST_CONTAINERD") == "required" {
			t.Fatal(err)
		}
		t.Skip("not supported: ", err)
	}
	bed := newTestbed(t, topology.KindMariaDB)
	bed.o.Runtime = RuntimeContainerd
	before, err := filepath.Glob("/run/containerd/*/*")
	if err != nil {
		t.Fatal(err)
	}
	upDown(t, bed)
	after, err := filepath.Glob("/run/containerd/*/*")
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("/run/containerd holds %q, %v, before it was %q", after, err, before)
	}
}

func upDown(t *testing.T, bed *testbed) {
	segmentsBefore, err := footprint.SharedMemory(host.Nobody.UID)
	if err != nil {
		t.Fatal(err)
	}
	var ready []string
	bed.o.Progress = func(p Progress) { ready = append(ready, p.Service) }
	bed.up()
	if want := []string{"back", "middle", "front"}; !slices.Equal(ready, want) {
		t.Errorf("services became ready in the order %q, want %q", ready, want)
	}
	b, err := Open(bed.app.Name, bed.o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := ask(bed.context(), b, b.network.Router); err != nil || got != http.StatusOK {
		t.Errorf("a request = %d, %v, want 200", got, err)
	}
	status := b.Status(bed.context())
	var names []string
	for _, s := range status {
		names = append(names, s.Name)
		if s.Health != nil || s.PID() == 0 || !slices.Contains(s.PIDs, s.PID()) || s.Memory == 0 || s.CPUTime == 0 {
			t.Errorf("status of %s = %+v, want one that is well", s.Name, s)
		}
	}
	if want := []string{"front", "middle-1", "middle-2", "back"}; !slices.Equal(names, want) {
		t.Errorf("containers = %q, want %q", names, want)
	}
	if n := len(bed.found()); n < 4*3 {
		t.Errorf("the host shows %d things of the application, want a cgroup, a mount and a process of each container: the test sees too little", n)
	}
	segments, err := footprint.SharedMemory(host.Nobody.UID)
	if err != nil || segments > segmentsBefore {
		t.Errorf("%d more segments of shared memory are the host's, %v: they outlive a server that is killed", segments-segmentsBefore, err)
	}
	// A service that dies is seen.
	back := b.Replicas("back")[0]
	for _, pid := range back.PIDs() {
		unix.Kill(pid, unix.SIGKILL)
	}
	if s := b.Status(bed.context()); s[3].Health == nil || s[0].Health != nil {
		t.Errorf("health after back was killed = %v, front's %v, want an error and none", s[3].Health, s[0].Health)
	}
	bed.down()
	bed.gone()
	bed.down() // finds nothing to do
}

// `up` is killed on its way, at several points; down removes what it had made.
func TestKillUp(t *testing.T) {
	bed := newTestbed(t, topology.KindPostgreSQL)
	dir := filepath.Dir(bed.o.State)
	file := filepath.Join(dir, "test.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(testTopology(topology.KindPostgreSQL), "NAME", bed.app.Name, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for after := 2; ; after += 3 {
		cmd := exec.Command("/proc/self/exe", "up", file, dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		journal := filepath.Join(bed.o.state(bed.app.Name), journalFile)
		poll := time.NewTicker(2 * time.Millisecond)
		finished := false
		for end := time.Now().Add(deadline); ; <-poll.C {
			select {
			case err := <-exited:
				if err != nil {
					t.Fatalf("up = %v", err)
				}
				finished = true
			default:
			}
			entries, _ := host.ReadJournal(journal)
			if finished || len(entries) >= after {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("up wrote no %d entries within %s", after, deadline)
			}
		}
		poll.Stop()
		if finished {
			if after < 15 {
				t.Errorf("up ended after %d entries: the test killed too little", after)
			}
			break
		}
		unix.Kill(cmd.Process.Pid, unix.SIGKILL)
		<-exited
		if len(bed.found()) == 0 {
			t.Errorf("killed after %d entries: nothing was left to remove", after)
		}
		if _, err := Up(bed.context(), bed.app, bed.o); err == nil || !strings.Contains(err.Error(), "seerbed down") {
			t.Errorf("Up after one that was killed = %v, want an error that says to take it down", err)
		}
		bed.down()
		bed.gone()
	}
}

// Up that cannot go on, for whatever reason, returns one error and leaves
// nothing of its own, and all of what was there before.
func TestUpFails(t *testing.T) {
	tests := []struct {
		name string
		kind topology.Kind
		// prepare returns the context of Up, and a path that must outlive it.
		prepare func(t *testing.T, b *testbed) (context.Context, string)
		want    string
	}{
		{"interrupted", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			ctx, cancel := context.WithCancel(t.Context())
			b.o.Progress = func(Progress) { cancel() }
			return ctx, ""
		}, context.Canceled.Error()},
		{"program", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			b.o.Program = "/bin/false"
			return t.Context(), ""
		}, "it has ended (exit status 1)"},
		{"cgroup", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			h, err := host.FindHierarchies("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			// In one hierarchy only.
			taken := filepath.Join(h.Unified, cgroupPrefix+b.app.Name)
			if h.Legacy["pids"] != "" {
				taken = filepath.Join(h.Legacy["pids"], cgroupPrefix+b.app.Name)
			}
			if err := os.Mkdir(taken, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Remove(taken) })
			return t.Context(), taken
		}, "file already exists"},
		{"namespace", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			taken := filepath.Join(b.o.state(b.app.Name), "net", "router")
			if err := os.MkdirAll(taken, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(b.o.state(b.app.Name)) })
			return t.Context(), taken
		}, "in the way"},
		{"data", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			taken := filepath.Join(b.o.data(b.app.Name), "mine")
			if err := os.MkdirAll(taken, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(b.o.data(b.app.Name)) })
			return t.Context(), taken
		}, "in the way"},
		{"private", topology.KindMemcached, func(t *testing.T, b *testbed) (context.Context, string) {
			b.o.Data = filepath.Join(t.TempDir(), "data")
			if err := os.Chmod(filepath.Dir(b.o.Data), 0o700); err != nil {
				t.Fatal(err)
			}
			return t.Context(), filepath.Dir(b.o.Data)
		}, "may not enter"},
		{"disk", topology.KindPostgreSQL, func(t *testing.T, b *testbed) (context.Context, string) {
			// Room for the tiers' program, and for half of a database.
			program, err := os.Stat("/proc/self/exe")
			if err != nil {
				t.Fatal(err)
			}
			size := program.Size() + 12<<20
			if err := os.MkdirAll(b.o.Data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("seerbed-test", b.o.Data, "tmpfs", 0, "size="+strconv.FormatInt(size, 10)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(b.o.Data, unix.MNT_DETACH) })
			return t.Context(), b.o.Data
		}, "no space left on device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bed := newTestbed(t, tt.kind)
			ctx, stays := tt.prepare(t, bed)
			before := bed.found()
			b, err := Up(ctx, bed.app, bed.o)
			if err == nil {
				b.Close()
				t.Fatal("Up succeeded")
			}
			if !strings.Contains(strings.ToLower(err.Error()), tt.want) {
				t.Errorf("Up = %v, want %q in it", err, tt.want)
			}
			if _, err := os.Stat(stays); stays != "" && err != nil {
				t.Errorf("what was there before: %v", err)
			}
			if after := bed.found(); !slices.Equal(before, after) {
				t.Errorf("on the host: %q before, %q after", before, after)
			}
		})
	}
}

func TestUpTwice(t *testing.T) {
	bed := newTestbed(t, topology.KindMemcached)
	b := bed.up()
	if _, err := Up(bed.context(), bed.app, bed.o); err == nil || !strings.Contains(err.Error(), "up already") {
		t.Errorf("a second Up = %v, want that it is up already", err)
	}
	if got, err := ask(bed.context(), b, b.network.Router); err != nil || got != http.StatusOK {
		t.Errorf("a request after a second Up = %d, %v, want 200", got, err)
	}
	// Another application is another matter, and has another network.
	other := newTestbed(t, topology.KindMemcached)
	other.app.Name += "-other"
	other.mark.Cgroup, other.mark.Dirs = other.app.Name, []string{bed.o.state(other.app.Name), bed.o.data(other.app.Name)}
	other.o = bed.o
	second := other.up()
	if second.record.Subnet == b.record.Subnet {
		t.Errorf("both applications have the network %s", second.record.Subnet)
	}
	other.down()
	other.gone()
	if got, err := ask(bed.context(), b, b.network.Router); err != nil || got != http.StatusOK {
		t.Errorf("a request after another application went down = %d, %v, want 200", got, err)
	}
}

func TestRun(t *testing.T) {
	bed := newTestbed(t, topology.KindMemcached)
	b := bed.up()
	hold := func() *exec.Cmd { return exec.Command("/proc/self/exe", "hold") }
	ctx := bed.context()
	job, err := b.Run(ctx, "load", host.Limits{CPUs: 0.5}, hold())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(ctx, b, job.Container.Link.Namespace); err != nil || got != http.StatusOK {
		t.Errorf("a request from the job's container = %d, %v, want 200", got, err)
	}
	if pids := job.Container.Cgroup.PIDs(); !slices.Equal(pids, []int{job.PID}) {
		t.Errorf("processes of the job's container = %v, want %d", pids, job.PID)
	}
	if _, err := b.Run(ctx, "load", host.Limits{}, hold()); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("a second job of that name = %v, want that one is running", err)
	}
	if _, err := b.Run(ctx, "front", host.Limits{}, hold()); err == nil {
		t.Error("a job may have the name of a service")
	}
	// Killed, not stopped: the next one clears up.
	unix.Kill(job.PID, unix.SIGKILL)
	job.Wait()
	next, err := b.Run(ctx, "load", host.Limits{}, hold())
	if err != nil {
		t.Fatal(err)
	}
	if next.Container.Link.Addr != job.Container.Link.Addr {
		t.Errorf("address of the next job = %s, want the one that is free, %s", next.Container.Link.Addr, job.Container.Link.Addr)
	}
	if err := next.Stop(ctx); err != nil {
		t.Error(err)
	}
	mark := footprint.Mark{Cgroup: bed.app.Name}
	if found, err := footprint.Find(mark); err != nil || slices.ContainsFunc(found, func(s string) bool { return strings.HasSuffix(s, "/load") }) {
		t.Errorf("left of a job that was stopped: %q, %v", found, err)
	}
	// One that runs goes down with the application.
	if _, err := b.Run(ctx, "left", host.Limits{}, hold()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDown(t *testing.T) {
	if _, err := Open("none", testOptions(t.TempDir())); !errors.Is(err, ErrDown) {
		t.Errorf("Open of an application that is down = %v, want ErrDown", err)
	}
}
