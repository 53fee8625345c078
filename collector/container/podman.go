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
// containers/storage, below RUN/containers/storage and LIB/containers/storage.
// It keeps what it last read of each list, which names every container of the
// host.
type storage struct {
	runRoot, varLibRoot string

	lists map[string]*storedList // by file
}

type storedList struct {
	written time.Time
	size    int64
	stored  map[string]storedMetadata
}

// storageDrivers are those that name the directory of containers.
var storageDrivers = []string{"overlay", "vfs", "btrfs", "zfs"}

// facts names a container by its id, from its own config.json and from the
// lists. ok is false when neither knows the id.
func (s *storage) facts(id, node string) (f facts, ok bool) {
	for _, driver := range storageDrivers {
		for _, root := range []string{s.runRoot, s.varLibRoot} {
			config := filepath.Join(root, "containers/storage", driver+"-containers", id, "userdata/config.json")
			text, err := readBounded(config, maxConfigBytes)
			if err != nil {
				continue
			}
			spec, err := parseSpec(text)
			if err != nil {
				continue
			}
			if f = specFacts(spec, id, node); f.pod != "" {
				return f, true
			}
			ok = true
		}
	}
	stored, found := s.find(id)
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
		if json.Unmarshal([]byte(values["io.kubernetes.cri-o.Labels"]), &labels) == nil && labels != nil {
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

// find looks an id up in the lists. Containers that need not survive a reboot
// (podman run --rm, all of CRI-O's) have a list of their own.
func (s *storage) find(id string) (storedMetadata, bool) {
	for _, driver := range storageDrivers {
		lib := filepath.Join(s.varLibRoot, "containers/storage", driver+"-containers")
		run := filepath.Join(s.runRoot, "containers/storage", driver+"-containers")
		for _, file := range []string{
			filepath.Join(lib, "containers.json"),
			filepath.Join(lib, "volatile-containers.json"),
			filepath.Join(run, "volatile-containers.json"),
		} {
			if meta, ok := s.list(file)[id]; ok {
				return meta, true
			}
		}
	}
	return storedMetadata{}, false
}

// list reads one list, if it has changed.
func (s *storage) list(file string) map[string]storedMetadata {
	info, err := os.Lstat(file)
	if err != nil {
		delete(s.lists, file)
		return nil
	}
	old := s.lists[file]
	if old != nil && info.ModTime().Equal(old.written) && info.Size() == old.size {
		return old.stored
	}
	text, err := readBounded(file, maxStoreBytes)
	if err != nil {
		return nil
	}
	if s.lists == nil {
		s.lists = map[string]*storedList{}
	}
	s.lists[file] = &storedList{written: info.ModTime(), size: info.Size(), stored: parseStored(text)}
	return s.lists[file].stored
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
