package feature

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroupMounts says where each hierarchy is mounted.
type cgroupMounts struct {
	v2  string            // mount point of cgroup v2, "" if none
	v1  map[string]string // controller to mount point
	err error
}

// readCgroupMounts reads /proc/self/mountinfo (proc_pid_mountinfo(5)):
//
//	36 35 98:0 /root /mnt rw,noatime master:1 - fstype source options
func readCgroupMounts(h *host) cgroupMounts {
	mounts := cgroupMounts{v1: make(map[string]string)}
	data, err := os.ReadFile(h.path("proc/self/mountinfo"))
	if err != nil {
		mounts.err = fmt.Errorf("read mounts: %w", err)
		return mounts
	}
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(where) < 5 || len(what) < 3 {
			continue
		}
		switch what[0] {
		case "cgroup2":
			if mounts.v2 == "" {
				mounts.v2 = where[4]
			}
		case "cgroup":
			for option := range strings.SplitSeq(what[2], ",") {
				if option != "rw" && option != "ro" && !strings.HasPrefix(option, "name=") {
					mounts.v1[option] = where[4]
				}
			}
		}
	}
	return mounts
}

// own returns the directory of this process's own cgroup in the v2 hierarchy.
func (m cgroupMounts) own(h *host) (string, error) {
	if m.err != nil {
		return "", fmt.Errorf("%w: %w", errNoAnswer, m.err)
	}
	if m.v2 == "" {
		return "", fmt.Errorf("cgroup v2 is not mounted: %w", os.ErrNotExist)
	}
	data, err := os.ReadFile(h.path("proc/self/cgroup"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	for line := range strings.Lines(string(data)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		// Inside a container the path may lie outside of what is mounted.
		if dir := h.path(m.v2, path); exists(dir) {
			return dir, nil
		}
		return h.path(m.v2), nil
	}
	return "", fmt.Errorf("%w: no v2 entry in /proc/self/cgroup", errNoAnswer)
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// cgroupChecks asks for the hierarchy and for each controller that Seer reads
// or sets.
func cgroupChecks() []check {
	checks := []check{{group: GroupCgroup, name: "cgroup hierarchy", queues: queueNames,
		loss: "every container reads as one", advice: "mount -t cgroup2 none /sys/fs/cgroup", fact: findHierarchy}}
	controllers := []struct{ v2, v1, loss string }{
		{"cpu", "cpu", "CPU throttling as evidence; CPU limits"},
		{"cpuset", "cpuset", "pinning to CPUs"},
		{"memory", "memory", "memory pressure as evidence; memory limits"},
		{"io", "blkio", "io.stat as evidence; disk limits"},
		{"pids", "pids", "thread counts against their limit"},
		{"perf_event", "perf_event", "hardware counters per container"},
	}
	for _, c := range controllers {
		checks = append(checks, check{group: GroupCgroup, name: "controller " + c.v2, loss: c.loss,
			advice: "enable it: cgroup.subtree_control on v2, a mount on v1, cgroup_enable= at boot",
			fact:   func(h *host) finding { return findController(h, c.v2, c.v1) }})
	}
	return checks
}

// findHierarchy names the layout in the words of systemd.
func findHierarchy(h *host) finding {
	m := h.cgroups
	switch {
	case m.err != nil:
		return finding{Unknown, m.err.Error()}
	case m.v2 == "" && len(m.v1) == 0:
		return finding{Missing, "no cgroup file system is mounted"}
	case len(m.v1) == 0:
		return finding{Works, "v2 at " + m.v2}
	case m.v2 == "":
		return finding{Works, fmt.Sprintf("v1, %d controllers", len(m.v1))}
	}
	return finding{Works, fmt.Sprintf("hybrid: %d v1 controllers, v2 at %s", len(m.v1), m.v2)}
}

// findController looks for a controller on v1, where a mount is what makes it
// usable, then on v2, where the root lists it.
func findController(h *host, v2name, v1name string) finding {
	if h.cgroups.err != nil {
		return finding{Unknown, h.cgroups.err.Error()}
	}
	if where, ok := h.cgroups.v1[v1name]; ok {
		if _, err := os.ReadDir(h.path(where)); err != nil {
			return finding{Unknown, err.Error()}
		}
		return finding{Works, "v1 at " + where}
	}
	if v2 := h.cgroups.v2; v2 != "" {
		found := findV2Controller(h, v2, v2name)
		if found.verdict != Missing {
			return found
		}
	}
	return finding{Missing, disabledController(h, v1name)}
}

func findV2Controller(h *host, v2, name string) finding {
	// perf_event is implicit: it is on in every v2 cgroup and listed in none.
	if name == "perf_event" {
		if _, enabled, err := readController(h, name); err == nil && enabled {
			return finding{Works, "v2, implicit"}
		}
		return finding{Missing, ""}
	}
	available, err := os.ReadFile(h.path(v2, "cgroup.controllers"))
	if err != nil {
		return finding{Unknown, err.Error()}
	}
	if !slices.Contains(strings.Fields(string(available)), name) {
		return finding{Missing, ""}
	}
	enabled, err := os.ReadFile(h.path(v2, "cgroup.subtree_control"))
	switch {
	case err != nil:
		return finding{Unknown, err.Error()}
	case slices.Contains(strings.Fields(string(enabled)), name):
		return finding{Works, "v2 at " + v2}
	}
	return finding{Missing, "available on v2 but not enabled for children (cgroup.subtree_control)"}
}

// disabledController says why a controller is in no hierarchy.
func disabledController(h *host, name string) string {
	known, enabled, err := readController(h, name)
	switch {
	case err != nil:
		return "in no mounted hierarchy"
	case !known:
		return "this kernel has no such controller"
	case !enabled:
		return "switched off at boot (cgroup_disable=)"
	}
	return "in the kernel, but in no mounted hierarchy or not enabled for children"
}

// readController reads the line of a controller in /proc/cgroups.
func readController(h *host, name string) (known, enabled bool, err error) {
	data, err := os.ReadFile(h.path("proc/cgroups"))
	if err != nil {
		return false, false, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == name {
			return true, f[3] == "1", nil
		}
	}
	return false, false, nil
}

// pressureFile returns the path of a pressure file of this process's own v2
// cgroup, or of the root, which has them since Linux 5.13.
func pressureFile(h *host, name string) (string, error) {
	dir, err := h.cgroups.own(h)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && dir == h.path(h.cgroups.v2) {
		return "", fmt.Errorf("%w: the root cgroup of this kernel has no %s", errNoAnswer, name)
	}
	return path, nil
}
