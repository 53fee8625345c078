package tracedb_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
)

// column returns one column of a window, NaN where it is masked.
func column(w *tracedb.Window, i int) []float64 {
	var out []float64
	for row := range w.Rows {
		v, ok := w.Row(row)
		if !ok[i] {
			if v[i] != 0 {
				panic("a masked cell is not zero")
			}
			out = append(out, math.NaN())
			continue
		}
		out = append(out, float64(v[i]))
	}
	return out
}

// write stores ticks of one queue of some containers.
func write(t *testing.T, db tracedb.Store, ticks ...collector.Tick) {
	t.Helper()
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet, QueueLength: 128})
	for i := range ticks {
		r.Consume(&ticks[i])
	}
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Dropped != 0 {
		t.Fatalf("%d points dropped", s.Dropped)
	}
}

func tickAt(start, end time.Duration, rows ...collector.Row) collector.Tick {
	return collector.Tick{Start: epoch.Add(start), End: epoch.Add(end), Rows: rows}
}

func rowOf(c *container.Container, cell collector.Cell) collector.Row {
	cell.Valid = true
	r := collector.Row{Container: c}
	r.Cells[collector.QueueOutstanding] = cell
	return r
}

const (
	ms  = time.Millisecond
	out = collector.QueueOutstanding
)

var (
	web1 = &container.Container{ID: 1, Name: "web-1", Service: "web"}
	web2 = &container.Container{ID: 2, Name: "web-2", Service: "web"}
	nan  = math.NaN()
)

func equalNaN(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestWindowKnownAnswer(t *testing.T) {
	db := openDB(t, t.TempDir())
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet, QueueLength: 64})
	// Ticks begin 37 ms after each tenth of a second.
	f := newFeed(epoch.Add(37*ms), 3)
	for tick := range 250 {
		r.Consume(f.at(tick))
	}
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	queues := []collector.Queue{collector.QueueRun, collector.QueueBlockIO, collector.QueueNICRx}
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch.Add(5 * time.Second), To: epoch.Add(20 * time.Second), Tick: f.tick,
		Columns: tracedb.Columns([]string{"svc-c", "svc-a", "nobody"}, queues, []tracedb.Stat{tracedb.StatDepth, tracedb.StatMax}),
	})
	if err != nil {
		t.Fatal(err)
	}
	// Rows lie on the ticks: row 0 is the one that runs at 5 s.
	if want := f.start.Add(49 * f.tick); !w.From.Equal(want) || w.Rows != 150 {
		t.Fatalf("window from %v with %d rows, want %v and 150", w.From, w.Rows, want)
	}
	for row := range w.Rows {
		values, valid := w.Row(row)
		tick := 49 + row
		for i, c := range w.Columns {
			index := map[string]int{"svc-c": 2, "svc-a": 0}
			id, exists := index[c.Service]
			ok := exists && !missing(c.Queue, tick)
			want := 0.0
			if ok {
				want = known(id, int(c.Queue), tick)
				if c.Stat == tracedb.StatMax {
					want++
				}
			}
			if valid[i] != ok || float64(values[i]) != want {
				t.Fatalf("tick %d, %+v = %v (valid %v), want %v (%v)", tick, c, values[i], valid[i], want, ok)
			}
		}
	}
}

func TestWindowSumsReplicas(t *testing.T) {
	db := openDB(t, t.TempDir())
	busy := collector.Cell{Depth: 3, Mean: 2, Max: 5, Limit: 10, Arrivals: 4, Departures: 3, Wait: 10 * ms}
	calm := collector.Cell{Depth: 1, Mean: 1, Max: 2, Limit: 10, Arrivals: 1, Departures: 1, Wait: 2 * ms}
	unread := rowOf(web2, calm)
	unread.Cells[out] = collector.Cell{}
	write(t, db,
		tickAt(0, 100*ms, rowOf(web1, busy), rowOf(web2, calm)),
		tickAt(100*ms, 200*ms, rowOf(web1, busy)),         // one replica runs
		tickAt(200*ms, 300*ms, rowOf(web1, busy), unread), // one of two was not measured
		tickAt(300*ms, 400*ms),                            // none runs
	)
	stats := []tracedb.Stat{tracedb.StatDepth, tracedb.StatMean, tracedb.StatMax, tracedb.StatLimit, tracedb.StatArrivals, tracedb.StatDepartures, tracedb.StatWait}
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch, To: epoch.Add(400 * ms), Tick: 100 * ms, Columns: tracedb.Columns([]string{"web"}, []collector.Queue{out}, stats),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float64{
		{4, 3, nan, nan}, {3, 2, nan, nan}, {7, 5, nan, nan}, {20, 10, nan, nan}, {5, 4, nan, nan}, {4, 3, nan, nan},
		{8e6, 10e6, nan, nan}, // (3*10 + 1*2) / 4 ms
	} {
		got := column(w, i)
		for row := range want {
			if e := math.Abs(got[row]-want[row]) / want[row]; !equalNaN(got[row], want[row]) && !(e < 2e-3) {
				t.Errorf("%v = %v, want %v", stats[i], got, want)
				break
			}
		}
	}
}

