package container

import "strings"

// place is what a cgroup path says by itself, before any runtime is asked.
type place struct {
	runtime string // docker, cri, podman, containerd, lxc, machine, cgroup (some runtime); "" when the path names no container
	id      string // runtime's container id, 64 hexadecimal digits, or the name for lxc and machine
	pod     string // Kubernetes pod uid, dashes as in the API
	unit    string // innermost systemd service or scope
	root    string // path of the container's or unit's own cgroup
	nested  string // what lies below root, "a/b"; made by the container or the service itself
}

// container reports whether the path is one that a container runtime made.
func (p place) container() bool { return p.runtime != "" }

// scopePrefixes are the names that runtimes give a container's cgroup:
// PREFIX-ID.scope under systemd, PREFIX-ID or ID under cgroupfs.
var scopePrefixes = map[string]string{
	"docker":         "docker",
	"cri-containerd": "cri",
	"containerd":     "containerd",
	"nerdctl":        "containerd",
	"crio":           "cri",
	"libpod":         "podman",
	"libpod-payload": "podman",
	"buildkit":       "docker",
}

// parentRuntimes are parents whose children with bare ids are containers.
var parentRuntimes = map[string]string{
	"docker":        "docker",
	"moby":          "docker",
	"libpod_parent": "podman",
	"k8s.io":        "cri",
}

// classify reads a cgroup path as in /proc/PID/cgroup. The innermost container
// in the path wins: a node of a cluster inside Docker holds the containers of
// that cluster. It makes no system call and accepts any text.
func classify(path string) place {
	var p place
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := -1 // index of the component that is p.root
	parent := ""
	for i, part := range parts {
		if uid, ok := podUID(part); ok {
			p.pod = uid
		}
		if runtime, id, ok := containerComponent(part, parent, p.pod != ""); ok {
			p.runtime, p.id, at = runtime, id, i
			p.unit = ""
			if strings.HasSuffix(part, ".scope") {
				p.unit = unescapeUnit(part)
			}
		} else if isUnit(part) && p.runtime == "" && !(part == "init.scope" && p.unit != "") {
			// A service manager inside a container has units of its own; they
			// are not this host's.
			p.unit, at = unescapeUnit(part), i
		}
		parent = part
	}
	if at < 0 {
		return p
	}
	p.root = "/" + strings.Join(parts[:at+1], "/")
	p.nested = strings.Join(parts[at+1:], "/")
	// Podman and LXC start the payload in a child of the scope they register.
	if first, rest, _ := strings.Cut(p.nested, "/"); p.container() && (first == "container" || first == ".lxc") {
		p.nested = rest
	}
	return p
}

// containerComponent reads one component of a path. parent is the one before.
func containerComponent(part, parent string, inPod bool) (runtime, id string, ok bool) {
	base := strings.TrimSuffix(part, ".scope")
	if slash := strings.LastIndexByte(base, ':'); slash >= 0 {
		// A systemd-style cgroupsPath used under cgroupfs becomes one directory
		// named SLICE:PREFIX:ID.
		base = base[slash+1:]
		if fields := strings.Split(part, ":"); isHexID(base) && len(fields) == 3 {
			if runtime, ok := scopePrefixes[fields[1]]; ok {
				return runtime, base, true
			}
		}
	}
	if isHexID(base) {
		switch {
		case parentRuntimes[parent] != "":
			return parentRuntimes[parent], base, true
		case inPod:
			return "cri", base, true
		}
		return "cgroup", base, true // some runtime's: its state will tell which
	}
	if dash := len(base) - 65; dash > 0 && base[dash] == '-' && isHexID(base[dash+1:]) {
		if runtime, ok := scopePrefixes[base[:dash]]; ok {
			return runtime, base[dash+1:], true
		}
		return "", "", false // conmon and other helpers are scopes of their own
	}
	switch {
	case strings.HasPrefix(part, "lxc.payload.") && len(part) > len("lxc.payload."):
		return "lxc", part[len("lxc.payload."):], true
	case (parent == "lxc.payload" || parent == "lxc") && part != "":
		return "lxc", part, true
	case strings.HasPrefix(part, "machine-") && strings.HasSuffix(part, ".scope"):
		return "machine", unescapeUnit(strings.TrimPrefix(base, "machine-")), true
	}
	return "", "", false
}

// isHexID reports whether s is a container id as Docker, CRI and Podman make
// them: 64 lower-case hexadecimal digits.
func isHexID(s string) bool {
	return len(s) == 64 && isHex(s)
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// podUID reads a pod's cgroup: podUID under cgroupfs,
// kubepods-QOS-podUID.slice with underscores under systemd.
func podUID(part string) (string, bool) {
	s, slice := strings.CutSuffix(part, ".slice")
	if slice {
		i := strings.LastIndex(s, "-pod")
		if i < 0 || !strings.HasPrefix(s, "kubepods") {
			return "", false
		}
		s = s[i+1:]
	}
	uid, ok := strings.CutPrefix(s, "pod")
	uid = strings.ReplaceAll(uid, "_", "-")
	// An API uid has 36 characters; a static pod's is a 32-digit hash.
	if !ok || (len(uid) != 36 && len(uid) != 32) || !isHex(strings.ReplaceAll(uid, "-", "")) {
		return "", false
	}
	return uid, true
}

func isUnit(part string) bool {
	return (strings.HasSuffix(part, ".service") && len(part) > len(".service")) ||
		(strings.HasSuffix(part, ".scope") && len(part) > len(".scope"))
}

// unescapeUnit undoes systemd's \xXX escapes (systemd.unit(5)).
func unescapeUnit(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) && isHex(s[i+2:i+4]) {
			b.WriteByte(fromHex(s[i+2])<<4 | fromHex(s[i+3]))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func fromHex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
