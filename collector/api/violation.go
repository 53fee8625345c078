package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"seer/collector/qos"
)

// Promises is what a server asks about QoS targets (qos.Sink).
type Promises interface {
	Violations() []qos.Violation
	Promises() []qos.Promise
	Relabel(ctx context.Context, id, culprit, by string) (qos.Violation, error)
	Dropped() uint64
}

// ViolationRow is one violation of a QoS target.
type ViolationRow struct {
	ID         string    `json:"id"`
	Service    string    `json:"service"` // the entry whose users suffer
	Target     string    `json:"target"`  // "p99 20ms"
	Percentile float64   `json:"percentile"`
	TargetMS   float64   `json:"target_ms"`
	Learned    bool      `json:"learned"`
	Onset      time.Time `json:"onset"`
	End        time.Time `json:"end"`
	LastedMS   float64   `json:"lasted_ms"`
	Open       bool      `json:"open"`
	WorstMS    float64   `json:"worst_ms"`
	WorstShare float64   `json:"worst_share"`
	Requests   int64     `json:"requests"`
	Late       int64     `json:"late"`

	Culprit    *string        `json:"culprit"` // null while nobody has looked
	LabelledBy string         `json:"labelled_by,omitempty"`
	Why        string         `json:"why,omitempty"`
	Evidence   []qos.Evidence `json:"evidence"`
}

// PromiseRow is how one QoS target stands.
type PromiseRow struct {
	Service      string   `json:"service"`
	Percentile   float64  `json:"percentile"`
	TargetMS     *float64 `json:"target_ms"` // null while it is being learned
	Learned      bool     `json:"learned"`
	Learning     float64  `json:"learning"`      // 0..1 while it is
	PercentileMS *float64 `json:"percentile_ms"` // now; null without enough requests
	Requests     int64    `json:"requests"`      // in the window
	LateShare    float64  `json:"late_share"`
	Violated     bool     `json:"violated"`
	Violations   uint64   `json:"violations"` // begun since this Seer started
}

func violationRow(v *qos.Violation) ViolationRow {
	target := qos.Target{Percentile: v.Percentile}
	bound := time.Duration(v.TargetMS * float64(time.Millisecond))
	r := ViolationRow{
		ID: v.ID, Service: v.Service, Target: target.Name() + " " + bound.String(), Percentile: v.Percentile,
		TargetMS: v.TargetMS, Learned: v.Learned, Onset: v.Onset.UTC(), End: v.End.UTC(), LastedMS: milliseconds(v.Lasted()), Open: v.Open,
		WorstMS: v.WorstMS, WorstShare: v.WorstShare, Requests: v.Requests, Late: v.Late, Evidence: []qos.Evidence{},
	}
	if l := v.Label; l != nil {
		r.Culprit, r.LabelledBy, r.Why = &l.Culprit, l.By, l.Why
		r.Evidence = append(r.Evidence, l.Evidence...)
	}
	return r
}

func promiseRows(promises []qos.Promise) []PromiseRow {
	rows := make([]PromiseRow, len(promises))
	for i := range promises {
		p, r := &promises[i], &rows[i]
		*r = PromiseRow{
			Service: p.Target.Service, Percentile: p.Target.Percentile, Learned: p.Target.Learned, Learning: p.Learning,
			Requests: p.Requests, LateShare: p.Share, Violated: p.Violated, Violations: p.Violations,
		}
		if p.Target.Bound > 0 {
			bound := milliseconds(p.Target.Bound)
			r.TargetMS = &bound
		}
		if p.Enough {
			now := milliseconds(p.Percentile)
			r.PercentileMS = &now
		}
	}
	return rows
}

// violationRows are the violations of a service, or that it started.
func (s *Server) violationRows(sel Selector) (func(add func(any) error) error, error) {
	if s.cfg.Promises == nil {
		return eachOf[ViolationRow](nil), nil
	}
	return pickViolations(s.cfg.Promises.Violations(), sel)
}

func pickViolations(list []qos.Violation, sel Selector) (func(add func(any) error) error, error) {
	service := sel.Service
	if sel.Service = ""; sel != (Selector{}) {
		return nil, fmt.Errorf("violation: selected by %s: a violation has a service only: use service NAME", sel)
	}
	var rows []ViolationRow
	for i := range list {
		v := &list[i]
		if service == "" || v.Service == service || v.Label != nil && v.Label.Culprit == service {
			rows = append(rows, violationRow(v))
		}
	}
	return eachOf(rows), nil
}

// StoredViolations answers from violations that were read from a database, as a
// server would.
type StoredViolations []qos.Violation

// Get answers for the object violation.
func (s StoredViolations) Get(_ context.Context, object string, sel Selector) (*Document, error) {
	if object != "violation" {
		return nil, fmt.Errorf("object %q: a database holds violations: start `seer run` for the others", object)
	}
	rows, err := pickViolations(s, sel)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	doc := &Document{Schema: Schema, Object: object}
	if err := doc.writeTo(&text, rows); err != nil {
		return nil, err
	}
	return doc, json.Unmarshal(text.Bytes(), doc)
}

// labelRequest is the body of POST /v1/label.
type labelRequest struct {
	ID      string `json:"id"`
	Culprit string `json:"culprit"`
}

const maxLabelBytes = 4 << 10

// serveLabel corrects the culprit of a violation.
func (s *Server) serveLabel(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	var l labelRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, maxLabelBytes)).Decode(&l); err != nil {
		http.Error(w, fmt.Sprintf("label: %v: want {\"id\": ..., \"culprit\": ...}", err), http.StatusBadRequest)
		return
	}
	if err := qos.CheckCulprit(l.Culprit); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.cfg.Promises == nil {
		http.Error(w, "this seer watches no QoS target", http.StatusNotFound)
		return
	}
	uid, _ := r.Context().Value(peerKey{}).(int)
	v, err := s.cfg.Promises.Relabel(ctx, l.ID, l.Culprit, fmt.Sprintf("user %d", uid))
	switch {
	case errors.Is(err, qos.ErrNoViolation):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		writeJSON(w, violationRow(&v))
	}
}

// Label corrects the culprit of a violation. The error wraps qos.ErrNoViolation if
// there is none of that ID.
func (c *Client) Label(ctx context.Context, id, culprit string) error {
	body, err := json.Marshal(labelRequest{ID: id, Culprit: culprit})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/label", nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// noViolation is qos.ErrNoViolation, as a server has put it.
type noViolation struct{ text string }

func (e *noViolation) Error() string   { return e.text }
func (e *noViolation) Is(t error) bool { return t == qos.ErrNoViolation }
