package api

import (
	"math"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// Snapshot is the state of the whole host at the end of one tick, as a
// stream sends it.
type Snapshot struct {
	Seq       uint64    // of the tick; a gap is a snapshot that was not sent
	Time      time.Time // end of the tick
	Tick      time.Duration
	Passes    int    // socket passes taken during the tick
	Losses    uint64 // facts dropped since Seer started, all reasons
	Skipped   uint64 // snapshots this client has missed because it read too slowly
	LossRows  []LossRow
	Cost      CostRow
	Probes    []ProbeRow
	Rows      []collector.Row // one per container, by ID
	Histories map[container.ID]*History
}

// History is the recent past of one container, sent once: with the first
// snapshot of a stream. From then on the reader appends what it sees.
type History struct {
	Means [collector.NumQueues]Series
}

// Series is a queue's mean depth per tick, oldest first, in the queue's unit.
// A tick in which the queue was not measured is NaN (see IsMissing); a queue
// that was never measured has an empty series.
type Series []float32

// IsMissing reports whether a value of a Series was not measured.
func IsMissing(v float32) bool { return math.IsNaN(float64(v)) }
