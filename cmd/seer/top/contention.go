package top

import "seer/collector"

// Levels of contention at which a queue is marked. Half full, or twice its
// usual depth, asks for a look; 80 % full, or five times, is trouble.
const (
	warnLevel = 0.5
	critLevel = 0.8
)

// Depths below which growth means nothing: going from none to three requests
// is traffic, not contention.
const (
	growthFloor      = 4
	growthFloorBytes = 4096
)

// contention rates how contended one queue is, 0 (not) to 1 and beyond (full),
// so that queues of different units compare:
//
//   - a queue with a limit: mean depth / limit, its occupancy;
//   - the run queue: n / (n + 1). One thread waiting all the time is .5, four
//     are .8, whatever is usual for the container;
//   - any other: 1 - baseline / mean, its growth over its own last minute.
//
// baseline is the usual depth, negative when unknown.
func contention(q collector.Queue, s *stat, baseline float64) float64 {
	if !s.valid {
		return 0
	}
	if s.limit > 0 {
		return s.mean / s.limit
	}
	if q == collector.QueueRun {
		return s.mean / (s.mean + 1)
	}
	floor := float64(growthFloor)
	if collector.Queues[q].Unit == "bytes" {
		floor = growthFloorBytes
	}
	if s.mean < floor || baseline < 0 || s.mean <= baseline {
		return 0
	}
	return 1 - baseline/s.mean
}
