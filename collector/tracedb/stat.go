package tracedb

import (
	"seer/collector"
	"seer/collector/container"
)

// Stat is one of the numbers kept for a queue in each tick.
//
// The values are on disk: append only.
type Stat uint8

// The statistics, in stored order.
const (
	StatMean Stat = iota
	StatMax
	StatDepth
	StatArrivals
	StatDepartures
	StatWait
	StatLimit

	NumStats = int(iota)
)

// StatInfo describes one statistic for files and help texts.
type StatInfo struct {
	Name string // column name
	Unit string // empty where it is the queue's own unit
	Help string // one sentence, ends in a period
}

// Stats lists every statistic in stored order. Columns of exported files
// derive from it.
var Stats = [NumStats]StatInfo{
	StatMean:       {"mean", "", "Mean depth over the tick."},
	StatMax:        {"max", "", "Largest depth seen during the tick."},
	StatDepth:      {"depth", "", "Depth at the end of the tick."},
	StatArrivals:   {"arrivals", "", "Entered during the tick."},
	StatDepartures: {"departures", "", "Left during the tick."},
	StatWait:       {"wait_ns", "nanoseconds", "Mean time in the queue of those that left."},
	StatLimit:      {"limit", "", "Depth at which arrivals are refused, 0 where none exists."},
}

// String returns the statistic's name.
func (s Stat) String() string { return Stats[s].Name }

// StatByName returns the statistic called name, or false if there is none.
func StatByName(name string) (Stat, bool) {
	for s := range Stats {
		if Stats[s].Name == name {
			return Stat(s), true
		}
	}
	return 0, false
}

// Series identifies one sequence of samples: a statistic of a queue of a
// container. A container ID is the number of a cgroup and may be used again
// after a reboot; ContainerRecord says whose it was at what time.
type Series struct {
	Container container.ID
	Queue     collector.Queue
	Stat      Stat
}

// values takes the stored statistics out of a cell.
func values(c *collector.Cell, dst *[NumStats]float32) {
	dst[StatMean] = float32(c.Mean)
	dst[StatMax] = float32(c.Max)
	dst[StatDepth] = float32(c.Depth)
	dst[StatArrivals] = float32(c.Arrivals)
	dst[StatDepartures] = float32(c.Departures)
	dst[StatWait] = float32(c.Wait)
	dst[StatLimit] = float32(c.Limit)
}
