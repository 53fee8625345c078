package top

import (
	"slices"
	"time"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
)

// Frame is one tick as top needs it. The receiver owns it.
type Frame struct {
	Host    string
	Seq     uint64
	Time    time.Time // end of the tick
	Tick    time.Duration
	Passes  int    // socket passes taken during the tick
	Losses  uint64 // facts dropped since Seer started, all reasons
	Skipped uint64 // frames that this reader was too slow for
	Cost    api.CostRow
	Probes  []api.ProbeRow
	Rows    []collector.Row // one per container
	// Past is each container's recent ticks, with the first frame of a
	// connection only.
	Past map[container.ID]*api.History
}

// why says why queue q has no value, from the health of the probes that feed it.
func (f *Frame) why(q collector.Queue) string {
	for i := range f.Probes {
		p := &f.Probes[i]
		if p.State == "on" || !slices.Contains(p.Queues, q.String()) {
			continue
		}
		if p.Reason == "" {
			return p.State + ": probe " + p.Probe
		}
		return p.State + ": " + p.Reason
	}
	return "not measured here"
}

// key identifies one line of the table across frames: a container, or a
// service when id is 0.
type key struct {
	id      container.ID
	service string
}

// grouping says what a line of the table is.
type grouping uint8

const (
	byContainer grouping = iota
	byService
)

// String returns the grouping as the command line and the header show it.
func (g grouping) String() string { return [...]string{"container", "service"}[g] }
