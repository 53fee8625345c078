package network

import (
	"seer/infer/forward"
	"seer/infer/model"
	"seer/infer/window"
)

// NewPredictor makes what judges windows with a model: infer/forward's pass where
// there is one, else gorgonia's, an example at a time.
func NewPredictor(m *model.Model) (window.Predictor, error) {
	if m.Kind == forward.Kind {
		p, err := forward.New(m)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	g, err := New(m.Kind, &m.Layout, 1, m.Weights)
	if err != nil {
		return nil, err
	}
	return &predictor{m, g}, nil
}

type predictor struct {
	m *model.Model
	g *Graph
}

func (p *predictor) Predict(x, mask, probabilities []float32) {
	p.g.Set(0, &p.m.Norm, x, mask)
	if err := p.g.Run(); err != nil {
		// Shapes were checked when the graph was made: nothing about an example can
		// be wrong here.
		panic(err)
	}
	p.g.Probabilities(0, p.m.Temperature, p.m.NoneBias, probabilities)
}
