package container

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// dockerConfig is the part of config.v2.json that names a container
// (moby/moby daemon/container, written by dockerd at create, rename, start).
type dockerConfig struct {
	Name   string `json:"Name"` // with a leading slash
	Config struct {
		Image  string            `json:"Image"`
		Labels map[string]string `json:"Labels"`
	} `json:"Config"`
}

// dockerFacts names a container from LIB/docker/containers/ID/config.v2.json.
// ok is false when Docker does not know the id.
func dockerFacts(varLibRoot, id, node string) (_ facts, ok bool) {
	source := filepath.Join(varLibRoot, "docker/containers", id, "config.v2.json")
	text, err := readBounded(source, maxConfigBytes)
	if err != nil {
		return facts{}, false
	}
	return parseDocker(text, id, node)
}

func parseDocker(text []byte, id, node string) (_ facts, ok bool) {
	var config dockerConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return facts{}, false
	}
	f := facts{
		name: strings.TrimPrefix(config.Name, "/"), runtime: "docker", id: id,
		image: config.Config.Image, replica: true,
	}
	if f.name == "" {
		return facts{}, false
	}
	if !f.applyPod(config.Config.Labels, node) {
		f.applyLabels(config.Config.Labels)
	}
	return f, true
}
