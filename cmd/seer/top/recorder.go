package top

import (
	"slices"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// recorder turns ticks into intervals and keeps the histories.
type recorder struct {
	interval time.Duration
	frame    *Frame // newest; nil before the first
	slot     int64  // interval being collected
	shown    int64  // interval that was published last; 0 before
	tracks   map[key]*track
	lines    [2][]*track // published, by grouping, in no order
	sockets  int
	hold     bool     // publish only when told to
	tick     uint64   // ticks added
	touched  []*track // services of the tick being added; reused
}

func newRecorder(interval time.Duration) *recorder {
	return &recorder{interval: interval, tracks: map[key]*track{}}
}

// add takes one tick and reports whether an interval was published. The first
// tick is published at once, so that there is something to see, and counts in
// its interval all the same.
func (r *recorder) add(f *Frame) bool {
	slot := f.Time.UnixNano() / int64(r.interval)
	first := r.frame == nil
	published := first
	if !first && slot != r.slot && !r.hold {
		r.publish(true)
		published = true
	}
	r.frame, r.slot = f, slot
	r.tick++
	r.sockets, r.touched = 0, r.touched[:0]
	seconds := f.Tick.Seconds()
	for i := range f.Rows {
		row := &f.Rows[i]
		r.sockets += row.Sockets
		r.containerTrack(row).collect(&row.Cells, nil, seconds)
		s := r.serviceTrack(row.Container)
		s.members = append(s.members, row.Container)
		s.sockets += row.Sockets
		s.closeWait += row.CloseWait
		s.addMember(&row.Cells)
	}
	for _, s := range r.touched {
		s.collect(&s.tick, &s.unmeasured, seconds)
	}
	if f.Past != nil {
		r.seed(f)
		f.Past = nil
	}
	if first {
		r.publish(false)
	}
	return published
}

// containerTrack returns the line of one container.
func (r *recorder) containerTrack(row *collector.Row) *track {
	c := row.Container
	t := r.track(key{id: c.ID})
	if t.container != c {
		t.container, t.name, t.service = c, clean(c.Name), clean(c.Service)
	}
	t.sockets, t.closeWait, t.seen = row.Sockets, row.CloseWait, r.slot
	return t
}

// serviceTrack returns the line of c's service, emptied when this is its first
// container of the tick.
func (r *recorder) serviceTrack(c *container.Container) *track {
	t := r.track(key{service: c.Service})
	if t.seenTick == r.tick {
		return t
	}
	t.name = clean(c.Service)
	t.service = t.name
	t.members, t.sockets, t.closeWait, t.seen, t.seenTick = t.members[:0], 0, 0, r.slot, r.tick
	clear(t.tick[:])
	clear(t.unmeasured[:])
	r.touched = append(r.touched, t)
	return t
}

func (r *recorder) track(k key) *track {
	t := r.tracks[k]
	if t == nil {
		t = &track{key: k, hot: -1, history: newSeries()}
		r.tracks[k] = t
	}
	return t
}

// publish makes what was seen in the interval the table, and forgets what has
// not been seen for a whole history. complete ends the interval.
func (r *recorder) publish(complete bool) {
	r.shown = r.slot
	for g := range r.lines {
		r.lines[g] = r.lines[g][:0]
	}
	for k, t := range r.tracks {
		switch {
		case t.seen <= r.slot-columns:
			delete(r.tracks, k)
		case t.seen != r.slot:
		case k.id == 0:
			r.lines[byService] = append(r.lines[byService], t)
		default:
			r.lines[byContainer] = append(r.lines[byContainer], t)
			t.publish(r.slot, r.tracks[key{service: t.container.Service}], complete)
		}
	}
	for _, t := range r.lines[byService] {
		t.publish(r.slot, nil, complete)
	}
}

// clone returns a copy that later ticks do not change: what a pause shows.
func (r *recorder) clone() *recorder {
	c := *r
	c.tracks = nil
	c.touched = nil
	for g := range r.lines {
		c.lines[g] = make([]*track, len(r.lines[g]))
		for i, t := range r.lines[g] {
			frozen, history := *t, *t.history
			frozen.history = &history
			frozen.members = slices.Clone(t.members)
			c.lines[g][i] = &frozen
		}
	}
	return &c
}
