package container

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// containerdStates are where containerd keeps the bundles of running tasks,
// below RunRoot: the daemon's own, K3s's, and the one that dockerd starts.
var containerdStates = []string{"containerd", "k3s/containerd", "docker/containerd/daemon"}

const taskDir = "io.containerd.runtime.v2.task"

// maxTasks bounds the bundles looked at; a node runs some hundreds.
const maxTasks = 8192

// task is one running containerd container: a bundle directory.
type task struct {
	namespace string // containerd's: default, k8s.io, moby
	id        string
	config    string // path of config.json
	written   time.Time
	spec      ociSpec
}

// tasks is an index of the running containerd containers of a host. A plain
// containerd id can be any name and its cgroup any path, so the way from a
// cgroup to its container is through every task's cgroupsPath.
type tasks struct {
	runRoot  string
	byConfig map[string]*task
	byID     map[string]*task
	byCgroup map[string]*task
}

// rescan reads the bundles that are new or rewritten since the last call and
// drops those that are gone.
func (t *tasks) rescan() {
	old := t.byConfig
	t.byConfig, t.byID, t.byCgroup = map[string]*task{}, map[string]*task{}, map[string]*task{}
	for _, state := range containerdStates {
		base := filepath.Join(t.runRoot, state, taskDir)
		for _, namespace := range subdirs(base) {
			for _, id := range subdirs(filepath.Join(base, namespace)) {
				if len(t.byConfig) == maxTasks {
					return
				}
				config := filepath.Join(base, namespace, id, "config.json")
				info, err := os.Lstat(config)
				if err != nil {
					continue
				}
				one := old[config]
				if one == nil || !one.written.Equal(info.ModTime()) {
					one = readTask(namespace, id, config, info.ModTime())
				}
				t.add(one)
			}
		}
	}
}

func readTask(namespace, id, config string, written time.Time) *task {
	one := &task{namespace: namespace, id: id, config: config, written: written}
	if text, err := readBounded(config, maxConfigBytes); err == nil {
		one.spec, _ = parseSpec(text) // a broken spec still has its id
	}
	return one
}

func (t *tasks) add(one *task) {
	t.byConfig[one.config] = one
	t.byID[one.id] = one
	if path := cgroupOfSpec(one.spec.Linux.CgroupsPath); path != "" {
		t.byCgroup[path] = one
	}
}

// cgroupOfSpec turns a cgroupsPath into the end of the path that the kernel
// shows. runc takes SLICE:PREFIX:NAME for systemd and a path otherwise.
func cgroupOfSpec(path string) string {
	if fields := strings.Split(path, ":"); len(fields) == 3 && !strings.Contains(path, "/") {
		if fields[1] == "" {
			return "/" + fields[2] + ".scope"
		}
		return "/" + fields[1] + "-" + fields[2] + ".scope"
	}
	if path == "" || path == "/" {
		return ""
	}
	return filepath.Join("/", path)
}

// find returns the task whose cgroup is path or an ancestor of it, and what
// lies below the task's cgroup.
func (t *tasks) find(p place, path string) (one *task, nested string) {
	if one = t.byID[p.id]; one != nil && isHexID(p.id) {
		return one, p.nested
	}
	for at := path; len(at) > 1; at = at[:strings.LastIndexByte(at, '/')] {
		// The whole path, or, under a cgroup namespace or a service that
		// delegates, its end: every suffix that starts at a component.
		for end := at; end != ""; {
			if one := t.byCgroup[end]; one != nil && (end == at || telling(end)) {
				return one, strings.TrimPrefix(path[len(at):], "/")
			}
			next := strings.IndexByte(end[1:], '/')
			if next < 0 {
				break
			}
			end = end[next+1:]
		}
	}
	return nil, ""
}

// telling reports whether the end of a path says enough to be matched below any
// parent. One plain component, "/web", does not.
func telling(end string) bool {
	return strings.Count(end, "/") > 1 || strings.HasSuffix(end, ".scope")
}

// facts returns what the bundle says. Docker's and CRI's containers are
// containerd tasks too.
func (one *task) facts(node string) facts {
	f := facts{name: shortID(one.id), runtime: "containerd", id: one.id, replica: true}
	annotations := one.spec.Annotations
	if f.applyPod(annotations, node) {
		return f
	}
	switch one.namespace {
	case "moby":
		f.runtime = "docker" // whose own state, which has the name, was not found
	case "k8s.io":
		f.runtime = "cri"
	}
	if name := annotations["nerdctl/name"]; name != "" {
		f.name = name
	}
	f.image = first(annotations, "io.containerd.image.name", "org.opencontainers.image.ref.name")
	f.applyLabels(annotations)
	return f
}

// subdirs lists the directories in dir, none when it cannot be read.
func subdirs(dir string) []string {
	entries, _ := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if entry.Type()&fs.ModeType == fs.ModeDir {
			names = append(names, entry.Name())
		}
	}
	return names
}
