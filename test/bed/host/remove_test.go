//go:build linux

package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"seer/test/bed/host/footprint"
)

// A creator is killed after each of its journal entries in turn: whatever it had
// begun by then is removed.
func TestRemoveAfterKill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers take root")
	}
	most := 0
	for after := 1; ; after++ {
		dir := t.TempDir()
		mark := footprint.Mark{Cgroup: testName(t), Dirs: []string{filepath.Join(dir, "data")}}
		cmd := program("create", dir, testName(t))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := false
		wait(t, "the creator to come so far", func() bool {
			_, err := os.Stat(filepath.Join(dir, "done"))
			done = err == nil
			entries, _ := ReadJournal(filepath.Join(dir, "journal"))
			return done || len(entries) >= after
		})
		killHard(cmd)
		found, err := footprint.Find(mark)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(found))
		// Twice: the second finds nothing to do.
		removeJournal(t, dir)
		removeJournal(t, dir)
		if left, err := footprint.Find(mark); err != nil || len(left) > 0 {
			t.Errorf("killed after %d entries and removed: left %q, %v", after, left, err)
		}
		if done {
			break
		}
	}
	// Three cgroups in one hierarchy or more, three namespaces, two processes.
	if most < 8 {
		t.Errorf("a creator had at most %d things on the host when it was killed: the test sees too little", most)
	}
}

func TestRemoveOnlyOwn(t *testing.T) {
	other := program("hold")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer killHard(other)
	start, err := startTime(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// The id of a process of ours was given to another; a cgroup, a mount and a
	// directory were never made.
	err = Remove(context.Background(), []Entry{
		{Kind: KindProcess, PID: other.Process.Pid, Start: start - 1},
		{Kind: KindCgroup, Paths: []string{filepath.Join(dir, "cgroup")}},
		{Kind: KindMount, Paths: []string{filepath.Join(dir, "mount")}},
		{Kind: KindDirectory, Paths: []string{filepath.Join(dir, "none")}},
	})
	if err != nil {
		t.Errorf("Remove of what is not there = %v", err)
	}
	if !Alive(other.Process.Pid, start) {
		t.Error("Remove killed a process that had the id of an earlier one")
	}
	if !exists(file) {
		t.Error("Remove took a file that no entry names")
	}
}

func TestMountsBelow(t *testing.T) {
	got, err := mountsBelow("testdata/mountinfo.hybrid", "/run/seer bed/shop")
	want := []string{"/run/seer bed/shop/rootfs/proc", "/run/seer bed/shop/rootfs"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("mountsBelow = %q, %v, want %q", got, err, want)
	}
}

func TestJournalTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string) {
		t.Helper()
		if err := j.Add(Entry{Kind: KindProcess, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	add("first")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"kind": "proc`)
	f.Close()
	add("second")
	entries, err := ReadJournal(path)
	if err != nil || len(entries) != 2 || entries[0].Name != "first" || entries[1].Name != "second" {
		t.Errorf("ReadJournal = %+v, %v, want the first and the second entry", entries, err)
	}
}

// A process whose parent is gone is in its cgroup still.
func TestRemoveKillsOrphans(t *testing.T) {
	h, _ := testHost(t)
	c, err := h.NewContainer("orphan", Limits{}, Link{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Start(program("forks"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	pids := c.Cgroup.PIDs()
	if len(pids) != 1 || pids[0] == p.PID {
		t.Fatalf("PIDs = %v, want the child that process %d left", pids, p.PID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := c.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(pids[0])
	if err == nil && Alive(pids[0], start) {
		t.Errorf("process %d is alive after Remove", pids[0])
	}
}

func TestStartFails(t *testing.T) {
	h, _ := testHost(t)
	c, err := h.NewContainer("c", Limits{}, Link{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(exec.Command("/none"), nil); err == nil {
		t.Error("Start of a program that is not there succeeded")
	}
	if _, err := c.Start(exec.Command("none"), nil); err == nil {
		t.Error("Start of a program that is not in the path succeeded")
	}
	if pids := c.Cgroup.PIDs(); len(pids) != 0 {
		t.Errorf("PIDs = %v after Start failed", pids)
	}
}
