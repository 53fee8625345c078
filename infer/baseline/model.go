package baseline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"seer/infer/window"
)

// The names of the baselines.
const (
	Queue       = "queue"
	Utilisation = "utilisation"
	Growth      = "growth"
	Logit       = "logistic"
	Boosted     = "trees"
)

// Names lists the baselines, from the simplest on.
var Names = []string{Queue, Utilisation, Growth, Logit, Boosted}

// ParseName returns the baselines that a word means: one, or all.
func ParseName(name string) ([]string, error) {
	switch {
	case name == "all":
		return Names, nil
	case slices.Contains(Names, name):
		return []string{name}, nil
	}
	return nil, fmt.Errorf("no baseline %q: want one of %s, or all", name, strings.Join(Names, ", "))
}

// Model is a baseline with all that it needs to predict.
type Model struct {
	Name   string         `json:"name"`
	Layout *window.Layout `json:"layout"`
	Scale  *window.Scale  `json:"scale"`

	// Threshold of the alarm, chosen on validation.
	Threshold float32 `json:"threshold"`

	Nominal  *Nominal  `json:"nominal,omitempty"`  // of growth
	Logistic *Logistic `json:"logistic,omitempty"` // of logistic
	Trees    *Trees    `json:"trees,omitempty"`    // of trees
}

// DefaultThreshold is that of an alarm for which there was no validation.
const DefaultThreshold = 0.5

// Train makes a baseline. validation, on which learning stops, may be nil for those
// that only need to know what is normal; so may progress, which is called with the
// share that is done.
func Train(ctx context.Context, name string, s *window.Scale, train, validation window.Source, progress func(float64)) (*Model, error) {
	m := &Model{Name: name, Layout: train.Layout(), Scale: s, Threshold: DefaultThreshold}
	var err error
	switch name {
	case Queue, Utilisation:
	case Growth:
		m.Nominal, err = fitNominal(ctx, train, s)
	case Logit:
		m.Logistic, err = fitLogistic(ctx, train, validation, progress)
	case Boosted:
		m.Trees, err = fitTrees(ctx, train, validation, progress)
	default:
		_, err = ParseName(name)
	}
	if err == nil {
		_, err = m.Predictor()
	}
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", name, err)
	}
	return m, nil
}

// Learns says whether a baseline learns from violations, not only what is normal.
func Learns(name string) bool { return name == Logit || name == Boosted }

// SetThreshold sets the threshold of the alarm.
func (m *Model) SetThreshold(v float32) { m.Threshold = v }

// Predictor returns a predictor of its own for each goroutine.
func (m *Model) Predictor() (window.Predictor, error) {
	switch m.Name {
	case Queue:
		return orNil(newDepth(m.Layout, anyQueue))
	case Utilisation:
		return orNil(newDepth(m.Layout, utilised))
	case Growth:
		if m.Nominal == nil || len(m.Nominal.Time) != m.Layout.Shape.Services || len(m.Nominal.Deviation) != m.Layout.Shape.Services {
			return nil, errors.New("it does not say what is normal of each service")
		}
		for n, d := range m.Nominal.Deviation {
			if !(d > 0) || !finite(d) || !finite(m.Nominal.Time[n]) {
				return nil, fmt.Errorf("normal of slot %d is %v, give or take %v", n, m.Nominal.Time[n], d)
			}
		}
		return orNil(newGrowth(m.Layout, m.Scale, m.Nominal))
	case Logit:
		if m.Logistic == nil || len(m.Logistic.Weight) != views*m.Layout.Shape.Queues || len(m.Logistic.Bias) != m.Layout.Shape.Services {
			return nil, errors.New("its weights do not fit its layout")
		}
		for _, w := range slices.Concat(m.Logistic.Weight, m.Logistic.Bias) {
			if !finite(w) {
				return nil, errors.New("a weight is not a finite number")
			}
		}
		return newLogistic(m.Layout, m.Logistic), nil
	case Boosted:
		if m.Trees == nil {
			return nil, errors.New("it has no trees")
		}
		if err := m.Trees.validate(views * m.Layout.Shape.Queues); err != nil {
			return nil, err
		}
		return newBoosted(m.Layout, m.Trees), nil
	}
	_, err := ParseName(m.Name)
	return nil, err
}

// orNil keeps a nil pointer from becoming a predictor.
func orNil[T window.Predictor](p T, err error) (window.Predictor, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
