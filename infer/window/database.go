package window

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"seer/collector/tracedb"
	"seer/infer/campaign"
)

// The kinds of events by which a database tells what happened.
const (
	EventViolation = "violation"
	EventFault     = "fault"
)

// StoredViolation is the document of a violation in a database.
type StoredViolation struct {
	Onset    time.Time      `json:"onset"`
	End      time.Time      `json:"end"`
	Service  string         `json:"service"` // the entry whose users suffer
	P99MS    float64        `json:"p99_ms"`
	TargetMS float64        `json:"target_ms"`
	Culprit  string         `json:"culprit,omitempty"` // who started it, "" where nobody knows
	Cause    campaign.Cause `json:"cause,omitempty"`
	Fault    int            `json:"fault,omitempty"`
}

// StoredFault is the document of an injected fault.
type StoredFault struct {
	Onset     time.Time      `json:"onset"`
	End       time.Time      `json:"end"`
	ID        int            `json:"id"`
	Cause     campaign.Cause `json:"cause"`
	Culprit   string         `json:"culprit,omitempty"`
	Intensity float64        `json:"intensity"`
}

// StoreTruth writes what happened in a campaign to a database that has its samples,
// which begin at origin. An incomplete campaign has no violations yet.
func StoreTruth(ctx context.Context, db tracedb.Store, d *campaign.Dir, origin time.Time) error {
	if !d.Manifest.Complete {
		return nil
	}
	at := func(ms int64) time.Time { return origin.Add(time.Duration(ms) * time.Millisecond).UTC() }
	faults, err := d.Faults()
	if err != nil {
		return err
	}
	violations, err := d.Violations()
	if err != nil {
		return err
	}
	var batch tracedb.Batch
	put := func(kind string, t time.Time, document any) error {
		data, err := json.Marshal(document)
		batch.Events = append(batch.Events, tracedb.Event{Kind: kind, Time: t, Data: data})
		return err
	}
	byID := make(map[int]campaign.Fault)
	for _, f := range faults {
		byID[f.ID] = f
		if err := put(EventFault, at(f.OnsetMS), StoredFault{at(f.OnsetMS), at(f.EndMS), f.ID, f.Cause, f.Culprit, f.Intensity}); err != nil {
			return err
		}
	}
	for _, v := range violations {
		f := byID[v.Fault]
		err := put(EventViolation, at(v.OnsetMS), StoredViolation{at(v.OnsetMS), at(v.EndMS), v.Service, v.P99MS, v.TargetMS, f.Culprit, f.Cause, v.Fault})
		if err != nil {
			return err
		}
	}
	if len(batch.Events) == 0 {
		return nil
	}
	return db.Write(ctx, &batch)
}

// OpenDatabase reads what a database holds. A layout of nil means one of its own
// services, with the defaults: in the order of their names, and without edges, which
// a database does not keep.
func OpenDatabase(ctx context.Context, name string, db tracedb.Store, l *Layout, o OpenOptions) (*Run, error) {
	from, to, err := db.Span(ctx)
	if err != nil {
		return nil, err
	}
	if from.IsZero() && to.IsZero() {
		return nil, fmt.Errorf("%s: %w: run `seer run --db`, or `seer import`", name, errNoTicks)
	}
	records, err := db.Containers(ctx, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	var services []string
	for _, r := range records {
		services = append(services, r.Service)
	}
	slices.Sort(services)
	services = slices.Compact(services)
	if l == nil {
		if l, err = newLayout(services, LayoutOptions{}); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	} else {
		// What is not of the model's application, such as Seer itself, is not new: who
		// watches a host sees more than one application.
		services = slices.DeleteFunc(services, func(s string) bool { return !slices.Contains(l.Services, s) })
	}
	r := &Run{Name: name, Layout: l}
	if r.Slots, err = l.Slots(services); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Truth, err = storedTruth(ctx, db, from, r.Slots); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return openRun(ctx, r, db, from, to, o)
}

// storedTruth reads what happened. Times are from the database's first tick.
func storedTruth(ctx context.Context, db tracedb.Store, from time.Time, slots []string) (Truth, error) {
	var t Truth
	ms := func(at time.Time) int64 { return at.Sub(from).Milliseconds() }
	read := func(kind string, fn func(data []byte) error) error {
		return db.Events(ctx, kind, time.Time{}, time.Time{}, func(e tracedb.Event) error {
			if err := fn(e.Data); err != nil {
				return fmt.Errorf("%s at %s: %w", kind, e.Time.Format(time.RFC3339), err)
			}
			return nil
		})
	}
	err := read(EventFault, func(data []byte) error {
		var f StoredFault
		if err := json.Unmarshal(data, &f); err != nil {
			return err
		}
		fault := campaign.Fault{ID: len(t.Faults) + 1, OnsetMS: ms(f.Onset), EndMS: ms(f.End), Cause: f.Cause, Culprit: f.Culprit, Intensity: f.Intensity}
		if n := len(t.Faults); n > 0 && t.Faults[n-1].OnsetMS == fault.OnsetMS {
			return nil // imported twice
		}
		t.Faults = append(t.Faults, fault)
		return nil
	})
	if err != nil {
		return t, err
	}
	err = read(EventViolation, func(data []byte) error {
		var v StoredViolation
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		w := Violation{OnsetMS: ms(v.Onset), EndMS: ms(v.End), Service: v.Service, Culprit: -1, Cause: v.Cause}
		if v.Culprit != "" {
			w.Culprit = slices.Index(slots, v.Culprit)
		}
		// IDs are a campaign's own, and a database may hold several.
		for _, f := range t.Faults {
			if v.Fault != 0 && f.OnsetMS <= w.OnsetMS && w.OnsetMS < f.EndMS+faultShadowMS {
				w.Fault, w.FaultMS = f.ID, f.OnsetMS
			}
		}
		if n := len(t.Violations); n > 0 && t.Violations[n-1].OnsetMS == w.OnsetMS && t.Violations[n-1].Service == w.Service {
			return nil // imported twice
		}
		t.Violations = append(t.Violations, w)
		return nil
	})
	return t, err
}
