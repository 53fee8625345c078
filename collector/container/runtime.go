package container

import (
	"encoding/json"
	"strings"
)

// facts are what one source knows about a container. Empty is unknown.
type facts struct {
	name      string // short name wanted; made unique later
	service   string // microservice; "" leaves it to the name
	scope     string // where service is unique: Kubernetes namespace, compose project
	runtime   string
	id        string // runtime's id
	pod       string
	namespace string
	image     string
	replica   bool // name may end in a replica number that siblings reveal
}

// ociSpec is the part of an OCI runtime config.json that names a container
// (opencontainers/runtime-spec, config.md).
type ociSpec struct {
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		CgroupsPath string `json:"cgroupsPath"`
	} `json:"linux"`
}

func parseSpec(text []byte) (ociSpec, error) {
	var spec ociSpec
	err := json.Unmarshal(text, &spec)
	return spec, err
}

// first returns the first non-empty value among the keys.
func first(values map[string]string, keys ...string) string {
	for _, key := range keys {
		if value := values[key]; value != "" {
			return value
		}
	}
	return ""
}

// applyPod fills in what a Kubernetes container's annotations or labels say.
// It reports whether they name a pod. The keys are those of containerd's CRI
// plugin, of CRI-O, and the kubelet's own, which Docker and CRI-O carry.
func (f *facts) applyPod(values map[string]string, node string) bool {
	pod := first(values, "io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName")
	if pod == "" {
		return false
	}
	f.pod = pod
	f.namespace = first(values, "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace")
	if image := first(values, "io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"); image != "" {
		f.image = image
	}
	name := first(values, "io.kubernetes.cri.container-name", "io.kubernetes.container.name")
	kind := first(values, "io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType", "io.kubernetes.docker.type")
	if kind == "sandbox" || kind == "podsandbox" || name == "" || name == "POD" {
		name = "pause" // holds the pod's namespaces
	}
	f.name = pod + "/" + name
	f.runtime = "cri"
	f.scope = f.namespace
	f.replica = false
	if f.service = first(values, workloadLabels...); f.service == "" {
		f.service = workloadOfPod(pod, node)
	}
	return true
}

// applyLabels fills in what labels that people or tools set on a plain
// container say about its service.
func (f *facts) applyLabels(labels map[string]string) {
	if service := first(labels, "com.docker.compose.service", "io.podman.compose.service"); service != "" {
		f.service = service
		f.scope = first(labels, "com.docker.compose.project", "io.podman.compose.project")
		return
	}
	if service := labels["com.docker.swarm.service.name"]; service != "" {
		f.service = service
		return
	}
	if service := first(labels, "app.kubernetes.io/name"); service != "" {
		f.service = service
	}
}

// shortID is the form of a runtime id that Docker and Podman show.
func shortID(id string) string {
	if isHexID(id) {
		return id[:12]
	}
	return id
}

// fromPath names a cgroup from its path alone: the runtime's id for a
// container whose state was not found, the unit for a service, else the last
// component.
func fromPath(p place, path string) facts {
	switch {
	case p.runtime == "lxc":
		return facts{name: p.id, runtime: "lxc", id: p.id, replica: true}
	case p.runtime == "machine":
		return facts{name: p.id, runtime: "systemd", id: p.id, replica: true}
	case p.container():
		return facts{name: shortID(p.id), runtime: p.runtime, id: p.id}
	case p.unit != "":
		return facts{name: unitName(p.unit), service: unitService(p.unit), runtime: "systemd"}
	}
	return pathFacts(path)
}

// vagueNames are last components that say nothing without their parent.
var vagueNames = map[string]bool{"container": true, "payload": true, "init": true, "leaf": true, "main": true}

// pathFacts names a cgroup that no runtime and no service manager made. A
// machine-made last component is a replica of its parent.
func pathFacts(path string) facts {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	last := parts[len(parts)-1]
	if len(parts) > 1 {
		parent := parts[len(parts)-2]
		if hex := strings.ReplaceAll(last, "-", ""); len(hex) >= 32 && isHex(hex) {
			return facts{name: parent + "/" + hex[:12], service: parent, runtime: "cgroup"}
		}
		if vagueNames[last] {
			last = parent
		}
	}
	return facts{name: last, runtime: "cgroup", replica: true}
}

// unitName is a unit's short name. A service loses its suffix; a scope keeps
// it, since a scope and a service of one name are different things, unless it
// ends in a container's id, which is shortened instead.
func unitName(unit string) string {
	if base, ok := strings.CutSuffix(unit, ".scope"); ok {
		if rest, last, ok := cutLast(base); ok && isHexID(last) {
			return rest + "-" + shortID(last)
		}
		return unit
	}
	return strings.TrimSuffix(unit, ".service")
}

// unitService is the service that a unit is a replica of: a template without
// its instance. A scope's name ends in an id or a number that means nothing.
func unitService(unit string) string {
	if base, ok := strings.CutSuffix(unit, ".scope"); ok {
		if rest, last, ok := cutLast(base); ok && (isHexID(last) || consistsOf(last, "0123456789")) {
			return rest
		}
		return base
	}
	name := strings.TrimSuffix(unit, ".service")
	if template, _, ok := strings.Cut(name, "@"); ok && template != "" {
		return template
	}
	return name
}