// Rows longer than the recorded ticks aggregate them, also across the border
// of two chunks, which row 0.5 s lies over.
func TestWindowOfLongerTicks(t *testing.T) {
	db := openDB(t, t.TempDir())
	var ticks []collector.Tick
	for i := range 10 {
		at := 9700*ms + time.Duration(i)*100*ms
		ticks = append(ticks, tickAt(at, at+100*ms, rowOf(web1, collector.Cell{
			Depth: float64(i), Mean: float64(i), Max: float64(i % 3), Limit: 8, Arrivals: 1, Departures: 1, Wait: time.Duration(i) * ms,
		})))
	}
	write(t, db, ticks...)
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch.Add(9700 * ms), To: epoch.Add(10700 * ms), Tick: 500 * ms,
		Columns: tracedb.Columns([]string{"web"}, []collector.Queue{out}, []tracedb.Stat{tracedb.StatDepth, tracedb.StatMean, tracedb.StatMax, tracedb.StatLimit, tracedb.StatArrivals}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !w.From.Equal(epoch.Add(9500 * ms)) {
		t.Fatalf("window from %v, want it on multiples of its tick", w.From)
	}
	// Rows 9.5 s (ticks 0 to 2), 10 s (3 to 7).
	for i, want := range [][]float64{{2, 7}, {1, 5}, {2, 2}, {8, 8}, {3, 5}} {
		if diff := cmp.Diff(want, column(w, i)[:2], cmp.Comparer(equalNaN)); diff != "" {
			t.Errorf("%v differs (-want +got):\n%s", w.Columns[i].Stat, diff)
		}
	}
}

// Jitter of nearly half a tick must not move a sample to the row next to its own.
func TestWindowWithJitter(t *testing.T) {
	db := openDB(t, t.TempDir())
	var ticks []collector.Tick
	end := time.Duration(0)
	for i := range 50 {
		start := end
		end = time.Duration(i+1)*100*ms + time.Duration(i*7919%80-40)*ms
		ticks = append(ticks, tickAt(start, end, rowOf(web1, collector.Cell{Depth: float64(i)})))
	}
	write(t, db, ticks...)
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch, To: epoch.Add(5 * time.Second), Tick: 100 * ms, Columns: []tracedb.Column{{Container: 1, Queue: out, Stat: tracedb.StatDepth}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range column(w, 0) {
		if v != float64(i) {
			t.Fatalf("row %d = %v, want %d", i, v, i)
		}
	}
}

func TestWindowBadQuery(t *testing.T) {
	db := openDB(t, t.TempDir())
	col := []tracedb.Column{{Service: "web"}}
	for _, q := range []tracedb.WindowQuery{
		{From: epoch, To: epoch, Tick: ms, Columns: col},
		{From: epoch, To: epoch.Add(1), Columns: col},
		{From: epoch, To: epoch.Add(1), Tick: ms},
		{From: epoch, To: epoch.Add(1e6 * time.Hour), Tick: ms, Columns: col},
		{From: epoch, To: epoch.Add(1), Tick: ms, Columns: []tracedb.Column{{Queue: 200}}},
	} {
		if _, err := tracedb.ReadWindow(t.Context(), db, q); err == nil {
			t.Errorf("ReadWindow(%+v) = nil, want an error", q)
		}
	}
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{From: epoch, To: epoch.Add(time.Second), Tick: 100 * ms, Columns: col})
	if err != nil || w.Rows != 10 || !math.IsNaN(column(w, 0)[5]) {
		t.Errorf("window of an empty database = %+v, %v, want ten masked rows", w, err)
	}
}
