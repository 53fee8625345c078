package campaign

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/tracedb"
	"seer/collector/tracedb/export"
)

func TestSamples(t *testing.T) {
	r := newRun(t, 35*time.Second, PlanOptions{NoFaults: true})
	d, err := Open(r.complete(t))
	if err != nil {
		t.Fatal(err)
	}
	ticks := make([]int64, len(r.manifest.Containers)) // next start, ns
	var chunk tracedb.Chunk
	var block tracedb.Block
	for f, err := range d.Frames() {
		if err != nil {
			t.Fatal(err)
		}
		block.Reset()
		if err := chunk.Open(f.Chunk); err != nil {
			t.Fatal(err)
		}
		if err := chunk.AppendTo(&block); err != nil {
			t.Fatal(err)
		}
		if f.FirstNS != ticks[f.Container] || f.FirstNS/chunkNS != (f.LastNS-1)/chunkNS {
			t.Fatalf("frame %+v, want one from %d within ten seconds", f, ticks[f.Container])
		}
		ticks[f.Container] = f.LastNS
		for i := range block.Start {
			ms := block.Start[i] / 1e6
			cells := sample(f.Container, ms)
			for q := range cells {
				want := &cells[q]
				if got := block.Valid[q][i]; got != want.Valid {
					t.Fatalf("container %d, %s at %d ms: valid %v, want %v", f.Container, collector.Queue(q), ms, got, want.Valid)
				}
				for s, v := range []float64{want.Mean, want.Max, want.Depth, want.Arrivals, want.Departures, float64(want.Wait), want.Limit} {
					got := float64(block.Values[q][s][i])
					if want.Valid && math.Abs(got-v) > v/1000 {
						t.Fatalf("container %d, %s of %s at %d ms: %v, want %v", f.Container, tracedb.Stat(s), collector.Queue(q), ms, got, v)
					}
				}
			}
		}
	}
	for c, end := range ticks {
		if end != int64(35*time.Second) {
			t.Errorf("container %d: samples end at %d ns", c, end)
		}
	}
}

// TestWindow reads windows all over the file and compares each cell with what
// was written.
func TestWindow(t *testing.T) {
	r := newRun(t, 35*time.Second, PlanOptions{NoFaults: true})
	d, err := Open(r.complete(t))
	if err != nil {
		t.Fatal(err)
	}
	columns := tracedb.Columns(r.manifest.Services, []collector.Queue{collector.QueueOutstanding, collector.QueueRun, collector.QueueNICRx},
		[]tracedb.Stat{tracedb.StatDepth, tracedb.StatArrivals})
	for _, tt := range []struct{ from, to time.Duration }{
		{0, 35 * time.Second}, {9900 * time.Millisecond, 10100 * time.Millisecond}, {20 * time.Second, 21 * time.Second}, {34 * time.Second, 35 * time.Second},
	} {
		w, err := d.Window(t.Context(), tt.from, tt.to, columns)
		if err != nil {
			t.Fatal(err)
		}
		if want := int((tt.to - tt.from) / (100 * time.Millisecond)); w.Rows != want || w.From.UnixNano() != int64(tt.from) {
			t.Fatalf("window from %v: %d rows from %v, want %d", tt.from, w.Rows, w.From, want)
		}
		for i := range w.Rows {
			ms := (tt.from + time.Duration(i)*100*time.Millisecond).Milliseconds()
			values, valid := w.Row(i)
			for j, col := range columns {
				// The shop has one replica of each service.
				var want collector.Cell
				for c := range r.manifest.Containers {
					if r.manifest.Containers[c].Service == col.Service {
						cells := sample(c, ms)
						want = cells[col.Queue]
					}
				}
				v := want.Depth
				if col.Stat == tracedb.StatArrivals {
					v = want.Arrivals
				}
				if !want.Valid {
					v = 0
				}
				if valid[j] != want.Valid || float64(values[j]) != v {
					t.Fatalf("%+v at %d ms: %v, %v, want %v, %v", col, ms, values[j], valid[j], v, want.Valid)
				}
			}
		}
	}
}

