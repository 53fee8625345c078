//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup is one cgroup in each hierarchy that matters, under one name.
type Cgroup struct {
	Name string // "PARENT/NAME", below the root of every hierarchy
	h    Hierarchies
}

// newCgroup makes a cgroup that must not exist yet. Controllers of cgroup v2 are
// turned on for its children if it is to have some.
func newCgroup(j *Journal, h Hierarchies, name string, parent bool) (*Cgroup, error) {
	c := &Cgroup{Name: name, h: h}
	all := c.Dirs()
	for _, root := range h.Others {
		all = append(all, filepath.Join(root, name))
	}
	for _, dir := range all {
		if exists(dir) {
			return nil, fmt.Errorf("cgroup %s: %w", dir, fs.ErrExist)
		}
	}
	if err := j.Add(Entry{Kind: KindCgroup, Name: name, Paths: all}); err != nil {
		return nil, err
	}
	for _, dir := range c.Dirs() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	if parent && h.Unified != "" {
		if err := delegate(j, filepath.Join(h.Unified, name)); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	return c, nil
}

// Dirs returns the cgroup's directories, one per hierarchy, cgroup v2 first.
func (c *Cgroup) Dirs() []string {
	var dirs []string
	for _, root := range c.h.roots() {
		dirs = append(dirs, filepath.Join(root, c.Name))
	}
	return dirs
}

// Path returns the directory that a controller (cpu, cpuacct, memory, blkio,
// pids) acts on, or with [Unified] the one in cgroup v2; "" where there is none.
func (c *Cgroup) Path(controller string) string {
	root := c.h.Unified
	if controller != Unified {
		root = c.h.root(controller)
	}
	if root == "" {
		return ""
	}
	return filepath.Join(root, c.Name)
}

// Legacy says whether a controller is the one of cgroup v1, whose files differ.
func (c *Cgroup) Legacy(controller string) bool { return c.h.Legacy[controller] != "" }

// PIDs returns the processes that are in the cgroup now. Runtimes on hosts with
// cgroup v1 leave those that they start in the root of v2.
func (c *Cgroup) PIDs() []int {
	for _, dir := range c.Dirs() {
		if pids := cgroupPIDs(dir); len(pids) > 0 {
			return pids
		}
	}
	return nil
}

// cgroupPIDs returns the processes of one cgroup directory.
func cgroupPIDs(dir string) []int {
	words, err := readWords(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, w := range words {
		// 0 stands for a process outside our pid namespace.
		if pid, err := strconv.Atoi(w); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killCgroup sends SIGKILL to all that is in a cgroup directory and below it.
func killCgroup(dir string) {
	for _, d := range subtree(dir) {
		for _, pid := range cgroupPIDs(d) {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// removeCgroup removes an empty cgroup directory and what a runtime made below.
func removeCgroup(dir string) error {
	dirs := subtree(dir)
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := unix.Rmdir(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup %s: %w", dirs[i], err)
		}
	}
	return nil
}

// subtree lists a cgroup and those below it, parents first.
func subtree(dir string) []string {
	if !exists(dir) {
		return nil
	}
	dirs := []string{dir}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, subtree(filepath.Join(dir, e.Name()))...)
		}
	}
	return dirs
}

// write sets a control file.
func (c *Cgroup) write(controller, file, value string) error {
	if err := os.WriteFile(filepath.Join(c.Path(controller), file), []byte(value), 0); err != nil {
		return fmt.Errorf("cgroup %s: set %s to %q: %w", c.Name, file, value, err)
	}
	return nil
}

// read returns a control file that holds one line.
func (c *Cgroup) read(controller, file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Path(controller), file))
	if err != nil {
		return "", fmt.Errorf("cgroup %s: %w", c.Name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// field returns one number of a control file that holds "name value" lines.
func (c *Cgroup) field(controller, file, name string) (int64, error) {
	text, err := c.read(controller, file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("cgroup %s: %s has no %s", c.Name, file, name)
}
