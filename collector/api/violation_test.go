package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/qos"
)

// fakePromises is a watcher of two promises, with one violation.
type fakePromises struct {
	violation qos.Violation
	err       error
}

func (f *fakePromises) Violations() []qos.Violation { return []qos.Violation{f.violation} }
func (f *fakePromises) Dropped() uint64             { return 3 }
func (f *fakePromises) Promises() []qos.Promise {
	web := qos.Target{Service: "web", Percentile: 99, Bound: 20 * time.Millisecond}
	return []qos.Promise{
		{State: qos.State{Target: qos.Target{Service: "new", Percentile: 99}}, Learning: .25},
		{State: qos.State{Target: web, Enough: true, Percentile: 31 * time.Millisecond, Requests: 200, Share: .05, Violated: true}, Violations: 7},
	}
}

func (f *fakePromises) Relabel(_ context.Context, id, culprit, by string) (qos.Violation, error) {
	if id != f.violation.ID {
		return qos.Violation{}, fmt.Errorf("violation %q: %w", id, qos.ErrNoViolation)
	}
	if f.err == nil {
		f.violation.Label = qos.Corrected(f.violation.Label, culprit, by)
	}
	return f.violation, f.err
}

func newFakePromises() *fakePromises {
	return &fakePromises{violation: qos.Violation{
		ID: "20260301T120000.0-web", Service: "web", Percentile: 99, TargetMS: 20, Onset: epoch, End: epoch.Add(1500 * time.Millisecond),
		WorstMS: 44, WorstShare: .2, Requests: 400, Late: 40,
	}}
}

func TestViolationRows(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src, Promises: newFakePromises()})
	doc, err := s.Get(t.Context(), "violation", Selector{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":1,"object":"violation","tick_ms":0,"losses":0,"rows":[{"id":"20260301T120000.0-web","service":"web","target":"p99 20ms",` +
		`"percentile":99,"target_ms":20,"learned":false,"onset":"2026-03-01T12:00:00Z","end":"2026-03-01T12:00:01.5Z","lasted_ms":1500,"open":false,` +
		`"worst_ms":44,"worst_share":0.2,"requests":400,"late":40,"culprit":null,"evidence":[]}],"promises":[` +
		`{"service":"new","percentile":99,"target_ms":null,"learned":false,"learning":0.25,"percentile_ms":null,"requests":0,"late_share":0,"violated":false,"violations":0},` +
		`{"service":"web","percentile":99,"target_ms":20,"learned":false,"learning":0,"percentile_ms":31,"requests":200,"late_share":0.05,"violated":true,"violations":7}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	for selected, rows := range map[Selector]int{{Service: "web"}: 1, {Service: "db"}: 0} {
		doc, err := s.Get(t.Context(), "violation", selected)
		var got []ViolationRow
		if err != nil || json.Unmarshal(doc.Rows, &got) != nil || len(got) != rows {
			t.Errorf("violations of %v = %d, %v, want %d", selected, len(got), err, rows)
		}
	}
	if _, err := s.Get(t.Context(), "violation", Selector{Container: "web-7f9c"}); err == nil {
		t.Error("violations of a container are no error, want one: they have a service")
	}
	nobody := New(Config{Source: src})
	if doc, err := nobody.Get(t.Context(), "violation", Selector{}); err != nil || string(doc.Rows) != "[]" || doc.Promises != nil {
		t.Errorf("violations where nothing is watched = %+v, %v, want none", doc, err)
	}
}

func TestLabel(t *testing.T) {
	src, _ := shop()
	promises := newFakePromises()
	c := dial(t, serve(t, New(Config{Source: src, Promises: promises})))
	if err := c.Label(t.Context(), promises.violation.ID, "db"); err != nil {
		t.Fatal(err)
	}
	if l := promises.violation.Label; l == nil || l.Culprit != "db" || !strings.HasPrefix(l.By, "user ") {
		t.Errorf("label = %+v, want db by a user", l)
	}
	if err := c.Label(t.Context(), "nope", "db"); !errors.Is(err, qos.ErrNoViolation) {
		t.Errorf("Label(nope) = %v, want ErrNoViolation", err)
	}
	if err := c.Label(t.Context(), promises.violation.ID, "a\nb"); err == nil || !strings.Contains(err.Error(), "want the name of a service") {
		t.Errorf("Label of a culprit with a line break = %v, want it refused", err)
	}
	promises.err = errors.New("disk full")
	if err := c.Label(t.Context(), promises.violation.ID, "db"); err == nil || errors.Is(err, qos.ErrNoViolation) {
		t.Errorf("Label that cannot be written down = %v, want an error", err)
	}
	nobody := dial(t, serve(t, New(Config{Source: src})))
	if err := nobody.Label(t.Context(), "x", "db"); !errors.Is(err, qos.ErrNoViolation) {
		t.Errorf("Label where nothing is watched = %v, want ErrNoViolation", err)
	}
}

func TestPromiseMetrics(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src, Promises: newFakePromises()})
	s.Consume(tick)
	_, body := fetch(t, web(t, s)+"/metrics")
	for _, line := range []string{
		`seer_qos_target_seconds{learned="false",percentile="p99",service="web"} 0.02`,
		`seer_qos_latency_seconds{percentile="p99",service="web"} 0.031`,
		`seer_qos_late_requests_ratio{service="web"} 0.05`,
		`seer_qos_violated{service="web"} 1`,
		`seer_qos_violations_total{service="web"} 7`,
		`seer_qos_learning_ratio{service="web"} 1`,
		`seer_qos_learning_ratio{service="new"} 0.25`,
		`seer_qos_dropped_entries_total 3`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if strings.Contains(body, `seer_qos_violated{service="new"}`) {
		t.Error("a target that is being learned is said to be kept or violated")
	}
}
