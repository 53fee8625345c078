package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// storedContainer is one entry of containers/storage's containers.json, which
// Podman and CRI-O share.
type storedContainer struct {
	ID       string   `json:"id"`
	Names    []string `json:"names"`
	Metadata string   `json:"metadata"` // JSON again, see storedMetadata
}

type storedMetadata struct {
	Image string `json:"image-name"`
	Name  string `json:"name"`
}

// storage reads the state that Podman and CRI-O keep through
// containers/storage. It keeps the last containers.json, which lists every
// container of the host.
type storage struct {
	runRoot, varLibRoot string

	written time.Time
	size    int64
	stored  map[string]storedMetadata
}

// facts names a container of Podman or CRI-O by its id, from
// overlay-containers/ID/userdata/config.json below RUN/containers/storage or
// LIB/containers/storage, and from containers.json beside it. ok is false when
// neither knows the id.
func (s *storage) facts(id, node string) (_ facts, ok bool) {
	var f facts
	for _, root := range []string{s.runRoot, s.varLibRoot} {
		source := filepath.Join(root, "containers/storage/overlay-containers", id, "userdata/config.json")
		text, err := readBounded(source, maxConfigBytes)
		if err != nil {
			continue
		}
		spec, err := parseSpec(text)
		if err != nil {
			continue
		}
		f, ok = specFacts(spec, id, node), true
		break
	}
	if f.pod != "" {
		return f, true
	}
	stored, found := s.list()[id]
	if !found {
		return f, ok
	}
	if !ok {
		f = facts{name: shortID(id), runtime: "podman", id: id}
	}
	if stored.Name != "" {
		f.name, f.replica = stored.Name, true
	}
	if f.image == "" {
		f.image = stored.Image
	}
	return f, true
}

// specFacts reads the annotations that Podman and CRI-O add to a spec.
func specFacts(spec ociSpec, id, node string) facts {
	f := facts{name: shortID(id), runtime: "podman", id: id}
	values := spec.Annotations
	if values["io.container.manager"] == "cri-o" || values["io.kubernetes.cri-o.ContainerType"] != "" {
		f.runtime = "cri"
		// CRI-O keeps the pod's own labels as JSON in one annotation.
		labels := map[string]string{}
		if json.Unmarshal([]byte(values["io.kubernetes.cri-o.Labels"]), &labels) == nil {
			for key, value := range values {
				labels[key] = value
			}
			values = labels
		}
	}
	if !f.applyPod(values, node) {
		f.applyLabels(values)
	}
	return f
}

// list returns LIB/containers/storage/overlay-containers/containers.json by id.
func (s *storage) list() map[string]storedMetadata {
	source := filepath.Join(s.varLibRoot, "containers/storage/overlay-containers/containers.json")
	info, err := os.Lstat(source)
	if err != nil {
		s.stored, s.written = nil, time.Time{}
		return nil
	}
	if info.ModTime().Equal(s.written) && info.Size() == s.size {
		return s.stored
	}
	text, err := readBounded(source, maxStoreBytes)
	if err != nil {
		return s.stored
	}
	s.stored, s.written, s.size = parseStored(text), info.ModTime(), info.Size()
	return s.stored
}

func parseStored(text []byte) map[string]storedMetadata {
	var all []storedContainer
	if err := json.Unmarshal(text, &all); err != nil {
		return nil
	}
	stored := make(map[string]storedMetadata, len(all))
	for _, one := range all {
		var meta storedMetadata
		_ = json.Unmarshal([]byte(one.Metadata), &meta) // the names below do without it
		if len(one.Names) > 0 && one.Names[0] != "" {
			meta.Name = one.Names[0]
		}
		stored[one.ID] = meta
	}
	return stored
}
