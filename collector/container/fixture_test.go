package container

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the wanted part of testdata/hosts")

// host is a recorded host: files below its roots, unpacked from one text file
// of "-- path --" sections. The first lines say what it shows; the section
// "want" is what the package makes of it.
//
// {id:WORD} stands for a container's 64-digit id. The cgroup directories are
// made from the processes' cgroup files, with the files that tell a
// hierarchy's root from other cgroups.
type host struct {
	cfg  Config
	pids []int
	want string

	file, head string // to rewrite
}

var idPattern = regexp.MustCompile(`\{id:([a-z0-9-]+)\}`)

func fakeID(word string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(word))) }

func expandIDs(s string) string {
	return idPattern.ReplaceAllStringFunc(s, func(m string) string { return fakeID(m[4 : len(m)-1]) })
}

// foldIDs is the inverse of expandIDs, for ids in full and shortened.
func foldIDs(s, from string) string {
	for _, m := range idPattern.FindAllStringSubmatch(from, -1) {
		id := fakeID(m[1])
		s = strings.ReplaceAll(s, id, m[0])
		s = strings.ReplaceAll(s, id[:12], "{short:"+m[1]+"}")
	}
	return s
}

func loadHost(t *testing.T, file string) *host {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	h := &host{file: file, cfg: Config{
		ProcRoot:   filepath.Join(root, "proc"),
		CgroupRoot: filepath.Join(root, "sys/fs/cgroup"),
		RunRoot:    filepath.Join(root, "run"),
		VarLibRoot: filepath.Join(root, "var/lib"),
	}}
	body, want, ok := strings.Cut(string(text), "-- want --\n")
	if !ok {
		t.Fatalf("%s: no section want", file)
	}
	h.head, h.want = body, want
	for _, section := range strings.Split("\n"+expandIDs(body), "\n-- ")[1:] {
		name, data, ok := strings.Cut(section, " --\n")
		if !ok {
			t.Fatalf("%s: section %.30q", file, section)
		}
		writeFile(t, filepath.Join(root, name), data+"\n")
		var pid int
		if n, _ := fmt.Sscanf(name, "proc/%d/cgroup", &pid); n == 1 {
			h.pids = append(h.pids, pid)
		}
	}
	slices.Sort(h.pids)
	h.makeCgroups(t)
	return h
}

// makeCgroups makes the directories that the processes' cgroup files name.
func (h *host) makeCgroups(t *testing.T) {
	t.Helper()
	all, err := ReadHierarchies(h.cfg.ProcRoot, h.cfg.CgroupRoot)
	if err != nil {
		t.Fatalf("ReadHierarchies(%s) = %v", h.file, err)
	}
	for _, one := range append(slices.Clone(all.V1), all.V2) {
		if !one.Exists() {
			continue
		}
		if err := os.MkdirAll(one.Mount, 0o755); err != nil {
			t.Fatal(err)
		}
		if one.Version == 1 && one.Root == "/" {
			writeFile(t, filepath.Join(one.Mount, "release_agent"), "")
		}
		for _, pid := range h.pids {
			members, err := memberships(h.cfg.ProcRoot, pid)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				if !m.in(one) || m.dead {
					continue
				}
				dir, ok := one.Dir(m.path)
				if !ok {
					continue
				}
				makeCgroup(t, one, dir)
			}
		}
	}
}

// makeCgroup makes a cgroup's directory and those above it in its mount.
func makeCgroup(t *testing.T, h Hierarchy, dir string) {
	t.Helper()
	for at := dir; len(at) > len(h.Mount); at = filepath.Dir(at) {
		if h.Version == 2 {
			writeFile(t, filepath.Join(at, "cgroup.events"), "populated 1\n")
		} else {
			writeFile(t, filepath.Join(at, "cgroup.procs"), "")
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describeHost resolves every process of a host and prints what came out.
func describeHost(t *testing.T, h *host) string {
	t.Helper()
	var b strings.Builder
	all, err := ReadHierarchies(h.cfg.ProcRoot, h.cfg.CgroupRoot)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(h.cfg)
	if err != nil {
		t.Fatalf("New(%s) = %v", h.file, err)
	}
	c := r.Choice()
	fmt.Fprintf(&b, "mode %s, primary %s, secondary %s\n", all.Mode(), c.Primary, c.Secondary)
	ids := map[int]ID{}
	for _, pid := range h.pids {
		id, err := r.IDOf(pid)
		if err != nil {
			fmt.Fprintf(&b, "%d: %v\n", pid, err)
			continue
		}
		ids[pid] = id
		if got, want := r.Resolve(id).Name, "cgroup-"+id.String(); got != want {
			t.Errorf("Resolve(%v).Name before Refresh = %q, want %q", id, got, want)
		}
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatalf("Refresh = %v", err)
	}
	names := map[string]ID{}
	for _, pid := range h.pids {
		id, ok := ids[pid]
		if !ok {
			continue
		}
		c := r.Resolve(id)
		if other, taken := names[c.Name]; taken && other != id {
			t.Errorf("%v and %v are both named %q", other, id, c.Name)
		}
		names[c.Name] = id
		if c.ID != id || c.Service == "" {
			t.Errorf("Resolve(%v) = %+v, want that ID and a service", id, c)
		}
		fmt.Fprintf(&b, "%d: %s", pid, c.Name)
		for _, field := range []struct{ key, value string }{
			{"service", c.Service}, {"runtime", c.Runtime}, {"id", c.RuntimeID}, {"pod", c.Pod},
			{"namespace", c.Namespace}, {"image", c.Image}, {"unit", c.Unit}, {"path", c.Path},
		} {
			if field.value != "" {
				fmt.Fprintf(&b, " %s=%s", field.key, field.value)
			}
		}
		if id&Legacy != 0 {
			b.WriteString(" legacy")
		}
		b.WriteByte('\n')
	}
	return foldIDs(strings.ReplaceAll(b.String(), filepath.Dir(h.cfg.ProcRoot), ""), h.head)
}

func TestHosts(t *testing.T) {
	files, err := filepath.Glob("testdata/hosts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded hosts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			h := loadHost(t, file)
			got := describeHost(t, h)
			if *update {
				if err := os.WriteFile(file, []byte(h.head+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(h.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// newHost makes a host with pure cgroup v2 and no processes.
func newHost(t testing.TB) (Config, Hierarchy) {
	t.Helper()
	root := t.TempDir()
	cfg := Config{
		ProcRoot:   filepath.Join(root, "proc"),
		CgroupRoot: filepath.Join(root, "cgroup"),
		RunRoot:    filepath.Join(root, "run"),
		VarLibRoot: filepath.Join(root, "lib"),
	}
	for path, text := range map[string]string{
		"self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"self/cgroup":    "0::/\n",
		"cgroups":        "#subsys_name\thierarchy\tnum_cgroups\tenabled\n",
	} {
		path = filepath.Join(cfg.ProcRoot, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(cfg.CgroupRoot, 0o755); err != nil {
		t.Fatal(err)
	}
	return cfg, Hierarchy{Version: 2, Mount: cfg.CgroupRoot, Root: "/"}
}

// addCgroup makes one cgroup and returns its ID.
func addCgroup(t testing.TB, h Hierarchy, path string) ID {
	t.Helper()
	dir := filepath.Join(h.Mount, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ino, _, err := inode(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h.mark(ino)
}

func setProcess(t testing.TB, cfg Config, pid int, lines string) {
	t.Helper()
	dir := filepath.Join(cfg.ProcRoot, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
}
