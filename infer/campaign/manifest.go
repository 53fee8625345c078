package campaign

import (
	"time"

	"seer/infer/topology"
)

// SchemaVersion is the version of the directory's format that this build
// writes, and the newest that it reads.
const SchemaVersion = 1

// The sources of a campaign.
const (
	SourceSimulator = "simulator"
	SourceTestbed   = "testbed"
)

// Manifest is manifest.json.
type Manifest struct {
	Schema     int       `json:"schema"`
	App        string    `json:"app"`
	Seed       uint64    `json:"seed"`
	Source     string    `json:"source"` // SourceSimulator or SourceTestbed
	Start      time.Time `json:"start"`  // the zero of every other time; the simulator's is 2000-01-01
	DurationMS int64     `json:"duration_ms"`
	TickMS     int64     `json:"tick_ms"`
	Complete   bool      `json:"complete"`

	// Services in model order: topological, back-end first.
	Services []string `json:"services"`
	// Containers by the index that samples use. More may be added while the
	// campaign runs.
	Containers []Container `json:"containers"`
	Queues     []string    `json:"queues"` // measured, by collector's names
	QoS        []QoS       `json:"qos"`

	Topology *topology.App     `json:"-"`        // topology.yaml, beside the manifest
	Options  map[string]string `json:"options"`  // of the run: load shape, mix of faults, ...
	Versions map[string]string `json:"versions"` // seer, go, servers
	Host     map[string]string `json:"host,omitempty"`
	Notes    []string          `json:"notes,omitempty"` // "the load generator was late for 12 requests"

	// Resumes lists the times at which a campaign that had been interrupted went
	// on; of the time between there are no data.
	Resumes []Interruption `json:"resumes,omitempty"`
}

// Interruption is a part of the schedule that was not run.
type Interruption struct {
	FromMS int64     `json:"from_ms"` // what was kept ends here
	ToMS   int64     `json:"to_ms"`   // where the campaign went on
	At     time.Time `json:"at"`      // when it did, on the clock that Start was read from
}

// Container is one replica.
type Container struct {
	Name    string `json:"name"`
	Service string `json:"service"` // "" for one that belongs to no service, such as an antagonist
	Host    int    `json:"host"`    // in the simulator: the number of its host

	// When it was there, if not throughout: a service added or replaced while
	// the campaign runs. UntilMS 0 means to the end.
	FromMS  int64 `json:"from_ms,omitempty"`
	UntilMS int64 `json:"until_ms,omitempty"`
}

// QoS is one promise, see topology.QoS.
type QoS struct {
	Service    string  `json:"service"`
	Percentile float64 `json:"percentile"`
	TargetMS   float64 `json:"target_ms"`
}
