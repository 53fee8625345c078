package campaign

import (
	"time"

	"seer/infer/topology"
)

// SchemaVersion is the version of the directory's format that this build
// writes, and the newest that it reads.
const SchemaVersion = 1

// Manifest is manifest.json.
type Manifest struct {
	Schema     int       `json:"schema"`
	App        string    `json:"app"`
	Seed       uint64    `json:"seed"`
	Source     string    `json:"source"` // "simulator" or "testbed"
	Start      time.Time `json:"start"`  // the zero of every other time; the simulator's is 2000-01-01
	DurationMS int64     `json:"duration_ms"`
	TickMS     int64     `json:"tick_ms"`
	Complete   bool      `json:"complete"`

	// Services in model order: topological, back-end first.
	Services []string `json:"services"`
	// Containers by the index that samples use.
	Containers []Container `json:"containers"`
	Queues     []string    `json:"queues"` // measured, by collector's names
	QoS        []QoS       `json:"qos"`

	Topology *topology.App     `json:"-"`        // topology.yaml, beside the manifest
	Options  map[string]string `json:"options"`  // of the run: load shape, mix of faults, ...
	Versions map[string]string `json:"versions"` // seer, go, servers
	Host     map[string]string `json:"host,omitempty"`
	Notes    []string          `json:"notes,omitempty"` // "the load generator was late for 12 requests"
}

// Container is one replica.
type Container struct {
	Name    string `json:"name"`
	Service string `json:"service"` // "" for one that belongs to no service, such as an antagonist
	Host    int    `json:"host"`    // in the simulator: the number of its host
}

// QoS is one promise, see topology.QoS.
type QoS struct {
	Service    string  `json:"service"`
	Percentile float64 `json:"percentile"`
	TargetMS   float64 `json:"target_ms"`
}
