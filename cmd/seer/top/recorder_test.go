package top

import (
	"math"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
)

var (
	web0 = &container.Container{ID: 1, Name: "web-0", Service: "web"}
	web1 = &container.Container{ID: 2, Name: "web-1", Service: "web"}
)

// oneQueue makes a frame in which queue q of each container has a cell.
func oneQueue(end time.Time, q collector.Queue, cells map[*container.Container]collector.Cell) *Frame {
	f := &Frame{Time: end, Tick: 100 * time.Millisecond}
	for _, c := range []*container.Container{web0, web1} {
		if cell, ok := cells[c]; ok {
			row := collector.Row{Container: c, Sockets: 3}
			row.Cells[q] = cell
			f.Rows = append(f.Rows, row)
		}
	}
	return f
}

func line(t *testing.T, r *recorder, k key) *track {
	t.Helper()
	for _, lines := range r.lines {
		for _, l := range lines {
			if l.key == k {
				return l
			}
		}
	}
	t.Fatalf("no line %+v", k)
	return nil
}

// TestInterval adds ten ticks of known depths and expects their mean, peak and
// rates, for the containers and for their service.
func TestInterval(t *testing.T) {
	const q = collector.QueueOutstanding
	r := newRecorder(time.Second)
	for i := range 10 {
		f := oneQueue(epoch.Add(time.Duration(i)*100*time.Millisecond), q, map[*container.Container]collector.Cell{
			web0: {Depth: float64(i), Mean: float64(i), Max: float64(2 * i), Limit: 50, Arrivals: 3, Departures: 2, Wait: 10 * time.Millisecond, Valid: true},
			web1: {Depth: 1, Mean: 1, Max: 1, Limit: 50, Arrivals: 1, Departures: 6, Wait: 2 * time.Millisecond, Valid: i != 4},
		})
		if published := r.add(f); published != (i == 0) {
			t.Errorf("add(tick %d) published = %v", i, published)
		}
	}
	if !r.add(oneQueue(epoch.Add(time.Second), q, nil)) {
		t.Fatal("the next interval's first tick did not publish the last interval")
	}
	tests := []struct {
		key  key
		want stat
	}{
		{key{id: 1}, stat{depth: 9, mean: 4.5, max: 18, limit: 50, in: 30, out: 20, wait: 10 * time.Millisecond, valid: true, score: 0.09}},
		{key{id: 2}, stat{depth: 1, mean: 1, max: 1, limit: 50, in: 10, out: 60, wait: 2 * time.Millisecond, valid: true, score: 0.02}},
		{key{service: "web"}, stat{depth: 10, mean: 5.4, max: 19, limit: 100, in: 39, out: 74, wait: 4162162, valid: true, partial: true, score: 0.09}},
	}
	for _, tt := range tests {
		got := line(t, r, tt.key).stats[q]
		if !near(got, tt.want) {
			t.Errorf("stats of %+v = %+v, want %+v", tt.key, got, tt.want)
		}
	}
	if got := line(t, r, key{id: 1}).stats[collector.QueueSend]; got != (stat{}) {
		t.Errorf("a queue that was never measured has stats %+v", got)
	}
	if got := line(t, r, key{service: "web"}).history.at(q, r.shown); got != 10 {
		t.Errorf("peak of the service = %v, want 10: the largest sum of one tick", got)
	}
}

func near(a, b stat) bool {
	close := func(x, y float64) bool { return x-y < 1e-6 && y-x < 1e-6 }
	return close(a.depth, b.depth) && close(a.mean, b.mean) && close(a.max, b.max) && close(a.limit, b.limit) &&
		close(a.in, b.in) && close(a.out, b.out) && (a.wait-b.wait).Abs() < time.Microsecond &&
		a.valid == b.valid && a.partial == b.partial && close(a.score, b.score)
}

// TestFirstTickEndsItsInterval holds that a tick which was shown at once still
// counts when its interval ends right after it.
func TestFirstTickEndsItsInterval(t *testing.T) {
	const q = collector.QueueOutstanding
	cells := map[*container.Container]collector.Cell{web0: {Mean: 3, Valid: true}}
	r := newRecorder(time.Second)
	r.add(oneQueue(epoch.Add(950*time.Millisecond), q, cells))
	if !r.add(oneQueue(epoch.Add(1050*time.Millisecond), q, cells)) {
		t.Fatal("the interval did not end")
	}
	l := line(t, r, key{id: 1})
	if got := l.stats[q]; !near(got, stat{mean: 3, valid: true}) {
		t.Errorf("stats = %+v, want the first tick's mean of 3", got)
	}
	if got := l.history.at(q, r.shown); got != 3 {
		t.Errorf("peak = %v, want 3", got)
	}
}

