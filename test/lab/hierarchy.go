//go:build linux

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchies are the cgroup trees this host has mounted.
type hierarchies struct {
	unified string            // where cgroup v2 is mounted; empty if nowhere
	legacy  map[string]string // v1 controller -> mount point
}

// findHierarchies reads them from a mountinfo file (proc(5)), whose lines end
// in "- type source super-options".
func findHierarchies(path string) (hierarchies, error) {
	f, err := os.Open(path)
	if err != nil {
		return hierarchies{}, err
	}
	defer f.Close()
	h := hierarchies{legacy: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, fsys, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(mount), strings.Fields(fsys)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		switch point := left[4]; right[0] {
		case "cgroup2":
			if h.unified == "" {
				h.unified = point
			}
		case "cgroup":
			for _, option := range strings.Split(right[2], ",") {
				if _, seen := h.legacy[option]; !seen {
					h.legacy[option] = point
				}
			}
		}
	}
	return h, lines.Err()
}

// cgroupPrefix begins the name of every cgroup of the lab; the process id of
// the run follows.
const cgroupPrefix = "seer-lab-"

// Sweep removes the cgroups of runs that were killed before they could clean
// up: those named after a process that no longer exists.
func Sweep() {
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		return
	}
	roots := []string{h.unified}
	for _, root := range h.legacy {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		if root == "" {
			continue
		}
		left, err := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
		if err != nil {
			continue
		}
		for _, dir := range left {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix), "-")
			n, err := strconv.Atoi(pid)
			if err != nil || unix.Kill(n, 0) != unix.ESRCH {
				continue
			}
			if err := removeCgroup(dir); err != nil {
				fmt.Fprintf(os.Stderr, "lab: sweep: %v\n", err)
			}
		}
	}
}

// removeCgroup kills what still runs in a cgroup and its children, waits until
// all of it is gone and removes the directories, children first.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	end := time.After(Deadline)
	for {
		for _, pid := range cgroupPIDs(dir) {
			unix.Kill(pid, unix.SIGKILL)
		}
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		select {
		case <-poll.C:
		case <-end:
			return fmt.Errorf("remove cgroup %s: still holds processes %v after %s", dir, cgroupPIDs(dir), Deadline)
		}
	}
}

// cgroupPIDs returns the processes in one cgroup.
func cgroupPIDs(dir string) []int {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, line := range strings.Fields(string(text)) {
		// 0 stands for a process outside our pid namespace.
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
