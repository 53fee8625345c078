package container

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Hierarchy is one cgroup hierarchy as seen from Seer's mount namespace. The
// zero value means "none".
type Hierarchy struct {
	Version     int      // 1 or 2; 0 is none
	Number      int      // first field of /proc/PID/cgroup; 0 for v2
	Controllers []string // bound to it, kernel names ("memory", "cpu", "blkio")
	Label       string   // of a v1 hierarchy without controllers: "systemd"
	Mount       string   // directory where it is mounted, rebased onto Config.CgroupRoot
	Root        string   // path inside the hierarchy that Mount shows; "/" but for bind mounts and namespaces

	// atRoot says that Mount is the root of the whole hierarchy, not merely of
	// a bind mount or of Seer's cgroup namespace. A task in the true root has
	// no container of its own; a task in a namespace's root has one.
	atRoot bool
}

// Exists reports whether h stands for a hierarchy.
func (h Hierarchy) Exists() bool { return h.Version != 0 }

// Has reports whether the v1 or v2 controller is bound to h.
func (h Hierarchy) Has(controller string) bool { return slices.Contains(h.Controllers, controller) }

// String returns the hierarchy as shown to people: "v2", "v1 memory".
func (h Hierarchy) String() string {
	switch {
	case h.Version == 0:
		return "none"
	case h.Version == 2:
		return "v2"
	case len(h.Controllers) == 0:
		return "v1 name=" + h.Label
	}
	return "v1 " + strings.Join(h.Controllers, ",")
}

// Dir returns the directory of the cgroup at path, a path as in
// /proc/PID/cgroup. ok is false when the mount does not show that cgroup,
// which happens under a cgroup namespace or a partial bind mount.
func (h Hierarchy) Dir(path string) (dir string, ok bool) {
	rest, ok := cutPath(path, h.Root)
	if !ok || hasDotDot(rest) {
		return "", false
	}
	return filepath.Join(h.Mount, rest), true
}

// cutPath removes the leading components in root from path. Both are absolute.
func cutPath(path, root string) (rest string, ok bool) {
	root = strings.TrimSuffix(root, "/")
	rest, ok = strings.CutPrefix(path, root)
	if !ok || (rest != "" && rest[0] != '/') {
		return "", false
	}
	return rest, true
}

func hasDotDot(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "..")
}

// Hierarchies are the cgroup hierarchies of a host.
type Hierarchies struct {
	V2 Hierarchy   // zero where cgroup v2 is not mounted
	V1 []Hierarchy // in mount order; empty on a pure v2 host
}

// Mode returns "v1", "v2", "hybrid" or "none".
func (h Hierarchies) Mode() string {
	switch {
	case h.V2.Exists() && len(h.V1) > 0:
		return "hybrid"
	case h.V2.Exists():
		return "v2"
	case len(h.V1) > 0:
		return "v1"
	}
	return "none"
}

// Controller returns the hierarchy that the controller is bound to. The v2
// names "io" and "cpu" and the v1 names "blkio", "cpu" and "cpuacct" are not
// translated. ok is false when it is mounted nowhere.
func (h Hierarchies) Controller(name string) (_ Hierarchy, ok bool) {
	for _, v1 := range h.V1 {
		if v1.Has(name) {
			return v1, true
		}
	}
	if h.V2.Has(name) {
		return h.V2, true
	}
	return Hierarchy{}, false
}

// ReadHierarchies finds where each cgroup hierarchy is mounted, from
// PROC/self/mountinfo, PROC/cgroups and PROC/self/cgroup. Mount points below
// /sys/fs/cgroup are taken to be below cgroupRoot instead.
//
// Source: cgroups(7); cgroup_show_path and cgroup1_show_options
// (kernel/cgroup/) for what a mountinfo line holds.
func ReadHierarchies(procRoot, cgroupRoot string) (Hierarchies, error) {
	var none Hierarchies
	mountinfo, err := readBounded(filepath.Join(procRoot, "self/mountinfo"), maxProcBytes)
	if err != nil {
		return none, fmt.Errorf("cgroup hierarchies: %w", err)
	}
	// Only v1 needs the controllers' names, and newer kernels log a line when
	// /proc/cgroups is read on a host without v1.
	var cgroups []byte
	if bytes.Contains(mountinfo, []byte(" - cgroup ")) {
		cgroups, err = readBounded(filepath.Join(procRoot, "cgroups"), maxProcBytes)
		if err != nil {
			return none, fmt.Errorf("cgroup hierarchies: %w", err)
		}
	}
	self, err := readBounded(filepath.Join(procRoot, "self/cgroup"), maxProcBytes)
	if err != nil {
		return none, fmt.Errorf("cgroup hierarchies: %w", err)
	}
	h := parseMountinfo(mountinfo, parseControllers(cgroups), cgroupRoot)
	numberHierarchies(&h, self)
	if h.Mode() == "none" {
		return none, fmt.Errorf("cgroup hierarchies: none in %s/self/mountinfo: mount cgroup2 at /sys/fs/cgroup", procRoot)
	}
	for i := range h.V1 {
		h.V1[i].atRoot = isRootCgroup(h.V1[i])
	}
	if h.V2.Exists() {
		h.V2.atRoot = isRootCgroup(h.V2)
		available, _ := readBounded(filepath.Join(h.V2.Mount, "cgroup.controllers"), maxProcBytes)
		h.V2.Controllers = strings.Fields(string(available))
	}
	return h, nil
}

