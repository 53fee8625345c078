package window

import (
	"fmt"
	"slices"
	"strings"

	"seer/collector"
	"seer/collector/tracedb"
)

// Feature is one of the queues of a layout: a statistic of one of collector's
// queues. The mean depth has the queue's own name, other statistics follow a dot:
// "outstanding", "outstanding.arrivals".
type Feature struct {
	Queue collector.Queue
	Stat  tracedb.Stat
}

// String returns the name that a layout has for it.
func (f Feature) String() string {
	if f.Stat == tracedb.StatMean {
		return f.Queue.String()
	}
	return f.Queue.String() + "." + f.Stat.String()
}

// ParseFeature returns the feature of that name.
func ParseFeature(name string) (Feature, error) {
	queue, stat, found := strings.Cut(name, ".")
	f := Feature{Stat: tracedb.StatMean}
	var ok bool
	if f.Queue, ok = collector.QueueByName(queue); !ok {
		return f, fmt.Errorf("no queue %q: the model is of another build, train it again", queue)
	}
	if !found {
		return f, nil
	}
	// A mean wait is no sum over replicas.
	if f.Stat, ok = tracedb.StatByName(stat); !ok || f.Stat == tracedb.StatMean || f.Stat == tracedb.StatWait {
		return f, fmt.Errorf("no statistic %q of queue %q: the model is of another build, train it again", stat, queue)
	}
	return f, nil
}

// The selections of inputs: the paper's comparison is between the first three and
// what a utilisation monitor would have (section 6, figure 12b).
const (
	SelectAll         = "all"
	SelectApplication = "application"
	SelectNetwork     = "network"
	SelectHost        = "host" // processors and disks: what utilisation shows
)

// Selections lists them.
var Selections = []string{SelectAll, SelectApplication, SelectNetwork, SelectHost}

// extras follow the mean depths. The depth at the end of a tick is the newest
// that there is to know, and what came and went tells a stall from a rush.
var extras = []Feature{
	{collector.QueueOutstanding, tracedb.StatDepth},
	{collector.QueueDownstream, tracedb.StatDepth},
	{collector.QueueOutstanding, tracedb.StatArrivals},
	{collector.QueueOutstanding, tracedb.StatDepartures},
}

// Features returns the features of a selection: the mean depth of every queue of
// it, in collector's order, then the extras.
func Features(selection string) ([]Feature, error) {
	if !slices.Contains(Selections, selection) {
		return nil, fmt.Errorf("no selection of queues %q: want one of %s", selection, strings.Join(Selections, ", "))
	}
	var out []Feature
	for q, info := range collector.Queues {
		if selection == SelectAll || selection == info.Set.String() {
			out = append(out, Feature{collector.Queue(q), tracedb.StatMean})
		}
	}
	for _, f := range extras {
		if selection == SelectAll || selection == collector.Queues[f.Queue].Set.String() {
			out = append(out, f)
		}
	}
	return out, nil
}

// IsDepth says whether the feature is how deep a queue is, not what came and went.
func (f Feature) IsDepth() bool {
	return f.Stat == tracedb.StatMean || f.Stat == tracedb.StatDepth || f.Stat == tracedb.StatMax
}
