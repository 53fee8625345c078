package model

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"seer/infer/window"
)

// Model is a trained network.
type Model struct {
	Kind   string // which network, infer/network's name of it
	Layout window.Layout
	// Scale is how the source of the examples standardised them, so that others can
	// be made the same way; nil where it did not. Norm comes on top of it.
	Scale   *window.Scale
	Norm    Norm
	Weights []Tensor

	// Temperature divides the logits, and NoneBias is then added to that of none, so
	// that of what has probability p a share of p comes true.
	Temperature float32
	NoneBias    float32
	// Threshold is the probability of any violation, 1 minus that of none, from
	// which on there is an alarm.
	Threshold float32

	Card Card
}

// Tensor is a matrix of weights, row by row.
type Tensor struct {
	Name    string    `json:"name"`
	Rows    int       `json:"rows"`
	Columns int       `json:"columns"`
	Numbers []float32 `json:"-"`
}

// Card says how a model came to be and how good it was.
type Card struct {
	Trained  time.Time `json:"trained"`
	Seed     uint64    `json:"seed"`
	Examples int       `json:"examples"` // trained on
	Positive int       `json:"positive"` // of these, before a violation
	Culprits int       `json:"culprits"` // services that start any of these
	History  []Epoch   `json:"history"`
	// FalseAlarmShare is the share of quiet examples of the validation set that
	// Threshold was chosen to alarm at.
	FalseAlarmShare float64 `json:"false_alarm_share"`
	// Metrics on the validation set, and whatever was evaluated later.
	Metrics map[string]float64 `json:"metrics"`
}

// Epoch is one pass over the training set.
type Epoch struct {
	Loss       float64 `json:"loss"`
	Validation float64 `json:"validation"` // loss on the validation set after it
	Seconds    float64 `json:"seconds"`
}

// ErrOther marks a model that was made for something else.
var ErrOther = errors.New("model of something else")

const retrain = "run `seer train` to make one for these"

// For returns the model as it serves a layout: the same services, queues, ticks and
// horizon. A slot that was spare may be a service's now; it takes the mean statistics
// of the others. Who calls whom is taken from the layout.
func (m *Model) For(l *window.Layout) (*Model, error) {
	own := &m.Layout
	switch {
	case !slices.Equal(own.Queues, l.Queues):
		return nil, fmt.Errorf("%w: trained on queues %q, here are %q: %s", ErrOther, own.Queues, l.Queues, retrain)
	case own.Shape.Ticks != l.Shape.Ticks || own.TickMS != l.TickMS:
		return nil, fmt.Errorf("%w: trained on %d ticks of %d ms, here are %d of %d ms: %s",
			ErrOther, own.Shape.Ticks, own.TickMS, l.Shape.Ticks, l.TickMS, retrain)
	case own.HorizonMS != l.HorizonMS:
		return nil, fmt.Errorf("%w: trained to look %d ms ahead, not %d: %s", ErrOther, own.HorizonMS, l.HorizonMS, retrain)
	case len(own.Services) != len(l.Services):
		return nil, fmt.Errorf("%w: trained for %d services and spare slots, here are %d: %s",
			ErrOther, len(own.Services), len(l.Services), retrain)
	}
	var added []int
	for i, name := range l.Services {
		switch own.Services[i] {
		case name:
		case "":
			added = append(added, i)
		default:
			return nil, fmt.Errorf("%w: trained with service %q in slot %d, where %q is now: %s",
				ErrOther, own.Services[i], i, name, retrain)
		}
	}
	served := *m
	served.Layout = *l
	if len(added) > 0 {
		served.Norm = m.Norm.withMeans(own, added)
	}
	return &served, nil
}

// Find returns the weights of a name, which must have a shape.
func (m *Model) Find(name string, rows, columns int) ([]float32, error) {
	for i := range m.Weights {
		w := &m.Weights[i]
		if w.Name != name {
			continue
		}
		if w.Rows != rows || w.Columns != columns {
			return nil, fmt.Errorf("%w: weights %q are %d x %d, this Seer's network %q needs %d x %d: %s",
				ErrOther, name, w.Rows, w.Columns, m.Kind, rows, columns, retrain)
		}
		return w.Numbers, nil
	}
	return nil, fmt.Errorf("%w: no weights %q for network %q: %s", ErrOther, name, m.Kind, retrain)
}

// Used says which places of a prediction can be right: the services, not the spare
// slots, and none.
func Used(l *window.Layout) []bool {
	used := make([]bool, len(l.Services)+1)
	for i, name := range l.Services {
		used[i] = name != ""
	}
	used[len(l.Services)] = true
	return used
}
