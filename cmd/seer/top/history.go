package top

import "seer/collector"

// columns is how many intervals a history holds: two minutes of seconds, wider
// than the trend of any terminal.
const columns = 120

// unmeasured marks a column in which nothing was measured. Depths are never
// negative.
const unmeasured = -1

// A baseline remembers about baselineIntervals: a depth must hold for that
// long to become the new normal. Before baselineReady there is none, as
// nothing is known of what is normal.
const (
	baselineIntervals = 60
	baselineReady     = 10
)

// series is the history of every queue of one container or service: per
// interval the largest tick mean, in a ring addressed by slot, the number of
// the interval since the epoch. Slots are shared by all series, so columns of
// different lines show the same moment.
type series struct {
	last     int64 // newest slot written; 0 is none
	peaks    [collector.NumQueues][columns]float32
	mean     [collector.NumQueues]float32 // moving, of the intervals' means
	measured [collector.NumQueues]int     // intervals in mean, at most baselineIntervals
}

func newSeries() *series {
	s := &series{}
	for q := range s.peaks {
		for i := range s.peaks[q] {
			s.peaks[q][i] = unmeasured
		}
	}
	return s
}

// put writes one interval. Slots that were skipped since the last one become
// unmeasured. The baseline learns from means; nil teaches it nothing.
func (s *series) put(slot int64, peaks, means *[collector.NumQueues]float32) {
	from := max(s.last+1, slot-columns+1)
	for q := range s.peaks {
		for at := from; at < slot; at++ {
			s.peaks[q][at%columns] = unmeasured
		}
		s.peaks[q][slot%columns] = peaks[q]
		if means != nil && means[q] >= 0 {
			s.learn(collector.Queue(q), means[q], 1)
		}
	}
	s.last = slot
}

// learn adds n intervals of a mean depth to the baseline.
func (s *series) learn(q collector.Queue, mean float32, n int) {
	s.measured[q] = min(s.measured[q]+n, baselineIntervals)
	s.mean[q] += (mean - s.mean[q]) * float32(n) / float32(s.measured[q])
}

// baseline returns the usual depth of queue q, negative while it is unknown.
func (s *series) baseline(q collector.Queue) float64 {
	if s.measured[q] < baselineReady {
		return unmeasured
	}
	return float64(s.mean[q])
}

// at returns the peak of queue q in a slot, or unmeasured.
func (s *series) at(q collector.Queue, slot int64) float32 {
	if slot > s.last || slot <= s.last-columns || slot <= 0 {
		return unmeasured
	}
	return s.peaks[q][slot%columns]
}

// sparkBlocks are the eight heights of a trend; sparkASCII stands in on
// terminals that cannot show them.
var (
	sparkBlocks = []rune("▁▂▃▄▅▆▇█")
	sparkASCII  = []rune("_.-=+*#@")
)

// trend appends width columns that end at slot now. The scale is the line's
// own largest value, and never less than one unit, so that noise around zero
// stays flat. A column without a measurement is a space, a measured zero is
// the lowest level.
func (s *series) trend(dst []rune, q collector.Queue, now int64, width int, levels []rune) []rune {
	width = min(width, columns)
	top := float32(1)
	for slot := now - int64(width) + 1; slot <= now; slot++ {
		top = max(top, s.at(q, slot))
	}
	for slot := now - int64(width) + 1; slot <= now; slot++ {
		v := s.at(q, slot)
		if v < 0 {
			dst = append(dst, ' ')
			continue
		}
		level := int(v / top * float32(len(levels)-1))
		if v > 0 && level == 0 {
			level = 1 // a queue that held something does not look empty
		}
		dst = append(dst, levels[level])
	}
	return dst
}