// TestGone holds that a container disappears with the first interval without
// it, and is forgotten after a history.
func TestGone(t *testing.T) {
	const q = collector.QueueRun
	r := newRecorder(time.Second)
	both := map[*container.Container]collector.Cell{web0: {Valid: true}, web1: {Valid: true}}
	one := map[*container.Container]collector.Cell{web0: {Valid: true}}
	r.add(oneQueue(epoch, q, both))
	for i := 1; i <= 2; i++ {
		r.add(oneQueue(epoch.Add(time.Duration(i)*time.Second), q, one))
	}
	if n := len(r.lines[byContainer]); n != 1 {
		t.Errorf("%d containers shown, want 1", n)
	}
	if r.tracks[key{id: 2}] == nil {
		t.Error("the history of a container that left was dropped at once")
	}
	r.add(oneQueue(epoch.Add((columns+2)*time.Second), q, one))
	r.add(oneQueue(epoch.Add((columns+3)*time.Second), q, one))
	if r.tracks[key{id: 2}] != nil {
		t.Error("a container that left long ago is still kept")
	}
}

// TestSeed holds that what Seer remembers fills the trend before the first
// interval, and that a gap in it stays a gap.
func TestSeed(t *testing.T) {
	const q = collector.QueueRun
	var past [collector.NumQueues]api.Series // five seconds of ticks
	for i := range 50 {
		v := float32(i / 10)
		if i >= 20 && i < 30 {
			v = float32(math.NaN())
		}
		past[q] = append(past[q], v)
	}
	r := newRecorder(time.Second)
	f := oneQueue(epoch.Add(900*time.Millisecond), q, map[*container.Container]collector.Cell{web0: {Mean: 7, Valid: true}, web1: {Mean: 1, Valid: true}})
	f.Past = map[container.ID]*api.History{1: {Means: past}, 2: {Means: past}}
	r.add(f)
	for _, tt := range []struct {
		key  key
		want []float32
	}{
		{key{id: 1}, []float32{unmeasured, 0, 1, unmeasured, 3, 7}},
		{key{service: "web"}, []float32{unmeasured, 0, 2, unmeasured, 6, 8}},
	} {
		for i, want := range tt.want {
			slot := r.shown - int64(len(tt.want)-1-i)
			if got := line(t, r, tt.key).history.at(q, slot); got != want {
				t.Errorf("%+v: peak %d s ago = %v, want %v", tt.key, r.shown-slot, got, want)
			}
		}
	}
}

func TestTrend(t *testing.T) {
	const q = collector.QueueSend
	s := newSeries()
	put := func(slot int64, v float32) {
		var peaks [collector.NumQueues]float32
		peaks[q] = v
		s.put(slot, &peaks, &peaks)
	}
	for _, p := range []struct {
		slot int64
		v    float32
	}{{1000, 0}, {1001, 0.02}, {1003, 35}, {1004, 70}} {
		put(p.slot, p.v)
	}
	if got, want := string(s.trend(nil, q, 1004, 6, sparkBlocks)), " ▁▂ ▄█"; got != want {
		t.Errorf("trend = %q, want %q", got, want)
	}
	if got, want := string(s.trend(nil, q, 1006, 4, sparkASCII)), "=@  "; got != want {
		t.Errorf("trend of columns to come = %q, want %q", got, want)
	}
	put(1004+2*columns, 1)
	if got, want := string(s.trend(nil, q, 1004+2*columns, 3, sparkASCII)), "  @"; got != want {
		t.Errorf("trend after a long gap = %q, want %q", got, want)
	}
}

func TestContention(t *testing.T) {
	tests := []struct {
		name     string
		queue    collector.Queue
		stat     stat
		baseline float64
		want     float64
	}{
		{"not measured", collector.QueueAcceptBacklog, stat{mean: 128, limit: 128}, 0, 0},
		{"occupancy", collector.QueueAcceptBacklog, stat{mean: 96, limit: 128, valid: true}, 96, 0.75},
		{"one thread always waits", collector.QueueRun, stat{mean: 1, valid: true}, 1, 0.5},
		{"four threads wait", collector.QueueRun, stat{mean: 4, valid: true}, 4, 0.8},
		{"doubled", collector.QueueOutstanding, stat{mean: 20, valid: true}, 10, 0.5},
		{"as usual", collector.QueueOutstanding, stat{mean: 20, valid: true}, 20, 0},
		{"shrinking", collector.QueueOutstanding, stat{mean: 20, valid: true}, 90, 0},
		{"too few to matter", collector.QueueOutstanding, stat{mean: 3, valid: true}, 0, 0},
		{"too few bytes to matter", collector.QueueSend, stat{mean: 3000, valid: true}, 0, 0},
		{"bytes grow from nothing", collector.QueueSend, stat{mean: 30000, valid: true}, 0, 1},
		{"usual depth unknown", collector.QueueSend, stat{mean: 30000, valid: true}, unmeasured, 0},
	}
	for _, tt := range tests {
		if got := contention(tt.queue, &tt.stat, tt.baseline); got < tt.want-1e-9 || got > tt.want+1e-9 {
			t.Errorf("%s: contention = %v, want %v", tt.name, got, tt.want)
		}
	}
}