// TestAddBlock moves samples from a TraceDB, whose times are the wall's.
func TestAddBlock(t *testing.T) {
	r := newRun(t, 35*time.Second, PlanOptions{NoFaults: true})
	first, err := Open(r.complete(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	w, err := Create(dir, r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	const origin = int64(1_700_000_000e9)
	var chunk tracedb.Chunk
	for f, err := range first.Frames() {
		if err != nil {
			t.Fatal(err)
		}
		var block tracedb.Block
		if err := chunk.Open(f.Chunk); err != nil {
			t.Fatal(err)
		}
		if err := chunk.AppendTo(&block); err != nil {
			t.Fatal(err)
		}
		for i := range block.Start {
			block.Start[i], block.End[i] = block.Start[i]+origin, block.End[i]+origin
		}
		if err := w.Samples().AddBlock(f.Container, &block, origin); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, errA := os.ReadFile(filepath.Join(first.Path, samplesFile))
	b, errB := os.ReadFile(filepath.Join(dir, samplesFile))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("samples moved differ from those written (%v, %v): %d and %d bytes", errA, errB, len(a), len(b))
	}
}

func TestAddRefuses(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{NoFaults: true})
	w, err := Create(t.TempDir(), r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := w.Samples()
	ok := sample(0, 0)
	add := func(c int, fromMS, toMS int64, q collector.Queue, cell collector.Cell) error {
		cells := ok
		cells[q] = cell
		return s.Add(c, fromMS*1e6, toMS*1e6, &cells)
	}
	same := ok[collector.QueueRun]
	if err := add(0, 10_000, 10_100, collector.QueueRun, same); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"again", add(0, 10_000, 10_100, collector.QueueRun, same), "its last one ended at"},
		{"written ten seconds", add(1, 9_900, 10_000, collector.QueueRun, same), "are written already"},
		{"no such container", add(-1, 10_000, 10_100, collector.QueueRun, same), "the manifest lists 5"},
		{"empty tick", add(1, 10_000, 10_000, collector.QueueRun, same), "tick from"},
		{"unlisted queue", add(1, 10_000, 10_100, collector.QueueSend, collector.Cell{Valid: true}), "send_queue: the manifest does not list it"},
		{"not a number", add(1, 10_000, 10_100, collector.QueueRun, collector.Cell{Mean: math.NaN(), Valid: true}), "not a finite number"},
		{"infinite", add(1, 10_000, 10_100, collector.QueueRun, collector.Cell{Mean: math.Inf(1), Valid: true}), "not a finite number"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.name, tt.err, tt.want)
		}
	}
	// What was refused left nothing behind.
	if err := add(1, 10_000, 10_100, collector.QueueRun, same); err != nil {
		t.Error(err)
	}
}

// BenchmarkSamples writes a tick of a hundred containers, ten of which are busy,
// as the simulator does.
func BenchmarkSamples(b *testing.B) {
	r := newRun(b, time.Hour, PlanOptions{NoFaults: true})
	r.manifest.Queues = nil
	for _, q := range collector.Queues {
		r.manifest.Queues = append(r.manifest.Queues, q.Name)
	}
	const containers = 100
	for i := len(r.manifest.Containers); i < containers; i++ {
		r.manifest.Containers = append(r.manifest.Containers, Container{Name: fmt.Sprint("other-", i)})
	}
	w, err := Create(filepath.Join(b.TempDir(), "campaign"), r.manifest, r.plan.App)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	tick := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for c := range containers {
			var cells [collector.NumQueues]collector.Cell
			for q := range cells {
				cells[q].Valid = true
				if c < containers/10 {
					v := float64((tick*7 + int64(q)*3) % 11)
					cells[q] = collector.Cell{Depth: v, Mean: v / 3, Max: v + 1, Arrivals: v * 2, Departures: v, Wait: time.Duration(v * 1e5), Valid: true}
				}
			}
			if err := w.Samples().Add(c, tick*1e8, (tick+1)*1e8, &cells); err != nil {
				b.Fatal(err)
			}
		}
		tick++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/containers, "ns/container-tick")
	if info, err := os.Stat(w.path(samplesFile)); err == nil {
		b.ReportMetric(float64(info.Size())/float64(b.N)/containers, "B/container-tick")
	}
}

// TestExport reads a campaign as any source of the TraceDB is read.
func TestExport(t *testing.T) {
	r := newRun(t, 35*time.Second, PlanOptions{NoFaults: true})
	d, err := Open(r.complete(t))
	if err != nil {
		t.Fatal(err)
	}
	from, to, err := d.Span(t.Context())
	if err != nil || from.UnixNano() != 0 || to.UnixNano() != int64(35*time.Second) {
		t.Errorf("span %v to %v, %v", from.UnixNano(), to.UnixNano(), err)
	}
	var out bytes.Buffer
	rows, err := export.To(t.Context(), d, &out, export.Options{Format: export.CSV, Filter: export.Filter{
		Services: []string{"cart"}, Queues: []collector.Queue{collector.QueueOutstanding},
		From: time.Unix(9, 0), To: time.Unix(21, 0),
	}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if rows != 120 || len(lines) != 121 || !strings.Contains(lines[1], ",cart,cart,outstanding,requests,") {
		t.Errorf("%d rows, %d lines, the first %q, want 120 of the cart", rows, len(lines), lines[1])
	}
}
