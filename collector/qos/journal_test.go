package qos

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

func openDB(t *testing.T, dir string) *embedded.DB {
	t.Helper()
	db, err := embedded.Open(dir, embedded.Options{Logger: slog.New(slog.DiscardHandler), MinFreeBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestStoreJournal(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	v := Violation{
		ID: violationID("front", epoch), Service: "front", Percentile: 99, TargetMS: 20, Onset: epoch, End: at(15),
		Open: true, WorstMS: 31.5, WorstShare: .02, Requests: 400, Late: 7,
	}
	s := NewSink(SinkOptions{Targets: []Target{front}, Journal: StoreJournal{Store: db}, Past: []Violation{v}, Logger: slog.New(slog.DiscardHandler)})
	if err := (StoreJournal{Store: db}).Violation(t.Context(), &v); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Relabel(t.Context(), v.ID, "db", "me"); err != nil {
		t.Fatal(err)
	}
	learned := Target{Service: "front", Percentile: 99, Bound: 11 * time.Millisecond, Learned: true}
	for _, bound := range []time.Duration{time.Second, learned.Bound} { // the last one stands
		older := learned
		older.Bound = bound
		if err := (StoreJournal{Store: db}).Target(t.Context(), older); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()

	db = openDB(t, dir)
	var o SinkOptions
	if err := o.Load(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	want := v
	want.Open = false
	want.Label = &Label{Culprit: "db", By: "me", Why: "corrected by hand"}
	if diff := cmp.Diff([]Violation{want}, o.Past); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Target{learned}, o.Learned); diff != "" {
		t.Errorf("learned targets (-want +got):\n%s", diff)
	}

	corrected, err := RelabelStored(t.Context(), db, v.ID, "cache", "you")
	if err != nil || corrected.Label.Culprit != "cache" {
		t.Errorf("RelabelStored() = %+v, %v, want cache", corrected.Label, err)
	}
	if list, err := ReadViolations(t.Context(), db, time.Time{}, time.Time{}); err != nil || list[0].Label.By != "you" {
		t.Errorf("read again: %+v, %v, want the label by you", list, err)
	}
	if _, err := RelabelStored(t.Context(), db, "nope", "cache", "you"); !errors.Is(err, ErrNoViolation) {
		t.Errorf("RelabelStored(nope) = %v, want ErrNoViolation", err)
	}
	if list, err := ReadViolations(t.Context(), db, epoch.Add(time.Hour), time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("violations an hour later = %+v, %v, want none", list, err)
	}
}

// A newer Seer's violations are refused, not half understood.
func TestNewerViolations(t *testing.T) {
	db := openDB(t, t.TempDir())
	newer := tracedb.Kind{Name: KindViolation.Name, Version: KindViolation.Version + 1}
	if err := tracedb.Decide(t.Context(), db, newer, "x", epoch, json.RawMessage(`{"onset":5}`)); err != nil {
		t.Fatal(err)
	}
	_, err := ReadViolations(t.Context(), db, time.Time{}, time.Time{})
	var refused *tracedb.NewerVersionError
	if !errors.As(err, &refused) {
		t.Errorf("ReadViolations() = %v, want a NewerVersionError", err)
	}
}
