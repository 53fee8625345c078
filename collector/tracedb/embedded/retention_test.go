package embedded

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"seer/collector/container"
	"seer/collector/tracedb"
)

// recordHours writes chunks of the given size every ten seconds, with one
// event and one container record for each ten minutes.
func recordHours(t *testing.T, db *DB, from time.Time, hours, bytes int) time.Time {
	t.Helper()
	end := from.Add(time.Duration(hours) * time.Hour)
	for at := from; at.Before(end); at = at.Add(partition) {
		var b tracedb.Batch
		for s := range 60 {
			data := make([]byte, bytes)
			rand.Read(data)
			b.Put = append(b.Put, tracedb.Record{Key: tracedb.Key{Container: 1, Start: at.Add(time.Duration(s) * 10 * time.Second).UnixNano()}, Data: data})
		}
		b.Events = []tracedb.Event{{Kind: "alarm", Time: at, Data: []byte("{}")}, {Kind: "label", Time: at, Data: []byte("{}")}}
		b.Containers = []tracedb.ContainerRecord{{Container: container.Container{ID: container.ID(at.Unix())}, First: at, Last: at.Add(partition - 1)}}
		write(t, db, &b)
	}
	return end
}

func count(t *testing.T, db *DB) (chunks, alarms, labels, containers int) {
	t.Helper()
	chunks = len(read(t, db, tracedb.Range{}))
	for kind, n := range map[string]*int{"alarm": &alarms, "label": &labels} {
		if err := db.Events(t.Context(), kind, time.Time{}, time.Time{}, func(tracedb.Event) error { *n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	records, err := db.Containers(t.Context(), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return chunks, alarms, labels, len(records)
}

func TestRetentionByAge(t *testing.T) {
	now := epoch
	db := mustOpen(t, t.TempDir(), Options{MaxAge: 2 * time.Hour, Now: func() time.Time { return now }})
	now = recordHours(t, db, epoch, 5, 100)
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Two hours are twelve partitions.
	if chunks, alarms, labels, containers := count(t, db); chunks != 12*60 || alarms != 12 || labels != 12 || containers != 12 {
		t.Errorf("after retention: %d chunks, %d alarms, %d labels, %d containers, want 720, 12, 12, 12", chunks, alarms, labels, containers)
	}
	from, _, err := db.Span(t.Context())
	if want := now.Add(-2 * time.Hour); err != nil || !from.Equal(want) {
		t.Errorf("data begin at %v, %v, want %v", from, err, want)
	}
	s := db.Stats()
	if s.Deletions != 18 || !s.DeletedBefore.Equal(now.Add(-2*time.Hour)) {
		t.Errorf("Stats() = %d deletions before %v, want 18 before %v", s.Deletions, s.DeletedBefore, now.Add(-2*time.Hour))
	}
	// A second run finds nothing to do.
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := db.Stats().Deletions; got != 18 {
		t.Errorf("%d deletions after a second Maintain, want 18", got)
	}
	// A clock that goes backwards deletes nothing.
	now = epoch.Add(-time.Hour)
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if chunks, _, _, _ := count(t, db); chunks != 12*60 {
		t.Errorf("%d chunks after the clock went back, want 720", chunks)
	}
}

func TestRetentionBySize(t *testing.T) {
	dir := t.TempDir()
	now := epoch
	const limit = 24 << 20
	db := mustOpen(t, dir, Options{MaxBytes: limit, Now: func() time.Time { return now }})
	// 36 partitions of 1.5 MB.
	now = recordHours(t, db, epoch, 6, 25_000)
	before := diskUsage(t, dir)
	calls := 0
	for last := uint64(0); ; calls++ {
		if err := db.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		dropped := db.Stats().Deletions - last
		if dropped > maxDropped {
			t.Fatalf("one Maintain dropped %d partitions, want at most %d", dropped, maxDropped)
		}
		if last += dropped; dropped == 0 {
			break
		}
	}
	waitFor(t, "the space is given back", func() bool { return diskUsage(t, dir) <= limit+2*memTableBytes })
	t.Logf("%d MB became %d MB in %d calls", before>>20, diskUsage(t, dir)>>20, calls)
	_, to, err := db.Span(t.Context())
	if err != nil || !to.Equal(now) {
		t.Errorf("data end at %v, %v, want %v: the newest must stay", to, err, now)
	}
	if chunks, alarms, _, containers := count(t, db); chunks < 8*60 || chunks != alarms*60 || containers != alarms {
		t.Errorf("%d chunks, %d alarms, %d containers left: want 60 chunks for each alarm and container, and at least 480", chunks, alarms, containers)
	}
}

// diskUsage returns what the files of a directory take up.
func diskUsage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
