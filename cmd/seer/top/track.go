package top

import (
	"time"

	"seer/collector"
	"seer/collector/container"
)

// stat is one queue of one line over one interval. Depths are in the queue's
// unit, rates per second. Where valid is false the rest is zero.
type stat struct {
	depth, mean, max, limit float64
	in, out                 float64
	wait                    time.Duration // mean over departures; 0 when none departed
	valid                   bool
	partial                 bool    // some containers of the service were not measured
	score                   float64 // contention; of a service, its most contended container's
}

// sum collects the ticks of an interval for one queue.
type sum struct {
	meanTime, time  float64 // depth x seconds, seconds with a value
	depth, limit    float64 // newest
	max, peak       float64 // largest depth, largest tick mean
	in, out, waited float64 // entered, left, seconds waited by those that left
	partial         bool    // a tick in which some members had no value
}

// track is one line of the table: a container or a service.
type track struct {
	key          key
	memberScores [collector.NumQueues]float64 // a service's: the largest of its containers
	name         string                       // shown; safe for a terminal
	service      string
	container    *container.Container   // nil for a service
	members      []*container.Container // of a service, in the newest tick
	sockets      int
	closeWait    int
	stats        [collector.NumQueues]stat
	hot          int // most contended queue, -1 when none reaches warnLevel
	history      *series
	sums         [collector.NumQueues]sum
	seen         int64                               // slot of the newest tick
	seenTick     uint64                              // the recorder's number of the newest tick
	tick         [collector.NumQueues]collector.Cell // a service's cells, added up during one tick
	unmeasured   [collector.NumQueues]int            // members without a value in that tick
}

// serviceKey names the service of the line as edges do.
func (t *track) serviceKey() string {
	if t.container != nil {
		return t.container.Service
	}
	return t.key.service
}

// score returns the contention of the most contended queue, 0 when none is.
func (t *track) score() float64 {
	if t.hot < 0 {
		return 0
	}
	return t.stats[t.hot].score
}

// collect adds one tick of the given length to the interval. missing, for a
// service, counts the containers that had no value; nil for a container.
func (t *track) collect(cells *[collector.NumQueues]collector.Cell, missing *[collector.NumQueues]int, seconds float64) {
	for q := range cells {
		c, s := &cells[q], &t.sums[q]
		if !c.Valid {
			continue
		}
		s.meanTime += c.Mean * seconds
		s.time += seconds
		s.depth, s.limit = c.Depth, c.Limit
		s.max = max(s.max, c.Max)
		s.peak = max(s.peak, c.Mean)
		s.in += c.Arrivals
		s.out += c.Departures
		s.waited += c.Wait.Seconds() * c.Departures
		s.partial = s.partial || missing != nil && missing[q] > 0
	}
}

// addMember adds one container's cells to the service's tick. The sum of the
// largest depths is an upper bound: the containers need not have reached
// theirs at the same moment.
func (t *track) addMember(cells *[collector.NumQueues]collector.Cell) {
	for q := range cells {
		c, sum := &cells[q], &t.tick[q]
		if !c.Valid {
			t.unmeasured[q]++
			continue
		}
		if out := sum.Departures + c.Departures; out > 0 {
			waited := sum.Wait.Seconds()*sum.Departures + c.Wait.Seconds()*c.Departures
			sum.Wait = time.Duration(waited / out * float64(time.Second))
		}
		sum.Depth += c.Depth
		sum.Mean += c.Mean
		sum.Max += c.Max
		sum.Limit += c.Limit
		sum.Arrivals += c.Arrivals
		sum.Departures += c.Departures
		sum.Valid = true
	}
}

// publish turns the collected interval into stats and one column of history;
// complete starts the next and lets the baseline learn from it. A container tells its service, which is published
// later, how contended it is: one replica in trouble must not disappear in
// the sum of many. It is nil for a service.
func (t *track) publish(slot int64, service *track, complete bool) {
	var peaks, means [collector.NumQueues]float32
	t.hot = -1
	for q := range t.sums {
		sum := &t.sums[q]
		if sum.time == 0 {
			t.stats[q] = stat{}
			peaks[q], means[q] = unmeasured, unmeasured
			continue
		}
		s := stat{
			depth: sum.depth, mean: sum.meanTime / sum.time, max: sum.max, limit: sum.limit,
			in: sum.in / sum.time, out: sum.out / sum.time,
			valid: true, partial: sum.partial,
		}
		if sum.out > 0 {
			s.wait = time.Duration(sum.waited / sum.out * float64(time.Second))
		}
		if service != nil {
			s.score = contention(collector.Queue(q), &s, t.history.baseline(collector.Queue(q)))
			service.memberScores[q] = max(service.memberScores[q], s.score)
		} else {
			s.score = t.memberScores[q]
		}
		if s.score >= warnLevel && s.score > t.score() {
			t.hot = q
		}
		t.stats[q] = s
		peaks[q], means[q] = float32(sum.peak), float32(s.mean)
	}
	clear(t.memberScores[:])
	if !complete {
		t.history.put(slot, &peaks, nil)
		return
	}
	t.history.put(slot, &peaks, &means)
	clear(t.sums[:])
}
