package tracedb_test

import (
	gocmp "cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
)

// chunks are all chunks of a source, by key.
func chunks(t *testing.T, s tracedb.Source) map[tracedb.Key]string {
	t.Helper()
	all := map[tracedb.Key]string{}
	err := s.Chunks(t.Context(), tracedb.Range{}, func(r tracedb.Record) error {
		all[r.Key] = string(r.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func keysOf(chunks map[tracedb.Key]string) []tracedb.Key {
	return slices.SortedFunc(maps.Keys(chunks), func(a, b tracedb.Key) int {
		return gocmp.Or(gocmp.Compare(a.Container, b.Container), gocmp.Compare(a.Start, b.Start))
	})
}

// A Loader stores what a Recorder would have, and Copy copies it.
func TestLoader(t *testing.T) {
	const ticks, containers = 250, 3
	recorded, loaded, copied := openDB(t, t.TempDir()), openDB(t, t.TempDir()), openDB(t, t.TempDir())
	r := tracedb.NewRecorder(recorded, tracedb.RecorderOptions{Logger: quiet})
	stop := run(t, r)
	record(t, r, newFeed(epoch, containers), 0, ticks)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l := tracedb.NewLoader(loaded)
	f := newFeed(epoch, containers)
	for tick := range ticks {
		if err := l.Add(t.Context(), f.at(tick)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A Recorder encodes what it wrote second by second once more: values differ
	// in the last of the digits that are kept.
	want := chunks(t, loaded)
	if diff := cmp.Diff(keysOf(chunks(t, recorded)), keysOf(want)); diff != "" || len(want) != 3*containers {
		t.Errorf("%d chunks; recorded -, loaded +:\n%s", len(want), diff)
	}
	for key, data := range want {
		var chunk tracedb.Chunk
		var block tracedb.Block
		if err := errors.Join(chunk.Open([]byte(data)), chunk.AppendTo(&block)); err != nil {
			t.Fatal(err)
		}
		first := int(time.Duration(key.Start-epoch.UnixNano()) / (100 * time.Millisecond))
		for i := range block.Len() {
			want := known(int(key.Container)-1, int(collector.QueueOutstanding), first+i)
			got := float64(block.Values[collector.QueueOutstanding][tracedb.StatDepth][i])
			if !block.Valid[collector.QueueOutstanding][i] || math.Abs(got-want) > want/1000 {
				t.Fatalf("container %d, tick %d: depth %v, want %v", key.Container, first+i, got, want)
			}
		}
	}
	if n, points := l.Loaded(); n != ticks || points == 0 {
		t.Errorf("Loaded() = %d ticks, %d points, want %d", n, points, ticks)
	}
	n, err := tracedb.Copy(t.Context(), copied, loaded, tracedb.Mapping{
		Shift: time.Hour,
		Container: func(c container.Container) container.Container {
			c.ID += 10
			return c
		},
	})
	if err != nil || n != len(want) {
		t.Errorf("Copy = %d, %v, want %d chunks", n, err, len(want))
	}
	moved := map[tracedb.Key]bool{}
	for key := range want {
		moved[tracedb.Key{Container: key.Container + 10, Start: key.Start + int64(time.Hour)}] = true
	}
	for key, data := range chunks(t, copied) {
		if !moved[key] {
			t.Errorf("copied: %v", key)
		}
		delete(moved, key)
		var chunk tracedb.Chunk
		var block tracedb.Block
		if err := errors.Join(chunk.Open([]byte(data)), chunk.AppendTo(&block)); err != nil || block.Start[0] != key.Start {
			t.Errorf("copied: %v begins at %d: %v", key, block.Start[0], err)
		}
	}
	if len(moved) > 0 {
		t.Errorf("not copied: %v", moved)
	}
	for i, db := range []tracedb.Source{loaded, copied} {
		records, err := db.Containers(t.Context(), time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		first := epoch.Add(time.Duration(i) * time.Hour)
		last := first.Add(ticks * 100 * time.Millisecond)
		if len(records) != containers || slices.ContainsFunc(records, func(r tracedb.ContainerRecord) bool { return !r.First.Equal(first) || !r.Last.Equal(last) }) {
			t.Errorf("containers: %+v, want %d from %s to %s", records, containers, first, last)
		}
	}
}
