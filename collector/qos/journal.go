package qos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"seer/collector/tracedb"
)

// What is written down.
var (
	KindViolation = tracedb.Kind{Name: "violation", Version: 1}
	KindTarget    = tracedb.Kind{Name: "qos_target", Version: 1}
)

// StoreJournal keeps violations and learned targets in a TraceDB.
type StoreJournal struct {
	Store tracedb.Store
	Now   func() time.Time // default time.Now
}

var _ Journal = StoreJournal{}

// Violation implements Journal: a violation as it stands, under its onset.
func (j StoreJournal) Violation(ctx context.Context, v *Violation) error {
	return tracedb.Decide(ctx, j.Store, KindViolation, v.ID, v.Onset, v)
}

// Target implements Journal: a learned target, under the time of learning.
func (j StoreJournal) Target(ctx context.Context, t Target) error {
	now := time.Now
	if j.Now != nil {
		now = j.Now
	}
	return tracedb.Decide(ctx, j.Store, KindTarget, t.Service, now(), learnedTarget{t.String()})
}

// learnedTarget is the document of a learned target.
type learnedTarget struct {
	Target string `json:"target"`
}

// ReadViolations returns the violations with an onset in [from, to), by onset.
func ReadViolations(ctx context.Context, store tracedb.Store, from, to time.Time) ([]Violation, error) {
	entries, err := tracedb.Decisions(ctx, store, KindViolation, from, to)
	if err != nil {
		return nil, err
	}
	list := make([]Violation, len(entries))
	for i := range entries {
		if err := json.Unmarshal(entries[i].Doc, &list[i]); err != nil {
			return nil, fmt.Errorf("violation %q: %w: %w", entries[i].ID, tracedb.ErrCorrupt, err)
		}
	}
	return list, nil
}

// ReadTargets returns the targets that were learned last, one for each service.
func ReadTargets(ctx context.Context, store tracedb.Store) ([]Target, error) {
	entries, err := tracedb.Decisions(ctx, store, KindTarget, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	var targets []Target
	for i := range entries {
		var doc learnedTarget
		err := json.Unmarshal(entries[i].Doc, &doc)
		if err != nil {
			return nil, fmt.Errorf("target of %q: %w: %w", entries[i].ID, tracedb.ErrCorrupt, err)
		}
		t, err := ParseTarget(doc.Target)
		if err != nil {
			return nil, fmt.Errorf("learned %w", err)
		}
		t.Learned = true
		targets = append(targets, t)
	}
	return targets, nil
}

// RelabelStored corrects the label of a violation in a database that no Seer runs on.
func RelabelStored(ctx context.Context, store tracedb.Store, id, culprit, by string) (Violation, error) {
	list, err := ReadViolations(ctx, store, time.Time{}, time.Time{})
	if err != nil {
		return Violation{}, err
	}
	for i := range list {
		if v := &list[i]; v.ID == id {
			v.Open = false // nobody watches it any more
			v.Label = Corrected(v.Label, culprit, by)
			return *v, StoreJournal{Store: store}.Violation(ctx, v)
		}
	}
	return Violation{}, fmt.Errorf("violation %q: %w: `seer inspect violation` lists those that are known", id, ErrNoViolation)
}

// Load prepares the options of a Sink from what a database holds: recent
// violations, learned targets, and the journal to go on in.
func (o *SinkOptions) Load(ctx context.Context, store tracedb.Store) (err error) {
	var first, second error
	o.Past, first = ReadViolations(ctx, store, time.Time{}, time.Time{})
	o.Learned, second = ReadTargets(ctx, store)
	o.Journal = StoreJournal{Store: store}
	return errors.Join(first, second)
}
