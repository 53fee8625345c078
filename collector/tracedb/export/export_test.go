package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

var epoch = time.Unix(1_700_000_400, 0).UTC()

// sample is what the test host does: tick i of container c.
func sample(c, i int) (cell collector.Cell) {
	if i%5 == 4 {
		return cell // not measured
	}
	return collector.Cell{
		Depth: float64(i), Mean: float64(c) + .25, Max: float64(i + 1), Limit: float64(128 * c),
		Arrivals: 2, Departures: 1, Wait: time.Millisecond, Valid: true,
	}
}

// host returns a database with 12 s of two containers, one queue measured. The
// first container is renamed after 6 s.
func host(t *testing.T) tracedb.Store {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	db, err := embedded.Open(t.TempDir(), embedded.Options{Logger: quiet, MinFreeBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := tracedb.NewRecorder(db, tracedb.RecorderOptions{Logger: quiet, QueueLength: 32})
	web := &container.Container{ID: 7, Name: "web", Service: "front"}
	renamed := &container.Container{ID: 7, Name: "web-2", Service: "front"}
	data := &container.Container{ID: container.Legacy | 9, Name: "db, \"main\"", Service: "store"}
	for i := range 120 {
		if i == 60 {
			web = renamed
		}
		tick := collector.Tick{Start: epoch.Add(time.Duration(i) * 100 * time.Millisecond)}
		tick.End = tick.Start.Add(100 * time.Millisecond)
		tick.Rows = []collector.Row{{Container: web}, {Container: data}}
		for c := range tick.Rows {
			tick.Rows[c].Cells[collector.QueueOutstanding] = sample(c, i)
		}
		r.Consume(&tick)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Dropped != 0 {
		t.Fatalf("%d points dropped", s.Dropped)
	}
	return db
}

func toCSV(t *testing.T, db tracedb.Store, f Filter) [][]string {
	t.Helper()
	var buf bytes.Buffer
	n, err := To(t.Context(), db, &buf, Options{Format: CSV, Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(rows)) != n+1 {
		t.Fatalf("To() = %d rows, the file has %d and a header", n, len(rows)-1)
	}
	return rows
}

func TestCSV(t *testing.T) {
	db := host(t)
	rows := toCSV(t, db, Filter{
		From: epoch.Add(5900 * time.Millisecond), To: epoch.Add(6200 * time.Millisecond),
		Queues: []collector.Queue{collector.QueueOutstanding},
	})
	want := `time_ns,time_ms,tick_ns,container_id,container,service,queue,unit,mean,max,depth,arrivals,departures,wait_ns,limit,valid
1700000405900000000,1700000405900,100000000,7,web,front,outstanding,requests,,,,,,,,false
1700000406000000000,1700000406000,100000000,7,web-2,front,outstanding,requests,0.25,61,60,2,1,1000448,,true
1700000406100000000,1700000406100,100000000,7,web-2,front,outstanding,requests,0.25,62,61,2,1,1000448,,true
1700000405900000000,1700000405900,100000000,v1:9,"db, ""main""",store,outstanding,requests,,,,,,,,false
1700000406000000000,1700000406000,100000000,v1:9,"db, ""main""",store,outstanding,requests,1.25,61,60,2,1,1000448,128,true
1700000406100000000,1700000406100,100000000,v1:9,"db, ""main""",store,outstanding,requests,1.25,62,61,2,1,1000448,128,true
`
	wanted, err := csv.NewReader(strings.NewReader(want)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, rows); diff != "" {
		t.Errorf("CSV differs (-want +got):\n%s", diff)
	}
}

func TestFilters(t *testing.T) {
	db := host(t)
	outstanding := []collector.Queue{collector.QueueOutstanding}
	for _, tt := range []struct {
		name string
		f    Filter
		want int
	}{
		{"everything", Filter{}, 2 * 120 * collector.NumQueues},
		{"one queue", Filter{Queues: outstanding}, 240},
		{"old name", Filter{Queues: outstanding, Containers: []string{"web"}}, 60},
		{"both names", Filter{Queues: outstanding, Containers: []string{"web", "web-2"}}, 120},
		{"by id", Filter{Queues: outstanding, Containers: []string{"v1:9"}}, 120},
		{"service", Filter{Queues: outstanding, Services: []string{"front"}}, 120},
		{"service and another's container", Filter{Services: []string{"front"}, Containers: []string{"v1:9"}}, 0},
		{"second chunk", Filter{Queues: outstanding, From: epoch.Add(10 * time.Second)}, 40},
		{"past the end", Filter{From: epoch.Add(time.Hour)}, 0},
	} {
		var buf bytes.Buffer
		n, err := To(t.Context(), db, &buf, Options{Format: CSV, Filter: tt.f})
		if n != int64(tt.want) || errors.Is(err, ErrNothing) != (tt.want == 0) {
			t.Errorf("%s: %d rows, %v, want %d", tt.name, n, err, tt.want)
		}
	}
}

// Both formats must say the same.
func TestParquetEqualsCSV(t *testing.T) {
	db := host(t)
	name := filepath.Join(t.TempDir(), "out.parquet")
	n, err := ToFile(t.Context(), db, name, Options{Format: Parquet})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[Row](name)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(rows)) != n {
		t.Fatalf("file has %d rows, ToFile says %d", len(rows), n)
	}
	var buf bytes.Buffer
	w, err := newCSVWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := w.write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(toCSV(t, db, Filter{}), got); diff != "" {
		t.Errorf("Parquet differs (-csv +parquet):\n%s", diff)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range file.Schema().Columns() {
		columns = append(columns, c[0])
	}
	if diff := cmp.Diff(csvHeader, columns); diff != "" {
		t.Errorf("Parquet columns differ from those of CSV:\n%s", diff)
	}
}

// brokenStore fails after some chunks.
type brokenStore struct {
	tracedb.Store
	after int
	fail  func() error
}

func (b *brokenStore) Chunks(ctx context.Context, r tracedb.Range, fn func(tracedb.Record) error) error {
	return b.Store.Chunks(ctx, r, func(rec tracedb.Record) error {
		if b.after--; b.after < 0 {
			return b.fail()
		}
		return fn(rec)
	})
}

func TestNothingHalfWritten(t *testing.T) {
	db := host(t)
	for _, format := range []Format{CSV, Parquet} {
		dir := t.TempDir()
		name := filepath.Join(dir, "out")
		if err := os.WriteFile(name, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		check := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: ToFile = %v, want %v", what, err, want)
			}
			if data, err := os.ReadFile(name); err != nil || string(data) != "precious" {
				t.Errorf("%s: the old file is now %.20q, %v", what, data, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("%s: %d files in the directory, want 1", what, len(entries))
			}
		}
		_, err := ToFile(t.Context(), &brokenStore{db, 1, func() error { return io.ErrUnexpectedEOF }}, name, Options{Format: format})
		check("read error", err, io.ErrUnexpectedEOF)

		ctx, cancel := context.WithCancel(t.Context())
		interrupted := &brokenStore{db, 1, func() error { cancel(); return ctx.Err() }}
		_, err = ToFile(ctx, interrupted, name, Options{Format: format})
		check("interrupt", err, context.Canceled)

		_, err = ToFile(t.Context(), db, name, Options{Format: format, Filter: Filter{Containers: []string{"none"}}})
		check("no match", err, ErrNothing)

		_, err = ToFile(t.Context(), db, filepath.Join(dir, "no", "such", "dir"), Options{Format: format})
		check("no directory", err, os.ErrNotExist)

		if _, err = ToFile(t.Context(), db, name, Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() < 1000 || info.Mode().Perm() != 0o644 {
			t.Errorf("the finished file is %v, %v", info, err)
		}
	}
}

func TestProgress(t *testing.T) {
	var got []Progress
	n, err := To(t.Context(), host(t), io.Discard, Options{Format: CSV, Progress: func(p Progress) { got = append(got, p) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 2 {
		t.Fatalf("%d reports of 12 s of data, want one for each 10 s", len(got))
	}
	for i := range got[1:] {
		if got[i+1].Rows < got[i].Rows || got[i+1].Done < got[i].Done {
			t.Errorf("progress went from %+v to %+v", got[i], got[i+1])
		}
	}
	if last := got[len(got)-1]; last.Rows != n || last.Done != last.Total {
		t.Errorf("last report is %+v, want all of %d rows", last, n)
	}
}
