package top

import (
	"time"

	"seer/collector"
	"seer/collector/api"
)

// seed fills histories with what Seer remembers from before top connected, so
// that trends are there at once. Intervals that top saw itself stay.
func (r *recorder) seed(f *Frame) {
	services := map[*track]*[collector.NumQueues][]float32{}
	for i := range f.Rows {
		c := f.Rows[i].Container
		past := f.Past[c.ID]
		if past == nil {
			continue
		}
		t := r.tracks[key{id: c.ID}]
		s := r.tracks[key{service: c.Service}]
		total := services[s]
		if total == nil {
			total = &[collector.NumQueues][]float32{}
			services[s] = total
		}
		for q := range past.Means {
			r.seedQueue(t.history, collector.Queue(q), past.Means[q], f.Time, f.Tick)
			total[q] = addRecent(total[q], past.Means[q])
		}
	}
	for s, total := range services {
		for q := range total {
			r.seedQueue(s.history, collector.Queue(q), total[q], f.Time, f.Tick)
		}
	}
	for _, t := range r.tracks {
		t.history.last = max(t.history.last, r.slot-1)
	}
}

// seedQueue writes the tick means of one queue, oldest first and ending at
// end, into the intervals before the present one.
func (r *recorder) seedQueue(s *series, q collector.Queue, means []float32, end time.Time, tick time.Duration) {
	var total float32
	measured := 0
	for i, m := range means {
		if api.IsMissing(m) {
			continue
		}
		at := end.Add(-time.Duration(len(means)-1-i) * tick)
		slot := at.UnixNano() / int64(r.interval)
		if slot >= r.slot || slot <= s.last || slot <= r.slot-columns {
			continue
		}
		s.peaks[q][slot%columns] = max(s.peaks[q][slot%columns], m)
		total += m
		measured++
	}
	if n := measured * int(tick) / int(r.interval); n > 0 && s.measured[q] <= 1 {
		s.learn(q, total/float32(measured), min(n, baselineIntervals))
	}
}

// addRecent adds src to dst aligned at their ends, since both end now. A
// missing value adds nothing unless both are missing.
func addRecent(dst, src []float32) []float32 {
	if len(src) > len(dst) {
		grown := make([]float32, len(src))
		pad := len(src) - len(dst)
		copy(grown, src[:pad])
		copy(grown[pad:], dst)
		dst, src = grown, src[pad:]
	}
	tail := dst[len(dst)-len(src):]
	for i, m := range src {
		switch {
		case api.IsMissing(m):
		case api.IsMissing(tail[i]):
			tail[i] = m
		default:
			tail[i] += m
		}
	}
	return dst
}
