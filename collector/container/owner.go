package container

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrGone is returned for a process or a cgroup that no longer exists.
var ErrGone = errors.New("process or cgroup is gone")

// membership is one line of /proc/PID/cgroup: the process is in the cgroup at
// path of one hierarchy.
type membership struct {
	number      int
	controllers string // "", "cpu,cpuacct" or "name=systemd"
	path        string
	dead        bool // the cgroup has been removed, the process is a zombie
}

// in reports whether m is the membership in hierarchy h.
func (m membership) in(h Hierarchy) bool {
	switch {
	case h.Version == 2:
		return m.number == 0 && m.controllers == ""
	case h.Version == 1 && len(h.Controllers) > 0:
		return slices.Contains(strings.Split(m.controllers, ","), h.Controllers[0])
	case h.Version == 1:
		return m.controllers == "name="+h.Label
	}
	return false
}

// parseMemberships reads a /proc/PID/cgroup file (cgroups(7)). Lines it cannot
// read are passed over. Paths hold any byte but newline, colons included.
func parseMemberships(text []byte) []membership {
	var all []membership
	for line := range bytes.Lines(text) {
		number, rest, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		n, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil || !strings.HasPrefix(path, "/") {
			continue
		}
		m := membership{number: int(n), controllers: controllers}
		m.path, m.dead = strings.CutSuffix(path, " (deleted)")
		all = append(all, m)
	}
	return all
}

// memberships reads PROC/PID/cgroup. A process that is gone is ErrGone.
func memberships(procRoot string, pid int) ([]membership, error) {
	text, err := readBounded(filepath.Join(procRoot, strconv.Itoa(pid), "cgroup"), maxProcBytes)
	if isGone(err) {
		return nil, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("cgroups of pid %d: %w", pid, err)
	}
	return parseMemberships(text), nil
}

// owner returns the ID that owner_of (bpf/account.bpf.h) computes for a task
// with these memberships: the primary hierarchy's cgroup unless the task is in
// its root, else the secondary's unless it is in that root too, else the
// primary's root.
func owner(all []membership, c Choice) (ID, error) {
	id, root, err := idIn(all, c.Primary)
	if err != nil || !root || !c.Secondary.Exists() {
		return id, err
	}
	second, secondRoot, err := idIn(all, c.Secondary)
	if err != nil || secondRoot {
		return id, err
	}
	return second, nil
}

// idIn returns the marked kernfs id of the cgroup that holds the task in h.
func idIn(all []membership, h Hierarchy) (id ID, root bool, err error) {
	for _, m := range all {
		if !m.in(h) {
			continue
		}
		if m.dead {
			return 0, false, fmt.Errorf("cgroup %q: %w", m.path, ErrGone)
		}
		dir, ok := h.Dir(m.path)
		if !ok {
			return 0, false, fmt.Errorf("cgroup %q is outside %s, which shows %q: run in the host's cgroup namespace", m.path, h.Mount, h.Root)
		}
		ino, _, err := inode(dir)
		if isGone(err) {
			return 0, false, fmt.Errorf("cgroup %q: %w", m.path, ErrGone)
		}
		if err != nil {
			return 0, false, fmt.Errorf("cgroup %q: %w", m.path, err)
		}
		return h.mark(ino), h.atRoot && dir == filepath.Clean(h.Mount), nil
	}
	return 0, false, fmt.Errorf("no membership in hierarchy %s", h)
}

// mark turns a kernfs id of this hierarchy into an ID.
func (h Hierarchy) mark(ino uint64) ID {
	if h.Version == 1 {
		return ID(ino) | Legacy
	}
	return ID(ino)
}
