package api

import (
	"sync"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/latency"
)

// How much of the past a row of the object request covers: whole slices, the last
// of them unfinished.
const (
	requestSlice  = 2 * time.Second
	requestSlices = 5
)

// maxRequestSeries bounds the containers whose requests are kept: as many as exact
// mode times at once. One takes 60 KB, so all of them 16 MB.
const maxRequestSeries = 256

// sides are the two ends of a request, as seen by one container.
type side int

const (
	served side = iota // requests that it answered
	called             // requests that it made
	numSides
)

var sideNames = [numSides]string{"served", "called"}

// requests keeps how long the requests of the last seconds took, and of all since
// start, of containers that are counted exactly.
type requests struct {
	mu    sync.Mutex
	byID  map[container.ID]*requestSeries
	slice int64 // number of the slice in progress
}

// requestSeries is what was timed of one container.
type requestSeries struct {
	last   int64 // slice in which it was last counted
	since  time.Time
	until  time.Time
	first  [requestSlices]latency.Histogram // to the first byte, of served
	recent [requestSlices][numSides]latency.Histogram
	total  [numSides]latency.Histogram
	sum    [numSides]float64 // seconds, of total
}

// add takes one tick.
func (r *requests) add(t *collector.Tick) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := t.Start.UnixNano() / int64(requestSlice); now != r.slice {
		r.begin(now)
	}
	for i := range t.Requests {
		row := &t.Requests[i]
		s := r.of(t.Rows[row.Row].Container.ID, t.Start)
		if s == nil {
			continue
		}
		s.last, s.until = r.slice, t.End
		at := r.slice % requestSlices
		s.first[at].Merge(&row.ServedFirst)
		for side, h := range [numSides]*latency.Histogram{&row.Served, &row.Called} {
			if h.IsZero() {
				continue
			}
			s.recent[at][side].Merge(h)
			s.total[side].Merge(h)
			s.sum[side] += h.Sum().Seconds()
		}
	}
}

// begin empties the slices that are over, and forgets who was not counted since.
func (r *requests) begin(now int64) {
	gone := min(now-r.slice, requestSlices)
	if gone < 0 {
		gone = requestSlices // the clock was set back
	}
	for id, s := range r.byID {
		if s.last < now-requestSlices || s.last > now {
			delete(r.byID, id)
			continue
		}
		for n := now - gone + 1; n <= now; n++ {
			at := n % requestSlices
			s.first[at], s.recent[at] = latency.Histogram{}, [numSides]latency.Histogram{}
		}
	}
	r.slice = now
}

// of returns the series of a container, nil where there are enough.
func (r *requests) of(id container.ID, start time.Time) *requestSeries {
	s := r.byID[id]
	if s == nil && len(r.byID) < maxRequestSeries {
		if r.byID == nil {
			r.byID = map[container.ID]*requestSeries{}
		}
		s = &requestSeries{since: start}
		r.byID[id] = s
	}
	return s
}

// timedRequests is what was timed of one side of a container lately.
type timedRequests struct {
	over        time.Duration // what the counts cover
	first, last latency.Histogram
	hasFirst    bool
}

// recently copies what was timed of a container, false where it is not counted.
func (r *requests) recently(id container.ID) (timed [numSides]timedRequests, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byID[id]
	if s == nil {
		return timed, false
	}
	from := time.Unix(0, (r.slice-requestSlices+1)*int64(requestSlice))
	if from.Before(s.since) {
		from = s.since
	}
	for i := range timed {
		timed[i].over, timed[i].hasFirst = s.until.Sub(from), side(i) == served
		for n := range s.recent {
			timed[i].last.Merge(&s.recent[n][i])
			if timed[i].hasFirst {
				timed[i].first.Merge(&s.first[n])
			}
		}
	}
	return timed, true
}

// totals copies what was timed of a container since it is counted.
func (r *requests) totals(id container.ID) (total [numSides]latency.Histogram, sum [numSides]float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byID[id]
	if s == nil {
		return total, sum, false
	}
	return s.total, s.sum, true
}

// requestRow describes one side of a container's requests.
func requestRow(c *container.Container, of side, t *timedRequests) RequestRow {
	row := RequestRow{
		Container: c.Name, Service: c.Service, CgroupID: c.ID.CgroupID(), Side: sideNames[of],
		Requests: max(t.last.N, 0), OverMS: milliseconds(t.over),
	}
	if t.over > 0 {
		row.PerSecond = float64(row.Requests) / t.over.Seconds()
	}
	quantile := func(h *latency.Histogram, q float64) *float64 {
		d, ok := h.Quantile(q)
		if !ok {
			return nil
		}
		ms := milliseconds(d)
		return &ms
	}
	row.P50MS, row.P90MS, row.P99MS = quantile(&t.last, .5), quantile(&t.last, .9), quantile(&t.last, .99)
	if t.hasFirst {
		row.FirstP50MS, row.FirstP99MS = quantile(&t.first, .5), quantile(&t.first, .99)
	}
	return row
}

// requestRows are both sides of every container that is counted exactly. One that
// makes no requests has no such side.
func (s *Server) requestRows(f *frame, picked pickFunc) []RequestRow {
	rows := []RequestRow{}
	for i := range f.rows {
		c := f.rows[i].Container
		if !picked(c) {
			continue
		}
		timed, ok := s.requests.recently(c.ID)
		if !ok {
			continue
		}
		for of := range timed {
			if side(of) == served || timed[of].last.N > 0 {
				rows = append(rows, requestRow(c, side(of), &timed[of]))
			}
		}
	}
	return rows
}