// isRootCgroup tells a hierarchy's root from the root of a cgroup namespace or
// of a bind mount, which can have the same path. cgroup.events is CFTYPE_NOT_ON_ROOT and
// release_agent is CFTYPE_ONLY_ON_ROOT (kernel/cgroup/cgroup{,-v1}.c).
func isRootCgroup(h Hierarchy) bool {
	if h.Version == 2 {
		_, err := os.Lstat(filepath.Join(h.Mount, "cgroup.events"))
		return errors.Is(err, fs.ErrNotExist)
	}
	_, err := os.Lstat(filepath.Join(h.Mount, "release_agent"))
	return err == nil
}

// parseControllers returns the controller names in /proc/cgroups.
func parseControllers(text []byte) map[string]bool {
	names := map[string]bool{}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 4 && !strings.HasPrefix(fields[0], "#") {
			names[fields[0]] = true
		}
	}
	return names
}

// parseMountinfo returns the hierarchies in a mountinfo file (proc(5)). Lines
// it cannot read are passed over: a mount that Seer does not understand is not
// one it uses. Of several mounts of one hierarchy the one that shows most wins.
func parseMountinfo(text []byte, controllers map[string]bool, cgroupRoot string) Hierarchies {
	var h Hierarchies
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxProcBytes)
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		if !ok {
			continue
		}
		where, what := strings.Split(left, " "), strings.Split(right, " ")
		if len(where) < 6 || len(what) < 3 || !strings.HasPrefix(where[3], "/") || !strings.HasPrefix(where[4], "/") {
			continue
		}
		m := Hierarchy{
			Root:  unescapeMount(where[3]),
			Mount: rebase(unescapeMount(where[4]), cgroupRoot),
		}
		switch what[0] {
		case "cgroup2":
			m.Version = 2
			if !h.V2.Exists() || wider(m, h.V2) {
				h.V2 = m
			}
		case "cgroup":
			m.Version = 1
			for _, option := range strings.Split(what[2], ",") {
				if label, ok := strings.CutPrefix(option, "name="); ok {
					m.Label = label
				} else if controllers[option] {
					m.Controllers = append(m.Controllers, option)
				}
			}
			h.addV1(m)
		}
	}
	return h
}

func (h *Hierarchies) addV1(m Hierarchy) {
	if m.Label == "" && len(m.Controllers) == 0 {
		return
	}
	for i, old := range h.V1 {
		if old.Label == m.Label && slices.Equal(old.Controllers, m.Controllers) {
			if wider(m, old) {
				h.V1[i] = m
			}
			return
		}
	}
	h.V1 = append(h.V1, m)
}

// wider reports whether mount a shows more of its hierarchy than b: higher
// above Seer's cgroup namespace first, then fewer components below its root.
func wider(a, b Hierarchy) bool {
	depth := func(root string) int {
		n := 0
		for part := range strings.SplitSeq(root, "/") {
			switch part {
			case "":
			case "..":
				n -= 1000
			default:
				n++
			}
		}
		return n
	}
	return depth(a.Root) < depth(b.Root)
}

// numberHierarchies fills Number from a /proc/PID/cgroup file.
func numberHierarchies(h *Hierarchies, self []byte) {
	for _, m := range parseMemberships(self) {
		for i := range h.V1 {
			if m.in(h.V1[i]) {
				h.V1[i].Number = m.number
			}
		}
	}
}

// unescapeMount undoes the octal escapes of mountinfo (\040 for a space).
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const defaultCgroupRoot = "/sys/fs/cgroup"

// rebase moves a mount point below /sys/fs/cgroup to below cgroupRoot.
func rebase(mount, cgroupRoot string) string {
	rest, ok := cutPath(mount, defaultCgroupRoot)
	if !ok || cgroupRoot == "" || cgroupRoot == defaultCgroupRoot {
		return mount
	}
	return filepath.Join(cgroupRoot, rest)
}

// inode returns the inode number of a directory and its link count. On 64-bit
// kernels a cgroup directory's inode number is its kernfs id (kernfs_ino,
// include/linux/kernfs.h), and its link count is 2 plus its child cgroups
// (kernfs_refresh_inode, fs/kernfs/inode.c).
func inode(dir string) (ino, nlink uint64, err error) {
	// Not os.Lstat, which allocates three times as much: one pass over the
	// trees does this for every cgroup.
	var st syscall.Stat_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Lstat(dir, &st)
	}
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	return uint64(st.Ino), uint64(st.Nlink), nil
}
