package tracedb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Kind is a kind of decision that is written down: a violation, an alarm, a
// diagnosis, an action, a model.
type Kind struct {
	Name    string // the kind of its events: on disk, so never changed
	Version int    // of its documents, the newest that this build writes and reads
}

// Entry is one decision as it stands.
type Entry struct {
	Kind Kind
	ID   string
	Time time.Time       // what it is about; retention goes by it
	Doc  json.RawMessage // as given to Decide
}

// envelope is an event's document. A newer Seer may add fields.
type envelope struct {
	Version int             `json:"v"`
	ID      string          `json:"id"`
	Written int64           `json:"written"` // nanoseconds since the epoch
	Doc     json.RawMessage `json:"doc"`
}

// Decide writes down a decision. What was written under the same kind, ID and time
// before is replaced for readers, while it stays on disk until retention takes all of
// it. It is durable when Decide returns.
func Decide(ctx context.Context, store Store, kind Kind, id string, at time.Time, doc any) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write down %s %q: %w", kind.Name, id, err)
	}
	data, err = json.Marshal(envelope{Version: kind.Version, ID: id, Written: time.Now().UnixNano(), Doc: data})
	if err != nil {
		return fmt.Errorf("write down %s %q: %w", kind.Name, id, err)
	}
	if err := store.Write(ctx, &Batch{Events: []Event{{Kind: kind.Name, Time: at, Data: data}}}); err != nil {
		return fmt.Errorf("write down %s %q: %w", kind.Name, id, err)
	}
	return nil
}

// Decisions returns what was decided of one kind about times in [from, to), in order
// of time and ID: for each ID what was written last. Zero times mean all. It returns
// *NewerVersionError if a newer Seer wrote any.
func Decisions(ctx context.Context, store Store, kind Kind, from, to time.Time) ([]Entry, error) {
	type last struct {
		Entry
		written int64
	}
	byID := map[string]*last{}
	err := store.Events(ctx, kind.Name, from, to, func(e Event) error {
		var env envelope
		if err := json.Unmarshal(e.Data, &env); err != nil {
			return fmt.Errorf("%s of %v: %w: %w", kind.Name, e.Time.UTC(), ErrCorrupt, err)
		}
		if env.Version > kind.Version {
			return &NewerVersionError{
				Version: fmt.Sprintf("%s %d", kind.Name, env.Version), Reads: fmt.Sprintf("%s %d", kind.Name, kind.Version),
			}
		}
		if known := byID[env.ID]; known == nil || env.Written >= known.written {
			byID[env.ID] = &last{Entry{Kind: kind, ID: env.ID, Time: e.Time.UTC(), Doc: env.Doc}, env.Written}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(byID))
	for _, l := range byID {
		entries = append(entries, l.Entry)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	return entries, nil
}
