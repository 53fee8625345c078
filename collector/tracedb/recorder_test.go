package tracedb_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

var (
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
	epoch = time.Unix(1_700_000_400, 0).UTC()
)

func openDB(t testing.TB, dir string) *embedded.DB {
	t.Helper()
	db, err := embedded.Open(dir, embedded.Options{Logger: quiet, MinFreeBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// feed makes ticks of a known host: container c's queue q has depth
// known(c, q, tick), and every seventh sample of block_io is missing.
type feed struct {
	start      time.Time
	tick       time.Duration
	containers []*container.Container
	t          collector.Tick
}

func newFeed(start time.Time, containers int) *feed {
	f := &feed{start: start, tick: 100 * time.Millisecond}
	for i := range containers {
		name := string(rune('a' + i))
		f.containers = append(f.containers, &container.Container{ID: container.ID(i + 1), Name: name, Service: "svc-" + name, Runtime: "docker", Path: "/docker/" + name})
	}
	return f
}

func known(c, q, tick int) float64 { return float64(c*1000 + q*10 + tick%50) }

func missing(q collector.Queue, tick int) bool {
	return q == collector.QueueBlockIO && tick%7 == 0 || q == collector.QueueNICRx
}

func (f *feed) at(tick int) *collector.Tick {
	f.t.Seq = uint64(tick)
	f.t.Start = f.start.Add(time.Duration(tick) * f.tick)
	f.t.End = f.t.Start.Add(f.tick)
	f.t.Rows = f.t.Rows[:0]
	for i, c := range f.containers {
		f.t.Rows = append(f.t.Rows, collector.Row{Container: c})
		row := &f.t.Rows[i]
		for q := range row.Cells {
			if missing(collector.Queue(q), tick) {
				continue
			}
			d := known(i, q, tick)
			row.Cells[q] = collector.Cell{
				Depth: d, Mean: d / 2, Max: d + 1, Limit: 128, Arrivals: 3, Departures: 2,
				Wait: time.Duration(d) * time.Millisecond, Valid: true,
			}
		}
	}
	return &f.t
}

// run starts a recorder and returns a function that stops it.
func run(t testing.TB, r *tracedb.Recorder) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { stop() })
	return stop
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// record feeds ticks [from, to), two seconds at a time: then it waits until the
// recorder has written them, or tried.
func record(t testing.TB, r *tracedb.Recorder, f *feed, from, to int) {
	t.Helper()
	for tick := from; tick < to; {
		before := r.Stats()
		for range min(20, to-tick) {
			r.Consume(f.at(tick))
			tick++
		}
		if tick < to {
			waitFor(t, "two seconds are written", func() bool {
				s := r.Stats()
				return s.Batches+s.Errors >= before.Batches+before.Errors+2
			})
		}
	}
}

func TestRecorderReadsBackWhatTheCollectorSaid(t *testing.T) {
	const containers, ticks = 3, 437 // 43.7 s: chunks that are full and one that is not
	dir := t.TempDir()
	db := openDB(t, dir)
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet})
	stop := run(t, r)
	f := newFeed(epoch.Add(3*time.Second+17*time.Millisecond), containers)
	record(t, r, f, 0, ticks)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s := r.Stats()
	valid := 0
	for tick := range ticks {
		for q := range collector.NumQueues {
			if !missing(collector.Queue(q), tick) {
				valid += containers
			}
		}
	}
	if want := uint64(valid * tracedb.NumStats); s.Points != want || s.Dropped != 0 || s.Errors != 0 {
		t.Errorf("Stats() = %d points, %d dropped, %d errors, want %d, 0, 0", s.Points, s.Dropped, s.Errors, want)
	}
	db.Close()
	db = openDB(t, dir)

	next := make(map[container.ID]int)
	chunks := 0
	var c tracedb.Chunk
	err := db.Chunks(t.Context(), tracedb.Range{}, func(rec tracedb.Record) error {
		chunks++
		var b tracedb.Block
		if err := c.Open(rec.Data); err != nil {
			return err
		}
		if err := c.AppendTo(&b); err != nil {
			return err
		}
		for i := range b.Len() {
			tick := next[rec.Key.Container]
			next[rec.Key.Container]++
			if start := f.start.Add(time.Duration(tick) * f.tick); b.Start[i] != start.UnixNano() || b.End[i] != start.Add(f.tick).UnixNano() {
				t.Fatalf("tick %d of container %d is at %d to %d", tick, rec.Key.Container, b.Start[i], b.End[i])
			}
			for q := range collector.NumQueues {
				if ok := b.Valid[q][i]; ok == missing(collector.Queue(q), tick) {
					t.Fatalf("tick %d %v: valid %v", tick, collector.Queue(q), ok)
				} else if !ok {
					continue
				}
				d := known(int(rec.Key.Container)-1, q, tick)
				for stat, want := range map[tracedb.Stat]float64{
					tracedb.StatDepth: d, tracedb.StatMean: d / 2, tracedb.StatMax: d + 1, tracedb.StatLimit: 128,
					tracedb.StatArrivals: 3, tracedb.StatDepartures: 2, tracedb.StatWait: d * 1e6,
				} {
					got := float64(b.Values[q][stat][i])
					exact := stat != tracedb.StatWait && stat != tracedb.StatMean
					if exact && got != want || math.Abs(got-want) > want/1024 {
						t.Fatalf("tick %d %v %v = %g, want %g", tick, collector.Queue(q), stat, got, want)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[container.ID]int{1: ticks, 2: ticks, 3: ticks}; cmp.Diff(want, next) != "" {
		t.Errorf("ticks read back: %v, want %v", next, want)
	}
	// 3.017 s + 43.7 s touch five chunk intervals.
	if chunks != 5*containers {
		t.Errorf("%d chunks, want %d: pieces must be merged", chunks, 5*containers)
	}
	records, err := db.Containers(t.Context(), time.Time{}, time.Time{})
	if err != nil || len(records) != containers {
		t.Fatalf("Containers() = %v, %v, want %d", records, err, containers)
	}
	if r := records[1]; r.Container != *f.containers[1] || !r.First.Equal(f.start) || !r.Last.Equal(f.start.Add(ticks*f.tick)) {
		t.Errorf("record of b = %+v", r)
	}
}

// What is durable while the recorder runs is complete up to AcknowledgedTo.
func TestRecorderAcknowledgesWithinASecond(t *testing.T) {
	db := openDB(t, t.TempDir())
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet})
	run(t, r)
	f := newFeed(epoch, 2)
	for tick := range 30 {
		r.Consume(f.at(tick))
	}
	// 2.9 s to 3 s ended with the second: nothing waits for the next tick.
	waitFor(t, "three seconds are acknowledged", func() bool { return r.Stats().AcknowledgedTo.Equal(epoch.Add(3 * time.Second)) })
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch, To: epoch.Add(4 * time.Second), Tick: f.tick,
		Columns: []tracedb.Column{{Container: 2, Queue: collector.QueueRun, Stat: tracedb.StatDepth}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range w.Valid {
		if want := i < 30; ok != want || want && w.Values[i] != float32(known(1, int(collector.QueueRun), i)) {
			t.Fatalf("row %d = %v (valid %v)", i, w.Values[i], ok)
		}
	}
}

func TestRecorderFollowsNamesAndLives(t *testing.T) {
	db := openDB(t, t.TempDir())
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet})
	stop := run(t, r)
	f := newFeed(epoch, 2)
	record(t, r, f, 0, 155)
	renamed := *f.containers[0]
	renamed.Service = "checkout"
	f.containers[0] = &renamed
	record(t, r, f, 155, 200)
	f.containers = f.containers[:1] // b goes
	record(t, r, f, 200, 450)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	records, err := db.Containers(t.Context(), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	type life struct {
		Name, Service string
		First, Last   time.Duration
	}
	var got []life
	for _, c := range records {
		got = append(got, life{c.Name, c.Service, c.First.Sub(epoch), c.Last.Sub(epoch)})
	}
	want := []life{
		{"a", "svc-a", 0, 15500 * time.Millisecond},
		{"a", "checkout", 15500 * time.Millisecond, 45 * time.Second},
		{"b", "svc-b", 0, 20 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}
}

func TestRecorderTurnsDownWhatIsNoNumber(t *testing.T) {
	db := openDB(t, t.TempDir())
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet})
	stop := run(t, r)
	f := newFeed(epoch, 1)
	tick := f.at(0)
	tick.Rows[0].Cells[collector.QueueRun].Mean = math.NaN()
	tick.Rows[0].Cells[collector.QueueSend].Max = math.Inf(1)
	r.Consume(tick)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := r.Stats().Rejected; got != 2 {
		t.Errorf("rejected %d samples, want 2", got)
	}
	w, err := tracedb.ReadWindow(t.Context(), db, tracedb.WindowQuery{
		From: epoch, To: epoch.Add(time.Second), Tick: f.tick,
		Columns: tracedb.Columns([]string{"svc-a"}, []collector.Queue{collector.QueueRun, collector.QueueSend, collector.QueueSYN}, []tracedb.Stat{tracedb.StatMean}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := w.Row(0); !slices.Equal(ok, []bool{false, false, true}) {
		t.Errorf("validity = %v, want only syn_queue", ok)
	}
}

// store is an engine whose Write can be made to fail or hang.
type store struct {
	tracedb.Store
	mu    sync.Mutex
	fail  error
	block chan struct{} // Write waits for it, if set
}

func (s *store) set(fail error, block chan struct{}) {
	s.mu.Lock()
	s.fail, s.block = fail, block
	s.mu.Unlock()
}

func (s *store) Write(ctx context.Context, b *tracedb.Batch) error {
	s.mu.Lock()
	fail, block := s.fail, s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail
	}
	return s.Store.Write(ctx, b)
}

func TestRecorderDropsCountsAndRecovers(t *testing.T) {
	s := &store{Store: openDB(t, t.TempDir())}
	r := tracedb.NewRecorder(s, tracedb.RecorderOptions{Logger: quiet})
	stop := run(t, r)
	f := newFeed(epoch, 2)
	record(t, r, f, 0, 100)
	perTick := r.Stats().Points / 100

	// A full disk for twenty seconds: those samples are lost and counted.
	s.set(tracedb.ErrDiskFull, nil)
	record(t, r, f, 100, 300)
	waitFor(t, "a chunk is given up", func() bool { return r.Stats().Dropped > 0 })
	if err := r.Stats().LastError; !errors.Is(err, tracedb.ErrDiskFull) {
		t.Errorf("LastError = %v, want ErrDiskFull", err)
	}
	s.set(nil, nil)
	record(t, r, f, 300, 500)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := r.Stats()
	if got.LastError != nil || got.Errors == 0 {
		t.Errorf("after recovery LastError = %v, %d errors, want none now and some before", got.LastError, got.Errors)
	}
	total := uint64(0)
	for tick := range 500 {
		for q := range collector.NumQueues {
			if !missing(collector.Queue(q), tick) {
				total += 2 * uint64(tracedb.NumStats)
			}
		}
	}
	if got.Points+got.Dropped != total {
		t.Errorf("%d points stored and %d dropped, together want %d", got.Points, got.Dropped, total)
	}
	// The refusal covers chunks 10..20 s and 20..30 s; the second may be saved
	// whole by the merge that comes after it.
	if got.Dropped < 80*perTick || got.Dropped > 210*perTick {
		t.Errorf("%d points dropped, want between 80 and 210 ticks of %d", got.Dropped, perTick)
	}
}

func TestRecorderNeverBlocksTheTick(t *testing.T) {
	s := &store{Store: openDB(t, t.TempDir())}
	hang := make(chan struct{})
	s.set(nil, hang)
	r := tracedb.NewRecorder(s, tracedb.RecorderOptions{Logger: quiet, QueueLength: 2, CloseTimeout: time.Millisecond})
	stop := run(t, r)
	f := newFeed(epoch, 1)
	// Would hang here if Consume waited for the store.
	for tick := range 300 {
		r.Consume(f.at(tick))
	}
	if r.Stats().Dropped == 0 {
		t.Error("nothing was dropped although the store hangs")
	}
	// Nor does the end wait longer than CloseTimeout.
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled of the last flush", err)
	}
}

func TestConsumeDoesNotAllocate(t *testing.T) {
	db := openDB(t, t.TempDir())
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet, QueueLength: 3})
	f := newFeed(epoch, 20)
	// Without a writer the queue fills with grown pages, then every page is
	// dropped and used again: the same path less the hand-over.
	tick := 0
	consume := func() {
		r.Consume(f.at(tick))
		tick++
	}
	for range 100 {
		consume()
	}
	if n := testing.AllocsPerRun(500, consume); n != 0 {
		t.Errorf("Consume allocates %v times a tick, want 0", n)
	}
}

// contextCancelled returns a context that has ended: Run then writes what is
// queued and returns.
func contextCancelled(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
