package embedded

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
)

// runs is how often each figure is taken; the median is reported, with the
// smallest and largest beside it.
const runs = 5

// report prints figures as make bench-tracedb promises.
func report(name, unit string, values ...float64) {
	slices.Sort(values)
	fmt.Printf("BENCH %s %.4g %s\n", name, values[len(values)/2], unit)
	if len(values) > 1 {
		fmt.Printf("BENCH %s_min %.4g %s\n", name, values[0], unit)
		fmt.Printf("BENCH %s_max %.4g %s\n", name, values[len(values)-1], unit)
	}
}

// cpuTime returns the CPU time of this process so far, user and kernel.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// traffic is a minute of a busy host, made up once and played again and again:
// requests arrive by a random walk, the queues follow from them as they do on
// a host with ten passes a tick (depths are integers, means tenths), and most
// queues are empty most of the time.
type traffic struct {
	rng   *rand.Rand
	ticks []collector.Tick
	next  int
	at    time.Time
}

const trafficTicks = 600

func newTraffic(seed uint64, containers int) *traffic {
	f := &traffic{rng: rand.New(rand.NewPCG(seed, 1)), at: epoch, ticks: make([]collector.Tick, trafficTicks)}
	for t := range f.ticks {
		f.ticks[t].Rows = make([]collector.Row, containers)
	}
	for c := range containers {
		name := fmt.Sprintf("svc-%02d", c)
		is := &container.Container{ID: container.ID(1000 + 17*c), Name: name + "-0", Service: name, Runtime: "containerd",
			RuntimeID: fmt.Sprintf("%064x", c), Pod: name + "-6f7c9d", Namespace: "shop", Image: "registry.example/" + name + ":1.4", Path: "/kubepods/pod/" + name}
		load := math.Exp(f.rng.NormFloat64()) * 4 // outstanding requests, mean over time
		for t := range f.ticks {
			load = max(load*math.Exp(f.rng.NormFloat64()*.1)+.02, .05)
			row := &f.ticks[t].Rows[c]
			row.Container = is
			f.fill(row, min(load, 200), c)
		}
	}
	return f
}

func (f *traffic) fill(row *collector.Row, load float64, c int) {
	const passes = 10
	rate := load * 12 // requests a tick
	set := func(q collector.Queue, mean, rate, limit float64) {
		cell := &row.Cells[q]
		*cell = collector.Cell{Valid: true, Limit: limit}
		for range passes {
			d := f.poisson(mean)
			cell.Mean += d / passes
			cell.Max = max(cell.Max, d)
			cell.Depth = d
		}
		cell.Arrivals = f.poisson(rate)
		cell.Departures = f.poisson(rate)
		if cell.Departures > 0 {
			cell.Wait = time.Duration(cell.Mean / cell.Departures * 1e8)
		}
	}
	burst := func(p, mean float64) float64 {
		if f.rng.Float64() < p {
			return mean * f.rng.ExpFloat64()
		}
		return 0
	}
	set(collector.QueueNICRx, burst(.01, 8), 0, 0)
	set(collector.QueueSYN, 0, 0, 128)
	set(collector.QueueAcceptBacklog, burst(.01, 3), burst(.05, 2), 511)
	set(collector.QueueReceive, burst(.1, 700), 0, 0)
	set(collector.QueueEpollReady, load*.05, rate, 0)
	set(collector.QueueOutstanding, load, rate, 0)
	if c%3 != 0 { // two of three call others
		set(collector.QueueDownstream, load*.7, rate*.8, 0)
	} else {
		set(collector.QueueDownstream, 0, 0, 0)
	}
	set(collector.QueueSend, burst(.05, 20_000), 0, 0)
	set(collector.QueueNICTx, burst(.05, 3000), 0, 0)
	set(collector.QueueRun, load*.1, rate*2, 0)
	set(collector.QueueBlockIO, burst(.02, 4), burst(.02, 6), 0)
	set(collector.QueueUnreadRequests, load*.02, 0, 0)
}

// poisson draws a count with the given mean.
func (f *traffic) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*f.rng.NormFloat64()))
	}
	n, p := 0.0, math.Exp(-mean)
	for q := f.rng.Float64(); q > p; q *= f.rng.Float64() {
		n++
	}
	return n
}

// tick returns the next tick. Its length jitters as that of a timer does.
func (f *traffic) tick() *collector.Tick {
	t := &f.ticks[f.next%trafficTicks]
	f.next++
	end := epoch.Add(time.Duration(f.next)*100*time.Millisecond + time.Duration(f.rng.NormFloat64()*60e3))
	t.Seq, t.Start, t.End = uint64(f.next), f.at, end
	f.at = end
	return t
}

// ackStore says when a second of samples has been written. Batches that delete
// are the merging of ten of them.
type ackStore struct {
	tracedb.Store
	written chan error
}

func (s *ackStore) Write(ctx context.Context, b *tracedb.Batch) error {
	err := s.Store.Write(ctx, b)
	if len(b.Delete) == 0 || err != nil {
		s.written <- err
	}
	return err
}

