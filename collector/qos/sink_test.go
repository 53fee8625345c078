package qos

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/latency"
)

// memory is a Journal.
type memory struct {
	mu         sync.Mutex
	violations []Violation
	targets    []Target
	err        error
}

func (m *memory) Violation(_ context.Context, v *Violation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.violations = append(m.violations, *v)
	return m.err
}

func (m *memory) Target(_ context.Context, t Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets = append(m.targets, t)
	return m.err
}

// shopTick is a tick of the shop, with front in two containers. waiting is how many
// requests are stuck in db, late how many of the 20 of front ended late.
func shopTick(tick, waiting, late int) *collector.Tick {
	t := &collector.Tick{Start: at(tick), End: at(tick + 1)}
	row := func(name, service string, outstanding, downstream, answered float64) {
		r := collector.Row{Container: &container.Container{ID: container.ID(len(t.Rows) + 1), Name: name, Service: service}}
		r.Cells[collector.QueueOutstanding] = collector.Cell{Mean: outstanding, Arrivals: answered, Departures: answered, Valid: true}
		r.Cells[collector.QueueDownstream] = collector.Cell{Mean: downstream, Valid: true}
		t.Rows = append(t.Rows, r)
	}
	w := float64(waiting)
	row("db-1", "db", .2+w, 0, 20)
	row("front-1", "front", .5+w/2, .2+w/2, 10)
	row("front-2", "front", .5+w/2, .2+w/2, 10)
	row("users", "users", 0, 1+w, 0)
	for i := 1; i <= 2; i++ {
		r := collector.RequestRow{Row: i}
		r.Served.AddN(latency.Bucket(uint64(fast)), int32(10-late/2))
		r.Served.AddN(latency.Bucket(uint64(slow)), int32(late/2))
		t.Requests = append(t.Requests, r)
		t.Open = append(t.Open, collector.OpenRow{Row: i})
	}
	return t
}

var shopCalls = []Call{{"users", "front"}, {"front", "db"}}

func newTestSink(o SinkOptions) *Sink {
	o.Logger = slog.New(slog.DiscardHandler)
	s := NewSink(o)
	s.SetCalls(shopCalls)
	return s
}

// slowSecond consumes ten nominal seconds, one with a slow db, and four more.
func slowSecond(s *Sink) {
	for i := range 150 {
		if i >= 100 && i < 110 {
			s.Consume(shopTick(i, 6, 10))
		} else {
			s.Consume(shopTick(i, 0, 0))
		}
	}
}

