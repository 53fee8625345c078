package campaign

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// TestUpdate replaces the cart while the campaign runs.
func TestUpdate(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{NoFaults: true})
	w, err := Create(t.TempDir(), r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, w, 0, 30_000)
	cart := -1
	for i, c := range r.manifest.Containers {
		if c.Service == "cart" {
			cart = i
		}
	}
	fresh := len(r.manifest.Containers)
	cells := sample(0, 30_000)
	if err := w.Samples().Add(fresh, 30_000e6, 30_100e6, &cells); err == nil || !strings.Contains(err.Error(), "the manifest lists 5") {
		t.Errorf("a sample of a container to come: %v", err)
	}
	if err := w.Update(func(m *Manifest) {
		m.Containers[cart].UntilMS = 30_000
		m.Containers = append(m.Containers, Container{Name: "cart-v2", Service: "cart", FromMS: 30_000})
		m.Notes = append(m.Notes, "the cart was replaced")
	}); err != nil {
		t.Fatal(err)
	}
	for ms := int64(30_000); ms < 60_000; ms += 100 {
		for i := range fresh + 1 {
			cells := sample(i, ms)
			if i == cart {
				continue
			}
			if err := w.Samples().Add(i, ms*1e6, (ms+100)*1e6, &cells); err != nil {
				t.Fatal(err)
			}
		}
	}
	arrivals := r.plan.Arrivals()
	for at, kind, ok := arrivals.Next(); ok; at, kind, ok = arrivals.Next() {
		if at >= 30_000_000 {
			if err := w.Request(Request{IntendedUS: at, SentUS: at, LatencyUS: 5000, Service: "web", Type: r.plan.App.Requests[kind].Name, Status: "ok"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Manifest)
		want   string
	}{
		{"renamed", func(m *Manifest) { m.Containers[0].Name = "x" }, "may be added and end, not change"},
		{"removed", func(m *Manifest) { m.Containers = m.Containers[1:] }, "may be added and end, not change"},
		{"other seed", func(m *Manifest) { m.Seed++ }, "do not change"},
		{"invalid", func(m *Manifest) { m.QoS = nil }, "qos: there is none"},
	} {
		if err := w.Update(tt.change); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, p := range Check(w.dir) {
		t.Error(p)
	}
}

// TestWritersTogether writes from several goroutines, as the testbed does.
func TestWritersTogether(t *testing.T) {
	r := newRun(t, time.Minute, PlanOptions{})
	w, err := Create(t.TempDir(), r.manifest, r.plan.App)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range r.manifest.Containers {
		wg.Go(func() {
			for ms := int64(0); ms < 10_000; ms += 100 {
				cells := sample(i, ms)
				if err := w.Samples().Add(i, ms*1e6, (ms+100)*1e6, &cells); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const each = 5000
	for i := range int64(3) {
		wg.Go(func() {
			for n := range int64(each) {
				at := n*1000 + i
				if err := w.Request(Request{IntendedUS: at, SentUS: at, LatencyUS: 1000, Type: "buy", Service: "web", Status: "ok"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for _, f := range r.plan.Faults {
			if err := w.Fault(f); err != nil {
				t.Error(err)
			}
			if err := w.Update(func(m *Manifest) { m.Notes = append(m.Notes, string(f.Cause)) }); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(collect(t, d)); got != 3*each {
		t.Errorf("%d requests, want %d", got, 3*each)
	}
}
