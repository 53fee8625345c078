//go:build linux

package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Unified names the cgroup v2 hierarchy where a controller's name is asked for.
const Unified = "unified"

// controllers are those that containers get a cgroup of, by their v1 names. On
// hosts with v1, cgroup v2 is there for identity.
var controllers = []string{"cpu", "cpuacct", "memory", "blkio", "pids"}

// Hierarchies are the cgroup trees that this host has mounted.
type Hierarchies struct {
	Unified string            // where cgroup v2 is mounted, empty if nowhere
	Legacy  map[string]string // v1 controller to mount point, of those that containers use
	Others  []string          // v1 mount points without such a controller; runtimes make cgroups there as well
}

// FindHierarchies reads them from a mountinfo file (proc(5)), whose lines end in
// "- type source super-options".
func FindHierarchies(mountinfo string) (Hierarchies, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return Hierarchies{}, err
	}
	defer f.Close()
	h := Hierarchies{Legacy: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, fsys, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(mount), strings.Fields(fsys)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			if h.Unified == "" {
				h.Unified = left[4]
			}
		case "cgroup":
			other := true
			for option := range strings.SplitSeq(right[2], ",") {
				if slices.Contains(controllers, option) {
					other = false
					if h.Legacy[option] == "" {
						h.Legacy[option] = left[4]
					}
				}
			}
			if other {
				h.Others = append(h.Others, left[4])
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Hierarchies{}, err
	}
	if h.Unified == "" && len(h.Legacy) == 0 {
		return Hierarchies{}, errors.New("no cgroup hierarchy is mounted")
	}
	return h, nil
}

// roots returns the mount points, each once.
func (h Hierarchies) roots() []string {
	var roots []string
	if h.Unified != "" {
		roots = append(roots, h.Unified)
	}
	for _, c := range controllers {
		if root := h.Legacy[c]; root != "" && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// root returns where a controller's cgroups are.
func (h Hierarchies) root(controller string) string {
	if root := h.Legacy[controller]; root != "" {
		return root
	}
	return h.Unified
}

// v2Controllers are the names that cgroup v2 gives to controllers.
var v2Controllers = []string{"cpu", "memory", "io", "pids"}

// delegate turns the controllers of cgroup v2 on for the children of dir. The
// ones that v1 has taken are not there to be had, and not missed.
func delegate(j *Journal, dir string) error {
	available, err := readWords(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := readWords(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, c := range v2Controllers {
		if !slices.Contains(available, c) || slices.Contains(enabled, c) {
			continue
		}
		if err := j.Add(Entry{Kind: KindController, Name: c, Paths: []string{dir}}); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			return fmt.Errorf("turn on the %s controller below %s: %w", c, dir, err)
		}
	}
	return nil
}

func readWords(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text)), nil
}

// exists says whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