// A violation is seen over all containers of a service, labelled and written down.
func TestSink(t *testing.T) {
	journal := &memory{}
	s := newTestSink(SinkOptions{Targets: []Target{front}, Journal: journal})
	slowSecond(s)
	kept := s.Violations()
	if len(kept) != 1 {
		t.Fatalf("violations = %+v, want one", kept)
	}
	v := kept[0]
	if v.Open || v.Late != 100 || v.Onset.Sub(at(100)).Abs() > testTick || v.Label == nil || v.Label.Culprit != "db" {
		t.Errorf("violation = %+v, label %+v; want 100 late requests from %v, culprit db", v, v.Label, at(100))
	}
	if p := s.Promises(); len(p) != 1 || p[0].Violations != 1 || p[0].Violated {
		t.Errorf("promises = %+v, want one that was violated once", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil { // writes what is left
		t.Fatal(err)
	}
	if n := len(journal.violations); n < 2 || n > 3 {
		t.Fatalf("written down %d times, want at the onset, with its label, and at the end", n)
	}
	if first, last := journal.violations[0], journal.violations[len(journal.violations)-1]; !first.Open || first.Label != nil ||
		last.Open || last.Label == nil || last.ID != v.ID {
		t.Errorf("written down first %+v, last %+v; want it open, then with its label", first, last)
	}
}

// Without targets the entry is found: who is called by nobody that answers requests.
func TestSinkLearnsEntriesOnly(t *testing.T) {
	s := newTestSink(SinkOptions{})
	for i := range 3200 {
		tick := shopTick(i, 0, 0)
		db := collector.RequestRow{Row: 0}
		db.Served.AddN(latency.Bucket(uint64(time.Millisecond)), 20)
		tick.Requests = append(tick.Requests, db)
		s.Consume(tick)
	}
	p := s.Promises()
	if len(p) != 1 || p[0].Target.Service != "front" || !p[0].Target.Learned || p[0].Target.Bound != 16*time.Millisecond {
		t.Errorf("promises = %+v, want a learned one of front alone", p)
	}
	again := newTestSink(SinkOptions{Learned: []Target{p[0].Target}})
	if got := again.Promises(); len(got) != 1 || got[0].Target != p[0].Target {
		t.Errorf("after a restart: %+v, want the target that was learned", got)
	}
	given := newTestSink(SinkOptions{Targets: []Target{{Service: "db", Percentile: 99, Bound: time.Second}}, Learned: []Target{p[0].Target}})
	if got := given.Promises(); len(got) != 1 || got[0].Target.Service != "db" {
		t.Errorf("with a target given: %+v, want that one alone", got)
	}
}

// Where nobody knows who calls whom, the label says so.
func TestSinkWithoutCalls(t *testing.T) {
	s := NewSink(SinkOptions{Targets: []Target{front}, Logger: slog.New(slog.DiscardHandler)})
	slowSecond(s)
	if kept := s.Violations(); len(kept) != 1 || kept[0].Label == nil || kept[0].Label.Culprit != CulpritUnknown {
		t.Errorf("violations = %+v, want one of which the culprit is unknown", kept)
	}
}

func TestRelabel(t *testing.T) {
	journal := &memory{}
	s := newTestSink(SinkOptions{Targets: []Target{front}, Journal: journal})
	slowSecond(s)
	id := s.Violations()[0].ID
	if _, err := s.Relabel(t.Context(), "nope", "cache", "me"); !errors.Is(err, ErrNoViolation) {
		t.Errorf("Relabel(nope) = %v, want ErrNoViolation", err)
	}
	v, err := s.Relabel(t.Context(), id, "cache", "me")
	if err != nil || v.Label.Culprit != "cache" || v.Label.By != "me" || len(v.Label.Evidence) == 0 {
		t.Errorf("Relabel() = %+v, %v, want cache by me, with the evidence", v.Label, err)
	}
	if got := s.Violations()[0].Label; got.Culprit != "cache" {
		t.Errorf("kept label = %+v, want cache", got)
	}
	journal.err = errors.New("disk full")
	if _, err := s.Relabel(t.Context(), id, "db", "me"); err == nil {
		t.Error("a correction that could not be written down is no error")
	}
	if got := s.Violations()[0].Label; got.Culprit != "cache" {
		t.Errorf("label after a correction that failed = %+v, want cache", got)
	}
}

// What a correction says stays while the violation goes on.
func TestRelabelWhileOpen(t *testing.T) {
	s := newTestSink(SinkOptions{Targets: []Target{front}})
	for i := range 140 {
		if i < 100 {
			s.Consume(shopTick(i, 0, 0))
		} else {
			s.Consume(shopTick(i, 6, 10))
		}
	}
	open := s.Violations()
	if len(open) != 1 || !open[0].Open {
		t.Fatalf("violations = %+v, want an open one", open)
	}
	if _, err := s.Relabel(t.Context(), open[0].ID, "cache", "me"); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		s.Consume(shopTick(140+i, 0, 0))
	}
	if got := s.Violations(); len(got) != 1 || got[0].Open || got[0].Label.Culprit != "cache" {
		t.Errorf("after the end: %+v, label %+v, want one labelled cache", got, got[0].Label)
	}
}

// A full queue loses entries, which are counted, and never blocks.
func TestSinkNeverBlocks(t *testing.T) {
	s := newTestSink(SinkOptions{Targets: []Target{front}, Journal: &memory{}})
	for range queuedEntries + 5 {
		s.send(entry{target: &front})
	}
	if got := s.Dropped(); got != 5 {
		t.Errorf("dropped %d, want 5", got)
	}
}

func TestPastViolationsAreNotOpen(t *testing.T) {
	past := make([]Violation, keptViolations+1)
	for i := range past {
		past[i] = Violation{ID: violationID("front", at(20*i)), Onset: at(20 * i), Open: true}
	}
	kept := newTestSink(SinkOptions{Past: past}).Violations()
	if len(kept) != keptViolations || kept[0].ID != past[1].ID || kept[len(kept)-1].Open {
		t.Errorf("%d kept from %s, open %v; want the last %d, none open", len(kept), kept[0].ID, kept[len(kept)-1].Open, keptViolations)
	}
}

// What consumes every tick allocates nothing while nothing happens.
func TestConsumeDoesNotAllocate(t *testing.T) {
	s := newTestSink(SinkOptions{Targets: []Target{front}})
	tick := shopTick(0, 0, 0)
	n := 0
	consume := func() {
		tick.Start, tick.End = at(n), at(n+1)
		s.shownAt = tick.End // once a second promises are copied
		s.Consume(tick)
		n++
	}
	for range 2 * historySteps {
		consume()
	}
	if got := testing.AllocsPerRun(100, consume); got != 0 {
		t.Errorf("Consume allocates %v times a tick, want 0", got)
	}
}