// play records seconds of traffic as fast as each second is acknowledged, so
// that log, flushes and compactions happen as often for each second of data as
// they would in real time.
func play(b *testing.B, db *DB, f *traffic, seconds int) tracedb.RecorderStats {
	b.Helper()
	s := &ackStore{Store: db, written: make(chan error, 1000)}
	r := tracedb.NewRecorder(s, tracedb.RecorderOptions{Logger: quiet})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for second := range seconds {
		for range 10 {
			r.Consume(f.tick())
		}
		// With jitter the tenth tick may end just before the second does.
		if second == 0 {
			continue
		}
		if err := <-s.written; err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	stats := r.Stats()
	if stats.Dropped != 0 {
		b.Fatalf("%d points dropped", stats.Dropped)
	}
	return stats
}

// compact makes the database as small as it gets and returns the size of its
// tables.
func compact(b *testing.B, db *DB) float64 {
	b.Helper()
	if err := db.pebble.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := db.pebble.Compact(b.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		b.Fatal(err)
	}
	m := db.pebble.Metrics().Total()
	return float64(m.TablesSize)
}

// BenchmarkRecord measures the CPU time of storing 40,000 points a second, all
// of it: Consume, encoding, Pebble with its flushes and compactions, and the
// kernel's share of writing and syncing. It records ten minutes of 48
// containers with 84 series each.
func BenchmarkRecord(b *testing.B) {
	const seconds, containers = 600, 48
	var share, perPoint, size, busy, written []float64
	for b.Loop() {
		for run := range runs {
			f := newTraffic(uint64(run), containers)
			nonzero := 0
			for i := range f.ticks {
				for _, row := range f.ticks[i].Rows {
					for _, c := range row.Cells {
						for _, v := range []float64{c.Mean, c.Max, c.Depth, c.Arrivals, c.Departures, float64(c.Wait), c.Limit} {
							if v != 0 {
								nonzero++
							}
						}
					}
				}
			}
			db := mustOpen(b, b.TempDir(), Options{})
			before := cpuTime(b)
			s := play(b, db, f, seconds)
			cpu := cpuTime(b) - before
			rate := float64(s.Points) / seconds
			share = append(share, 100*cpu.Seconds()/seconds/rate*40_000)
			perPoint = append(perPoint, float64(cpu.Nanoseconds())/float64(s.Points))
			if err := db.Maintain(b.Context()); err != nil {
				b.Fatal(err)
			}
			written = append(written, float64(db.Stats().BytesWritten)/float64(s.Points))
			bytes := compact(b, db)
			size = append(size, bytes/float64(s.Points))
			busy = append(busy, bytes/float64(nonzero*seconds/60))
			db.Close()
		}
	}
	report("tracedb_cpu_at_40k_points_per_second", "percent_of_a_core", share...)
	report("tracedb_cpu_per_point", "ns", perPoint...)
	report("tracedb_disk_per_point", "bytes", size...)
	report("tracedb_disk_per_nonzero_point", "bytes", busy...)
	report("tracedb_written_per_point", "bytes", written...)
}

// BenchmarkWindow measures the dense read for training: one hour of 36
// services, ten queues each, as a [36000 x 360] matrix.
func BenchmarkWindow(b *testing.B) {
	const services = 36
	dir := b.TempDir()
	db := mustOpen(b, dir, Options{})
	f := newTraffic(1, services)
	play(b, db, f, 3600)
	compact(b, db)
	q := tracedb.WindowQuery{From: epoch, To: epoch.Add(time.Hour), Tick: 100 * time.Millisecond}
	for s := range services {
		for queue := range 10 {
			q.Columns = append(q.Columns, tracedb.Column{Service: fmt.Sprintf("svc-%02d", s), Queue: collector.Queue(queue), Stat: tracedb.StatMean})
		}
	}
	var wall, cpu []float64
	for b.Loop() {
		for range runs {
			// A fresh block cache; the files are in the kernel's.
			db.Close()
			db = mustOpen(b, dir, Options{ReadOnly: true})
			before, start := cpuTime(b), time.Now()
			w, err := tracedb.ReadWindow(b.Context(), db, q)
			if err != nil {
				b.Fatal(err)
			}
			wall = append(wall, time.Since(start).Seconds())
			cpu = append(cpu, (cpuTime(b) - before).Seconds())
			valid := 0
			for _, ok := range w.Valid {
				if ok {
					valid++
				}
			}
			if w.Rows < 36000 || valid < 36000*360*99/100 {
				b.Fatalf("window has %d rows and %d valid cells", w.Rows, valid)
			}
		}
	}
	report("tracedb_window_36000x360", "seconds", wall...)
	report("tracedb_window_36000x360_cpu", "seconds", cpu...)
}

// BenchmarkKill9 is the campaign of TestKill9, for the record. It fails if an
// acknowledged batch is lost or torn, so those it counts were all found again.
func BenchmarkKill9(b *testing.B) {
	const rounds = 20
	for b.Loop() {
		found := killRounds(b, rounds)
		report("tracedb_kill9_rounds", "rounds", rounds)
		report("tracedb_kill9_acknowledged_and_found", "batches", float64(found))
	}
}

// BenchmarkConsume is what the tick pays: the copy out of the collector's
// buffers, for one container.
func BenchmarkConsume(b *testing.B) {
	const containers = 48
	db := mustOpen(b, b.TempDir(), Options{})
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet})
	f := newTraffic(1, containers)
	for range 100 {
		r.Consume(f.tick())
	}
	b.ReportAllocs()
	start := time.Now()
	for b.Loop() {
		r.Consume(f.tick())
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N)/containers, "ns/container")
}
