package train

import (
	"errors"
	"fmt"
	"os"

	"seer/infer/model"
)

// A checkpoint is a model file: the weights, and beside each, under these prefixes,
// its best state and its moments.
const (
	bestPrefix   = "best "
	firstPrefix  = "first moment of "
	secondPrefix = "second moment of "
	stepMetric   = "step"
	epochsMetric = "epochs" // which the rate depends on
)

// ErrCheckpoint marks a checkpoint of another training.
var ErrCheckpoint = errors.New("a checkpoint of another training")

func (r *run) save() error {
	if r.Checkpoint == "" {
		return nil
	}
	m := &model.Model{Kind: r.Kind, Layout: r.layout, Norm: r.norm, Temperature: 1, Card: model.Card{
		Seed: r.Seed, Examples: r.counts.Examples, Positive: r.counts.Positive, History: r.history,
		Metrics: map[string]float64{stepMetric: float64(r.adam.step), epochsMetric: float64(r.Epochs)},
	}}
	for i, w := range r.weights {
		m.Weights = append(m.Weights, w)
		for _, extra := range []struct {
			prefix  string
			numbers []float32
		}{{bestPrefix, r.best[i]}, {firstPrefix, r.adam.first[i]}, {secondPrefix, r.adam.second[i]}} {
			w.Name, w.Numbers = extra.prefix+r.weights[i].Name, extra.numbers
			m.Weights = append(m.Weights, w)
		}
	}
	if err := m.Write(r.Checkpoint); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// resume goes on where a checkpoint stands, if there is one.
func (r *run) resume() error {
	if r.Checkpoint == "" {
		return nil
	}
	m, err := model.Read(r.Checkpoint)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w; or remove it to begin again", err)
	}
	if _, err = m.For(&r.layout); err == nil {
		switch {
		case m.Kind != r.Kind:
			err = fmt.Errorf("of a %s network", m.Kind)
		case m.Card.Seed != r.Seed:
			err = fmt.Errorf("with seed %d", m.Card.Seed)
		case m.Card.Examples != r.counts.Examples || m.Card.Positive != r.counts.Positive:
			err = fmt.Errorf("on %d examples, %d of them before a violation", m.Card.Examples, m.Card.Positive)
		case m.Card.Metrics[epochsMetric] != float64(r.Epochs):
			err = fmt.Errorf("over %v epochs", m.Card.Metrics[epochsMetric])
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w: remove it to begin again", r.Checkpoint, ErrCheckpoint, err)
	}
	for i, w := range r.weights {
		for _, part := range []struct {
			prefix string
			to     []float32
		}{{"", w.Numbers}, {bestPrefix, r.best[i]}, {firstPrefix, r.adam.first[i]}, {secondPrefix, r.adam.second[i]}} {
			numbers, err := m.Find(part.prefix+w.Name, w.Rows, w.Columns)
			if err != nil {
				return fmt.Errorf("%s: %w: %w: remove it to begin again", r.Checkpoint, ErrCheckpoint, err)
			}
			copy(part.to, numbers)
		}
	}
	r.norm, r.history = m.Norm, m.Card.History
	r.resumed = len(r.history)
	r.adam.step = int(m.Card.Metrics[stepMetric])
	return nil
}
